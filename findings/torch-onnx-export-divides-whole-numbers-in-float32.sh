#!/usr/bin/env bash
# torch.onnx.export of torch 2.13.0 (onnxscript 0.7.2), run by onnxruntime 1.32.0: torch.div(time, width, rounding_mode=
# "floor" or "trunc") of int64 is done in float32; `time // width` beside it is exact.
# Guessed: all three are the same division of whole numbers, as in PyTorch, and their graphs hold no float.
# Seen: the two with a rounding mode cast both sides to float32, divide, round and cast back. Microseconds are rounded
# from 2^24 (16.8 s) on; the millisecond of an event with a time of day is off by one, of one with a date by 38,911. Whole
# numbers go in and come out, and nothing is said. Upstream: `//` had the same fault (onnxscript issue 2589, mended).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P' 2>/dev/null
import onnxruntime
import onnxscript
import torch

TIMES = torch.tensor([1_000_000, 16_777_216 + 1, 86_400_000_000 + 1999, 1_700_000_000_000_000 + 1999])
DIVISIONS = {
    "//": lambda t: t // 1000,
    "floor": lambda t: torch.div(t, 1000, rounding_mode="floor"),
    "trunc": lambda t: torch.div(t, 1000, rounding_mode="trunc"),
    "width 1": lambda t: torch.div(t, 1, rounding_mode="floor"),
}


class Module(torch.nn.Module):
    def __init__(self, division):
        super().__init__()
        self.division = division

    def forward(self, times):
        return self.division(times)


off = {}
for name, division in DIVISIONS.items():
    program = torch.onnx.export(Module(division), (TIMES,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    found = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: TIMES.numpy()})[0])
    off[name] = (found - division(TIMES)).tolist()
    print("torch", torch.__version__, "onnxscript", onnxscript.__version__, f"{name}: {found.dtype}, off by {off[name]}")
exact = off["//"] == [0, 0, 0, 0]
rounded = all(off[name][0] == 0 and abs(off[name][-1]) > 1000 for name in ("floor", "trunc")) and off["width 1"][1] == -1
if not (exact and rounded):
    raise SystemExit("changed")
P

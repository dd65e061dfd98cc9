#!/usr/bin/env bash
# torch.onnx.export of torch 2.13.0 (onnxscript 0.7.2), run by onnxruntime 1.32.0: scatter_reduce(..., "mean"), the mean
# time or weight of the events of each pixel, comes out as one of them.
# Guessed: the mean, made of a sum and a count, since ONNX has no such reduction; or a refusal.
# "sum" and "amax" are right, with the same indices.
# Seen: the file overwrites, so that the last event of a pixel stays. Shapes and types are right, and nothing is said.
# Upstream: ONNX was asked for the reduction in 2023 (onnx issue 5100); the exporter before was to refuse it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P' 2>/dev/null
import onnxruntime
import onnxscript
import torch

PIXELS = torch.tensor([0, 2, 2, 5, 5, 5])
WEIGHTS = torch.tensor([1.0, 1.0, 2.0, 6.0, 2.0, 1.0])


class Surface(torch.nn.Module):
    def __init__(self, reduction):
        super().__init__()
        self.reduction = reduction

    def forward(self, pixels, weights):
        return torch.zeros(8).scatter_reduce(0, pixels, weights, self.reduction, include_self=self.reduction == "sum")


right = {}
for reduction in ("sum", "amax", "mean"):
    surface = Surface(reduction)
    program = torch.onnx.export(surface, (PIXELS, WEIGHTS), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    names = [x.name for x in session.get_inputs()]
    found = session.run(None, {names[0]: PIXELS.numpy(), names[1]: WEIGHTS.numpy()})[0].tolist()
    right[reduction] = found == surface(PIXELS, WEIGHTS).tolist()
    said = f"{reduction}: torch {surface(PIXELS, WEIGHTS).tolist()}, file {found}"
    print("torch", torch.__version__, "onnxscript", onnxscript.__version__, said)
if right != {"sum": True, "amax": True, "mean": False} or found != [1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0]:
    raise SystemExit("changed")
P

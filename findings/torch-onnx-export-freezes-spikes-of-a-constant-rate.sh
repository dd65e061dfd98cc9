#!/usr/bin/env bash
# torch.onnx.export of torch 2.13.0 (onnxscript 0.7.2), run by onnxruntime 1.32.0: spikes of a rate that the model keeps
# (torch.bernoulli(self.rate), background noise of a sensor) are drawn once, while the file is written.
# Guessed: new spikes in every call, as in PyTorch, and as for a rate that is an input.
# Seen: the file holds the spikes as a constant and no random node; every call has the same noise, and so has every
# session. optimize=False leaves the node, and calls differ. `torch.rand_like(self.rate) < self.rate` is drawn anew in both.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P' 2>/dev/null
import numpy as np
import onnxruntime
import onnxscript
import torch


class Noise(torch.nn.Module):
    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn
        self.register_buffer("rate", torch.full((100,), 0.5))

    def forward(self, x):
        return x + (torch.bernoulli(self.rate) if self.drawn == "bernoulli" else (torch.rand_like(self.rate) < self.rate))


x, found = torch.zeros(100), {}
for drawn in ("bernoulli", "rand_like"):
    for optimize in (False, True):
        file = torch.onnx.export(Noise(drawn), (x,), dynamo=True, optimize=optimize, verbose=False).model_proto
        runs = []
        for _ in range(2):
            session = onnxruntime.InferenceSession(file.SerializeToString())
            runs += [session.run(None, {session.get_inputs()[0].name: x.numpy()})[0] for _ in range(2)]
        new = any(not np.array_equal(runs[0], run) for run in runs[1:])
        found[drawn, optimize] = new
        nodes = sorted({node.op_type for node in file.graph.node})
        said = f"{drawn}, optimize={optimize}: {nodes}, {'new spikes' if new else 'the same spikes'} in 4 calls"
        print("torch", torch.__version__, "onnxscript", onnxscript.__version__, said)
if found != {
    ("bernoulli", False): True, ("bernoulli", True): False, ("rand_like", False): True, ("rand_like", True): True
}:
    raise SystemExit("changed")
P

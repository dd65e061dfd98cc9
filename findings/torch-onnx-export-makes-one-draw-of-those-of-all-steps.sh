#!/usr/bin/env bash
# torch.onnx.export of torch 2.13.0 (onnxscript 0.7.2), run by onnxruntime 1.32.0: an encoder that draws
# torch.bernoulli(rates) once for each time step gives the same spikes in all steps.
# Guessed: each draw stays one of its own, as in PyTorch, and as torch.rand_like(rates) < rates has it in the same file.
# Seen: the optimiser of the exporter takes equal nodes for one, random or not: one Bernoulli is left of four, and a rate
# code of four steps carries what one does. With optimize=False four are in the file, and onnxruntime merges them as it
# loads (with its optimisations off they differ). Rates are right, calls differ, and nothing is said. rand_like is safe.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P' 2>/dev/null
import numpy as np
import onnxruntime
import onnxscript
import torch


class Encoder(torch.nn.Module):
    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn

    def forward(self, rates):
        if self.drawn == "bernoulli":
            return torch.stack([torch.bernoulli(rates) for _ in range(4)])
        return torch.stack([(torch.rand_like(rates) < rates).float() for _ in range(4)])


rates = torch.full((10000,), 0.5)
levels = onnxruntime.GraphOptimizationLevel
found = {}
for drawn in ("bernoulli", "rand_like"):
    for optimize in (True, False):
        file = torch.onnx.export(Encoder(drawn), (rates,), dynamo=True, optimize=optimize, verbose=False).model_proto
        nodes = sum(node.op_type in ("Bernoulli", "RandomUniformLike", "RandomUniform") for node in file.graph.node)
        for level in (levels.ORT_ENABLE_ALL, levels.ORT_DISABLE_ALL):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            session = onnxruntime.InferenceSession(file.SerializeToString(), options)
            name = session.get_inputs()[0].name
            first, second = (session.run(None, {name: rates.numpy()})[0] for _ in range(2))
            alike = bool((first == first[:1]).all())
            found[drawn, optimize, level == levels.ORT_ENABLE_ALL] = nodes, alike, bool((first != second).any())
            said = f"{nodes} draws in the file, steps {'alike' if alike else 'differ'}, rate {first.mean():.2f}"
            print("torch", torch.__version__, "onnxscript", onnxscript.__version__, drawn, f"optimize={optimize},", level, said)
bernoulli = [found["bernoulli", optimize, runs] for optimize in (True, False) for runs in (True, False)]
if bernoulli != [(1, True, True), (1, True, True), (4, True, True), (4, False, True)]:
    raise SystemExit(f"changed: {found}")
if any(found["rand_like", optimize, runs] != (4, False, True) for optimize in (True, False) for runs in (True, False)):
    raise SystemExit(f"changed: {found}")
P

#!/usr/bin/env bash
# OpenVINO 2026.4.1 (torch 2.13.0), on CPU: torch.bernoulli draws once; a compiled model gives the same spikes in every
# call, and another compilation of the same model gives others.
# Guessed: new spikes in every call, as in PyTorch, and as `torch.rand_like(p) < p` has it here; or, if it has a seed, the
# same ones wherever the model is compiled.
# Seen: neither. A rate-coded input, one call for each time step, spikes in every step or in none; its rate over time is
# 0 or 1, whatever p is.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 openvino==2026.4.1 numpy==2.4.6
env/bin/python -W ignore - <<'P' 2>/dev/null
import numpy as np
import openvino as ov
import torch


class Bernoulli(torch.nn.Module):
    def forward(self, p):
        return torch.bernoulli(p)


class Compared(torch.nn.Module):
    def forward(self, p):
        return (torch.rand_like(p) < p).float()


p = np.full((1, 256), 0.3, np.float32)
core = ov.Core()
print("OpenVINO", ov.__version__, "torch", torch.__version__)
rates = {}
for kind in (Bernoulli, Compared):
    model = ov.convert_model(kind(), example_input=torch.from_numpy(p))
    for number in range(2):
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        steps = np.concatenate([compiled([p])[0].copy() for _ in range(50)])
        between = ((steps.mean(0) > 0) & (steps.mean(0) < 1)).mean()
        rates[kind.__name__, number] = steps
        print(f"{kind.__name__}, compilation {number}: {steps.mean():.3f} of all spike; pixels with a rate between 0 and 1: {between:.0%}")
drawn = [rates["Bernoulli", n] for n in range(2)]
if any((x != x[:1]).any() for x in drawn):
    raise SystemExit("changed: calls of bernoulli differ")
if (drawn[0][0] == drawn[1][0]).all():
    raise SystemExit("changed: two compilations draw the same")
if (rates["Compared", 0] == rates["Compared", 0][:1]).all():
    raise SystemExit("changed: rand_like draws once too")
P

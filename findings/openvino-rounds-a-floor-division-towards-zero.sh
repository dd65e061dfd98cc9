#!/usr/bin/env bash
# OpenVINO 2026.4.1 (torch 2.13.0), on CPU: x // 3 of whole numbers below zero is rounded up: -1 // 3 is 0.
# Guessed: rounded down, -1, as in PyTorch, Python and NumPy, and as the remainder in the same model has it.
# Seen: `//` and torch.div(..., rounding_mode="floor") divide as C does for whole numbers, and right for floats; x % 3 is
# right, so that (x // 3) * 3 + x % 3 is not x. An event one step before the first bin lies in the first bin, and a
# position left of the first window in the first window.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 openvino==2026.4.1
env/bin/python - <<'P' 2>/dev/null
import numpy as np
import openvino
import torch

WAYS = {
    "//": lambda x: x // 3,
    "floor": lambda x: torch.div(x, 3, rounding_mode="floor"),
    "back": lambda x: (x // 3) * 3 + x % 3,
}


class Divide(torch.nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x):
        return self.way(x)


wrong = {}
for kind in (torch.int32, torch.int64, torch.float32):
    times = torch.tensor([-4, -3, -1, 0, 1, 4]).to(kind)
    for name, way in WAYS.items():
        model = openvino.convert_model(Divide(way), example_input=times)
        answer = np.array(openvino.Core().compile_model(model, "CPU")([times.numpy()])[0])
        wrong[kind, name] = (answer != way(times).numpy()).tolist()
        print("openvino", openvino.__version__[:8], f"{kind} {name}: {answer.tolist()}, torch {way(times).tolist()}")
below = [True, False, True, False, False, False]
if any(found != (below if kind != torch.float32 else [False] * 6) for (kind, _), found in wrong.items()):
    raise SystemExit("changed")
P

#!/usr/bin/env bash
# OpenVINO 2026.4.1 (torch 2.13.0), on CPU: cumsum of spikes that are bool gives bool: the running count is True, and never
# 2. Of uint8 it is uint8, and begins again at 0 after 255.
# Guessed: int64, as in PyTorch, where a sum of bool or of small whole numbers is one of int64; `sum` is that here too.
# Seen: cumsum keeps the type of what it adds. The model converts and runs without a word; a head that asks for the first
# step with three spikes finds none. Write x.long().cumsum(0).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 openvino==2026.4.1
env/bin/python - <<'P' 2>/dev/null
import numpy as np
import openvino
import torch


class Count(torch.nn.Module):
    def __init__(self, running):
        super().__init__()
        self.running = running

    def forward(self, spikes):
        return spikes.cumsum(0) if self.running else spikes.sum(0)


def converted(module, spikes):
    model = openvino.convert_model(module, example_input=spikes)
    return np.array(openvino.Core().compile_model(model, "CPU")([spikes.numpy()])[0])


found = {}
for kind in (torch.bool, torch.uint8, torch.int64):
    spikes = torch.ones(300, 1).to(kind)
    running, total = converted(Count(True), spikes), converted(Count(False), spikes)
    found[kind] = running.dtype.name, int(running[-1, 0]), int(total[0])
    said = f"{running.dtype} {running[-1, 0]}, at once {total[0]}; torch {int(spikes.cumsum(0)[-1])}"
    print("openvino", openvino.__version__[:8], f"{kind}: 300 spikes, counted step by step {said}")
right = {torch.bool: ("bool", 1, 300), torch.uint8: ("uint8", 44, 300), torch.int64: ("int64", 300, 300)}
if found != right:
    raise SystemExit("changed")
P

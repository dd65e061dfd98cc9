#!/usr/bin/env bash
# snnTorch 1.0.0, Leaky(reset_mechanism="subtract", reset_delay=False): the threshold is taken off before the comparison
# wherever the membrane of the step before is above it, although its reset is done, and is given back afterwards.
# Guessed: fire, subtract, and that is all: an input of 3.7 with decay 0.5 leaves 2.7, then 1.35, which fires: 1, 1, 0.
# Seen: 1, 0, 0 with membranes 2.7, 1.35, 0.675; the second step compared 0.35.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 snntorch==1.0.0
env/bin/python - <<'P'
import snntorch
import torch

node, membrane, spikes, membranes = snntorch.Leaky(beta=0.5, threshold=1.0, reset_delay=False), torch.zeros(1), [], []
for x in (3.7, 0.0, 0.0):
    spike, membrane = node(torch.tensor([x]), membrane)
    spikes.append(int(spike))
    membranes.append(round(float(membrane), 4))
print("snnTorch", snntorch.__version__, "spikes", spikes, "membranes", membranes)
if spikes != [1, 0, 0] or membranes != [2.7, 1.35, 0.675]:
    raise SystemExit("changed")
P

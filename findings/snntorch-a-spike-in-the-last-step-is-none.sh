#!/usr/bin/env bash
# snnTorch 1.0.0, functional.accuracy_temporal and ce_temporal_loss: an output that spikes in the last step is taken for
# one that never spikes.
# Guessed: the class that spikes first wins, and any spike comes before none, as in a network where class 1 alone spikes,
# once, in the last of 5 steps.
# Seen: an output without spikes is given the time of the last step (a comment in the source says so, the page does not),
# so all are equal there and the first class wins: class 0, which is silent, is right, and class 1 is wrong. The loss is
# that of silence (log 3), whichever class spiked. One step earlier all is as guessed. Of 4 steps, as spiking transformers
# are trained with, one is lost for answers.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 snntorch==1.0.0 numpy==2.4.6
env/bin/python - <<'P'
import math

import snntorch
import torch
from snntorch import functional

found = {}
for step in (3, 4, None):
    spikes = torch.zeros(5, 1, 3)
    if step is not None:
        spikes[step, 0, 1] = 1
    accuracy = [float(functional.accuracy_temporal(spikes, torch.tensor([target]))) for target in range(3)]
    loss = [round(float(functional.ce_temporal_loss()(spikes, torch.tensor([target]))), 4) for target in range(3)]
    found[step] = accuracy, loss
    when = "nothing spikes" if step is None else f"class 1 spikes at step {step} of 0 to 4"
    print("snnTorch", snntorch.__version__, f"{when}: accuracy for targets 0, 1, 2: {accuracy}, loss {loss}")
silence = [1.0, 0.0, 0.0], [round(math.log(3), 4)] * 3
if found[4] != silence or found[None] != silence or found[3][0] != [0.0, 1.0, 0.0] or found[3][1][1] >= found[3][1][0]:
    raise SystemExit("changed")
P

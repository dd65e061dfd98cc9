#!/usr/bin/env bash
# SpikingJelly 2.0.0 (torch 2.13.0, CPU), neuron.SlidingPSN: in multi-step mode it forgets what came before a call.
# Guessed: a stream in chunks gives the spikes of the whole clip, as with every other neuron there that has a memory
# (LIFNode beside it, until functional.reset_net), and as SlidingPSN itself gives them one step at a time.
# Seen: step by step it keeps its last k inputs, and its spikes are those of the clip. In chunks the inputs before the
# chunk count as zero, and nothing says so: the first k - 1 steps of every chunk lack spikes. Changing step_mode in the
# middle of a stream loses them as well. Whoever feeds a camera in chunks has to go step by step, or hand the last k - 1
# inputs in again and drop their answers.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 scipy==1.17.1 loguru==0.7.3 tqdm einops
env/bin/pip install -q --no-deps spikingjelly==2.0.0
env/bin/python - <<'P'
from importlib.metadata import version

import torch
from spikingjelly.activation_based import functional, neuron

torch.manual_seed(0)
STEPS, ORDER = 24, 4
clip = 2.0 * torch.rand(STEPS, 2, 50)


def answered(net, length):
    """Spikes of the clip in calls of so many steps; 0 is one step at a time in single-step mode."""
    functional.reset_net(net)
    net.step_mode = "m" if length else "s"
    with torch.no_grad():
        return torch.cat([net(part) for part in clip.split(length)]) if length else torch.stack([net(x) for x in clip])


sliding = neuron.SlidingPSN(k=ORDER, step_mode="m")
with torch.no_grad():
    sliding.weight.fill_(0.4)
    sliding.bias.fill_(-1.5)
changed = False
for name, net in (("LIFNode", neuron.LIFNode(step_mode="m")), ("SlidingPSN", sliding)):
    whole = answered(net, STEPS)
    steps, chunks = (int((answered(net, n) != whole).sum()) for n in (0, 6))
    where = sorted({int(t) % 6 for t in (answered(net, 6) != whole).nonzero()[:, 0]})
    print("spikingjelly", version("spikingjelly"), f"{name}: {int(whole.sum())} spikes of {whole.numel()};", end=" ")
    print(f"step by step {steps} differ, in chunks of 6 {chunks} differ, at steps {where} of a chunk")
    if name == "LIFNode":
        changed |= (steps, chunks) != (0, 0)
    else:
        changed |= steps != 0 or chunks < 50 or where != list(range(ORDER - 1))
if changed:
    raise SystemExit("changed")
P

#!/usr/bin/env bash
# sinabs 3.1.3 (torch 2.13.0, CPU), layers.LIFRecurrent, IAFRecurrent and ALIFRecurrent: what the last step's spikes send
# back is lost between calls, though membranes go on.
# Guessed: these layers keep their state until reset_states(), so that a stream in chunks, or one step at a time, gives
# the spikes of the whole recording, as IAF, LIF and ALIF without recurrence do.
# Seen: v_mem stays in the module, the current through rec_connect begins at zero in every call. In chunks the first step
# of each lacks it; one step at a time, as on a live sensor, there is no recurrence at all, and nothing says so. A network
# trained on recordings is then another one on the stream.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 pbr==7.1.3 matplotlib==3.11.2 nir==1.0.8 nirtorch==2.6
env/bin/pip install -q --no-deps sinabs==3.1.3
env/bin/python - <<'P'
from importlib.metadata import version

import torch
from sinabs import layers

torch.manual_seed(0)
STEPS, WIDTH = 24, 20
recording = 1.5 * (torch.rand(4, STEPS, WIDTH) < 0.5).float()


def spikes(net, length):
    """Of the recording in calls of so many steps, from a fresh state."""
    net.reset_states()
    with torch.no_grad():
        return torch.cat([net(part) for part in recording.split(length, 1)], 1)


def network(name, strength):
    """A layer whose spikes each send back `strength` to all; without recurrence where that is none."""
    constants = {} if name.startswith("IAF") else {"tau_mem": 5.0, "norm_input": False}
    if name.startswith("ALIF"):
        constants["tau_adapt"] = 10.0
    if name.endswith("Recurrent"):
        back = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        torch.nn.init.constant_(back.weight, strength)
        constants["rec_connect"] = back
    return getattr(layers, name)(**constants)


changed = False
for name in ("LIF", "LIFRecurrent", "IAFRecurrent", "ALIFRecurrent"):
    net = network(name, -0.02)
    whole = spikes(net, STEPS)
    off = [int((spikes(net, length) != whole).sum()) for length in (STEPS, 6, 1)]
    bare = torch.equal(spikes(net, 1), spikes(network(name, 0.0), STEPS))
    print("sinabs", version("sinabs"), f"{name}: {int(whole.sum())} spikes; of {whole.numel()} outputs differ", end=" ")
    print(f"{off[0]} in one call, {off[1]} in chunks of 6, {off[2]} step by step,", end=" ")
    print(f"where it is{'' if bare else ' not'} what there is without recurrence")
    changed |= off != [0, 0, 0] if name == "LIF" else off[0] != 0 or off[1] < 5 or off[2] < 50 or not bare
if changed:
    raise SystemExit("changed")
P

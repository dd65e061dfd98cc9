#!/usr/bin/env bash
# rockpool 3.1.0 (torch 2.13.0, CPU), modules for torch (LIFTorch, aLIFTorch, LIFBitshiftTorch, ExpSynTorch, RateTorch):
# after a call with a batch, the state that is kept and returned is that of its first clip, for all.
# Guessed: a batch of streams goes on where each of them was, as a batch of one does, or the state has an axis for the
# batch that the caller hands in again.
# Seen: states have no axis for the batch. Each is that of clip 0, so clips 1, 2, ... of the next call begin with the
# currents and membranes of another one, and nothing says so; handing the returned state to set_attributes changes
# nothing. Streams of several cameras in one batch, and training in windows of long clips, then mix their pasts. A call
# of one clip at a time is right.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 scipy==1.17.1
env/bin/pip install -q --no-deps rockpool==3.1.0
env/bin/python - <<'P'
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
import torch
from rockpool.nn import modules

torch.manual_seed(0)
CLIPS, STEPS, WIDTH = 3, 24, 10
batch = 2.0 * (torch.rand(CLIPS, STEPS, WIDTH) < 0.4).float()


def answers(net, clips, length):
    """Of clips in calls of so many steps, each call followed by the state that it returned."""
    net.reset_state()
    parts = []
    with torch.no_grad():
        for part in clips.split(length, 1):
            output, state, _ = net(part)
            net = net.set_attributes(state)
            parts.append(output)
    return torch.cat(parts, 1)


changed = False
for name, shape in {"ExpSynTorch": WIDTH, "LIFTorch": (WIDTH, WIDTH), "aLIFTorch": (WIDTH, WIDTH)}.items():
    net = getattr(modules, name)(shape)
    whole, chunks = (answers(net, batch, length) for length in (STEPS, 8))
    off = [int(((a - b).abs() > 1e-5).sum()) for a, b in zip(whole, chunks, strict=True)]
    alone = int(sum(((answers(net, batch[i : i + 1], 8) - whole[i]).abs() > 1e-5).sum() for i in range(CLIPS)))
    axes = {key: tuple(value.shape) for key, value in net.state().items()}
    print("rockpool", version("rockpool"), f"{name}: in chunks of 8 steps {off} answers of the three clips differ,", end=" ")
    print(f"of clips one by one {alone}; states {axes}")
    changed |= off[0] != 0 or min(off[1:]) < 10 or alone != 0
if changed:
    raise SystemExit("changed")
P

#!/usr/bin/env bash
# SpikingJelly 2.0.0 (torch 2.13.0, CPU), encoding.PoissonEncoder: a pixel of exactly 0 fires in bfloat16 and float16.
# Guessed: a pixel of 0 never fires, in any type, as the page of the encoder says (it fires with probability x), and one
# of 0.001 fires once in a thousand steps.
# Seen: it asks whether a random number of the type of the picture is at most x. In bfloat16 one random number in some 500
# is exactly 0, in float16 one in some 4,000, in float32 one in 2^24, and each of these fires a black pixel. In bfloat16
# 0.001 fires three times too often as well. A frame that is nearly all black, as an event camera gives, has then more
# spikes of noise than of the scene, in a training in half precision alone. torch.bernoulli of the same tensor is right.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 scipy==1.17.1 loguru==0.7.3 tqdm einops
env/bin/pip install -q --no-deps spikingjelly==2.0.0
env/bin/python - <<'P'
from importlib.metadata import version

import torch
from spikingjelly.activation_based.encoding import PoissonEncoder

torch.manual_seed(0)
encoder, changed = PoissonEncoder(), False
# For each type and brightness the fewest and the most spikes of a million that count as what was seen.
SEEN = {
    torch.float32: {0.0: (0, 5), 0.001: (800, 1200)},
    torch.float16: {0.0: (100, 1000), 0.001: (1050, 2000)},
    torch.bfloat16: {0.0: (1000, 5000), 0.001: (2000, 6000)},
}
for kind, bounds in SEEN.items():
    for brightness, (least, most) in bounds.items():
        picture = torch.full((1000, 1000), brightness, dtype=kind)
        spikes = int(encoder(picture).float().sum())
        drawn = int(torch.bernoulli(picture).float().sum())
        fire = f"of a million pixels of {brightness} fire {spikes}, by torch.bernoulli {drawn}"
        print("spikingjelly", version("spikingjelly"), f"{kind}: {fire}")
        changed |= not least <= spikes <= most or not 1e6 * brightness * 0.8 <= drawn <= 1e6 * brightness * 1.2
if changed:
    raise SystemExit("changed")
P

#!/usr/bin/env bash
# torch 2.13.0, on CPU: torch.utils.flop_counter.FlopCounterMode counts 0 operations of a whole nn.TransformerEncoder in
# evaluation without gradients, and 0 of an nn.LSTM, with gradients or without.
# Guessed: as many as where gradients are taken, and the four gates of an LSTM as the three of a GRU.
# Seen: an encoder in evaluation takes a fast path that is one operation, and an LSTM another, neither of which the
# counter knows; it says 0 and not that it left something out. A forward hook somewhere in a layer turns the fast path of
# that layer off, and brings back its feed-forward part, but not its attention, which has a fast path of its own. So the
# cost of the artificial twin of a spiking transformer, measured the way it runs, can come out as that of its last layer.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6
env/bin/python -W ignore - <<'P'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WIDTH, TOKENS = 16, 5


def counted(layer: nn.Module, x: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        layer(x)
    return counter.get_total_flops()


torch.manual_seed(0)
print("torch", torch.__version__)
layer = nn.TransformerEncoderLayer(WIDTH, nhead=2, dim_feedforward=32, batch_first=True)
encoder = nn.TransformerEncoder(layer, num_layers=2).eval()
clip = torch.randn(2, TOKENS, WIDTH)
feed_forward = 2 * 2 * TOKENS * 2 * WIDTH * 32
weights = 2 * (2 * 2 * TOKENS * 4 * WIDTH * WIDTH + feed_forward)
with_gradients = counted(encoder, clip)
with torch.no_grad():
    without = counted(encoder, clip)
    hook = encoder.layers[0].linear1.register_forward_hook(lambda *_: None)
    hooked = counted(encoder, clip)
    hook.remove()
print(f"encoder: weights {weights}; with gradients {with_gradients}, without {without}, without and one hook {hooked}")
found = {}
for kind, gates in ((nn.LSTM, 4), (nn.GRU, 3)):
    net = kind(WIDTH, WIDTH)
    wanted = 2 * TOKENS * 2 * gates * WIDTH * WIDTH
    with torch.no_grad():
        found[kind] = counted(net, torch.randn(TOKENS, 1, WIDTH)), wanted
    print(f"{kind.__name__}: {found[kind][0]} of {wanted}, with gradients {counted(net, torch.randn(TOKENS, 1, WIDTH))}")
if without != 0 or hooked != feed_forward or with_gradients != weights:
    raise SystemExit("changed: the counter sees something of an encoder in evaluation, or another part of it")
if found[nn.LSTM][0] != 0 or found[nn.GRU][0] != found[nn.GRU][1]:
    raise SystemExit("changed: an LSTM is counted, or a GRU is not")
P

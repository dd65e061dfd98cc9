"""Random weights made a fair workload: norms of what the network really emits, neurons that fire as often as told.

`calibrate` passes a clip in training mode. With random weights the spikes of evaluation are then others: the neuron of
the joint attention is silent meanwhile, the norms behind it see no variance, and in evaluation one spike comes out as
hundreds of thousands of thresholds. Here the clip passes in evaluation mode, and each layer is set before the next
one sees what it emits.
"""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.layers.calibrate import wake
from spikereel.layers.neuron import Neuron, collected
from spikereel.layers.norm import ClipNorm
from spikereel.layers.observe import firing_rates
from spikereel.models.base import VideoModel

DRAWN = {
    "lif1": 0.08,
    "lif2": 0.035,
    "encode_lif": 0.11,
    "head_lif": 0.41,
    "q_lif": 0.16,
    "k_lif": 0.16,
    "v_lif": 0.16,
    "attn_lif": 0.45,
    "fc1_lif": 0.41,
    "fc2_lif": 0.16,
    "lif": 0.2,
}
"""Firing rates of the kinds of neurons with random weights and random norms, middles of what was measured: 22 % over
all neurons. Every figure on the engine so far was taken near these."""
TRAINED = {
    "lif1": 0.14,
    "lif2": 0.11,
    "encode_lif": 0.17,
    "head_lif": 0.17,
    "q_lif": 0.16,
    "k_lif": 0.2,
    "v_lif": 0.21,
    "attn_lif": 0.15,
    "fc1_lif": 0.16,
    "fc2_lif": 0.11,
    "lif": 0.19,
}
"""Those of `spikevideoformer_ti.motion`, trained weights, on a clip of its test."""
Rates = float | Mapping[str, float]

LEAST, WOKEN = 0.01, 0.15
"""Where no rate is given, a neuron that fires less than the first is set to the second."""
FLAT = 0.01
"""Least variance of a channel, in shares of the median of its norm: a constant channel is no valid workload."""
CLOSE, DRIFT = 0.03, 0.02
"""A firing rate is right within this share of itself; a norm, within this share of its standard deviations."""
PASSES, LONG = 6, 32
"""Passes at most; clips of more frames than the second get one, which takes minutes, and its rates are told.
"""
HEAD, JOINED = "head.", "head.fuse.lif"
"""Neurons of a segmentation head that see a stage itself are left as they are; the one that sees all levels has as many
norms before it."""
CACHE = Path(tempfile.gettempdir()) / "spikereel-settled"
"""Norms found before, by everything that they depend on: a long clip takes minutes."""
SAMPLE = 200_000
"""Values on which an offset is sought."""
STEPS = 24


def named(rates: str) -> Rates:
    """ "drawn", "trained", or one firing rate for all neurons."""
    return {"drawn": DRAWN, "trained": TRAINED}.get(rates) or float(rates)


def settle(model: VideoModel, clip: Tensor, rates: Rates | None = None) -> dict[str, float]:
    """Set all norms to the statistics of `clip`, in place; {neuron: firing rate} of the result.

    rates: of every neuron, or of each kind by its last name, found by bisection of the offset of the norm before it;
    None leaves neurons as they are, but wakes silent ones. A pass changes what is off, and what is right stays bit by
    bit, so passes end. Raises AssertionError where a neuron stays silent.
    """
    model.eval()
    kept = CACHE / f"{_key(model, clip, rates)}.pt"
    if kept.exists():
        found = torch.load(kept, weights_only=True)
        model.load_state_dict(found["norms"], strict=False)
        return found["rates"]
    means = _settled(model, clip, rates)
    norms = {name for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    own = {name: x for name, x in model.state_dict().items() if name.rpartition(".")[0] in norms}
    CACHE.mkdir(exist_ok=True)
    torch.save({"rates": means, "norms": own}, kept)
    return means


def _key(model: VideoModel, clip: Tensor, rates: Rates | None) -> str:
    digest = hashlib.sha256(f"{LEAST} {WOKEN} {FLAT} {CLOSE} {DRIFT} {PASSES} {LONG} {SAMPLE}".encode())
    digest.update(b"its joined neuron" if model.task == "segmentation" else b"")
    digest.update(f"{model.config} {tuple(clip.shape)} {rates} {torch.__version__}".encode())
    for x in (clip, *model.state_dict().values()):
        digest.update(x.contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def _settled(model: VideoModel, clip: Tensor, rates: Rates | None) -> dict[str, float]:
    if any(isinstance(m, ClipNorm) for m in model.modules()):
        # norms over single pixels want two clips: the second is the first backwards
        wake(model, clip if clip.shape[1] > 1 else torch.cat([clip, clip.flip(0)], dim=1))
    else:
        for _ in range(PASSES if len(clip) <= LONG else 1):
            if not _pass(model, clip, rates):
                break
    with firing_rates(model) as found, torch.inference_mode():
        model(clip)
    silent = [name for name in found.silent() if not name.startswith(HEAD)]
    assert not silent, silent
    return found.means()


def _pass(model: VideoModel, clip: Tensor, rates: Rates | None) -> int:
    """How many norms and neurons were changed."""
    names = {id(m): name for name, m in model.named_modules()}
    last: list[Any] = []
    levels: list[Any] = [m for name, m in model.named_modules() if re.fullmatch(r"head\.levels\.\d+\.norm", name)]
    changed = 0

    def norm_sees(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        nonlocal changed
        last[:] = [norm]
        var, mean = torch.var_mean(inputs[0], [0, *range(2, inputs[0].ndim)], correction=0)
        var = var.clamp_min(FLAT * float(var.median()))
        off = (mean - norm.running_mean).abs().max() > DRIFT * var.sqrt().min()
        if off or ((var / norm.running_var).log().abs() > 2 * DRIFT).any():
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
            changed += 1

    def neuron_sees(neuron: Any, inputs: tuple[Tensor, ...]) -> None:
        nonlocal changed
        x, name = inputs[0], names[id(neuron)]
        before = levels if name == JOINED else last[:1]
        if not before or (name.startswith(HEAD) and name not in (JOINED, "head.classify.lif")):
            return
        now, wanted = _fires(neuron, x, 0.0), rates
        if isinstance(rates, Mapping):
            wanted = rates[name.rpartition(".")[2]]
        elif rates is None:
            wanted = WOKEN if now < LEAST else now
        if abs(now - wanted) > CLOSE * wanted:
            # every so many channels, and all time steps and places
            shift = _offset(neuron, x[:, :, :: max(1, min(x.shape[2] // 4, x.numel() // SAMPLE))].contiguous(), wanted)
            for norm in before:
                norm.bias += shift
            # the residual stream goes on with it
            x += shift
            changed += 1

    hooks = [
        m.register_forward_pre_hook(norm_sees if isinstance(m, _BatchNorm) else neuron_sees)
        for m in model.modules()
        if isinstance(m, _BatchNorm | Neuron)
    ]
    try:
        with torch.no_grad():
            model(clip)
    finally:
        for hook in hooks:
            hook.remove()
    return changed


def _fires(neuron: Neuron, x: Tensor, shift: float) -> float:
    # not a call: that would be seen again
    return float(collected(neuron.forward(x + shift)[0], neuron.config).mean())


def _offset(neuron: Neuron, x: Tensor, wanted: float) -> float:
    far = float(x.abs().max()) + 4.0
    low, high = -far, far
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _fires(neuron, x, middle) < wanted else (low, middle)
    return high

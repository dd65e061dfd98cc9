"""Write the golden files: what the models computed when they were equal to the authors' fixtures.

    PYTHONPATH=tests python tests/golden/make_golden.py

For those who do not have the fixtures. Write it anew only for a change that is meant to change numbers, after
`tests/models/test_parity.py` and `test_svformer_parity.py` are green, and say so in the commit. All models are
calibrated, their convolutions float16 and their norms float32 numbers, so that the files stay small, and the
computation float64. The three cases of SpikeVideoFormer share their convolutions; SVFormer has a file of its own.
"""

import copy
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny import clip, tiny_config, tiny_model, tiny_svformer, tiny_svformer_config
from torch import Tensor

from spikereel.layers.neuron import Neuron
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer

PATH = Path(__file__).parent / "svdf_golden.safetensors"
SVFORMER_PATH = Path(__file__).parent / "svformer_golden.safetensors"
CASES = (("joint", "hamming"), ("spatial", "dot"), ("causal", "hamming"))
SPIKES = (
    *tuple(f"block3.0.attn.{part}_lif" for part in ("head", "q", "k", "v", "attn")),
    "block4.0.mlp.fc1_lif",
    "lif",
)
SVFORMER_SPIKES = (
    "blocks1.0.mlp.act2",
    "lplif",
    *tuple(f"blocks3.0.attn.{part}_lif" for part in ("in", "q", "k", "v", "proj")),
    "blocks4.0.mlp.act1",
    "lif_bf_head",
)
EVERY = 8
"""Only every eighth row and column of the gradient is kept."""


def compute(model: VideoModel, video: Tensor, kept: tuple[str, ...] = SPIKES) -> dict[str, Tensor]:
    """Logits, gradient of the input, some spikes, and how often each neuron fired."""
    seen = {}
    hooks = [
        m.register_forward_hook(lambda _m, _x, out, name=name: seen.update({name: out[0].detach()}))
        for name, m in model.named_modules()
        if isinstance(m, Neuron)
    ]
    video = video.clone().requires_grad_()
    logits, _ = model(video)
    (logits * torch.arange(1.0, 6.0, dtype=logits.dtype)).sum().backward()
    for hook in hooks:
        hook.remove()
    return {
        "logits": logits.detach(),
        "gradient": video.grad[..., ::EVERY, ::EVERY].contiguous(),
        "counts": torch.stack([seen[name].sum() for name in sorted(seen)]).long(),
        **{f"spikes.{name}": seen[name].to(torch.uint8).contiguous() for name in kept},
    }


def compute_step(model: VideoModel, video: Tensor) -> dict[str, Tensor]:
    """A step in training mode: logits, the norm of every gradient, and the sums of the running statistics."""
    model = copy.deepcopy(model).train()
    logits, _ = model(video)
    # a loss that is linear in the logits would be blind to what comes before the norm of the head
    (logits.square() * torch.arange(1.0, 6.0, dtype=logits.dtype)).sum().backward()
    statistics = [x.sum() for name, x in model.named_buffers() if "running" in name]
    return {
        "trained.logits": logits.detach(),
        "trained.statistics": torch.stack(statistics),
        "trained.gradients": torch.stack([p.grad.norm() for p in model.parameters()]),
    }


def build(case: tuple[str, str], tensors: dict[str, Tensor]) -> SpikeVideoFormer:
    """The model of a case, from the weights in the file."""
    model = SpikeVideoFormer(tiny_config(attention=case[0], similarity=case[1])).double().eval()
    return _filled(model, tensors["weights"], tensors[prefix(case) + "norms"])


def build_svformer(tensors: dict[str, Tensor]) -> SVFormer:
    """SVFormer from the weights in its file, with a time constant of its own for each neuron."""
    model = SVFormer(tiny_svformer_config(frames=3)).double().eval()
    _filled(model, tensors["weights"], tensors["norms"])
    neurons = [m for m in model.modules() if isinstance(m, Neuron)]
    for neuron, w in zip(neurons, torch.linspace(-0.3, 0.3, len(neurons)), strict=True):
        neuron.w.data.fill_(w)
    return model


def _filled(model: VideoModel, weights: Tensor, norms: Tensor) -> VideoModel:
    for numbers, part in ((weights, _weights(model)), (norms, _norms(model))):
        for x, values in zip(part, numbers.split([x.numel() for x in part]), strict=True):
            x.copy_(values.view(x.shape))
    return model


def _weights(model: VideoModel) -> list[Tensor]:
    return [x for x in model.state_dict().values() if x.ndim > 1]


def _norms(model: VideoModel) -> list[Tensor]:
    """Batch norms, and biases."""
    return [x for x in model.state_dict().values() if x.ndim == 1]


def _packed(parts: list[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat([x.flatten() for x in parts]).to(dtype)


def prefix(case: tuple[str, str]) -> str:
    """How the tensors of a case are named."""
    return f"{case[0]}_{case[1]}."


def make() -> dict[str, Tensor]:
    """Everything in the file of SpikeVideoFormer."""
    video = (255 * clip(3, 2, 48, seed=11)).to(torch.uint8)
    tensors = {"video": video}
    for case in CASES:
        model = tiny_model(video.double() / 255, attention=case[0], similarity=case[1])
        tensors["weights"] = _packed(_weights(model), torch.float16)
        tensors[prefix(case) + "norms"] = _packed(_norms(model), torch.float32)
    for case in CASES:
        results = compute(build(case, tensors), video.double() / 255)
        tensors |= {prefix(case) + name: x for name, x in results.items()}
    return tensors


def make_svformer() -> dict[str, Tensor]:
    """Everything in the file of SVFormer."""
    video = (255 * clip(3, 3, 64, seed=11)).to(torch.uint8)
    model = tiny_svformer(video.double() / 255, frames=3)
    tensors = {
        "video": video,
        "weights": _packed(_weights(model), torch.float16),
        "norms": _packed(_norms(model), torch.float32),
    }
    model = build_svformer(tensors)
    results = compute(model, video.double() / 255, SVFORMER_SPIKES) | compute_step(model, video.double() / 255)
    return tensors | results


if __name__ == "__main__":
    for path, tensors in ((PATH, make()), (SVFORMER_PATH, make_svformer())):
        save_file(tensors, path)
        path.chmod(0o644)

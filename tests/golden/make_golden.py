"""Write svdf_golden.safetensors: what the model computed when it was equal to the authors' fixtures.

    PYTHONPATH=tests python tests/golden/make_golden.py

For those who do not have the fixtures. Write it anew only for a change that is meant to change numbers, after
`tests/models/test_parity.py` is green, and say so in the commit. Three calibrated float64 models share their
convolutions (float16 numbers) and have batch norms of their own (float32 numbers), so that the file stays small.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny import clip, tiny_config, tiny_model
from torch import Tensor

from spikereel.layers.neuron import Neuron
from spikereel.models.spikevideoformer import SpikeVideoFormer

PATH = Path(__file__).parent / "svdf_golden.safetensors"
CASES = (("joint", "hamming"), ("spatial", "dot"), ("causal", "hamming"))
SPIKES = (
    *tuple(f"block3.0.attn.{part}_lif" for part in ("head", "q", "k", "v", "attn")),
    "block4.0.mlp.fc1_lif",
    "lif",
)
EVERY = 8
"""Only every eighth row and column of the gradient is kept."""


def compute(model: SpikeVideoFormer, video: Tensor) -> dict[str, Tensor]:
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
        **{f"spikes.{name}": seen[name].to(torch.uint8) for name in SPIKES},
    }


def build(case: tuple[str, str], tensors: dict[str, Tensor]) -> SpikeVideoFormer:
    """The model of a case, from the weights in the file."""
    model = SpikeVideoFormer(tiny_config(attention=case[0], similarity=case[1])).double().eval()
    for name, part in (("weights", _weights(model)), (prefix(case) + "norms", _norms(model))):
        for x, values in zip(part, tensors[name].split([x.numel() for x in part]), strict=True):
            x.copy_(values.view(x.shape))
    return model


def _weights(model: SpikeVideoFormer) -> list[Tensor]:
    return [x for x in model.state_dict().values() if x.ndim > 1]


def _norms(model: SpikeVideoFormer) -> list[Tensor]:
    """Batch norms, and biases."""
    return [x for x in model.state_dict().values() if x.ndim == 1]


def _packed(parts: list[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat([x.flatten() for x in parts]).to(dtype)


def prefix(case: tuple[str, str]) -> str:
    """How the tensors of a case are named."""
    return f"{case[0]}_{case[1]}."


def make() -> dict[str, Tensor]:
    """Everything in the file."""
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


if __name__ == "__main__":
    save_file(make(), PATH)
    PATH.chmod(0o644)

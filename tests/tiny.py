"""Small models whose every neuron fires: a fresh network is mostly silent, and a silent one hides any error."""

import torch
from torch import Tensor, nn

from spikereel.layers.norm import ClipNorm
from spikereel.layers.observe import firing_rates
from spikereel.models.spikevideoformer import SpikeVideoFormer, SpikeVideoFormerConfig
from spikereel.models.svformer import SelfAttention, SVFormer, SVFormerConfig

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, ClipNorm)
OUTER_NORMS = tuple(f"{part}_conv{suffix}.1" for part in "qkv" for suffix in ("", "_t"))


def tiny_config(**fields) -> SpikeVideoFormerConfig:
    """Two Transformer blocks, 16 tokens a frame of 64 x 64."""
    values = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 2, "num_classes": 5, **fields}
    return SpikeVideoFormerConfig(**values)


def clip(frames: int = 4, batch: int = 2, size: int = 64, *, seed: int = 0) -> Tensor:
    """float64 [T, B, 3, size, size] in [0, 1]."""
    return torch.rand(frames, batch, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def calibrate(model: SpikeVideoFormer, video: Tensor, *, seed: int = 0) -> None:
    """Spread the batch norms, let them take the statistics of `video`, and make sure that every neuron is at work."""
    randomise_norms(model, seed=seed)
    with torch.no_grad():
        for name, norm in model.named_modules():
            # without a norm of its own the dot product needs busy q, k and v to reach its threshold with few tokens
            if model.config.similarity == "dot" and name.endswith(OUTER_NORMS):
                norm.bias += 0.0 if model.config.attention == "joint" else 0.7
    take_statistics(model, video)
    assert_at_work(model, video)


def take_statistics(module: nn.Module, x: Tensor) -> None:
    """Running statistics of every batch norm from one pass over x; leaves the module in evaluation mode."""
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        module.train()(x)
    for norm in norms:
        norm.momentum = 0.1
    module.eval()


def assert_at_work(model: nn.Module, video: Tensor) -> None:
    """No neuron silent, none saturated."""
    with torch.no_grad(), firing_rates(model) as rates:
        model(video)
    assert rates.silent() == []
    # an artificial neuron that is always on is not saturated
    most = {
        name: {"ilif": m.config.levels, "relu": 2}.get(m.config.kind, 1)
        for name, m in model.named_modules()
        if name in rates
    }
    idle = {name: rate for name, rate in rates.means().items() if not 0.003 < rate < 0.97 * most[name]}
    assert not idle, f"silent or saturated: {idle}"


def tiny_model(video: Tensor | None = None, *, seed: int = 0, **fields) -> SpikeVideoFormer:
    """A calibrated float64 model in evaluation mode."""
    torch.manual_seed(seed)
    model = SpikeVideoFormer(tiny_config(**fields)).double()
    calibrate(model, clip() if video is None else video)
    return model


def tiny_svformer_config(**fields) -> SVFormerConfig:
    """One block a stage; 16 and 4 tokens a frame of 64 x 64."""
    values = {
        "frames": 4,
        "image_size": 64,
        "widths": (8, 16, 16, 24),
        "depths": (1, 1, 1, 1),
        "head_dim": 8,
        "num_classes": 5,
        **fields,
    }
    return SVFormerConfig(**values)


def tiny_svformer(video: Tensor | None = None, *, seed: int = 0, **fields) -> SVFormer:
    """A calibrated float64 model in evaluation mode."""
    torch.manual_seed(seed)
    model = SVFormer(tiny_svformer_config(**fields)).double()
    video = clip() if video is None else video
    randomise_norms(model, seed=seed)
    with torch.no_grad():
        # few tokens of few channels reach the threshold only with busy q, k and v, and with those that keep all of
        # their input the sums go far beyond it
        for module in model.modules():
            if isinstance(module, SelfAttention):
                module.norm1.bias += 0.0 if model.config.neuron.kind == "if" else 0.8
        model.head.weight.mul_(20)
    take_statistics(model, video)
    assert_at_work(model, video)
    return model


def randomise_norms(module: nn.Module, *, seed: int = 0) -> None:
    """Batch norms with weights, biases and statistics that leave nothing at 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in (m for m in module.modules() if isinstance(m, BATCH_NORMS)):
            norm.weight.uniform_(1.0, 2.0, generator=generator)
            norm.bias.uniform_(0.3, 1.3, generator=generator)
            norm.running_mean.normal_(0.0, 0.3, generator=generator)
            norm.running_var.uniform_(0.2, 0.8, generator=generator)

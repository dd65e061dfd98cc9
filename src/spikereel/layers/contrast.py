"""A front that shows a network what changed: every frame minus the decaying mean of its past."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spikereel.errors import ConfigError, StateError

Placement = Literal["none", "beside", "instead"]
Form = Literal["signed", "on_off"]

FULL = 0.1
"""Change of an input that counts as 1: a twentieth of the range from -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """What a network sees of the changes in its input."""

    contrast: Placement = "none"
    """beside: changes as further channels; instead: changes alone."""
    contrast_tau: float = 2.0
    """Time constant of the mean of the past, in frames of the clip."""
    contrast_form: Form = "signed"
    """signed: the change of every channel. on_off: two channels, how much the mean of all channels rose and fell."""

    def __post_init__(self) -> None:
        for name, choices in (("contrast", Placement), ("contrast_form", Form)):
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(
                    f"{name} {getattr(self, name)!r} does not exist; choose one of {', '.join(get_args(choices))}"
                )
        if not 0.0 < self.contrast_tau < math.inf:
            raise ConfigError(f"contrast_tau must be above 0 and finite, got {self.contrast_tau}")

    def channels(self, inputs: int) -> int:
        """Channels that leave the front for so many that enter."""
        changes = inputs if self.contrast_form == "signed" else 2
        return {"none": inputs, "beside": inputs + changes, "instead": changes}[self.contrast]


class Contrast(nn.Module):
    """c[t] = (x[t] - m[t]) / 0.1 with m[t] = k m[t-1] + (1 - k) x[t-1], k = exp(-1 / tau) and m[0] = x[0].

    Causal; what it remembers of a clip is one frame, the mean, so that it goes on from frame to frame. It learns
    nothing. With form on_off, x is the mean of the channels and c is cut to [0, 1], once as it is and once as -c.
    """

    def __init__(self, config: ContrastConfig):
        super().__init__()
        self.config, self.kept = config, math.exp(-1.0 / config.contrast_tau)

    def forward(
        self, x: Float[Tensor, "T B C H W"], past: Tensor | None = None
    ) -> tuple[Float[Tensor, "T B D H W"], Tensor]:
        """The channels of the front, and the mean [B, c, H, W] for the frame to come.

        past: the mean that came out for the frames before; None at the start of a clip.

        Raises StateError where the past is of other clips than x.
        """
        seen = self.seen(x)
        mean = seen[0] if past is None else past
        if mean.shape != seen.shape[1:]:
            raise StateError(
                f"the state holds the past of clips {list(mean.shape)}, the video has {list(seen.shape[1:])}; batch "
                "size and resolution must stay the same while a state is carried: start again with state=None"
            )
        changes = []
        for now in seen:
            changes.append(now - mean)
            mean = self.kept * mean + (1.0 - self.kept) * now
        change = torch.stack(changes) / FULL
        if self.config.contrast_form == "on_off":
            change = torch.cat([change, -change], dim=2).clamp(0.0, 1.0)
        return (torch.cat([x, change], dim=2) if self.config.contrast == "beside" else change), mean

    def seen(self, x: Tensor) -> Tensor:
        """What of x [T, B, C, H, W] is compared over time: all channels, or their mean as one."""
        return x if self.config.contrast_form == "signed" else x.mean(2, keepdim=True)

    def macs(self, x: Tensor) -> int:
        """Multiply-accumulates for x [T, B, C, H, W]: two a value for the mean, and one for the scaled difference."""
        values = x.numel() if self.config.contrast_form == "signed" else x[:, :, 0].numel()
        return 3 * values

    def extra_repr(self) -> str:
        c = self.config
        return f"{c.contrast}, tau={c.contrast_tau:g}, {c.contrast_form}"


def contrast_of(config: ContrastConfig) -> Contrast | None:
    """The front of a configuration; None where it has none."""
    return None if config.contrast == "none" else Contrast(config)

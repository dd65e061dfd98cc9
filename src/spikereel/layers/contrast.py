"""A front that shows a network what changed: every frame minus the decaying mean of its past.

Several time constants, and the surround of every pixel, are after the retina: Wohrer & Kornprobst, "Virtual Retina",
J. Comput. Neurosci. 2009.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

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
    contrast_more: tuple[float, ...] = ()
    """Further time constants, each of which gives channels of its own."""
    contrast_learnt: bool = False
    """Whether time constants are weights, which begin at these values."""
    contrast_surround: int = 0
    """Radius in pixels of the square whose mean change is taken off every change; 0 for none."""
    contrast_form: Form = "signed"
    """signed: the change of every channel. on_off: two channels, how much the mean of all channels rose and fell."""

    def __post_init__(self) -> None:
        for name, choices in (("contrast", Placement), ("contrast_form", Form)):
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(
                    f"{name} {getattr(self, name)!r} does not exist; choose one of {', '.join(get_args(choices))}"
                )
        object.__setattr__(self, "contrast_more", tuple(self.contrast_more))
        for name, values in (("contrast_tau", (self.contrast_tau,)), ("contrast_more", self.contrast_more)):
            if wrong := [tau for tau in values if not 0.0 < tau < math.inf]:
                raise ConfigError(f"{name} must be above 0 and finite, got {wrong[0]}")
        if self.contrast_surround < 0:
            raise ConfigError(f"contrast_surround must be at least 0, got {self.contrast_surround}")

    @property
    def contrast_taus(self) -> tuple[float, ...]:
        """All time constants in frames, in the order of the channels."""
        return (self.contrast_tau, *self.contrast_more)

    def channels(self, inputs: int) -> int:
        """Channels that leave the front for so many that enter."""
        changes = len(self.contrast_taus) * (inputs if self.contrast_form == "signed" else 2)
        return {"none": inputs, "beside": inputs + changes, "instead": changes}[self.contrast]


class Contrast(nn.Module):
    """c[t] = (x[t] - m[t]) / 0.1 with m[t] = k m[t-1] + (1 - k) x[t-1], k = exp(-1 / tau) and m[0] = x[0].

    Causal; what it remembers of a clip is one frame for each tau, the mean, so that it goes on from frame to frame. It
    learns tau at most. With a surround, the mean of c over the square around every pixel, cut at the border, is taken
    off. With form on_off, x is the mean of the channels and c is cut to [0, 1], once as it is and once as -c.
    """

    def __init__(self, config: ContrastConfig):
        super().__init__()
        self.config = config
        taus = torch.tensor(config.contrast_taus)
        self.log_tau = nn.Parameter(taus.log()) if config.contrast_learnt else None

    def kept(self) -> list[Tensor | float]:
        """The share k of the mean that is left after a frame, for each time constant."""
        if self.log_tau is None:
            return [math.exp(-1.0 / tau) for tau in self.config.contrast_taus]
        return list((-(-self.log_tau).exp()).exp())

    def forward(
        self, x: Float[Tensor, "T B C H W"], past: Tensor | None = None
    ) -> tuple[Float[Tensor, "T B D H W"], Tensor]:
        """The channels of the front, and the means [B, c, H, W] for the frame to come, those of each tau in turn.

        past: the means that came out for the frames before; None at the start of a clip.

        Raises StateError where the past is of other clips than x.
        """
        seen = self.seen(x)
        begun = self.begin(x) if past is None else past
        if begun.shape[:1] + begun.shape[2:] != seen.shape[1:2] + seen.shape[3:] or begun.shape[1] != self.wide(x):
            raise StateError(
                f"the state holds the past of clips {list(begun.shape)}, the video has {list(seen.shape[1:])}; batch "
                "size and resolution must stay the same while a state is carried: start again with state=None"
            )
        changes, means = [], []
        for kept, mean in zip(self.kept(), begun.split(seen.shape[2], 1), strict=True):
            change, mean = _held_against(seen, mean, kept)
            changes.append(self._shaped(change))
            means.append(mean)
        shown = [x, *changes] if self.config.contrast == "beside" else changes
        return torch.cat(shown, dim=2), torch.cat(means, dim=1)

    def _shaped(self, change: Tensor) -> Tensor:
        """Channels of a change [T, B, c, H, W]."""
        if radius := self.config.contrast_surround:
            side = 2 * radius + 1
            around = F.avg_pool2d(change.flatten(0, 1), side, 1, radius, count_include_pad=False)
            change = change - around.view_as(change)
        change = change / FULL
        if self.config.contrast_form == "on_off":
            change = torch.cat([change, -change], dim=2).clamp(0.0, 1.0)
        return change

    def seen(self, x: Tensor) -> Tensor:
        """What of x [T, B, C, H, W] is compared over time: all channels, or their mean as one."""
        return x if self.config.contrast_form == "signed" else x.mean(2, keepdim=True)

    def begin(self, x: Tensor) -> Tensor:
        """The means [B, c, H, W] at the start of a clip."""
        return torch.cat([self.seen(x[:1])[0]] * len(self.config.contrast_taus), dim=1)

    def wide(self, x: Tensor) -> int:
        """Channels of the means of x [T, B, C, H, W]."""
        return len(self.config.contrast_taus) * (x.shape[2] if self.config.contrast_form == "signed" else 1)

    def macs(self, x: Tensor) -> int:
        """Multiply-accumulates for x [T, B, C, H, W]: two a value for each mean, one for the scaled difference, and one
        for each pixel of a side of the surround, whose rows and columns are summed in turn, and two to take it off."""
        values = x[:, :, 0].numel() * self.wide(x)
        side = 2 * self.config.contrast_surround + 1
        return values * (3 + (2 * side + 2 if side > 1 else 0))

    def extra_repr(self) -> str:
        c = self.config
        taus = ", ".join(f"{tau:g}" for tau in c.contrast_taus)
        more = [f"surround={c.contrast_surround}"] * bool(c.contrast_surround) + ["learnt"] * c.contrast_learnt
        return ", ".join([c.contrast, f"tau={taus}", c.contrast_form, *more])


def _held_against(seen: Tensor, mean: Tensor, kept: Tensor | float) -> tuple[Tensor, Tensor]:
    """Every frame of seen [T, B, c, H, W] minus the mean of those before, and the mean for the frame to come."""
    changes = []
    for now in seen:
        changes.append(now - mean)
        mean = kept * mean + (1.0 - kept) * now
    return torch.stack(changes), mean


def contrast_of(config: ContrastConfig) -> Contrast | None:
    """The front of a configuration; None where it has none."""
    return None if config.contrast == "none" else Contrast(config)

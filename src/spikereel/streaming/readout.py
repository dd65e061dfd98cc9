"""What single frames are gathered to: the mean of all, a fading one, the mean of the last."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from spikereel.errors import ConfigError

Kind = Literal["mean", "decay", "last"]


@dataclass(frozen=True, kw_only=True)
class Readout:
    """A mean over time of x_t [B, ...], as `mean_t, state = readout(x_t, state)`. Raises ConfigError for other names.

    mean: of all frames since the state began, what the clip run gives.
    decay: sum k^(t - s) x_s / sum k^(t - s) with k = exp(-1 / span).
    last: of the last `span` frames, fewer at the start.
    Sums are float64; of spikes they are whole numbers, so that `mean` and `last` are exact however long the stream.
    """

    kind: Kind = "mean"
    span: float = 16.0
    """Frames: time constant of decay, length of last."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"readout {self.kind!r} does not exist; choose one of {', '.join(get_args(Kind))}")
        if not (self.span > 0 and math.isfinite(self.span)) or (self.kind == "last" and self.span != int(self.span)):
            raise ConfigError(f"span is {self.span}: give frames above 0, whole ones for readout='last'")

    def __call__(self, x: Tensor, state: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean so far, in the type of x, and the sums."""
        state, now = state or {}, x.double()
        ones = now.new_ones(len(x))
        sums, weight = state.get("sums", torch.zeros_like(now)), state.get("weight", torch.zeros_like(ones))
        kept = math.exp(-1.0 / self.span) if self.kind == "decay" else 1.0
        after = {"sums": kept * sums + now, "weight": kept * weight + ones}
        if self.kind == "last":
            recent = torch.cat([state.get("recent", x.new_empty(len(x), 0, *x.shape[1:])), x[:, None]], dim=1)
            if recent.shape[1] > self.span:
                after = {"sums": after["sums"] - recent[:, 0].double(), "weight": weight}
                recent = recent[:, 1:]
            after["recent"] = recent
        mean = after["sums"] / after["weight"].view(-1, *[1] * (x.ndim - 1))
        return mean.to(x.dtype), after

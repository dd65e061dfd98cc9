"""When the frames of a video are shown, and which of them make a clip."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch

from spikereel.errors import ConfigError

_MILLISECOND = Fraction(1, 1000)
MOST_FRAMES = 1_000_000
"""Of a clip: more is a slip, found before memory is taken for them."""


@dataclass(frozen=True)
class Timeline:
    """When the frames of a file are shown."""

    times: range | np.ndarray
    """When each frame is shown, in units of the stream's time base; ascending, and equal where a unit holds several."""
    exact: bool
    """Whether decoded frames can be told by these times, and sought."""
    marks: list[int] = field(default_factory=list, compare=False)
    """Times that the first frames had when decoded from the start, filled in by reading: they tell frames where `times`
    do not, such as AVI with B-frames, whose frames carry the places of their packets."""
    base: Fraction | None = None
    """Seconds of a unit; None where the times only count the frames."""
    last: int = 0
    """Units that the last frame is shown for; 0 where the file does not say."""
    torn: list[int] = field(default_factory=list, compare=False)
    """Times of key frames by the index that are none, filled in by reading: then the file is decoded from the start."""
    notes: tuple[str, ...] = ()
    """What is unusual about the file."""
    aspect: Fraction = Fraction(1)
    """Width to height of a pixel as it is stored."""
    stated: float = field(default=0.0, compare=False)
    """Frames a second by the file's own word; 0.0 where it has none."""

    def __len__(self) -> int:
        """Frames."""
        return len(self.times)

    def at_equal_times(self, indices: Sequence[int]) -> list[int]:
        """The same frames where the rate is constant; where it varies, those shown at steps of equal time.

        Frame i of n stands for the instant that is i / (n - 1) of the way from the first to the last frame.
        """
        if self._constant():
            return list(indices)
        times = self.times
        even = np.linspace(times[0], times[-1], len(times))
        return (np.searchsorted(times, even[list(indices)] + 1e-6 * float(self._step()), side="right") - 1).tolist()

    def seconds(self) -> np.ndarray | None:
        """When each frame is shown, float64 [N] seconds after the first; None where the times only count the frames."""
        if self.base is None:
            return None
        times = np.asarray(self.times)
        return (times - times[0]) * float(self.base)

    def during(self) -> np.ndarray | None:
        """When each frame begins to be shown, and when the last one ends: float64 [N + 1] seconds after the first; None
        where the times only count the frames."""
        begins = self.seconds()
        if begins is None or self.base is None:
            return None
        last = self.last or self._step()
        return np.append(begins, begins[-1] + float(last * self.base))

    def pace(self, stated: float) -> float:
        """Frames a second of those that `at_equal_times` gives: the stated rate where it agrees with the times, else by
        the first and the last time. For what lasts so many seconds; 0.0 where unknown."""
        step = self._step()
        if not self.base or not step:
            return stated
        true = 1 / float(step * self.base)
        return stated if stated and abs(len(self) / stated - len(self) / true) * true <= 1 else true

    def rate(self, stated: float) -> tuple[float, float]:
        """Frames a second, and seconds from the first frame to the end of the last: by the rate that the file states if
        that agrees with the times to half a frame, or if there are no true times, else by these. 0.0 where unknown.
        """
        count, step = len(self), self._step()
        by_header = (stated, count / stated) if stated else (0.0, 0.0)
        if not self.base or not step:
            return by_header
        last = step if not self.last or (self._constant() and self.last <= 2 * step) else Fraction(self.last)
        seconds = ((count - 1) * step + last) * self.base
        # The first and the last time may both be rounded.
        if stated and abs(by_header[1] - seconds) <= (step / 2 + 2) * self.base:
            return by_header
        return float(count / seconds), float(seconds)

    def _step(self) -> Fraction:
        """Mean time between frames; 0 for a single one."""
        return Fraction(int(self.times[-1]) - int(self.times[0]), max(len(self) - 1, 1))

    def _constant(self) -> bool:
        times = self.times
        if isinstance(times, range):
            return True
        # Half a step and less is the rounding of Matroska's milliseconds; of a step shorter than two, one of them.
        rounded = self.base is not None and self.base <= _MILLISECOND and self._step() < 2
        most = 1 if rounded else self._step() / 2
        return bool(np.abs(times - np.linspace(times[0], times[-1], len(times))).max() <= most)


def sample_indices(
    total: int,
    frames: int,
    *,
    stride: float | None = None,
    start: float | None = None,
    clip: int = 0,
    clips: int = 1,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Which `frames` of a video of `total` frames make a clip (SVFormer, as its code samples: PySlowFast's rule).

    With span cs = stride * frames and delta = max(total - cs, 0), the start is `start` if given, else uniform in
    [0, delta] if a generator is given (training), else that of view `clip` of `clips`, which is
    clip * floor(delta / (clips - 1)), or floor(delta / 2) for a single one. The indices are
    trunc(clamp(linspace(start, start + cs - 1, frames), 0, total - 1)): a short video repeats its last frame, and the
    true step is a little above the stride.
    With `stride=None` the clip spans the whole video, linspace(0, total - 1, frames), and nothing is random.
    Raises ConfigError for a number out of range, and for several clips or a start without a stride.
    """
    if total < 1 or frames < 1:
        raise ConfigError(f"total is {total} and frames is {frames}: both must be at least 1")
    if frames > MOST_FRAMES:
        raise ConfigError(f"frames is {frames}: a clip has at most {MOST_FRAMES}")
    if not 0 <= clip < clips:
        raise ConfigError(f"clip is {clip} of {clips} clips: choose 0 to {clips - 1}")
    if stride is None:
        if clips > 1 or start is not None:
            raise ConfigError(
                f"{clips} clips of a video need a stride, such as data.stride=4: without one a single clip spans the "
                "whole video; give the stride or one clip (data.clips=1)"
            )
        start, span = 0.0, total
    elif stride <= 0:
        raise ConfigError(f"stride is {stride}: it must be above 0, or None for the whole video")
    else:
        span = stride * frames
        start = _start(max(total - span, 0), clip, clips, generator) if start is None else start
    return torch.linspace(start, start + span - 1, frames).clamp(0, total - 1).long().tolist()


def _start(delta: float, clip: int, clips: int, generator: torch.Generator | None) -> float:
    if generator is not None:
        return delta * torch.rand((), generator=generator).item()
    return clip * (delta // (clips - 1)) if clips > 1 else delta // 2

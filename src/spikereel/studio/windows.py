"""How a source is cut into clips for a network: contiguous windows of a video, or the whole of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from spikereel.data.video.clip import USUAL_FPS
from spikereel.data.video.read import read_frames
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import Frames
from spikereel.inference.look import look, views_of
from spikereel.inference.timeline import sees_videos, spans, usual_window
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import sees_recordings
from spikereel.runs.readings import POSE_STRIDE, rendering_of
from spikereel.studio.opened import Opened
from spikereel.tracing.clips import box_of

Span = tuple[int, int]
"""Number of the first frame of a window, and of the one behind its last."""


class Windows(Protocol):
    """The clips of one source for one network."""

    @property
    def spans(self) -> Sequence[Span]:
        """In the numbers of the source's frames."""
        ...

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, width and height of what the network sees, in pixels of the source; None where not known."""
        ...

    def given(self, number: int) -> tuple[Any, dict[str, Any], Sequence[int] | None]:
        """What `trace` gets of a window: a clip or a path, further options, and the frames of its steps where the trace
        does not know them."""
        ...


@dataclass
class OfVideo:
    """Clips of a video, or of a camera, for classes: chosen inside a window as training chose them inside a video."""

    opened: Opened
    seen: Frames | None
    """The frames as the network sees them; None of a camera, where more come."""
    spec: DataSpec
    seconds: float
    """Of a window."""
    _cut: tuple[int, list[Span], list[Span]] = (0, [], [])

    @property
    def frames(self) -> Frames:
        """Those that are there now."""
        return self.seen or self.opened.frames

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """See `Windows`."""
        return box_of(self.spec, self.frames.size)

    @property
    def spans(self) -> list[Span]:
        """See `Windows`. Of a camera a window is one when all of its frames have come."""
        return self._places()[1]

    def given(self, number: int) -> tuple[Tensor, dict[str, Any], Sequence[int]]:
        """See `Windows`."""
        numbers, (view, *_) = views_of(self.frames, self.spec.single(), *self._places()[0][number])
        return view, {}, numbers

    def _places(self) -> tuple[list[Span], list[Span]]:
        """Windows in steps of equal time, where the rate varies, and in frames."""
        total = len(self.frames)
        if self._cut[0] != total:
            fps = self.frames.pace() or USUAL_FPS
            places = list(spans(total, fps, self.seconds))
            if self.opened.live:
                length = max(round(self.seconds * fps), 1)
                places = [(a, b) for a, b in places if b - a == length]
            starts = list(self.frames.sampled([first for first, _ in places]))
            last = self.frames.sampled([places[-1][1] - 1])[0] + 1 if places else 0
            self._cut = total, places, list(zip(starts, [*starts[1:], last], strict=True)) if places else []
        return self._cut[1], self._cut[2]


@dataclass
class OfWhole:
    """A recording, depth or an array: one clip."""

    opened: Opened
    spec: DataSpec
    channels: int
    box: tuple[float, float, float, float] | None = None

    @property
    def spans(self) -> list[Span]:
        """See `Windows`."""
        return [(0, len(self.opened.frames))]

    def given(self, number: int) -> tuple[Tensor, dict[str, Any], Sequence[int]]:
        """See `Windows`."""
        assert self.opened.path is not None
        seen = look(self.opened.path, self.spec, self.channels, views=1)
        view, total = seen.views[0], len(self.opened.frames)
        if self.opened.frames.holds != "events":
            return view, {}, seen.indices
        # of a longer recording the middle is seen
        info = seen.info
        first = max(info.seconds - len(view) / info.fps, 0) / 2
        starts = (first + np.arange(len(view)) / info.fps) / info.seconds * total
        return view, {}, np.minimum(starts + 1e-6, total - 1).astype(int).tolist()


@dataclass
class OfFile:
    """Parts of a file for poses and masks, every frame of which is answered."""

    opened: Opened
    spans: list[Span]
    box: tuple[float, float, float, float] | None = None

    def given(self, number: int) -> tuple[str, dict[str, Any], None]:
        """See `Windows`."""
        return str(self.opened.path), {"frames": self.spans[number]}, None


def windows_of(model: VideoModel, opened: Opened, every: float | None = None) -> Windows:
    """every: seconds of a window of a video for classes; None is what a clip of training lasts.

    Raises ConfigError or DataError for a source that the weights do not see.
    """
    spec, frames = data_spec_of(model.metadata), opened.frames
    if frames.holds == "events" and not sees_recordings(spec):
        raise DataError(
            f"{opened.name}: is a recording of events, and these weights see pictures or depth; choose weights that "
            "were trained on recordings"
        )
    if every is not None and not 0 < every < float("inf"):
        raise ConfigError(f"every is {every}: give seconds above 0")
    clip = spec.frames * (spec.stride or 1)
    if model.task != "classification":
        length = spec.frames * (spec.stride or POSE_STRIDE)
        return OfFile(opened, [(first, min(first + length, len(frames))) for first in range(0, len(frames), length)])
    if not sees_videos(model) or frames.holds != "pictures":
        return OfWhole(opened, spec, model.config.in_channels)
    path, rendering, known = opened.path, rendering_of(spec), frames.timeline
    if path is not None and known is not None:
        frames = replace(
            frames, seer=lambda indices, each: read_frames(path, indices, known, each=each, rendering=rendering)
        )
    fps = frames.pace() or USUAL_FPS
    seconds = every or (clip / fps if spec.stride else usual_window(model, fps))
    return OfVideo(opened, None if path is None else frames, spec, seconds)

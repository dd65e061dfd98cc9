"""A model on one endless video: what comes next from what it remembers, exact, in constant memory."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from spikereel.engine.engine import Engine
from spikereel.errors import ConfigError, DataError, StateError
from spikereel.exporting.run import Exported
from spikereel.files import whole
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.models.wrappers import unwrapped
from spikereel.streaming.choose import mode_of
from spikereel.streaming.from_file import FileModel, file_model
from spikereel.streaming.fronts import identity_of, model_of
from spikereel.streaming.modes import Answers, Chunks, FrameByFrame, Mode, Sliding
from spikereel.streaming.readout import Kind, Readout
from spikereel.streaming.result import Result, stacked
from spikereel.streaming.smooth import Smooth, Smoothing

OnGap = Literal["bridge", "reset"]
VERSION = 1
KEY = "spikereel_session"


@dataclass(kw_only=True, repr=False)
class Session:
    """Frames in, answers out: `result = session.push(frames)`; made by `spikereel.stream`.

    All that it remembers is `state`, tensors by name, so that a session is saved, forked and put into a batch exactly.
    """

    name: str
    """spatial, causal, window or chunk."""
    mode: Mode
    network: VideoModel | Engine | FileModel
    smoothing: Smoothing
    gap: float | None = None
    """Seconds between frames from which on it is a gap; a step back in time is one, too. None: nobody looks."""
    on_gap: OnGap = "bridge"
    """What follows a gap: the state goes on, or begins anew."""
    state: State = field(default_factory=State)
    number: int = 0
    """Frames that were pushed."""
    gaps: int = 0
    last_time: float | None = None

    def __repr__(self) -> str:
        model = model_of(self.network)
        return f"Session({model!r}, {self.settings()}, {self.number} frames, {self.state_bytes} bytes of state)"

    @property
    def model(self) -> Any:
        """The model, also where an engine runs it; of an exported file what stands for it."""
        return model_of(self.network)

    @property
    def delay(self) -> int:
        """Frames that may pass after one until the answer that takes it in; 0 where each frame is answered at once."""
        return self.mode.delay

    @property
    def receptive_field(self) -> float:
        """Frames that an answer depends on; infinite where membranes or sums carry all the past."""
        return self.mode.receptive_field

    @property
    def state_bytes(self) -> int:
        """Bytes of all that is remembered; the same after a thousand frames as after a million."""
        return sum(x.numel() * x.element_size() for x in self.state.flat().values())

    def settings(self) -> str:
        """Mode and choices, in one line."""
        mode = self.mode
        parts = [f"mode {self.name}"]
        if mode.window is not None:
            parts.append(f"window {mode.window}")
        if isinstance(mode, Sliding):
            parts.append(f"hop {mode.hop}")
        if (membranes := self._membranes()) is not None:
            parts.append(f"membranes {membranes}")
        if isinstance(mode, FrameByFrame) and self.model.task == "classification":
            readout = mode.readout
            parts.append(f"readout {readout.kind}" + ("" if readout.kind == "mean" else f" {readout.span:g}"))
        if self.smoothing.kind is not None:
            parts.append(f"smooth {self.smoothing.kind}")
        return ", ".join(parts)

    def push(self, frames: Tensor, times: Sequence[float] | None = None) -> Result:
        """The answers that these frames bring, and the state goes on.

        frames: float [T, C, H, W], or [T, B, C, H, W] for B streams in step, as the model takes them; one [C, H, W] is
        one frame. times: seconds of each, for the result, for smoothing, and to find gaps.
        Raises DataError for frames that are none, StateError for another size; the state then stays as it was.
        """
        result, after = self._run(Given.of(frames, times))
        vars(self).update(after)
        return result

    def peek(self, frames: Tensor, times: Sequence[float] | None = None) -> Result:
        """What `push` would say, without going on."""
        return self._run(Given.of(frames, times))[0]

    def reset(self) -> None:
        """Begin anew, with nothing remembered."""
        self.state, self.number, self.gaps, self.last_time = State(), 0, 0, None

    def fork(self) -> Self:
        """An independent session that goes on from here, with the same network."""
        return replace(self, state=self.state.clone())

    def save(self, path: str | Path) -> None:
        """Write all that is remembered to a safetensors file, whole or not at all; OSError where it cannot be."""
        from safetensors.torch import save_file

        said = self._origin() | {"number": self.number, "gaps": self.gaps, "last_time": self.last_time}
        tensors = {name: x.detach().cpu().contiguous().clone() for name, x in self.state.flat().items()}
        with whole(path) as part:
            save_file(tensors, str(part), metadata={KEY: json.dumps(said)})

    def load(self, path: str | Path) -> Self:
        """Go on from a file of `save`, of this process or another; returns the session.

        Raises StateError for a file that is no session, or one of other weights or settings.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                said = json.loads((file.metadata() or {}).get(KEY, "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise StateError(f"cannot read a session from {path}: {error}") from None
        if said is None:
            raise StateError(f"{path} holds no session; write one with session.save(path)")
        for key, value in self._origin().items():
            if said[key] != value:
                raise StateError(f"{path} is a session with {key} {said[key]}, this one has {value}; make them alike")
        device = next(self.model.parameters()).device
        self.state = State.from_flat(tensors).to(device)
        self.number, self.gaps, self.last_time = said["number"], said["gaps"], said["last_time"]
        return self

    def _origin(self) -> dict[str, Any]:
        return {"version": VERSION, "settings": self.settings(), "weights": identity_of(self.model)}

    def _membranes(self) -> str | None:
        mode = self.mode
        if isinstance(mode, Chunks):
            return mode.membranes
        if not isinstance(mode, FrameByFrame) or mode.window is None:
            return None
        return "restart" if mode.restart else "run_on"

    def spans(self, given: "Given") -> list[tuple[int, int, bool]]:
        """(first, one behind the last, whether a gap comes before) of frames that follow each other."""
        times, count = given.times, len(given.video)
        if times is None or self.gap is None:
            return [(0, count, False)]
        steps = [b - a for a, b in zip([times[0] if self.last_time is None else self.last_time, *times], times)]  # noqa: B905
        cuts = {i for i, step in enumerate(steps) if step < 0 or step > self.gap}
        starts = sorted({0, *cuts})
        return [(a, b, a in cuts) for a, b in zip(starts, [*starts[1:], count], strict=True)]

    def concluded(self, given: "Given", answers: Answers, state: State, gaps: int) -> tuple[Result, dict[str, Any]]:
        """The result of answers to what was given, and what the session is then."""
        smoothed, state = self.smoothing(answers, given.times, state)
        result = Result(
            task=self.model.task,
            frames=tuple(self.number + position for position, _ in answers),
            times=given.times_of(answers),
            output=stacked(smoothed, squeeze=given.squeeze),
            classes=tuple(self.model.metadata.classes),
            gaps=gaps,
        )
        after = {"state": state, "number": self.number + len(given.video), "gaps": self.gaps + gaps}
        return result, after | ({} if given.times is None else {"last_time": given.times[-1]})

    def _run(self, given: "Given") -> tuple[Result, dict[str, Any]]:
        state, answers, gaps = self.state, [], 0
        with torch.no_grad():
            for start, stop, broken in self.spans(given):
                gaps += broken
                state = State() if broken and self.on_gap == "reset" else state
                found, state = self.mode.step(given.video[start:stop], state)
                answers += [(start + position, x) for position, x in found]
        return self.concluded(given, answers, state, gaps)


@dataclass(frozen=True, kw_only=True)
class Given:
    """Frames as a session gets them."""

    video: Tensor
    """[T, B, C, H, W]."""
    times: list[float] | None
    squeeze: bool
    """Whether the batch axis is ours."""

    @classmethod
    def of(cls, frames: Tensor, times: Sequence[float] | None) -> "Given":
        """Raises DataError for what are no frames, or no times of theirs."""
        if not isinstance(frames, Tensor):
            raise DataError(f"frames are a {type(frames).__name__}; give a tensor [T, C, H, W]")
        if frames.ndim not in (3, 4, 5):
            raise DataError(f"frames have shape {list(frames.shape)}; give [T, C, H, W], or [T, B, C, H, W]")
        video = frames[None] if frames.ndim == 3 else frames
        video = video if frames.ndim == 5 else video[:, None]
        stamps = None if times is None else [float(x) for x in times]
        if stamps is not None and (len(stamps) != len(video) or not all(map(math.isfinite, stamps))):
            raise DataError(f"times are {stamps[:4]}: give one number of seconds for each of {len(video)} frames")
        return cls(video=video, times=stamps, squeeze=frames.ndim < 5)

    def times_of(self, answers: Answers) -> tuple[float, ...] | None:
        """Of the frames that are answered for; None where one came with an earlier call."""
        if self.times is None or not answers or any(position < 0 for position, _ in answers):
            return None
        return tuple(self.times[position] for position, _ in answers)


def stream(
    model: VideoModel | Engine | Exported,
    mode: str = "auto",
    *,
    window: int | None = None,
    membranes: Literal["run_on", "restart"] | None = None,
    readout: Kind | None = None,
    span: float | None = None,
    smooth: Smooth | None = None,
    hop: int = 1,
    gap: float | None = None,
    on_gap: OnGap = "bridge",
) -> Session:
    """A session of a model, of an engine of `spikereel.compile`, or of an exported file of `spikereel.open_export`; the
    model goes into evaluation mode. A file goes frame by frame as its model does, or clip after clip, by the mean.

    mode: "spatial" and "causal" for weights of that attention, frame by frame, equal to the clip run for any cut.
    For "joint" ones "window", where each frame attends to the last `window` frames, or "chunk", the published clip
    result every `window` frames. SVFormer's weights that fit clips of T frames: "window", every `hop` frames, and
    "chunk". "auto" takes the first that fits.
    window: frames; None is the length of the clips in training.
    membranes: window: "run_on", or "restart" every `window` frames; chunk: "restart" with each clip, as published, or
    "run_on" through them.
    readout: classes, frame by frame: "mean" of all frames, "decay" with the time constant `span`, "last" `span` frames;
    None is the mean, and for windows the last `window`.
    smooth: None, or "one_euro" for poses, "decay" for masks (probabilities of each pixel, time constant `span`).
    gap, on_gap: see `Session`.
    Raises ConfigError for what does not exist or does not fit the model. See docs/streaming.md.
    """
    if isinstance(model, Exported):
        network = file_model(model)
    else:
        network = model if isinstance(model, Engine) else unwrapped(model, VideoModel)
    if not isinstance(network, VideoModel | Engine | FileModel):
        raise ConfigError(f"a stream runs models of ours, engines and exported files, not a {type(model).__name__}")
    if on_gap not in get_args(OnGap) or (gap is not None and not gap > 0):
        raise ConfigError(f"gap is {gap} and on_gap {on_gap!r}: give seconds above 0, and bridge or reset")
    own = model_of(network)
    classes = own.task == "classification"
    if readout is not None and not classes:
        raise ConfigError(f"readout is for classes, these weights are for {own.task}; see smooth")
    if isinstance(network, VideoModel):
        own.eval()
    kept = None if readout is None else Readout(kind=readout, **({} if span is None else {"span": span}))
    name, cut = mode_of(network, mode, window=window, membranes=membranes, readout=kept, hop=hop)
    smoothing = Smoothing.of(smooth, own.task, span)
    return Session(name=name, mode=cut, network=network, smoothing=smoothing, gap=gap, on_gap=on_gap)

"""How a stream is cut for a network: frame by frame, in windows that slide, or clip after clip.

A mode is `answers, state = mode.step(video, state)`: answers are (position, output) of single frames, counted from the
first frame of the call, and earlier ones where their clip has just come to its end; outputs have no time axis.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from spikereel.engine.engine import FRAMES_AT_ONCE, Engine
from spikereel.errors import StateError
from spikereel.layers.state import State
from spikereel.layers.time import per_frame
from spikereel.models.base import VideoModel
from spikereel.models.svformer import SVFormer
from spikereel.streaming.from_file import FileModel
from spikereel.streaming.fronts import embedded, first_of, front_of, model_of, ready, restarted
from spikereel.streaming.readout import Readout
from spikereel.streaming.states import joined, share

Network = VideoModel | Engine | FileModel
Membranes = Literal["run_on", "restart"]
Answers = list[tuple[int, Any]]


def parts_of(output: Any) -> list[Any]:
    """Outputs of single frames, of an output with a time axis."""
    if isinstance(output, Tensor):
        return list(output)
    return [type(output)(*parts) for parts in zip(*output, strict=True)]


def _together(outputs: list[Any]) -> Any:
    """Outputs of single clips as one of a batch."""
    if isinstance(outputs[0], Tensor):
        return torch.cat(outputs)
    return type(outputs[0])(*(torch.cat(parts) for parts in zip(*outputs, strict=True)))


@dataclass(frozen=True, kw_only=True)
class FrameByFrame:
    """An answer for each frame, from a state that goes on.

    A model takes one frame at a time, so that answers are the same bits however the stream was cut; an engine, whose
    sums do not depend on that, takes several.
    """

    network: Network
    readout: Readout
    window: int | None = None
    """Frames that attention reaches back, where it is a window."""
    restart: int | None = None
    """Frames after which the membranes begin again."""
    delay: int = 0
    front: VideoModel = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.network, FileModel):
            object.__setattr__(self, "front", front_of(self.network))

    @property
    def receptive_field(self) -> float:
        """Frames that an answer depends on."""
        if self.restart is None or self.window is None or self.readout.kind != "last":
            return math.inf
        blocks = sum(model_of(self.network).config.depths)
        return self.window * (blocks + 1) + self.restart + self.readout.span

    def step(self, video: Tensor, state: State) -> tuple[Answers, State]:
        """See the module."""
        ready(self.network, video)
        answers, after = [], State(state)
        while True:
            seen = int(after.get("seen", torch.zeros((), dtype=torch.int64)))
            together = FRAMES_AT_ONCE if isinstance(self.network, Engine) else 1
            if self.restart:
                # none goes past the frame before which membranes begin again
                together = min(together, self.restart - seen % self.restart)
            chunk, video = video[:together], video[together:]
            if self.restart and seen and seen % self.restart == 0:
                after["model"] = restarted(model_of(self.network), State(after["model"]))
            outputs = self._answers(chunk, after)
            answers += outputs
            after["seen"] = torch.tensor(seen + len(chunk))
            # at the end: a video without frames has gone to the network, which refuses it
            if not len(video):
                return list(enumerate(answers)), after

    def _answers(self, chunk: Tensor, state: State) -> list[Any]:
        if isinstance(self.network, FileModel):
            output, state["model"] = self.network(chunk, State(state.get("model") or {}))
            return [output] if self.network.task == "classification" else parts_of(output)
        front, past = self.front, State(state.get("model") or {})
        if front.task == "segmentation":
            output, state["model"] = front(chunk, past)
            return parts_of(output)
        features, after = front.features(chunk, past)
        answers = []
        behind = State({"model": past, **({"readout": state["readout"]} if "readout" in state else {})})
        for frame in features.split(1):
            # linear layers may round by the size of the batch, so each clip goes through them alone
            clips = frame.split(1, dim=1)
            shares = [share(behind, b, len(clips)) for b in range(len(clips))]
            found = [self._behind(front, x, own) for x, own in zip(clips, shares, strict=True)]
            answers.append(found[0][0] if len(found) == 1 else _together([x for x, _ in found]))
            behind = joined([own for _, own in found])
        state["model"] = State({**after, **behind["model"]})
        if "readout" in behind:
            state["readout"] = behind["readout"]
        return answers

    def _behind(self, front: VideoModel, frame: Tensor, state: State) -> tuple[Any, State]:
        """The answer that the features of one frame of one clip [1, 1, D, h, w] lead to, and what it leaves."""
        past = State(state.get("model") or {})
        answer, own = front.readout(frame, past)
        after = State(model=own)
        if front.task == "pose":
            return parts_of(answer)[0], after
        if self.readout.kind != "mean":
            pooled, _ = front.pooled(frame, past)
            mean, after["readout"] = self.readout(pooled[0], state.get("readout"))
            answer = front.get_submodule("head")(mean)
        return answer, after


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """Clip after clip: what the published run gives of each, when its last frame is there."""

    network: Network
    window: int
    membranes: Membranes = "restart"
    """restart: a clip has no past, as published; run_on: membranes go on from clip to clip."""

    @property
    def delay(self) -> int:
        """Frames that a frame may have to wait for the answer that takes it in."""
        return self.window - 1

    @property
    def receptive_field(self) -> float:
        """Frames that an answer depends on."""
        return self.window if self.membranes == "restart" else math.inf

    def step(self, video: Tensor, state: State) -> tuple[Answers, State]:
        """See the module."""
        pending, after = state.get("pending"), State(state)
        waiting = 0 if pending is None else pending.shape[1]
        model_of(self.network).check_video(video)
        if pending is not None:
            _same(pending, video)
            video = torch.cat([pending.transpose(0, 1), video])
        answers: Answers = []
        for start in range(-waiting, len(video) - waiting - self.window + 1, self.window):
            clip, video = video[: self.window], video[self.window :]
            ready(self.network, clip)
            past = State(after["model"]) if self.membranes == "run_on" and "model" in after else None
            output, own = self.network(clip, past)
            if self.membranes == "run_on":
                # an answer is of its clip, so the head begins anew
                if "head" in own and "counts" in own["head"]:
                    own["head"] = {name: torch.zeros_like(x) for name, x in own["head"].items()}
                after["model"] = own
            if model_of(self.network).task == "classification":
                answers.append((start + self.window - 1, output))
            else:
                answers += [(start + i, x) for i, x in enumerate(parts_of(output))]
        after.pop("pending", None)
        if len(video):
            after["pending"] = video.transpose(0, 1).clone()
        return answers, after


@dataclass(frozen=True, kw_only=True)
class Sliding:
    """Classes of the last T frames every `hop` frames, for weights that fit clips of T frames only (SVFormer).

    The first convolution of a frame is done once; all behind it depends on where in the window a frame stands, through
    norms of its own for each step and membranes that begin with the window.
    """

    network: Network
    window: int
    hop: int = 1

    @property
    def delay(self) -> int:
        """Frames that a frame may have to wait for the answer that takes it in."""
        return self.hop - 1

    @property
    def receptive_field(self) -> float:
        """Frames that an answer depends on."""
        return self.window

    def step(self, video: Tensor, state: State) -> tuple[Answers, State]:
        """See the module."""
        model, after = model_of(self.network), State(state)
        assert isinstance(model, SVFormer)
        model.check_video(video)
        shared = isinstance(self.network, SVFormer) and model.contrast is None
        front = embedded(model) if shared else None
        new = per_frame(first_of(model).proj, video) if shared else video
        recent, answers = state.get("recent"), []
        seen = int(state.get("seen", torch.zeros((), dtype=torch.int64)))
        for i, frame in enumerate(new):
            if recent is not None:
                _same(recent, frame[None])
            recent = frame[:, None] if recent is None else torch.cat([recent, frame[:, None]], dim=1)
            recent = recent[:, -self.window :]
            seen += 1
            if seen >= self.window and (seen - self.window) % self.hop == 0:
                clip = recent.transpose(0, 1)
                if front is None:
                    ready(self.network, clip)
                    output, _ = self.network(clip)
                else:
                    output, _ = front.readout(front.backbone(clip, None, 0)[0])
                answers.append((i, output))
        assert recent is not None
        after["recent"], after["seen"] = recent.clone(), torch.tensor(seen)
        return answers, after


Mode = FrameByFrame | Chunks | Sliding


def _same(before: Tensor, video: Tensor) -> None:
    if before.shape[0] != video.shape[1] or before.shape[2:] != video.shape[2:]:
        raise StateError(
            f"the stream had frames {[before.shape[0], *before.shape[2:]]}, these are {list(video.shape[1:])}; batch "
            "size and resolution must stay the same: start again with reset()"
        )

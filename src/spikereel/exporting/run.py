"""An exported file, called as the model is: `output, state = exported(video, state)`."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel.cores import on_one_thread
from spikereel.errors import DataError, StateError
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import BEGUN, DIVIDES
from spikereel.exporting.onnx import Call
from spikereel.exporting.part import Features
from spikereel.exporting.targets import target_of_file
from spikereel.layers.state import State
from spikereel.models.base import tensor_of
from spikereel.models.metadata import Metadata
from spikereel.models.pose_head import BodyPose, JointPose


class Exported:
    """States of the file and of the model that it was made of continue each other."""

    def __init__(self, contract: Contract, call: Call, runtime: str):
        self.contract = contract
        self.runtime = runtime
        """What runs the file, with its version."""
        self._call = call

    @property
    def task(self) -> str:
        """What the output is."""
        return self.contract.task

    @property
    def metadata(self) -> Metadata:
        """What the weights said of themselves."""
        c = self.contract
        return Metadata(name=c.model, classes=c.classes, preprocess=c.preprocess)

    def __repr__(self) -> str:
        c = self.contract
        return f"Exported({c.model}, {c.target}, {c.steps} step(s) a call, {self.runtime})"

    def __call__(self, video: Tensor, state: State | None = None) -> tuple[Any, State]:
        """The output for all frames of the video [T, B, C, H, W] that the model gives, and the state after.

        T is a multiple of the steps of a call, and the frames go through call by call; where a call is a whole clip, T
        is that of the clip. Raises DataError for another shape, StateError for a state that does not fit.
        """
        self._check(video, state)
        video = video.detach().float()
        values = None if state is None else self._values(state, video)
        found = []
        for frames in video.split(self.contract.steps):
            outputs, values = self.step(frames, values)
            found.append(outputs)
        assert values is not None
        return self._output(found), self._state(values)

    def step(self, video: Tensor, values: list[Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
        """One call: fields of the output, and the tensors of the state in the order of the contract."""
        c = self.contract
        before = [part.first(*extent(video)) for part in c.parts] if values is None else values
        outputs = self._call([video.contiguous(), *([] if c.whole else before)])
        after = [x.to(getattr(torch, part.dtype)) for x, part in zip(outputs[len(c.fields) :], c.parts, strict=True)]
        return outputs[: len(c.fields)], after

    def check_video(self, video: Tensor) -> None:
        """Raises DataError for a video of another shape or type, or with values that are not finite.

        Any number of frames is as good.
        """
        check_video(self.contract, video)

    def _check(self, video: Tensor, state: State | None) -> None:
        c, frames = self.contract, len(video)
        self.check_video(video)
        if not frames or (frames != c.steps if c.whole else frames % c.steps):
            much = f"clips of {c.steps} frames" if c.whole else f"a multiple of {c.steps} frames"
            raise DataError(f"this file takes {much}, got {frames}; export with another --steps")
        if c.whole and state:
            raise StateError("this file takes whole clips, and goes on from no state; give state=None")

    def _values(self, state: Mapping, video: Tensor) -> list[Tensor]:
        if not isinstance(state, Mapping):
            raise StateError(
                f"a state is what this file or its model gave back with its output, got a {type(state).__name__}; "
                "write output, state = exported(video) and pass on the second"
            )
        flat = State(state).flat()
        # whoever hands a state over has seen a frame
        flat.setdefault(BEGUN, torch.ones((), dtype=torch.int64))
        values = []
        for part in self.contract.parts:
            shape = part.first(*extent(video)).shape
            if part.name not in flat or flat[part.name].shape != shape:
                got = "is missing" if part.name not in flat else f"is {list(flat[part.name].shape)}"
                raise StateError(f"{part.name} of the state {got}, this file takes {list(shape)}; give state=None")
            values.append(flat[part.name].detach().to(getattr(torch, part.dtype)))
        return values

    def _state(self, values: list[Tensor]) -> State:
        named = {part.name: x for part, x in zip(self.contract.parts, values, strict=True) if part.name != BEGUN}
        empty = {name: torch.empty(0) for name, neuron in self.contract.neurons.items() if neuron["kind"] == "relu"}
        # running sums are float64 in the library
        wide = {name: x.double() if x.dtype == torch.int32 else x for name, x in named.items()}
        return State.from_flat({**wide, **empty})

    def _output(self, found: list[list[Tensor]]) -> Any:
        if self.contract.fields == ("logits",):
            # of pixels for each frame, of classes for all frames so far
            return torch.cat([x[0] for x in found]) if found[0][0].ndim == 5 else found[-1][0]
        joined = [torch.cat(field) for field in zip(*found, strict=True)]
        kind = next(kind for kind in (JointPose, BodyPose, Features) if kind._fields == self.contract.fields)
        return kind(*joined)


def check_video(contract: Contract, video: Tensor) -> None:
    """What `Exported.check_video` does, before there is a file."""
    c = contract
    if not isinstance(video, Tensor):
        raise DataError(f"video is a {type(video).__name__}; {tensor_of(video)}")
    sides = "H, W (sides that 32 divides)" if c.any_size else f"{c.size[0]}, {c.size[1]}"
    wanted = f"[T, B={c.batch or 'any'}, {c.channels}, {sides}]"
    good = video.ndim == 5 and video.shape[2] == c.channels and c.batch in (None, video.shape[1])
    if c.any_size:
        good = good and not any(side == 0 or side % DIVIDES for side in video.shape[3:])
    else:
        good = good and tuple(video.shape[3:]) == c.size
    if not good or not video.is_floating_point():
        raise DataError(f"this file takes float32 video {wanted}, got {video.dtype} {list(video.shape)}")
    if video.numel() and not all(isfinite(float(x)) for x in on_one_thread(video.detach().aminmax)()):
        raise DataError("video holds NaN or infinite values; check how it was decoded and normalised")


def extent(video: Tensor) -> tuple[int, tuple[int, int]]:
    """Clips, and height and width."""
    return video.shape[1], (video.shape[3], video.shape[4])


def open_export(path: str | Path, *, threads: int | None = None) -> Exported:
    """An exported file, ready to be called, by its suffix.

    Raises ConfigError for a suffix of no target or without its runtime, WeightsError for a broken file.
    """
    path = Path(path)
    row = target_of_file(path)
    if not path.is_file():
        raise DataError(f"{path} is not there; write it with spikereel export")
    return Exported(*row.read(path, threads=threads))

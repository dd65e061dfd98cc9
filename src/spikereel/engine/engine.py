"""The engine: a compiled model, called as the model is."""

import copy
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from spikereel.cores import on_one_thread
from spikereel.engine import files, lower_spikevideoformer, lower_svformer
from spikereel.engine.execute import TABLES, Before, Call, Watch, run
from spikereel.engine.loaded import native
from spikereel.engine.memory import Layout, lay_out
from spikereel.engine.plan import AttendApply, Layer, Program, SpikeConv
from spikereel.engine.report import REFERENCE, Profile, Rates, Report, Row
from spikereel.engine.rooms import Room, Rooms
from spikereel.engine.tune import Retuner, Tuner
from spikereel.errors import ConfigError, StateError, WeightsError
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer
from spikereel.models.wrappers import require_module

FRAMES_AT_ONCE = 8


class Engine:
    """`output, state = engine(video, state)`, as the model that it was compiled from, without gradients.

    Backbones and segmentation heads run on native kernels; classifiers, pose regressors and SVFormer's 3-D head are
    modules of the model. The first clip also serves to choose the kernel of each layer (`tune`). States of the engine
    and of the model continue each other.
    """

    name = "native"

    def __init__(
        self,
        model: VideoModel,
        program: Program,
        *,
        threads: int | None = None,
        tuned: bool = False,
        exact: bool = True,
    ):
        self.model = model
        self.exact = exact
        """Whether spikes are those of float64 up to rounding; otherwise weights may be rounded to 16 bits."""
        self.program = program
        self.tuned = tuned
        """Whether the kernels are chosen; otherwise the first clip chooses them."""
        self.threads = threads
        """None: as many as PyTorch uses."""
        self.near_threshold = 0
        """Charges of the last call within 1e-6 of the threshold: spikes that rounding may decide either way."""
        self._rooms = Rooms()
        self._near = np.zeros(1, np.int64)
        self._retuner = Retuner()
        self._layouts: dict[tuple[int, int, int], Layout] = {}
        self._front = copy.copy(model)
        """The same model and weights with another backbone."""
        object.__setattr__(self._front, "check_video", self._check_video)
        parts = files.lowered_parts(model)
        self._replaced = [m for name, part in model.named_children() if name in parts for m in part.modules()]
        """Modules that do not run."""
        self._hooks = [hooks for m in self._replaced for hooks in (m._forward_hooks, m._forward_pre_hooks)]
        self._fields = [vars(m) for m in self._replaced]
        self._sums = [(x.name, x.name.rpartition(".")[0], x.counted.grouping) for x in program.layers if _sums_up(x)]
        """Layers that attend to frames before, the names of their modules, and how: "past" or "recent"."""
        object.__setattr__(self._front, "engine", self)
        names = self._state_names()
        object.__setattr__(self._front, "state_names", lambda: names)
        if isinstance(model, SpikeVideoFormer):
            for small in ("readout", "pooled"):
                object.__setattr__(self._front, small, on_one_thread(getattr(self._front, small)))
            object.__setattr__(self._front, "pyramid", self._pyramid)
            if "head" in program.taps:
                object.__setattr__(self._front, "small_maps", self._small_maps)
        else:
            object.__setattr__(self._front, "features", self._features)

    @property
    def config(self) -> Any:
        """That of the model."""
        return self.model.config

    def __repr__(self) -> str:
        return f"Engine({self.model!r}, {'exact' if self.exact else 'rounded'}, {self.threads or 'all'} threads)"

    def __call__(self, video: Tensor, state: State | None = None) -> tuple[Any, State]:
        """The output and the state after the last frame; errors are those of the model."""
        with torch.no_grad():
            wider = isinstance(video, Tensor) and video.is_floating_point()
            return self._front(video.float() if wider else video, state)

    @property
    def front(self) -> VideoModel:
        """A model with the weights and parts of the compiled one whose backbone runs natively, for what takes models.

        Where its neurons have hooks, as while energy is counted, the modules run: hooks see nothing else.
        """
        return self._front

    @contextmanager
    def firing_rates(self) -> Generator[FiringRates, None, None]:
        """Collect the firing rates of every neuron inside the block, as `layers.observe.firing_rates` does."""
        lowered = {layer.neuron.name for layer in self.program.neurons() if layer.neuron is not None}
        rates, mine = FiringRates(), Rates()
        order = [name for name, m in self.model.named_modules() if isinstance(m, Neuron)]
        self._watch = mine
        try:
            with firing_rates(self.model, beside=lowered) as others:
                yield rates
        finally:
            self._watch = None
            for name in order:
                if name in lowered:
                    rates[name] = mine.of(name)
                elif name in others:
                    rates[name] = others[name]

    def tune(self, video: Tensor) -> None:
        """Choose the fastest kernel of each layer on this clip [T, 1, C, H, W]."""
        with torch.no_grad():
            padded = _whole_strides(self.model, video.float())
            if self.model.contrast is not None:
                padded, _ = self.model.contrast(padded)
            self._tune(padded)

    def report(self, video: Tensor, state: State | None = None) -> Report:
        """A call on this clip [T, B, C, H, W], layer by layer: kernel, firing rate, time, operations saved."""
        if not self.tuned:
            self(video, state)
        self._watch = profile = Profile()
        started = time.perf_counter()
        try:
            self(video, state)
        finally:
            self._watch = None
        rows = profile.rows()
        rest = max(time.perf_counter() - started - profile.counting - sum(row.seconds for row in rows), 0.0)
        head = Row(layer="head, state and copies", kernel=REFERENCE, rate=None, seconds=rest, macs=0, saved=0.0)
        return Report(
            instruction_set=native().instruction_set(),
            threads=native().threads(),
            frames=len(video),
            near_threshold=self.near_threshold,
            rows=(*rows, head),
        )

    def save(self, path: str | Path) -> None:
        """Write packed weights, chosen kernels and the head into one file, which `load` maps into memory."""
        if not self.tuned:
            raise ConfigError("the kernels are not chosen yet; give the engine a clip first, or call tune(video)")
        files.write(Path(path), self.program, self.model, files.head_of(self.model), native().instruction_set())

    @classmethod
    def load(cls, path: str | Path, *, threads: int | None = None) -> "Engine":
        """An engine as it was saved; WeightsError for a broken file, or kernels that this processor has not."""
        program, model, instruction_set = files.read(Path(path))
        tables = [x.name for x in program.layers if isinstance(x, SpikeConv) and x.choice in TABLES]
        if tables and not native().has_tables():
            here = native().instruction_set()
            raise WeightsError(
                f"{path} was made for {instruction_set}, and {tables[0]} has a kernel that {here} lacks; "
                "compile the model here"
            )
        exact = all(getattr(layer, "choice", "") != "coarse" for layer in program.layers)
        return cls(model, program, threads=threads, tuned=True, exact=exact)

    asked_for = False
    """Whether this engine was chosen by name: then it runs even where energy is counted."""
    _watch: Watch | None = None
    _before: Before | None = None

    def _check_video(self, video: Tensor) -> None:
        """In place of the model's, which takes the memory of a second clip: a few frames at a time."""
        whole_or_none = not isinstance(video, Tensor) or not video.ndim or not len(video)
        check = on_one_thread(self.model.check_video)
        for frames in (video,) if whole_or_none else video.split(FRAMES_AT_ONCE):
            check(frames)

    def _pyramid(self, video: Tensor, taps: tuple[str, ...], state: State | None = None) -> tuple[list[Tensor], State]:
        """In place of the model's: the values behind some stages [T, B, C, h, w], and the state after."""
        if self._watched():
            assert isinstance(self.model, SpikeVideoFormer)
            return self.model.pyramid(video, taps, state)
        values, after = self._backbone(video, taps, state)
        return values, after

    def _small_maps(self, video: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """In place of the model's: class maps [T, B, classes, h, w] of the head, and the state after."""
        if self._watched():
            assert isinstance(self.model, SpikeVideoFormer)
            return self.model.small_maps(video, state)
        (maps,), after = self._backbone(video, ("head",), state)
        return maps, after

    def _features(self, video: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """In place of SVFormer's: the values before its head, and the state after."""
        if self._watched():
            return self.model.features(video, state)
        front: Any = self._front
        front.check_clip(video, state)
        local = (lower_svformer.LOCAL,) if self.model.config.local_path else ()
        values, after = self._backbone(video, (*local, lower_svformer.GLOBAL), state)
        return torch.cat(values, dim=2), after

    def _backbone(self, video: Tensor, taps: tuple[str, ...], state: State | None) -> tuple[list[Tensor], State]:
        """The values behind some stages, and the state after; clip by clip."""
        past = None
        self.near_threshold, video = 0, video.float()
        if self.model.contrast is not None:
            video, past = self.model.contrast(video, (state or State()).get("contrast"))
        if not self.tuned:
            self._tune(video)
        known, batch = State(state or {}).flat(), video.shape[1]
        layout = self._layout(len(video), *video.shape[3:])
        before, room = self._rooms.of(known, layout, batch), self._rooms.take(self.program, layout, batch)
        after = room.give()
        parts = [self._clip(clip, known, after, (layout, room, before), b) for b, clip in enumerate(video.unbind(1))]
        joined = (
            {name: torch.cat([part[name] for part in parts], dim=1) for name in taps} if len(parts) > 1 else parts[0]
        )
        found = State.from_flat(after)
        if past is not None:
            found["contrast"] = past
        return [joined[name] for name in taps], found

    def _tune(self, video: Tensor) -> None:
        """Choose kernels on the first clip of [T, B, C, H, W]."""
        layout = self._layout(len(video), *video.shape[3:])
        room = self._rooms.take(self.program, layout, 1)
        tuner = Tuner(exact=self.exact)
        self._clip(video[:, 0], {}, {}, (layout, room, None), 0, choose=tuner)
        self._retuner.start(tuner.rates, len(video))
        self.tuned, self._layouts = True, {}

    def _clip(
        self,
        clip: Tensor,
        known: dict[str, Tensor],
        after: dict[str, Tensor],
        memory: tuple[Layout, Room, Room | None],
        index: int,
        *,
        choose: Before | None = None,
    ) -> dict[str, Tensor]:
        """One clip [T, C, H, W] of a batch, from the flat state `known`; fills its share of the flat state `after`.

        memory: sizes, and the membranes that are written, and those that `known` lies in where that is a block of ours.
        """
        native().set_threads(self.threads or torch.get_num_threads())
        layout, room, before = memory
        batch = len(room.arrays)
        if known and before is None:
            for name, own in room.arrays[index].items():
                _fill(own, known, name, index, room.views[name].shape)
        self._near[0] = 0
        key = (room.number, before.number if before else 0, index, not known)
        call = Call(
            layout,
            np.ascontiguousarray(clip.detach().cpu().numpy()),
            room.arrays[index],
            fresh=not known,
            before=before.arrays[index] if before else None,
            first=_frames_seen(known),
            near=self._near,
            targets=layout.targets.setdefault(key, {}),
        )
        self._past_in(call, known, index)
        if choose is None and self.exact and self._before is None and self._watch is None:
            choose = self._retuner.due()
        # nobody watches while kernels are chosen
        run(call, before=choose or self._before, watch=None if choose else self._watch)
        self._past_out(call, after, index)
        self.near_threshold += int(self._near[0])
        maps = {
            name: _as_maps(layout.arrays[id(b)], b.channels, layout.sizes[id(b.writer)])
            for name, b in self.program.taps.items()
        }
        # the next clip of the batch comes into the same memory
        return {name: x.clone() for name, x in maps.items()} if batch > 1 else maps

    def _state_names(self) -> frozenset[str]:
        """Those of the whole model; that of a file has its head alone."""
        neurons = {layer.neuron.name for layer in self.program.neurons() if layer.neuron is not None}
        own = {"past": "frames", "recent": "recent"}
        sums = {f"{module}.{part}" for _, module, grouping in self._sums for part in ("summed", own[grouping])}
        return self.model.state_names() | neurons | sums

    def _watched(self) -> bool:
        """Whether somebody looks at modules that the native engine does not call."""
        return any(self._hooks) or any("forward" in fields for fields in self._fields)

    def _layout(self, frames: int, height: int, width: int) -> Layout:
        key = (frames, height, width)
        if key not in self._layouts:
            # the memory of one shape at a time
            self._layouts = {key: lay_out(self.program, frames, height, width)}
        return self._layouts[key]

    def _past_in(self, call: Call, known: dict[str, Tensor], index: int) -> None:
        for layer, module, grouping in self._sums:
            if f"{module}.summed" in known:
                call.past[layer] = known[f"{module}.summed"][index].double().numpy()
            if grouping == "recent" and f"{module}.recent" in known:
                call.recent[layer] = known[f"{module}.recent"][index].float().contiguous().numpy()

    def _past_out(self, call: Call, after: dict[str, Tensor], index: int) -> None:
        for layer, module, grouping in self._sums:
            sums = {"summed": call.past[layer], **({"recent": call.recent[layer]} if grouping == "recent" else {})}
            for part, found in sums.items():
                own, name = torch.from_numpy(found)[None], f"{module}.{part}"
                after[name] = own if index == 0 else torch.cat([after[name], own])
            if grouping == "past":
                after[f"{module}.frames"] = torch.tensor(call.first + call.layout.frames)


def compile(model: VideoModel, *, exact: bool = True, reproducible: bool = True, threads: int | None = None) -> Engine:
    """An engine that answers as `model` does, with the weights that it has now.

    exact: the spikes of float64, except where a charge lies within rounding of the threshold. Otherwise layers may
    round their weights to 16 bits where that is faster; `verify.cost` says what it changed.
    reproducible: the same spikes for any number of threads, chunk, batch, instruction set and choice of exact kernels.
    Weights of spikes are summed as integers, so this costs nothing and always holds.
    threads: None takes as many as PyTorch uses at each call. Raises ConfigError where this installation has no native
    kernels, for a model in training, on another device than the CPU, in another type than float32, or of artificial
    neurons.
    """
    native()
    require_module(model)
    parameter = next(model.parameters())
    if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
        raise ConfigError(
            f"the engine runs float32 models on the CPU, this one is {parameter.dtype} on {parameter.device}; "
            "call model.float().cpu() first"
        )
    del reproducible  # holds always
    return Engine(model, _lowered(model), threads=threads, exact=exact)


def _sums_up(layer: Layer) -> TypeGuard[AttendApply]:
    """Whether it attends to frames before each one."""
    return isinstance(layer, AttendApply) and layer.counted.grouping in ("past", "recent")


def _lowered(model: VideoModel) -> Program:
    if model.training:
        raise ConfigError("the engine runs trained models as they are evaluated; call model.eval() first")
    if isinstance(model, SpikeVideoFormer):
        return lower_spikevideoformer.lower(model)
    if isinstance(model, SVFormer):
        return lower_svformer.lower(model)
    raise ConfigError(f"the native engine knows no {type(model).__name__}; use engine='reference'")


def _whole_strides(model: VideoModel, video: Tensor) -> Tensor:
    if model.task != "segmentation":
        return video
    height, width = video.shape[3:]
    return torch.nn.functional.pad(video[:, 0], (0, -width % 16, 0, -height % 16), mode="replicate")[:, None]


def _fill(own: np.ndarray, known: dict[str, Tensor], name: str, index: int, shape: torch.Size) -> None:
    """A membrane of a state put where the kernels find it."""
    v = known.get(name)
    if v is None or v.shape != shape:
        what = "none" if v is None else list(v.shape)
        raise StateError(
            f"the state has {what} for {name} where {list(shape)} is needed; batch size and resolution must stay the "
            "same while a state is carried: start again with state=None"
        )
    pixels = own.shape[0]
    own[:] = 0.0
    own[:, : shape[1]] = v[index].detach().float().reshape(shape[1], pixels).T.numpy()


def _frames_seen(known: dict[str, Tensor]) -> int:
    return next((int(x) for name, x in known.items() if name.endswith(".frames") and "head" not in name), 0)


def _as_maps(values: np.ndarray, channels: int, size: tuple[int, int]) -> Tensor:
    """Values [T, P, lanes] as [T, 1, C, h, w], in place."""
    x = torch.from_numpy(values).view(len(values), 1, *size, values.shape[-1])
    return x[..., :channels].permute(0, 1, 4, 2, 3)

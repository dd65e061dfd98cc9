"""`spikereel.trace`: a network on a clip, everything that its neurons do written down."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from math import prod
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from spikereel.energy.costs import COSTS
from spikereel.energy.measuring import metering
from spikereel.errors import ConfigError
from spikereel.files import writable
from spikereel.hub import load_model
from spikereel.inference.classify import classes_of
from spikereel.layers.modes import mode
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.models.files import weights_hash
from spikereel.models.svformer import SVFormer
from spikereel.models.wrappers import unwrapped
from spikereel.tracing.about import About
from spikereel.tracing.attend import Token
from spikereel.tracing.budget import Budget, Fit, fitted
from spikereel.tracing.call import call, outputs_of, plain, spent
from spikereel.tracing.choose import Neurons, numbers_of
from spikereel.tracing.clips import Clip, Piece, Span, clip_of
from spikereel.tracing.layers import Found, chosen, find
from spikereel.tracing.parts import OUTPUT, STATE
from spikereel.tracing.record import Recorder
from spikereel.tracing.seen import seen_as_pictures, small
from spikereel.tracing.traces import Trace

MEMORY = 2**30
"""Bytes that a trace takes at most, unless it is told otherwise."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `trace` is asked for besides the model and the clip; see there."""

    layers: Sequence[str] | None = None
    neurons: Neurons = None
    tokens: Sequence[Token] = ()
    state: State | None = None
    frames: Span = None
    piece: int | None = None
    memory: int = MEMORY
    fit: Fit = "error"
    energy: bool = True
    pictures: bool = True
    progress: Progress | None = None


def trace(
    model: VideoModel | str | PathLike,
    clip: str | PathLike | Tensor,
    *,
    layers: Sequence[str] | None = None,
    neurons: Neurons = None,
    tokens: Sequence[Token] = (),
    state: State | None = None,
    frames: Span = None,
    piece: int | None = None,
    memory: int = MEMORY,
    fit: Fit = "error",
    energy: bool = True,
    pictures: bool = True,
    out: str | PathLike | None = None,
    progress: Progress | None = None,
) -> Trace:
    """What a network does on a clip: spikes, membranes, attention, energy and outputs, frame by frame.

    model: one of ours, or weights by name or path. It runs in evaluation mode and computes what it would anyway.
    clip: float [T, 1, C, H, W] as the model takes it; pictures [T, C, H, W], uint8 or float in [0, 1], or a file, which
    are seen as by `predict` with one view.
    layers: names of neurons whose spikes are kept, or patterns such as "block3.*"; None is all. Of all others the
    rates are kept. neurons: whose membranes are kept: {layer: flat numbers or (c, y, x)}, {layer: how many, spread
    evenly}, or either of these for each layer whose spikes are kept.
    tokens: (frame, y, x) whose attention is wanted; q and k are kept then whatever `layers` says. Where they are kept,
    any other token can be asked for afterwards.
    state: to go on from; `trace.state` is that after the last frame.
    frames: of a file: None is the clip that `predict` sees, or for pose and masks everything; "all" is every frame that
    a stream would see; or numbers of the source, the first and one behind the last.
    piece: frames that go through the network in one call. None: a tensor and a clip at once, of a file as many as a
    clip has where the model sees whole clips, else 16. The state goes on from piece to piece; models that see whole
    clips begin anew with each, as published, and `trace.starts` says where.
    memory: bytes that the trace may take. What does not fit is an error before anything runs; with fit="reduce" the
    largest layers keep their rates alone, and `trace.notes` names them.
    out: a file that the trace is written to as it grows; memory then holds one piece, and `memory` bounds the file.
    energy: count it as the passport does, which takes about as long again. pictures: keep what the network saw.
    progress: called with frames done and frames in all.

    Raises ConfigError for what does not exist, DataError for a source that is no good one, StateError for a state that
    does not belong to the model.
    """
    options = Options(
        layers=layers,
        neurons=neurons,
        tokens=tokens,
        state=state,
        frames=frames,
        piece=piece,
        memory=memory,
        fit=fit,
        energy=energy,
        pictures=pictures,
        progress=progress,
    )
    if out is None:
        return Trace.joined(pieces(model, clip, options))
    path = Path(fspath(out))
    writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:40]}.") as folder:
        found: list[Trace] = []
        after = State()
        for number, part in enumerate(pieces(model, clip, options)):
            after = part.state
            part.without_state().save(Path(folder, str(number)))
            found.append(Trace.load(Path(folder, str(number))))
        # states may be large, and the last one is asked for alone
        found[-1] = found[-1].with_state(after)
        Trace.joined(found).save(path)
    return Trace.load(path)


def pieces(
    model: VideoModel | str | PathLike, clip: str | PathLike | Tensor, options: Options | None = None
) -> Iterator[Trace]:
    """The trace of each piece of a clip as soon as it is there, with the state after it; see `trace`. `Trace.joined`
    makes one of them, and keeps the last state alone."""
    options = options or Options()
    if isinstance(clip, VideoModel):
        raise ConfigError("the model comes first: spikereel.trace(model, clip)")
    network = load_model(fspath(model)) if isinstance(model, str | PathLike) else unwrapped(model, VideoModel)
    if not isinstance(network, VideoModel):
        raise ConfigError(f"a trace is of a model of ours, this is a {type(model).__name__}; give the model itself")
    source = clip_of(network, clip, options.frames, piece_of(network, options.piece))
    found = find(network, source.frame)
    kept = chosen(found.layers, options.layers)
    if options.tokens:
        kept |= {name for a in found.attentions for name in (a.q, a.k)}
    numbers = numbers_of(found.layers, options.neurons, kept)
    picture = 3 * prod(small(*source.frame[1:])) if options.pictures else 0
    budget = Budget(
        frames=source.total,
        memory=options.memory,
        fit=options.fit,
        pictures=picture,
        neurons=numbers,
        energy=options.energy,
        answer=found.answer,
        state=found.state,
    )
    layers, notes = fitted(found.layers, kept, budget)
    about = _about(network, source, replace(found, layers=layers), options, notes)
    return Tracing(model=network, about=about, numbers=numbers, options=options).over(source)


@dataclass(kw_only=True)
class Tracing:
    """A model on its way through the pieces of a clip."""

    model: VideoModel
    about: About
    numbers: Mapping[str, np.ndarray]
    options: Options

    def over(self, clip: Clip) -> Iterator[Trace]:
        """A trace of each piece, the state carried where the model can."""
        state, progress = self.options.state, self.options.progress
        done, device = 0, next(self.model.parameters()).device
        # of a state that is given nobody knows how old it is, unless it says so
        age = _age(state)
        for piece in clip.pieces:
            before = self._carried(state) if done else state
            begins = not before
            if begins and self._in_parts(piece):
                before = State()
            age = 0 if begins else age
            arrays, state = self._piece(piece, piece.video.to(device), before)
            arrays["begins"] = np.zeros(len(piece.video), dtype=bool)
            arrays["begins"][0] = begins
            yield Trace(replace(self.about, before=age), [arrays])
            age += len(piece.video)
            done += len(piece.video)
            if progress is not None:
                progress(done, clip.total)

    def _piece(self, piece: Piece, video: Tensor, state: State | None) -> tuple[dict[str, np.ndarray], State]:
        recorder = Recorder(model=self.model, layers=self.about.layers, neurons=self.numbers)
        with mode(self.model, training=False), torch.no_grad():
            metered = metering(self.model) if self.options.energy else nullcontext()
            with metered as run, recorder.watching():
                output, after, features = call(self.model, video, state, run)
            outputs, answered = outputs_of(self.model, output, features, state, len(video))
        arrays = dict(recorder.arrays)
        arrays |= {"frames": piece.frames, "answered": answered}
        arrays |= {OUTPUT + name: x for name, x in outputs.items()}
        arrays |= {STATE + name: plain(x) for name, x in after.flat().items()}
        arrays |= {f"numbers/{name}": x for name, x in self.numbers.items()}
        if piece.times is not None:
            arrays["times"] = piece.times
        if run is not None:
            arrays |= spent(run.passport())
        if self.options.pictures:
            arrays["pictures"] = seen_as_pictures(video[:, 0], self.about.settings.get("seen", {}))
        return arrays, after

    def _in_parts(self, piece: Piece) -> bool:
        """Whether this is the first part of a clip, or one cut short, of weights that fit clips of T frames and want to
        be told; a tensor that is given whole has to have all."""
        model, asked = self.model, self.options.piece is not None or self.options.frames is not None
        return isinstance(model, SVFormer) and model.fixed_frames and asked and len(piece.video) < model.config.frames

    def _carried(self, state: State | None) -> State | None:
        """What the next piece goes on from; None where it begins anew."""
        model = self.model
        if not model.can_stream or not state:
            return None
        if isinstance(model, SVFormer) and model.fixed_frames and _age(state) == model.config.frames:
            return None
        return state


def _about(model: VideoModel, clip: Clip, found: Found, options: Options, notes: tuple[str, ...]) -> About:
    # as a file would have them, so that a trace and its file say the same
    settings = json.loads(json.dumps({"model": asdict(model.config), "seen": clip.seen, "piece": options.piece}))
    classes = classes_of(model.metadata, model.config.num_classes) if model.task != "pose" else ()
    return About(
        model=model.metadata.name or model.family,
        weights=weights_hash(model),
        task=model.task,
        classes=classes,
        source=clip.name,
        frame=clip.frame,
        layers=found.layers,
        attentions=found.attentions,
        tokens=tuple((int(t), int(y), int(x)) for t, y, x in options.tokens),
        costs=tuple(COSTS) if options.energy else (),
        box=clip.box,
        settings=settings,
        notes=(*clip.notes, *notes),
    )


def piece_of(model: VideoModel, piece: int | None) -> int | None:
    """Frames of a call; None where the source may decide.

    Raises ConfigError for a piece of no frames, and one that does not fit into the clips of the weights.
    """
    if piece is not None and piece < 1:
        raise ConfigError(f"piece is {piece}: give at least 1 frame")
    if isinstance(model, SVFormer) and model.fixed_frames:
        whole = model.config.frames
        if piece is not None and whole % piece:
            raise ConfigError(f"piece is {piece}: these weights see clips of {whole} frames; give a divisor of that")
        return piece or whole
    if model.can_stream or piece is not None:
        return piece
    return None


def _age(state: State | None) -> int:
    """Frames that a state has seen, as far as it counts them."""
    flat = {} if not state else State(state).flat()
    return max((int(x.max()) for name, x in flat.items() if name.endswith("frames")), default=0)

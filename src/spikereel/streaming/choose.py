"""Which mode a network streams in, by name."""

from typing import Any, get_args

from spikereel.engine.engine import Engine
from spikereel.errors import ConfigError
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer
from spikereel.streaming.from_file import FileModel
from spikereel.streaming.fronts import model_of, running_on, windowed
from spikereel.streaming.modes import Chunks, FrameByFrame, Membranes, Mode, Network, Sliding
from spikereel.streaming.readout import Readout

USUAL_WINDOW = 8
"""Frames of a window, where weights do not say how long their clips were."""
NAMES = ("auto", "spatial", "causal", "joint", "window", "chunk")


def mode_of(
    network: Network,
    name: str,
    *,
    window: int | None = None,
    membranes: str | None = None,
    readout: Readout | None = None,
    hop: int = 1,
) -> tuple[str, Mode]:
    """The mode of that name for a network, and its name once more, chosen for "auto".

    Raises ConfigError for a name that does not exist or does not fit the network, and values out of range.
    """
    model = model_of(network)
    if isinstance(network, FileModel):
        return _of_file(network, name, window, membranes, readout, hop)
    name = _name_of(model, name)
    length = window or _usual(model)
    if length < 1 or hop < 1:
        raise ConfigError(f"window is {window} and hop {hop}: give at least 1 frame")
    if membranes not in (None, *get_args(Membranes)):
        raise ConfigError(f"membranes {membranes!r} does not exist; choose run_on or restart")
    if name in ("spatial", "causal"):
        if membranes == "restart":
            raise ConfigError(f"membranes='restart' is for windows and chunks; mode {name!r} goes on frame by frame")
        return name, FrameByFrame(network=network, readout=readout or Readout())
    if readout is not None and (name == "chunk" or isinstance(model, SVFormer)):
        raise ConfigError(f"mode {name!r} answers for each clip by itself; leave readout out")
    if isinstance(model, SVFormer) and (name == "window" or model.fixed_frames):
        return name, _sliding(network, model, name, window, membranes, hop)
    if name == "chunk":
        kind: Any = membranes or "restart"
        own = network if kind == "restart" or model.can_stream else _engine_of(running_on(model), network)
        return name, Chunks(network=own, window=length, membranes=kind)
    last = readout or Readout(kind="last", span=length)
    restart = length if membranes == "restart" else None
    own = _engine_of(windowed(model, length), network)
    return name, FrameByFrame(network=own, readout=last, window=length, restart=restart)


def _of_file(
    network: FileModel, name: str, window: int | None, membranes: str | None, readout: Readout | None, hop: int
) -> tuple[str, Mode]:
    """As the file goes: frame by frame with the mean for its readout, or clip after clip."""
    own, clip = network.mode, network.exported.contract.steps
    if name not in ("auto", own):
        raise ConfigError(f"mode {name!r} does not fit this file; it is exported for {own!r}: leave --mode out")
    if membranes == "run_on" or hop != 1 or (readout or Readout()).kind != "mean":
        raise ConfigError("an exported file reads out the mean of its frames from rest; use the weights for more")
    if (window or clip) != clip or (window and own != "chunk"):
        raise ConfigError(f"window is {window}: this file takes {clip} frame(s) a call; leave --window out")
    if own == "chunk":
        return own, Chunks(network=network, window=clip)
    return own, FrameByFrame(network=network, readout=Readout())


def _sliding(
    network: Network, model: SVFormer, name: str, window: int | None, membranes: str | None, hop: int
) -> Sliding:
    frames = model.config.frames if model.fixed_frames else window or _usual(model)
    if (window or frames) != frames:
        raise ConfigError(f"window is {window}: these weights fit clips of {frames} frames")
    if membranes == "run_on":
        raise ConfigError("membranes='run_on' is for SpikeVideoFormer; a window of SVFormer begins at rest")
    return Sliding(network=network, window=frames, hop=frames if name == "chunk" else hop)


def _engine_of(twin: VideoModel, network: Network) -> Network:
    """The twin of a model, compiled where the network is an engine."""
    if not isinstance(network, Engine):
        return twin
    from spikereel.engine.engine import compile

    return compile(twin, threads=network.threads, exact=network.exact)


def _name_of(model: VideoModel, name: str) -> str:
    if name not in NAMES:
        raise ConfigError(f"mode {name!r} does not exist; choose one of {', '.join(NAMES)}")
    if isinstance(model, SVFormer):
        own = "window" if model.fixed_frames else "spatial"
    else:
        assert isinstance(model, SpikeVideoFormer)
        attention = model.config.attention
        own = attention if model.can_stream else "window" if attention == "joint" else "chunk"
    if name == "joint" and own == "window":
        return own
    if name == "auto":
        return own
    if name in ("spatial", "causal", "joint") and name != own:
        raise ConfigError(f"mode {name!r} does not fit these weights; theirs are {own!r} and 'chunk'")
    return name


def _usual(model: VideoModel) -> int:
    frames = model.metadata.preprocess.get("frames") if getattr(model, "metadata", None) else None
    return int(frames or getattr(model.config, "frames", USUAL_WINDOW))

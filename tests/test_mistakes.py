"""What a notebook's user is likeliest to get wrong: each is a sentence that says what was seen and what to write."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch import nn

import spikereel
from spikereel.engine.loaded import available
from spikereel.errors import ConfigError, DataError, StateError, WeightsError


@pytest.fixture(scope="module")
def at_hand() -> SimpleNamespace:
    """Models as a notebook has them."""
    return SimpleNamespace(
        motion=spikereel.load_model(MOTION),
        spatial=spikereel.load_model("spikevideoformer_ti.motion_spatial"),
        rgb=spikereel.create_model("spikevideoformer_ti", num_classes=5).eval(),
        svformer=spikereel.create_model("svformer_ti", num_classes=5).eval(),
        clip=torch.rand(8, 1, 2, 32, 32).round(),
        trains=spikereel.load_model("spikevideoformer_ti.motion_causal").train(),
    )


def _rgb(*shape: int) -> torch.Tensor:
    return torch.rand(*shape)


def _without_gradients(model: nn.Module, clip: torch.Tensor) -> None:
    with torch.no_grad():
        model(clip)


MOTION = "spikevideoformer_ti.motion"

MISTAKES: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "axes as in torch's 3-D convolutions": (
        lambda x: x.rgb(_rgb(1, 3, 8, 32, 32)),
        DataError,
        r"\[T, B, C=3, H, W\].*axis 1 has 3: permute it to the third place",
    ),
    "channels last": (lambda x: x.rgb(_rgb(8, 1, 32, 32, 3)), DataError, "axis 4 has 3: permute it"),
    "no batch": (lambda x: x.rgb(_rgb(8, 3, 32, 32)), DataError, r"give video\[:, None\]"),
    "no frame": (lambda x: x.rgb(_rgb(0, 1, 3, 32, 32)), DataError, "at least one frame"),
    "bytes": (lambda x: x.rgb(_rgb(8, 1, 3, 32, 32).mul(255).byte()), DataError, "divide pixel values by 255"),
    "pixels as floats": (lambda x: x.rgb(_rgb(8, 1, 3, 32, 32).mul(255).round()), DataError, "divide by 255"),
    "wrong channels": (lambda x: x.motion(_rgb(8, 1, 3, 32, 32)), DataError, r"C=2.*got \[8, 1, 3, 32, 32\]"),
    "a list of frames": (lambda x: x.rgb([_rgb(3, 32, 32)] * 8), DataError, r"torch.stack\(video\)\[:, None\]"),
    "an array": (lambda x: x.rgb(np.zeros((8, 1, 3, 32, 32), np.float32)), DataError, "torch.as_tensor"),
    "half precision": (lambda x: x.rgb(_rgb(8, 1, 3, 32, 32).half()), DataError, r"give video.to\(torch.float32\)"),
    "double precision": (lambda x: x.rgb(_rgb(8, 1, 3, 32, 32).double()), DataError, r"video.to\(torch.float32\)"),
    "training mode left on": (lambda x: _without_gradients(x.trains, x.clip), UserWarning, "call model.eval.. first"),
    "not a number": (lambda x: x.rgb(_rgb(8, 1, 3, 32, 32) * float("nan")), DataError, "NaN"),
    "another number of frames": (lambda x: x.svformer(_rgb(5, 1, 3, 64, 64)), DataError, "frames, got 5"),
    "a state forgotten": (
        lambda x: [x.spatial(frame[None]) for frame in x.clip],
        UserWarning,
        "8 frames a clip.*write output, state = model.frame, state.",
    ),
    "a state where there is none": (lambda x: x.motion(x.clip, x.spatial(x.clip)[1]), StateError, "state=None"),
    "a state of another model": (lambda x: x.spatial(x.clip, {"a": torch.zeros(1)}), StateError, "none of this model"),
    "a state of another batch": (
        lambda x: x.spatial(_rgb(2, 3, 2, 32, 32).round(), x.spatial(x.clip)[1]),
        StateError,
        "1 clips a batch, the video has 3",
    ),
    "model and file exchanged": (lambda x: spikereel.predict("a.mp4", x.motion), ConfigError, "the model comes first"),
    "no such file": (lambda x: spikereel.predict(x.motion, "a.mp4"), DataError, "no such file"),
    "a name with a slip": (lambda x: spikereel.load_model("spikevideoformer_ti.moton"), WeightsError, "there are"),
    "a model with a slip": (lambda x: spikereel.create_model("spikevideoformer_xs"), ConfigError, "did you mean"),
    "an option with a slip": (
        lambda x: spikereel.create_model("spikevideoformer_ti", num_class=5),
        ConfigError,
        "did you mean 'num_classes'",
    ),
    "a path to measure": (lambda x: spikereel.energy.measure(x.rgb, "a.mp4"), DataError, "give tensors"),
    "frames without batch to measure": (
        lambda x: spikereel.energy.measure(x.rgb, _rgb(8, 3, 32, 32)),
        DataError,
        "give layout=",
    ),
    "a mode that does not fit": (lambda x: spikereel.stream(x.motion, mode="causal"), ConfigError, "'window'"),
    "a target with a slip": (lambda x: spikereel.export(x.spatial, "a.onnx", to="onx"), ConfigError, "choose one of"),
    "an option of no target": (
        lambda x: spikereel.export(x.spatial, "a.pt2", to="torch", video=x.clip),
        ConfigError,
        "torch has no option 'video'",
    ),
    "whether, not how much": (lambda x: x.motion(x.clip.bool()), DataError, r"give video.float\(\)"),
    "all that a model gave as the video": (lambda x: x.spatial(x.spatial(x.clip)), DataError, "output, state = model"),
    "all that a model gave as the state": (
        lambda x: x.spatial(x.clip, x.spatial(x.clip)),
        StateError,
        "output, state =",
    ),
    "state and video exchanged": (
        lambda x: x.spatial(x.spatial(x.clip)[1], x.clip),
        DataError,
        r"comes first: model\(video, state\)",
    ),
    "weights to create": (lambda x: spikereel.create_model(MOTION), ConfigError, "names weights, which load_model"),
    "a name to compile": (lambda x: spikereel.compile(MOTION), ConfigError, f"{MOTION}.*give what load_model"),
    "a name to export": (lambda x: spikereel.export(MOTION, "a.onnx"), ConfigError, "give what load_model"),
    "a name to stream": (lambda x: spikereel.stream(MOTION), ConfigError, "give what load_model"),
    "a name to measure": (lambda x: spikereel.energy.measure(MOTION, x.clip), ConfigError, "give what load_model"),
    "file and model to save exchanged": (lambda x: spikereel.save_model("a", x.motion), ConfigError, "comes first"),
    "checkpoint and model exchanged": (
        lambda x: spikereel.load_authors_weights("a.pth", x.rgb),
        ConfigError,
        "the model itself comes first",
    ),
    "clip and model to trace exchanged": (lambda x: spikereel.trace("a.mp4", x.motion), ConfigError, "comes first"),
    "channels last to predict": (
        lambda x: spikereel.predict(x.motion, _rgb(8, 32, 24, 3)),
        DataError,
        r"has 32 channels.*last axis has 3: give it with .permute\(0, 3, 1, 2\)",
    ),
    "a function with a slip": (lambda x: spikereel.load_models, AttributeError, "did you mean spikereel.load_model"),
    "files to predict": (lambda x: spikereel.predict(x.motion, ["a.mp4"]), DataError, "list; give the path of one"),
    "an array to predict": (lambda x: spikereel.predict(x.motion, np.zeros(3)), DataError, "tensor \\[T, C, H, W"),
    "a model for many": (lambda x: spikereel.predict_many(x.motion, "a"), ConfigError, "by name or path"),
    "a model that saw no data": (lambda x: spikereel.predict(x.rgb, "a.mp4"), ConfigError, "which training writes"),
    "bytes to an engine": (lambda x: spikereel.compile(x.motion)(x.clip.byte()), DataError, "divide pixel values"),
    "another's model to export": (lambda x: spikereel.export(nn.ReLU(), "a.onnx"), ConfigError, "torch.onnx.export"),
    "one clip for clips": (lambda x: spikereel.export(x.spatial, "a.pt2", clips=x.clip), DataError, r"clips=\[video\]"),
    "a model to draw": (lambda x: spikereel.plot.raster(x.motion, "a"), ConfigError, "give spikereel.trace"),
    "a function at another address": (
        lambda x: spikereel.evaluate,
        AttributeError,
        "from spikereel.runs.evaluate import evaluate",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_sentence(name: str, at_hand: SimpleNamespace, tmp_path, monkeypatch):
    # the tests' own checks of shapes would come first; no user has them
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    monkeypatch.chdir(tmp_path)
    make, kind, said = MISTAKES[name]
    if name in ("a name to compile", "bytes to an engine") and not available():
        pytest.skip("the native engine is not built here")
    with pytest.raises(kind, match=said):
        make(at_hand)
    assert not list(tmp_path.iterdir())


def test_clips_begin_anew_without_a_word(at_hand: SimpleNamespace):
    """Frame by frame with their state: the first of each clip has none."""
    for _ in range(9):
        _, state = at_hand.spatial(at_hand.clip[:1])
        at_hand.spatial(at_hand.clip[1:2], state)


def test_a_state_shows_itself_in_a_line(at_hand: SimpleNamespace):
    _, state = at_hand.spatial(at_hand.clip)
    assert repr(state).startswith(f"State({len(state.flat())} tensors, ")
    assert len(repr(state)) < 80

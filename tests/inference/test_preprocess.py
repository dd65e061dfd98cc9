"""`model.preprocess` is what `predict` feeds, and its steps are enough for a program of other libraries."""

import json
import math
from dataclasses import asdict, replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from small import DATA, video_file

from spikereel.data.events.readers import read_events
from spikereel.data.video.read import read_frames
from spikereel.errors import ConfigError, DataError
from spikereel.exporting.contract import Contract, contract_of
from spikereel.exporting.flat import flat
from spikereel.hub import Metadata, create_model
from spikereel.inference.frames import open_frames
from spikereel.inference.predict import predict
from spikereel.inference.segment import segmenter_of
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec
from tests.inference.test_look import model_of

FILES = DataSpec(kind="folder", frames=4, size=32, workers=0)
SMALL = {"widths": (8, 16, 32, 32), "depths": (1, 1), "heads": 4}
SPECS = {
    "plain": FILES,
    "stride, statistics of each colour": replace(FILES, stride=2, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1)),
    "statistics of each frame": replace(FILES, mean=(), std=()),
    "without antialiasing": replace(FILES, antialias=False),
    "squeezed": replace(FILES, whole=True),
    "trails": replace(FILES, stride=2, trails=0.3),
    "changes": replace(DATA, stride=2, modality="events"),
    "surface": replace(DATA, modality="surface"),
    "simulated": replace(FILES, simulate=0.2),
}


def fed(model, path) -> list[torch.Tensor]:
    """The videos that `predict` gives to the network, in order."""
    seen, features = [], type(model).features

    def kept(self, video, state=None):
        seen.append(video.clone())
        return features(self, video, state)

    with patch.object(type(model), "features", kept):
        predict(model, path, engine="reference")
    return seen


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A video of 13 frames, 48 x 64, ten a second, and its pictures [T, H, W, 3]."""
    path = video_file(tmp_path_factory.mktemp("film") / "clip.mp4", frames=13)
    return path, read_frames(str(path), range(13)).permute(0, 2, 3, 1)


@pytest.mark.parametrize("name", SPECS)
def test_it_is_what_predict_feeds(name, film):
    path, pictures = film
    model = model_of(SPECS[name])
    expected = fed(model, path)[0]
    found = model.preprocess(pictures, sample=True, fps=10)
    assert torch.equal(found, expected)
    assert found.shape[1] == 1
    # arrays are as good, and a batch is as each alone
    both = model.preprocess([pictures.numpy(), pictures], sample=True, fps=10)
    assert torch.equal(both, torch.cat([expected, expected], dim=1))


def test_every_frame_is_seen_unless_it_is_to_choose(film):
    _, pictures = film
    model = model_of(FILES)
    assert model.preprocess(pictures).shape == (13, 1, 3, 32, 32)
    batch = torch.stack([pictures, pictures.flip(0)], dim=1)
    found = model.preprocess(batch)
    assert torch.equal(found[:, 0], found[:, 1].flip(0))
    floats = pictures.permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(model.preprocess(floats), found[:, :1], rtol=0, atol=1.01 / 255 / 0.5)


def test_it_is_what_evaluate_feeds(film, tmp_path):
    path, pictures = film
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "clip.mp4").write_bytes(path.read_bytes())
    clip, _ = build_dataset(replace(FILES, root=str(tmp_path), stride=2), "test")[0]
    assert torch.equal(model_of(replace(FILES, stride=2)).preprocess(pictures, sample=True)[:, 0], clip)


def test_recordings(tmp_path):
    rng = np.random.default_rng(0)
    t = np.arange(0, 30_000, 50)
    x, y, p = (rng.integers(0, n, len(t)) for n in (40, 30, 2))
    np.savez(tmp_path / "e.npz", t=t, x=x, y=y, p=p, width=40, height=30)
    for spec in (
        DataSpec(kind="events", frames=3, size=16),
        DataSpec(kind="events", frames=3, size=16, bin_us=2000, counts="binary", event_channels="off_on"),
        DataSpec(kind="events", frames=3, size=16, form="voxels"),
        DataSpec(kind="events", frames=3, size=16, form="surface"),
    ):
        model = model_of(spec)
        found = model.preprocess(read_events(tmp_path / "e.npz"))
        assert torch.equal(found, fed(model, tmp_path / "e.npz")[0])
        if spec.form == "frames":
            steps = from_text(model)["steps"]
            np.testing.assert_array_equal(rebuilt_events(t, x, y, p, (40, 30), *steps), found[:, 0])


def test_masks(film):
    path, pictures = film
    spec = DataSpec(kind="masks", frames=2, size=32)
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=3, width=16, **SMALL)
    model.metadata = Metadata(name="small", classes=("a", "b", "c"), preprocess=asdict(spec))
    how = segmenter_of(model, open_frames(path))
    assert torch.equal(model.preprocess(pictures)[:, 0], how.seen(pictures.permute(0, 3, 1, 2)))
    close(rebuilt(pictures.numpy(), from_text(model)["steps"]), model.preprocess(pictures)[:, 0], 1 / 255 / 0.5)
    with pytest.raises(ConfigError, match=r"a clip of masks is said by data\.offsets"):
        model.preprocess(pictures, sample=True)


@pytest.mark.parametrize("modality", ["grey", "events"])
def test_poses(modality, film):
    path, pictures = film
    spec = DataSpec(kind="figure", modality=modality, depth_motion=modality == "grey", size=32, frames=3, stride=2)
    channels = 2 if modality == "events" else 3
    model = create_model(
        "spikevideoformer_ti", task="pose", joints=20, in_channels=channels, attention="causal", **SMALL
    )
    model.metadata = Metadata(name="small", preprocess=asdict(spec))
    frames = fed(model, path)
    # frames of the first of two interleaved passes
    found = model.preprocess(pictures, sample=True)
    assert torch.equal(found, torch.cat(frames[: len(found)]))
    whole, steps = model.preprocess(pictures), from_text(model)["steps"]
    own = rebuilt(pictures.numpy(), steps)
    if modality == "events":
        assert (own != whole[:, 0].numpy()).mean() < 1e-3
    else:
        close(own, whole[:, 0], 1e-5)


@pytest.mark.parametrize("name", sorted(SPECS.keys() - {"simulated"}))
def test_another_program_makes_the_same_input_of_the_metadata(name):
    """Numpy and Pillow alone, from the JSON of an exported file: within one level of 255, events within 1 %."""
    pytest.importorskip("PIL")
    pictures, spec = waves(13), SPECS[name]
    model = model_of(spec)
    contract = from_text(model)
    assert contract["takes"] == "pictures"
    indices = chosen(13, **contract["clip"])
    found = rebuilt(pictures.numpy(), contract["steps"], indices, fps=10)
    expected = model.preprocess(pictures, sample=True, fps=10)[:, 0]
    if spec.modality != "rgb":
        assert (np.abs(found - expected.numpy()) > 1e-6).mean() < 0.01
        assert 0.01 < float((expected > 0).float().mean()) < 0.99
        return
    spread = min(spec.std) if spec.std else float((pictures.float() / 255).std((1, 2)).min()) / 1.5
    close(found, expected, contract["levels"] / 255 / (0.2 if spec.trails else 1) / spread)


def test_what_cannot_be_said_in_steps_says_why():
    assert "simulated events" in from_text(model_of(SPECS["simulated"]))["why"]
    assert "depth is cut" in from_text(model_of(DataSpec(kind="utd_mhad", frames=4, size=24)))["why"]
    assert create_model("spikevideoformer_ti", **SMALL).input_contract() is None


def test_frames_that_do_not_fit_are_one_sentence(film):
    _, pictures = film
    model = model_of(FILES)
    for given, said in (
        (pictures.permute(0, 3, 1, 2), r"uint8 frames are \[T, H, W, 3\], got \[13, 3, 48, 64\]; put the colours last"),
        (pictures.int(), "holds torch.int32; give uint8"),
        ("clip.mp4", "these weights see pictures, got a str"),
        ([], "is an empty list"),
        ([pictures, pictures[:4]], r"clips become \[13, 4\] frames"),
    ):
        with pytest.raises(DataError, match=said):
            model.preprocess(given)
    with pytest.raises(DataError, match=r"these weights see events, got a Tensor torch.uint8"):
        model_of(DataSpec(kind="events", frames=3, size=16)).preprocess(pictures)
    with pytest.raises(DataError, match="these weights see depth"):
        model_of(DataSpec(kind="utd_mhad", frames=4, size=24)).preprocess(pictures)
    with pytest.raises(ConfigError, match="do not say how clips are made"):
        create_model("spikevideoformer_ti", **SMALL).preprocess(pictures)


def waves(frames: int) -> torch.Tensor:
    """uint8 [T, 48, 64, 3] of light that moves."""
    t, y, x, c = torch.meshgrid(*(torch.arange(n) for n in (frames, 48, 64, 3)), indexing="ij")
    return (128 + 90 * torch.sin(0.9 * t + 0.3 * y + 0.2 * x + c)).to(torch.uint8)


def from_text(model) -> dict:
    """The input as it lies in an exported file."""
    own = flat(model.eval(), steps=1 if model.can_stream else 4, size=(32, 32))
    contract = contract_of(model, own, target="onnx", batch=None, folded=True)
    text = json.dumps(contract.to_json())
    assert Contract.from_text(text, "x").input == contract.input
    return json.loads(text)["input"]


def close(found: np.ndarray, expected: torch.Tensor, most: float) -> None:
    """Within so much, and not all alike."""
    assert float(expected.std()) > 0.05
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=most * 1.001)


# From here on: what somebody writes who has the metadata, docs/export.md, numpy and Pillow.


def chosen(total: int, *, frames: int, stride: int | None) -> list[int]:
    """Numbers of the frames of the clip in the middle."""
    span, first = total, 0
    if stride:
        span = stride * frames
        first = max(total - span, 0) // 2
    step = (span - 1) / max(frames - 1, 1)
    return [int(min(first + i * step + 1e-6, total - 1)) for i in range(frames)]


def rebuilt(pictures: np.ndarray, steps: list[dict], indices: list[int] | None = None, fps: float = 25) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3] of a whole video -> float32 [T, C, H, W]."""
    indices = list(range(len(pictures))) if indices is None else indices
    ops = [step["op"] for step in steps]
    numbers = indices
    if "log_change" in ops or "motion" in ops:
        change = next(step for step in steps if step["op"] in ("log_change", "motion"))
        back = indices[1] - indices[0] if change["first"].startswith("the frame one step") else 0
        numbers = [max(indices[0] - back, 0), *indices]
    elif "trails" in ops:
        constant = fps * steps[ops.index("trails")]["seconds"]
        numbers = list(
            range(max(indices[0] - math.ceil(steps[ops.index("trails")]["reach"] * constant), 0), indices[-1] + 1)
        )
        steps = [{**s, "constant": constant, "own": [i - numbers[0] for i in indices]} for s in steps]
    x = pictures[numbers].transpose(0, 3, 1, 2)
    for step in steps:
        x = OPS[step["op"]](x, step)
    return x.astype(np.float32)


def resize(x: np.ndarray, step: dict) -> np.ndarray:
    from PIL import Image

    height, width = x.shape[2:]
    if "size" in step:
        to = step["size"]
    else:
        whole = {"floor": int, "round": round}[step["long_side"]]
        to = [whole(side * step["short_side"] / min(height, width)) for side in (height, width)]
    if step["antialias"]:
        planes = [[Image.fromarray(c if step["rounded"] else c.astype(np.float32)) for c in frame] for frame in x]
        return np.stack([[np.asarray(c.resize(to[::-1], Image.BILINEAR)) for c in frame] for frame in planes])
    for axis, new in ((2, to[0]), (3, to[1])):
        old = x.shape[axis]
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = at.astype(int)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, np.minimum(low + 1, old - 1), axis) * share
    return x


def crop(x: np.ndarray, step: dict) -> np.ndarray:
    height, width = step["size"]
    top, left = (math.ceil((side - own) / 2) for side, own in zip(x.shape[2:], (height, width), strict=True))
    return x[:, :, top : top + height, left : left + width]


def normalise(x: np.ndarray, step: dict) -> np.ndarray:
    if "mean" in step:
        mean, std = (np.array(step[name])[:, None, None] for name in ("mean", "std"))
        return (x - mean) / std
    spread = np.maximum(x.std((2, 3), keepdims=True), step["least_spread"])
    return (x - x.mean((2, 3), keepdims=True)) / spread


def luma(x: np.ndarray, step: dict) -> np.ndarray:
    return x[:, 0] if step["luma"] is None else np.einsum("tchw,c->thw", x, step["luma"])


def log_change(x: np.ndarray, step: dict) -> np.ndarray:
    change = np.diff(np.log(luma(x, step) + step["plus"]), axis=0)
    return np.stack([change >= step["threshold"], change <= -step["threshold"]], axis=1) * 1.0


def surface(x: np.ndarray, step: dict) -> np.ndarray:
    for t in range(1, len(x)):
        x[t] = np.maximum(x[t], step["decay"] * x[t - 1])
    return x


def trails(x: np.ndarray, step: dict) -> np.ndarray:
    grey, kept = luma(x, step), math.exp(-1 / step["constant"])
    mean, changes = grey[0], []
    for now in grey:
        changes.append((now - mean) / step["full"])
        mean = kept * mean + (1 - kept) * now
    change = np.stack(changes)
    return np.stack([grey, change.clip(0, 1), (-change).clip(0, 1)], axis=1)[step["own"]]


def motion(x: np.ndarray, step: dict) -> np.ndarray:
    change = np.diff(x, axis=0) / step["full"]
    return np.concatenate([x[1:], change.clip(0, 1), (-change).clip(0, 1)], axis=1)


def pad(x: np.ndarray, step: dict) -> np.ndarray:
    height, width = x.shape[2:]
    side = max(height, width)
    top, left = -((height - side) // 2), -((width - side) // 2)
    out = np.full((*x.shape[:2], side, side), float(step["value"]))
    out[:, :, top : top + height, left : left + width] = x
    return out


OPS = {
    "resize": resize,
    "crop": crop,
    "divide": lambda x, step: x / step["by"],
    "normalise": normalise,
    "log_change": log_change,
    "surface": surface,
    "trails": trails,
    "motion": motion,
    "grey": lambda x, step: luma(x, step)[:, None],
    "pad": pad,
    "clamp": lambda x, step: x.clip(step["low"], step["high"]),
}


def rebuilt_events(t, x, y, p, sensor, step) -> np.ndarray:
    """Frames of events, float32 [T, 2, H, W]."""
    assert (step["op"], step["form"], step["by"], step["edges"]) == ("events", "frames", "time", "exact")
    bins, (height, width) = step["bins"], step["size"]
    start, stop = t[0], t[-1] + 1
    if step["bin_us"]:
        start += max(stop - start - bins * step["bin_us"], 0) // 2
        bin_of = (t - start) // step["bin_us"]
    else:
        # k lasts from k / T of the whole on; the last event is in the last bin
        bin_of = np.minimum((t - start) * bins // max(t[-1] - t[0], 1), bins - 1)
    out = np.zeros((bins, 2, height, width), np.float32)
    first = {"on_off": 1, "off_on": 0}[step["channels"]]
    for k, column, row, on in zip(bin_of, x, y, p, strict=True):
        if 0 <= k < bins:
            out[k, int(on != first), row * height // sensor[1], column * width // sensor[0]] += 1
    return np.minimum(out, 1) if step["values"] == "binary" else out

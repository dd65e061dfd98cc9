"""Predictions on small videos and arrays: what is read, what is measured, what is refused."""

import inspect
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikereel.data.made.scenes import MotionClips, events_from
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata, create_model, weights_hash
from spikereel.inference.frames import read_clip
from spikereel.inference.look import EVENT_THRESHOLD
from spikereel.inference.predict import predict
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec

SPEC = {"kind": "motion", "frames": 4, "size": 32, "test_length": 10}


def make_model(spec: dict | None = None, *, classes: tuple[str, ...] = MotionClips.classes, **config) -> nn.Module:
    """A tiny network whose norms have seen clips, so that all but a few neurons fire."""
    torch.manual_seed(0)
    spec = DataSpec(**(SPEC | (spec or {})))
    channels = 3 if spec.modality == "rgb" else 2
    small = {"widths": (8, 16, 32, 32), "depths": (1, 1), "heads": 4, "threshold": 0.4, "attention": "causal"}
    model = create_model("spikevideoformer_ti", num_classes=10, in_channels=channels, **(small | config))
    model.metadata = Metadata(name="tiny", classes=classes, preprocess=asdict(spec))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    clips = torch.stack([MotionClips(8, frames=4, height=32, width=32, modality=spec.modality)[i][0] for i in range(8)])
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(clips.transpose(0, 1) * 2 - 1 if channels == 3 else clips.transpose(0, 1))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return make_model()


def random_clip(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_video_file_gives_answer_cost_and_json(model, tmp_path: Path):
    path = tmp_path / "clip.mp4"
    write_video(path, random_clip(11, 3, 40, 60), 25)
    result = predict(model, path)
    assert (result.path, result.model, result.weights) == (str(path), "tiny", weights_hash(model))
    assert result.indices == (0, 3, 6, 10)
    assert (result.info.frames, result.info.width, result.info.height) == (11, 60, 40)
    assert sum(result.probabilities) == pytest.approx(1)
    assert result.label == result.top5[0][0]
    assert len(result.top5) == 5
    assert [p for _, p in result.top5] == sorted(result.probabilities, reverse=True)[:5]
    assert result.passport.clip == (4, 3, 32, 32)
    assert result.passport.clips == 1
    assert sum(x > 0 for x in result.firing.values()) > len(result.firing) / 2
    written = json.loads(json.dumps(result.to_json()))
    assert written["frames"] == [0, 3, 6, 10]
    assert written["energy"]["energy_mj"]["paper"]["ann"] > 0
    assert written["top5"][0] == {"class": result.label, "probability": result.top5[0][1]}
    assert written["firing"] == result.firing
    assert written["notes"] == []


def test_same_logits_as_the_data_set_the_model_is_judged_on(model, tmp_path: Path):
    spec = DataSpec(**SPEC)
    clip = MotionClips(10, seed=spec.seed + 2, frames=4, height=32, width=32)[7][0]
    np.save(tmp_path / "clip.npy", clip.numpy())
    with torch.no_grad():
        expected = model(build_dataset(spec, "test")[7][0][:, None])[0][0].double().softmax(0)
    result = predict(model, tmp_path / "clip.npy")
    assert torch.allclose(torch.tensor(result.probabilities, dtype=torch.float64), expected, atol=1e-7)
    assert result.probabilities == predict(model, clip).probabilities


def test_running_answers_end_in_the_answer(model):
    result = predict(model, random_clip(9, 3, 32, 32))
    assert len(result.running) == 4
    assert result.running[-1] == pytest.approx(result.probabilities, abs=1e-6)
    assert result.running[0] != result.running[-1]
    assert len(result.to_json()["running"]) == 4


def test_model_of_whole_clips_has_no_running_answers():
    result = predict(make_model(attention="joint"), random_clip(4, 3, 32, 32))
    assert result.running is None
    assert result.to_json()["running"] is None


def test_uint8_array_equals_the_tensor_of_its_frames(model, tmp_path: Path):
    clip = random_clip(6, 3, 20, 28)
    np.save(tmp_path / "clip.npy", clip.permute(0, 2, 3, 1).numpy())
    result = predict(model, tmp_path / "clip.npy")
    assert result.probabilities == predict(model, clip).probabilities
    assert result.info.codec == "npy"
    assert (result.info.height, result.info.width) == (20, 28)


def test_views_are_averaged_as_logits():
    model = make_model({"stride": 2, "clips": 2, "crops": 3})
    clip = random_clip(20, 3, 32, 48)
    result = predict(model, clip)
    assert (result.clips, result.views, result.passport.clips, len(result.indices)) == (2, 6, 6, 8)
    both = predict(model, clip[:16], views=2)
    parts = [predict(model, part, views=1) for part in (clip[:8], clip[8:16])]
    assert [x.views for x in (both, *parts)] == [2, 1, 1]
    assert both.indices == (*parts[0].indices, *(8 + i for i in parts[1].indices))
    # softmax of the mean logits is the normalised geometric mean
    mean = torch.tensor([x.probabilities for x in parts], dtype=torch.float64).log().mean(0).softmax(0)
    assert both.probabilities == pytest.approx(mean.tolist(), abs=1e-6)
    assert result.running[-1] == pytest.approx(result.probabilities, abs=1e-6)


def test_event_models_see_events_between_frames(tmp_path: Path):
    model = make_model({"modality": "events"})
    clip = MotionClips(5, frames=9, height=32, width=32)[3][0]
    result = predict(model, clip)
    assert result.notes == ("events simulated from rgb",)
    surface = make_model({"modality": "surface"})
    assert predict(surface, clip).notes == ("time surface of events simulated from rgb",)
    assert result.indices == (0, 2, 5, 8)
    # frame 0 has none before it
    frames = clip[[0, 0, 2, 5, 8]].numpy()
    events = torch.from_numpy(events_from(frames, threshold=EVENT_THRESHOLD))
    real = predict(model, events)
    assert real.notes == ()
    assert real.probabilities == result.probabilities
    assert not events[0].any()
    assert events[1:].any()


def test_events_have_the_threshold_of_training():
    assert inspect.signature(MotionClips).parameters["threshold"].default == EVENT_THRESHOLD


def test_an_event_before_the_clip_is_used_where_the_video_has_it():
    model = make_model({"modality": "events", "stride": 2})
    seen = []
    hook = model.downsample1_1.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    clip = MotionClips(5, frames=16, height=32, width=32)[0][0]
    result = predict(model, clip)
    hook.remove()
    first = result.indices[0]
    assert first >= 2
    step = result.indices[1] - first
    expected = events_from(clip[[first - step, *result.indices]].numpy(), threshold=EVENT_THRESHOLD)
    assert torch.equal(seen[0][:, 0], torch.from_numpy(expected))
    assert expected[0].any()


def test_an_array_already_cut_in_time_is_taken_whole():
    model = make_model({"stride": 2})
    assert predict(model, random_clip(4, 3, 32, 32)).indices == (0, 1, 2, 3)
    assert predict(model, random_clip(8, 3, 32, 32)).indices == (0, 2, 4, 7)


def test_classes_without_names_are_numbered():
    result = predict(make_model(classes=()), random_clip(4, 3, 32, 32))
    assert result.classes[:2] == ("class 0", "class 1")


def test_training_mode_is_kept(model):
    model.train()
    try:
        predict(model, random_clip(4, 3, 32, 32))
        assert model.training
    finally:
        model.eval()


BROKEN = {
    "integers": (np.zeros((4, 32, 32, 3), np.int64), "holds int64"),
    "wide": (np.zeros((4, 32, 32, 3), np.uint16), "holds uint16"),
    "flat": (np.zeros((4, 32), np.float32), "has shape"),
    "empty": (np.zeros((0, 32, 32, 3), np.uint8), "frame"),
    "four": (np.zeros((4, 32, 32, 4), np.uint8), "has 4 channels"),
    "five": (np.zeros((4, 5, 32, 32), np.float32), "has 5 channels, this model takes 3"),
    "events": (np.zeros((4, 2, 32, 32), np.float32), "has 2 channels, this model takes 3"),
    "nan": (np.full((4, 3, 32, 32), np.nan, np.float32), "NaN"),
    "normalised": (np.full((4, 3, 32, 32), -2.0, np.float32), r"values go from -2 to -2"),
    "objects": (np.array([{}], dtype=object), "not a whole .npy file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_arrays_that_are_no_clip_are_refused_in_one_line(model, tmp_path: Path, case: str):
    array, reason = BROKEN[case]
    path = tmp_path / f"{case}.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(DataError, match=reason) as error:
        predict(model, path)
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'"])
def test_files_that_are_no_array_are_refused_in_one_line(model, tmp_path: Path, content: bytes):
    path = tmp_path / "broken.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.npy") as error:
        predict(model, path)
    assert "\n" not in str(error.value)


def test_cut_array_missing_file_and_archive_are_refused(tmp_path: Path):
    np.save(tmp_path / "cut.npy", np.zeros((4, 32, 32, 3), np.uint8))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-100])
    with pytest.raises(DataError, match="not a whole"):
        read_clip(tmp_path / "cut.npy")
    with pytest.raises(DataError, match="no such file"):
        read_clip(tmp_path / "missing.npy")
    np.savez(tmp_path / "many.npz", np.zeros(3))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    with pytest.raises(DataError, match="archive"):
        read_clip(tmp_path / "many.npy")


def test_tensors_that_are_no_clip_are_refused(model):
    with pytest.raises(DataError, match="has shape"):
        predict(model, torch.zeros(3, 32, 32))
    with pytest.raises(DataError, match=r"torch\.int64"):
        predict(model, torch.zeros(4, 3, 32, 32, dtype=torch.int64))


def test_weights_that_do_not_say_how_clips_are_made_and_wrong_views_are_refused(model):
    clip = random_clip(4, 3, 32, 32)
    with pytest.raises(ConfigError, match="do not say how clips are made"):
        predict(create_model("spikevideoformer_ti"), clip)
    with pytest.raises(ConfigError, match="views is 0"):
        predict(model, clip, views=0)
    with pytest.raises(ConfigError, match="stride"):
        predict(model, clip, views=2)
    with pytest.raises(ConfigError, match="name 2 classes"):
        predict(make_model(classes=("a", "b")), clip)

"""`spikereel.predict` for the three tasks: results that print, draw and turn into JSON, and a model that runs once."""

import json
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console
from small import small_weights, video_file

import spikereel
from spikereel.data.video.read import probe
from spikereel.energy import measure, metering
from spikereel.errors import ConfigError, DataError, WeightsError
from spikereel.layers.state import State
from tests.inference.test_predict import make_model
from tests.inference.test_segment import model_of as segmentation_model
from tests.inference.test_track import model_of as pose_model
from tests.people import write_clip


def shown(result) -> str:
    console = Console(width=120, record=True, file=StringIO())
    console.print(result)
    return console.export_text()


def test_classes_of_a_file_by_the_path_of_the_weights(tmp_path):
    small_weights(tmp_path / "w.safetensors")
    video = video_file(tmp_path / "clip.mp4")
    result = spikereel.predict(tmp_path / "w.safetensors", video)
    assert repr(result).startswith(f"Prediction({video}: {result.label} ")
    assert len(repr(result)) < 300
    assert result.label in shown(result)
    assert json.loads(json.dumps(result.to_json()))["top5"][0]["class"] == result.label
    result.draw(tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").frames == 8
    with pytest.raises(WeightsError, match="no weights at"):
        spikereel.predict(tmp_path / "absent.safetensors", video)


def test_a_person_in_depth(tmp_path):
    write_clip(tmp_path / "a1_s1_t1.npz", frames=7)
    result = spikereel.predict(pose_model(), tmp_path / "a1_s1_t1.npz", smooth=True)
    assert repr(result) == f"Track({tmp_path / 'a1_s1_t1.npz'}: kinect20 in 7 frames, 30 a second)"
    assert "kinect20 in 7 frames" in " ".join(shown(result).split())
    assert len(result.to_json()["joints_m"]) == 7
    result.draw(tmp_path / "out.mp4")
    result.draw(tmp_path / "out.png")
    assert probe(tmp_path / "out.mp4").frames == 7
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_the_class_of_every_pixel(tmp_path):
    video, done = video_file(tmp_path / "clip.mp4"), []
    result = spikereel.predict(segmentation_model(), video, progress=lambda i, n: done.append((i, n)))
    assert done == [(i + 1, 8) for i in range(8)]
    assert repr(result).startswith(f"Segments({video}: 8 frames, most of it ")
    assert "sky" in shown(result)
    found = result.to_json()
    labels = torch.stack([result.labels(i) for i in range(8)])
    assert labels.shape == (8, 48, 64)
    shares = labels.flatten().bincount(minlength=3) / labels.numel() * 100
    assert list(found["share"].values()) == pytest.approx(shares.tolist(), abs=0.01)
    result.draw(tmp_path / "out.mp4")
    result.draw(tmp_path / "out.png")
    assert probe(tmp_path / "out.mp4").frames == 8


def test_pictures_as_an_array_are_labelled_as_the_video(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "clip.npy", frames)
    assert len(spikereel.predict(segmentation_model(), tmp_path / "clip.npy").shares) == 3
    write_clip(tmp_path / "depth.npz", frames=5)
    with pytest.raises(DataError, match="holds depth, 1 channels; these weights see rgb pictures"):
        spikereel.predict(segmentation_model(), tmp_path / "depth.npz")


@pytest.mark.parametrize(
    ("make", "options"),
    [(make_model, {"smooth": True}), (pose_model, {"views": 2}), (segmentation_model, {"box": (0, 0, 9, 9)})],
)
def test_an_option_of_another_task_is_an_error(make, options, tmp_path):
    (name,) = options
    with pytest.raises(ConfigError, match=rf"{name} means nothing for "):
        spikereel.predict(make(), video_file(tmp_path / "a.mp4"), **options)


@pytest.mark.parametrize("attention", ["causal", "joint"])
def test_the_backbone_sees_each_view_once(attention, monkeypatch):
    model, calls = make_model(attention=attention), []
    model.downsample1_1.register_forward_hook(lambda *_: calls.append(1))
    spikereel.predict(model, torch.rand(4, 3, 32, 32))
    assert len(calls) == 1


def test_running_answers_are_those_of_a_stream():
    model, clip = make_model(), torch.rand(4, 3, 32, 32)
    result, state = spikereel.predict(model, clip), State()
    with torch.no_grad():
        for frame, running in zip(clip * 2 - 1, result.running, strict=True):
            logits, state = model(frame[None, None], state)
            assert running == pytest.approx(logits[0].double().softmax(0).tolist(), abs=1e-6)


def test_a_video_is_opened_once_for_the_answer_and_the_drawing(tmp_path, monkeypatch):
    from spikereel.inference import frames

    opened, glance = [], frames.glance
    monkeypatch.setattr(frames, "glance", lambda name: opened.append(name) or glance(name))
    result = spikereel.predict(make_model(), video_file(tmp_path / "a.mp4"))
    result.draw(tmp_path / "out.mp4")
    assert opened == [str(tmp_path / "a.mp4")]


def test_metering_counts_what_measure_counts_and_leaves_the_model_as_it_was():
    model, clips = make_model(), [torch.rand(4, 1, 3, 32, 32) for _ in range(2)]
    model.train()
    with metering(model) as run:
        assert not model.training
        logits = [model(clip)[0] for clip in clips]
        with pytest.raises(DataError, match="clips of one shape"):
            model(torch.rand(3, 1, 3, 32, 32))
    assert model.training
    assert not logits[0].requires_grad
    assert run.passport() == measure(model, clips)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with metering(model) as empty:
        pass
    with pytest.raises(DataError, match="at least one clip"):
        empty.passport()

"""Annotated videos: they can be read again, say what they should, and are sized for any source."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from passports import layer

from spikereel.data.video.read import VideoInfo, probe, read_frames
from spikereel.data.video.write import write_video
from spikereel.energy import Passport
from spikereel.errors import ConfigError, DataError
from spikereel.inference.classify import Prediction
from spikereel.inference.frames import tensor_frames, to_pictures, video_frames
from spikereel.show.annotate import _Film, _Scene, _shown_size, annotate
from spikereel.show.style import ANN_ON_BLACK as ANN
from spikereel.show.style import PANEL
from spikereel.show.style import SNN_ON_BLACK as SNN


def prediction(steps: int = 4, *, streams: bool = True, clips: int = 1, blocks: int = 3, **fields) -> Prediction:
    rate = tuple(0.1 * (t + 1) / steps for t in range(steps))
    layers = (
        layer("a", 1e8, (1.0,) * steps, operand="real", analog=True),
        layer("b", 4e8, rate, operand="real", merged=True),
    )
    passport = Passport(
        clip=(steps, 3, 32, 32), clips=1, layers=layers, firing={f"block3.{i}.mlp.fc1_lif": rate for i in range(blocks)}
    )
    running = tuple((t / steps, 1 - t / steps) for t in range(1, steps + 1)) if streams else None
    values = {
        "path": "clip",
        "model": "tiny",
        "weights": "0",
        "classes": ("left", "a name " * 30),
        "probabilities": (0.9, 0.1),
        "passport": passport,
        "indices": tuple(range(0, 2 * steps, 2)),
        "clips": clips,
        "views": clips,
        "running": running,
        "notes": (),
        "info": VideoInfo(frames=2 * steps, fps=25.0, width=32, height=24, codec="h264", seconds=1.0),
    }
    return Prediction(**(values | fields))


def clip(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour, dtype=np.uint8)).all(-1).sum())


def test_file_becomes_a_readable_video_of_the_same_length(tmp_path: Path):
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, clip(8, 3, 24, 32), 25)
    annotate(out, prediction(), source)
    info = probe(out)
    assert (info.frames, info.fps) == (8, 25.0)
    assert info.width >= 640
    assert info.height >= 360 + 84


@pytest.mark.parametrize("shape", [(5, 3, 24, 32), (5, 2, 24, 32), (3, 3, 20, 700), (3, 3, 300, 30), (1, 3, 1, 1)])
def test_tensors_of_any_shape(tmp_path: Path, shape: tuple[int, ...]):
    frames = clip(*shape) if shape[1] == 3 else clip(*shape).gt(128).float()
    annotate(tmp_path / "out.mp4", prediction(streams=False), frames, fps=12.0)
    assert (probe(tmp_path / "out.mp4").frames, probe(tmp_path / "out.mp4").fps) == (shape[0], 12.0)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_arrays(tmp_path: Path, dtype: str):
    frames = clip(4, 3, 24, 32)
    array = frames.permute(0, 2, 3, 1).numpy() if dtype == "uint8" else (frames / 255).numpy()
    np.save(tmp_path / "in.npy", array)
    annotate(tmp_path / "out.mp4", prediction(), tmp_path / "in.npy")
    assert probe(tmp_path / "out.mp4").frames == 4


def test_long_videos_are_thinned_and_keep_their_duration():
    film = _Film.of(tensor_frames("clip", clip(600, 3, 4, 4)), 50.0)
    assert len(film.numbers) == 240
    assert film.numbers[0] == 0
    assert film.numbers[-1] == 599
    assert film.fps == pytest.approx(20)
    assert len(film.frames) == 600
    assert _Film.of(tensor_frames("clip", clip(2400, 3, 2, 2)), 25.0).fps == 10


def test_chunks_of_frames_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_video(tmp_path / "in.mp4", clip(7, 3, 24, 32), 25)
    frames = video_frames(str(tmp_path / "in.mp4"))
    expected = read_frames(tmp_path / "in.mp4", range(7))
    assert torch.equal(torch.stack(list(frames.pictures())), expected)
    monkeypatch.setattr("spikereel.inference.frames.AT_ONCE", 2 * 3 * 24 * 32)
    assert torch.equal(torch.stack(list(frames)), expected)


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [
        (48, 48, (384, 384)),
        (296, 400, (800, 592)),
        (1080, 1920, (960, 540)),
        (1920, 1080, (405, 720)),
        (20, 700, (700, 20)),
        (400, 600, (600, 400)),
        (20, 2000, (960, 10)),
    ],
)
def test_small_videos_grow_by_whole_factors_and_large_ones_shrink(height: int, width: int, shown: tuple[int, int]):
    assert _shown_size(height, width) == shown


def test_strip_and_energy_fill_up_with_the_time_steps():
    scene = _Scene(prediction(), 24, 32)
    pictures = [scene.draw(np.zeros((24, 32, 3), np.uint8), number, 8) for number in (0, 1, 2, 7)]
    empty, ann, snn = ([count(x[scene.strip_top :], c) for x in pictures] for c in (PANEL, ANN, SNN))
    assert empty[0] == empty[1] > empty[2] > empty[3]
    assert 0 < ann[0] == ann[1] < ann[2] < ann[3]
    assert 0 < snn[3] < ann[3]


def test_nothing_is_filled_before_the_first_frame_that_is_seen():
    scene = _Scene(prediction(indices=(4, 5, 6, 7)), 24, 32)
    picture = scene.draw(np.zeros((24, 32, 3), np.uint8), 3, 8)
    assert count(picture[scene.strip_top :], ANN) < 1000 < count(picture[scene.strip_top :], PANEL)
    assert scene._answer(-1) == ("...", None, "before the first frame that is seen")


def test_running_label_where_the_model_streams_and_the_answer_else():
    scene = _Scene(prediction(notes=("events simulated from rgb",)), 24, 32)
    assert scene._answer(0) == ("a name " * 30, 0.75, "so far · events simulated from rgb")
    assert scene._answer(3) == ("left", 1.0, "so far · events simulated from rgb")
    assert _Scene(prediction(streams=False), 24, 32)._answer(0) == ("left", 0.9, "whole clip")


@pytest.mark.parametrize("steps", [1, 64, 1000])
def test_any_number_of_steps_and_blocks_is_drawn_inside_the_margins(steps: int):
    scene = _Scene(prediction(steps, blocks=17), 24, 32)
    picture = scene.draw(np.zeros((24, 32, 3), np.uint8), 2 * steps, 2 * steps)
    back = picture[0, 0]
    assert (picture[:, :14] == back).all()
    assert (picture[:, -14:] == back).all()
    assert (picture[-8:] == back).all()


def test_events_are_light_and_dark():
    events = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).reshape(1, 2, 1, 3)
    assert to_pictures(events)[0, :, 0].tolist() == [[255, 0, 128]] * 3


def test_several_clips_wrong_shapes_and_missing_files_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="2 clips"):
        annotate(tmp_path / "out.mp4", prediction(clips=2), clip(4, 3, 8, 8))
    with pytest.raises(ConfigError, match="have shape"):
        annotate(tmp_path / "out.mp4", prediction(), clip(4, 5, 8, 8))
    with pytest.raises(DataError, match="no such file"):
        annotate(tmp_path / "out.mp4", prediction(), tmp_path / "missing.mp4")
    with pytest.raises(ConfigError, match=r"\.mp4"):
        annotate(tmp_path / "out.avi", prediction(), clip(4, 3, 8, 8))


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"pip install 'spikereel\[draw\]'"):
        annotate(tmp_path / "out.mp4", prediction(), clip(4, 3, 8, 8))

"""One time line: what was seen is what is said, drawn and labelled, at its true time."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import spikereel
from spikereel.data.video.read import read_frames, timeline
from spikereel.errors import DataError
from spikereel.inference import look
from spikereel.inference.frames import open_frames
from spikereel.inference.segment import Segmenter
from spikereel.inference.timeline import timeline_of
from spikereel.inference.track import one_euro
from spikereel.show.annotate import annotate


def _level(number: int) -> int:
    return 20 + 4 * number


@pytest.fixture(params=["mp4", "mkv"])
def film(request, tmp_path):
    """10 frames in 0.4 s, then 30 of 0.4 s each; frame i is grey of level 20 + 4 i."""
    path = tmp_path / f"a.{request.param}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1", "crf": "5", "bf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), _level(number), np.uint8), "rgb24")
            frame.pts, frame.time_base = (number if number < 10 else 10 * (number - 9)), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


TIMES = [0.04 * number if number < 10 else 0.4 * (number - 9) for number in range(40)]


@pytest.fixture
def seen(monkeypatch):
    """Numbers of the frames that a network sees, by their grey."""
    found = []

    def spied(*args, **options):
        clip = read_frames(*args, **options)
        found.extend(round((float(x) - 20) / 4) for x in clip.float().mean((1, 2, 3)))
        return clip

    monkeypatch.setattr(look, "read_frames", spied)
    return found


def test_frames_that_are_said_are_those_that_were_seen(film, seen):
    result = spikereel.predict("spikevideoformer_ti.motion", film, views=1)
    assert list(result.indices) == seen[-len(result.indices) :] == result.to_json()["frames"]
    assert len(set(seen)) > 1


def test_windows_of_a_time_line_name_the_frames_that_were_seen(film, seen):
    found = timeline_of(spikereel.load_model("spikevideoformer_ti.motion"), film, every=4.0)
    assert [n for window in found.windows for n in window.frames] == [
        n for start in range(0, len(seen), 9) for n in seen[start + 1 : start + 9]
    ]
    for window in found.windows:
        assert all(window.start - 0.4 <= TIMES[n] <= window.stop for n in window.frames)
    assert found.windows[-1].stop == pytest.approx(open_frames(film).during()[-1], abs=0.4)


def test_the_annotated_video_shows_frames_at_their_times(film, tmp_path):
    annotate(tmp_path / "o.mp4", spikereel.predict("spikevideoformer_ti.motion", film, views=1), film)
    drawn = timeline(tmp_path / "o.mp4")
    during = drawn.during()
    assert during[:-1] == pytest.approx(TIMES, abs=0.002)
    assert during[-1] == pytest.approx(open_frames(film).during()[-1], abs=0.002)


def test_segments_say_when_each_frame_is_shown(film, tmp_path):
    found = spikereel.predict("spikevideoformer_ti.synthetic_vss", film)
    assert found.to_json()["seconds"] == pytest.approx(TIMES, abs=0.002)
    assert timeline(_drawn(found, tmp_path / "o.mp4")).during()[:-1] == pytest.approx(TIMES, abs=0.002)


def test_tracks_of_filmed_depth_say_when_each_frame_is_shown(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "gray16le", Fraction(1, 25)
        for number, seconds in enumerate(TIMES):
            depth = np.full((64, 64), 3000, np.uint16)
            depth[10:60, 20 + number // 4 : 40 + number // 4] = 1500
            frame = av.VideoFrame.from_ndarray(depth, "gray16le")
            frame.pts, frame.time_base = round(25 * seconds), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = spikereel.predict("spikevideoformer_ti.synthetic_pose", tmp_path / "a.mkv", box=(10, 5, 45, 57))
    said = found.to_json()
    assert said["seconds"] == pytest.approx(TIMES, abs=0.002)
    assert said["assumed"]["bits"] == 16
    assert timeline(_drawn(found, tmp_path / "o.mp4")).during()[:-1] == pytest.approx(TIMES, abs=0.002)


def _drawn(found, path):
    found.draw(path)
    return path


def test_offsets_in_seconds_take_the_frames_of_their_instants(film):
    frames = open_frames(film)
    how = Segmenter(
        model=None, classes=(), palette=[], spec=None, offsets=(-2, -1, 0), by_number=False, lags=(-0.8, -0.1, 0.0)
    )
    clips = how.positions(frames)
    for position, clip in enumerate(clips):
        assert clip[2] == position
        for lag, number in zip((-0.8, -0.1), clip, strict=False):
            instant = TIMES[position] + lag + 0.002
            assert number == max(np.searchsorted(TIMES, instant, side="right") - 1, 0)


def test_trails_last_as_many_seconds_whatever_the_last_frame_does(tmp_path):
    path = tmp_path / "a.mp4"
    spikereel.data.video.write_video(
        path, torch.zeros(20, 3, 32, 32, dtype=torch.uint8), 25, times=[*(0.04 * k for k in range(20)), 10.0]
    )
    known = timeline(path)
    assert known.rate(25.0)[0] == pytest.approx(2.0, abs=0.1)
    assert known.pace(known.rate(25.0)[0]) == pytest.approx(25.0, abs=0.1)


def test_the_filter_knows_uneven_steps():
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    even = one_euro(x, 25.0)
    assert torch.equal(even, one_euro(x, np.full(11, 25.0)))
    assert not torch.equal(even, one_euro(x, np.array([25.0] * 5 + [2.5] * 6)))


def test_depth_is_read_as_such_where_it_is_asked_for(tmp_path):
    depth = (1500 + np.arange(48 * 64, dtype=np.uint16)).reshape(48, 64)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(depth, "gray16le")))
        container.mux(stream.encode(None))
    frames = open_frames(tmp_path / "a.mkv", depth=True)
    assert frames.holds == "depth"
    assert np.array_equal(frames.read([3])[0, 0].numpy(), depth)
    result = spikereel.predict("spikevideoformer_ti.motion", tmp_path / "a.mkv", views=1)
    assert any("16-bit grey" in note for note in result.notes)
    assert result.to_json()["video"]["assumed"]["bits"] == 16


def test_pixels_that_are_no_squares_are_drawn_as_players_show_them(tmp_path):
    rows, columns = np.mgrid[:144, :180]
    disc = ((columns - 90) * 64 / 45) ** 2 + (rows - 72) ** 2 < 50**2
    picture = np.zeros((144, 180, 3), np.uint8)
    picture[disc] = (250, 40, 250)
    clip = torch.from_numpy(np.stack([picture] * 9))
    spikereel.data.video.write_video(tmp_path / "a.mp4", clip, 25, aspect=Fraction(64, 45))
    result = spikereel.predict("spikevideoformer_ti.motion", tmp_path / "a.mp4", views=1)
    annotate(tmp_path / "o.mp4", result, tmp_path / "a.mp4")
    drawn = read_frames(tmp_path / "o.mp4", [2])[0].int()
    mask = (drawn[0] > 180) & (drawn[1] < 110) & (drawn[2] > 180)
    height, width = int(mask.any(1).sum()), int(mask.any(0).sum())
    assert width / height == pytest.approx(1, abs=0.04)


def test_a_folder_of_16_bit_pictures_is_depth_where_that_is_taken(tmp_path):
    from PIL import Image

    for number in (3, 4):
        Image.fromarray(np.full((4, 6), 1560 + number, np.uint16)).save(tmp_path / f"{number:05}.png")
    deep = open_frames(tmp_path, depth=True)
    assert (deep.holds, list(deep.numbers), deep.size) == ("depth", [3, 4], (4, 6))
    assert deep.read([0, 1]).numpy()[:, 0, 0, 0].tolist() == [1563, 1564]
    assert open_frames(tmp_path).read([0])[0, 0, 0, 0] == 1563 >> 8
    Image.fromarray(np.full((5, 6), 1560, np.uint16)).save(tmp_path / "00005.png")
    with pytest.raises(DataError, match="several sizes"):
        open_frames(tmp_path, depth=True)

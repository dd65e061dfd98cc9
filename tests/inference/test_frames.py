"""Frames of every source: by number, by time, one by one, to look at; and what is refused in one line."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from spikereel.data.video.read import read_frames
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import open_frames, picture_frames, tensor_frames, video_frames
from tests.masks import write_folder

FRAMES = torch.randint(0, 256, (9, 3, 16, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def recording(path):
    """A pixel that goes right, one column in a thirtieth of a second, OFF in the last one."""
    t = np.array([0, 40_000, 70_000, 100_000])
    columns = {"x": np.array([0, 1, 2, 3], np.uint16), "y": np.full(4, 5, np.uint16), "p": np.array([1, 1, 1, 0], bool)}
    np.savez(path, t=t, **columns, width=8, height=6)
    return path


def depth(path):
    values = np.zeros((4, 6, 8), np.uint16)
    values[:, 2:4, 3:5] = np.array([1000, 1100, 1200, 1300])[:, None, None]
    np.savez(path, depth=values)
    return path


@pytest.fixture
def sources(tmp_path):
    """A source of each kind, with its frames, their channels and the rate."""
    write_video(tmp_path / "a.mp4", FRAMES, 25)
    write_folder(tmp_path, videos=1, frames=5)
    np.save(tmp_path / "bytes.npy", FRAMES.permute(0, 2, 3, 1).numpy())
    np.save(tmp_path / "floats.npy", (FRAMES / 255).numpy())
    return {
        tmp_path / "a.mp4": (9, 3, 25.0, "pictures"),
        tmp_path / "frames" / "v0": (5, 3, 0.0, "pictures"),
        tmp_path / "bytes.npy": (9, 3, 0.0, "pictures"),
        tmp_path / "floats.npy": (9, 3, 0.0, "pictures"),
        depth(tmp_path / "depth.npz"): (4, 1, 30.0, "depth"),
        recording(tmp_path / "events.npz"): (3, 2, 30.0, "events"),
    }


def test_every_source_says_what_it_is_and_gives_its_frames_by_number_and_one_by_one(sources, monkeypatch):
    for path, (count, channels, rate, holds) in sources.items():
        frames = open_frames(path, whole=True)
        assert (frames.name, len(frames), frames.channels, frames.holds) == (str(path), count, channels, holds)
        assert frames.info.fps == pytest.approx(rate)
        picked = frames.read([2, 0, 2])
        assert picked.shape == (3, channels, *frames.size)
        # memory for one frame: they are read one by one, and are the same
        monkeypatch.setattr("spikereel.inference.frames.AT_ONCE", 1)
        assert [len(part) for part in frames.chunks()] == [1] * count
        each = list(frames)
        assert len(each) == count
        assert all(torch.equal(each[i].float(), x.float()) for i, x in zip((2, 0, 2), picked, strict=True))
        shown = torch.stack(list(frames.pictures([1, 2])))
        assert (shown.dtype, shown.shape) == (torch.uint8, (2, 3, *frames.size))
        assert torch.equal(shown, frames.shown([1, 2]))
        with pytest.raises(DataError, match=rf"has {count} frames, frame {count} was asked for"):
            frames.read([count])


def test_frames_by_time(sources):
    for path, (count, _, rate, _) in sources.items():
        frames = open_frames(path)
        if not rate:
            assert frames.seconds() is None
            with pytest.raises(ConfigError, match="does not say how fast it is"):
                frames.at(0.1)
            continue
        np.testing.assert_allclose(frames.seconds(), np.arange(count) / rate)
        assert [frames.at(x) for x in (-1, 0, 1.5 / rate, 2 / rate, 99)] == [0, 0, 1, 2, count - 1]


def test_a_variable_rate_has_the_times_of_the_file(tmp_path):
    marks = [0, 1, 2, 3, 13, 23, 33, 34, 35]
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for mark, picture in zip(marks, FRAMES, strict=True):
            frame = av.VideoFrame.from_ndarray(picture.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            frame.pts, frame.time_base = mark, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = open_frames(tmp_path / "v.mp4")
    np.testing.assert_allclose(frames.seconds(), np.array(marks) / 10)
    assert [frames.at(x) for x in (0.25, 1.2, 1.3, 2.9)] == [2, 3, 4, 5]
    # the middle of the time lies in frame 4, whichever number stands in the middle
    assert torch.equal(frames.sample([0, 4, 8]), read_frames(tmp_path / "v.mp4", [0, 4, 8]))
    assert torch.equal(frames.sample([2]), read_frames(tmp_path / "v.mp4", [3]))


def test_events_fall_into_their_thirtieth_of_a_second(tmp_path):
    frames = open_frames(recording(tmp_path / "e.npz"))
    fell = frames.read(range(3))
    assert fell.nonzero().tolist() == [[0, 0, 5, 0], [1, 0, 5, 1], [2, 0, 5, 2], [2, 1, 5, 3]]
    assert frames.shown([2])[0, 0, 5].tolist() == [90, 90, 240, 0, 90, 90, 90, 90]


def test_depth_is_brighter_where_it_is_closer(tmp_path):
    shown = open_frames(depth(tmp_path / "d.npz")).shown(range(4))
    assert shown[0, 0, 0, 0] == 16
    assert shown[:, 0, 2, 3].tolist() == sorted(shown[:, 0, 2, 3].tolist(), reverse=True)
    assert shown[0, 0, 2, 3] > shown[3, 0, 2, 3]


def test_what_is_done_to_each_frame_happens_on_the_way(tmp_path):
    write_video(tmp_path / "a.mp4", FRAMES, 25)
    seen = []

    def half(frames):
        seen.append(frames.shape)
        return frames[..., ::2, ::2]

    frames = video_frames(str(tmp_path / "a.mp4"))
    assert torch.equal(frames.read([1, 3], half), frames.read([1, 3])[..., ::2, ::2])
    assert seen == [(1, 3, 16, 24)] * 2


def test_closed_frames_give_nothing(tmp_path):
    with tensor_frames("clip", FRAMES) as frames:
        assert frames.read([0]).shape == (1, 3, 16, 24)
    with pytest.raises(DataError, match="clip: is closed; open it again"):
        frames.read([0])


def test_what_is_no_source_is_refused_in_one_line(tmp_path):
    np.savez(tmp_path / "other.npz", joints=np.zeros(3))
    np.savez(tmp_path / "flat.npz", depth=np.zeros((3, 4), np.uint16))
    np.savez(tmp_path / "nobody.npz", depth=np.zeros((3, 4, 4), np.uint16))
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("absent.npz", "no such file"),
        ("absent.mp4", "no such file"),
        ("other.npz", "has no `depth` of uint16"),
        ("flat.npz", r"depth is \[3, 4\]; give \[N, H, W\]"),
        ("nobody.npz", "shows nobody"),
        ("empty", "is a folder without frames"),
    ):
        with pytest.raises(DataError, match=message) as error:
            open_frames(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=r"values go from -1 to -1"):
        tensor_frames("clip", torch.full((2, 3, 4, 4), -1.0))
    with pytest.raises(DataError, match="is a folder without frames"):
        picture_frames(tmp_path / "empty")

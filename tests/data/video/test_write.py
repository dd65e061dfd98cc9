"""Writing video: what is written can be read, and nothing half-written is left."""

import av
import pytest
import torch

from spikereel.data.video.read import probe, read_frames
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError


def _ramp(frames: int = 5, height: int = 32, width: int = 48) -> torch.Tensor:
    """uint8 [T, 3, H, W]: red grows with the column, green with the row, blue with time."""
    red = torch.linspace(0, 255, width).expand(frames, height, width)
    green = torch.linspace(0, 255, height)[:, None].expand(frames, height, width)
    blue = torch.linspace(0, 255, frames)[:, None, None].expand(frames, height, width)
    return torch.stack([red, green, blue], dim=1).to(torch.uint8)


@pytest.mark.parametrize("last", [False, True])
def test_round_trip(tmp_path, last):
    frames = _ramp()
    write_video(tmp_path / "a.mp4", frames.permute(0, 2, 3, 1) if last else frames, fps=12.5)
    info = probe(tmp_path / "a.mp4")
    assert (info.frames, info.fps, info.codec, info.width, info.height) == (5, 12.5, "h264", 48, 32)
    back = read_frames(tmp_path / "a.mp4", range(5))
    assert (back.float() - frames.float()).abs().mean() < 6


def test_odd_sides_grow_by_their_border(tmp_path):
    frames = _ramp(height=31, width=47)
    write_video(tmp_path / "a.mp4", frames, fps=25)
    back = read_frames(tmp_path / "a.mp4", range(5))
    assert back.shape == (5, 3, 32, 48)
    assert (back[..., :31, :47].float() - frames.float()).abs().mean() < 6


def test_one_frame_and_replacing_a_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("old")
    write_video(path, _ramp(1), fps=30)
    assert probe(path).frames == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_the_index_is_in_front(tmp_path):
    write_video(tmp_path / "a.mp4", _ramp(), fps=25)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_nothing_half_written_remains(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_text("old")

    def broken(*args, **kwargs):
        raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr("spikereel.files.os.replace", broken)
    with pytest.raises(DataError, match="No space left"):
        write_video(path, _ramp(), fps=25)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        write_video(tmp_path / "absent" / "a.mp4", _ramp(), fps=25)


@pytest.mark.parametrize(
    ("name", "frames", "fps"),
    [
        ("a.avi", _ramp(), 25),
        ("a.mp4", _ramp(), 0),
        ("a.mp4", _ramp().float(), 25),
        ("a.mp4", _ramp()[0], 25),
        ("a.mp4", _ramp()[:0], 25),
        ("a.mp4", torch.zeros(2, 4, 8, 8, dtype=torch.uint8), 25),
    ],
)
def test_refuses(tmp_path, name, frames, fps):
    with pytest.raises(ConfigError):
        write_video(tmp_path / name, frames, fps)
    assert not list(tmp_path.iterdir())

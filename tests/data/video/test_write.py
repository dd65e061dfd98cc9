"""Writing video: what is written can be read, and nothing half-written is left."""

import json
import queue
import shutil
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
import torch
from chromium import chromium_at

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


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (220, 170, 140), (128, 128, 128), (255, 255, 255), (20, 200, 120)]


def _bars(height: int, width: int, frames: int = 5) -> torch.Tensor:
    picture = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        picture[:, number * width // len(COLOURS) : (number + 1) * width // len(COLOURS)] = colour
    return torch.from_numpy(np.stack([picture] * frames))


@pytest.mark.parametrize("height", [96, 576, 720])
def test_colours_are_stated_and_come_back(tmp_path, height):
    write_video(tmp_path / "a.mp4", _bars(height, 140), 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (6, 1, 1, 13)
        assert stream.sample_aspect_ratio == 1
    seen = read_frames(tmp_path / "a.mp4", [2])[0][:, height // 2, 10::20].T.int()
    assert (seen - torch.tensor(COLOURS)).abs().max() <= 4


@pytest.mark.parametrize("fps", [25, 12.5, 30_000 / 1001, 0.5, 0.0004, 240])
def test_rate_and_duration_are_those_given(tmp_path, fps):
    write_video(tmp_path / "a.mp4", _ramp(6), fps)
    info = probe(tmp_path / "a.mp4")
    assert (info.frames, info.fps, info.seconds) == (6, pytest.approx(fps, rel=1e-4), pytest.approx(6 / fps, rel=1e-3))


def test_frames_may_have_times_of_their_own(tmp_path):
    times = [0.04 * number for number in range(6)] + [0.24 + 0.5 * number for number in range(5)]
    write_video(tmp_path / "a.mp4", _ramp(10), 25, times=times)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        seen = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
        assert seen == pytest.approx(times[:-1], abs=1e-4)
        assert float(stream.duration * stream.time_base) == pytest.approx(times[-1], abs=1e-4)


def test_times_that_do_not_ascend(tmp_path):
    with pytest.raises(ConfigError, match="ascend"):
        write_video(tmp_path / "a.mp4", _ramp(2), 25, times=[0.0, 1.0, 0.5])


def test_pixels_may_be_no_squares(tmp_path):
    write_video(tmp_path / "a.mp4", _ramp(2), 25, aspect=Fraction(4, 3))
    assert probe(tmp_path / "a.mp4").aspect == Fraction(4, 3)


PAGE = b"""<video muted preload="auto" src="a.mp4"></video><script>
const video = document.querySelector("video");
video.onseeked = () => {
  const canvas = document.createElement("canvas"), out = [];
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0);
  for (let i = 0; i < 7; i++)
    out.push([...pen.getImageData((i + .5) * canvas.width / 7, canvas.height / 2, 1, 1).data].slice(0, 3));
  fetch("found", {method: "POST", body: JSON.stringify(
    {size: [video.videoWidth, video.videoHeight], duration: video.duration, colours: out})});
};
video.onloadeddata = () => { video.currentTime = 0.1; };
</script>"""


def _shown_by_chromium(film: bytes, profile) -> dict:
    found: queue.Queue[dict] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content, kind = (film, "video/mp4") if self.path == "/a.mp4" else (PAGE, "text/html")
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with chromium_at(f"http://127.0.0.1:{server.server_port}/", profile):
                return found.get(timeout=90)
        finally:
            server.shutdown()


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("height", [96, 720])
def test_a_browser_shows_what_went_in(tmp_path, height):
    write_video(tmp_path / "a.mp4", _bars(height, 140, frames=8), 25, aspect=Fraction(2))
    found = _shown_by_chromium((tmp_path / "a.mp4").read_bytes(), tmp_path / "profile")
    assert found["size"] == [280, height]
    assert found["duration"] == pytest.approx(8 / 25, abs=1e-3)
    assert np.abs(np.array(found["colours"]) - COLOURS).max() <= 6

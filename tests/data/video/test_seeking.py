"""A frame by number is the frame of decoding from the start, bit for bit: whatever is refreshed, and in any order."""

import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikereel.data.video.read import read_frames, timeline

FRAMES = 120
"""So many that some are torn after a seek: it takes a few refreshes until what is missing shows."""
REFRESH = {
    "periodic intra refresh": ("libx264", {"crf": "20", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "intra refresh with B-frames": ("libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=2"}),
    "open groups": ("libx264", {"x264-params": "open-gop=1:keyint=12:bframes=3"}),
    "closed groups": ("libx264", {"g": "12"}),
    "open groups of HEVC": ("libx265", {"x265-params": "open-gop=1:keyint=12:log-level=none"}),
    "intra refresh of HEVC": ("libx265", {"x265-params": "intra-refresh=1:keyint=12:bframes=0:log-level=none"}),
    "MPEG-2": ("mpeg2video", {"g": "12", "bf": "2"}),
    "MPEG-4": ("mpeg4", {"g": "12", "bf": "2"}),
    "VP9": ("libvpx-vp9", {"g": "12", "cpu-used": "8"}),
}
CASES = [(name, suffix) for name in REFRESH for suffix in ("mp4", "mkv", "mov")]
CASES += [(name, "ts") for name in REFRESH if name != "VP9"]
CASES += [("VP9", "webm"), ("MPEG-4", "avi"), ("periodic intra refresh", "flv")]
CASES += [(name, "avi") for name in REFRESH if REFRESH[name][0] == "libx264"]
CASES = [case for case in CASES if case != ("VP9", "mov")]


@cache
def _film(name: str, suffix: str) -> tuple[Path, torch.Tensor]:
    """A file, and its frames as they decode from the start: a texture that wanders, under a box that runs."""
    path = Path(tempfile.mkdtemp()) / f"a.{suffix}"
    codec, options = REFRESH[name]
    texture = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(FRAMES):
            picture = texture.copy()
            picture[20:60, (3 * number) % 90 :][:, :30] = (250, 200, 20)
            picture = np.ascontiguousarray(np.roll(picture, (number // 2, number), (0, 1)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        linear = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    return path, torch.from_numpy(linear).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_every_frame_alone(name, suffix):
    path, linear = _film(name, suffix)
    known = timeline(path)
    assert len(known) == len(linear) == FRAMES
    numbers = range(FRAMES) if "refresh" in name else range(0, FRAMES, 3)
    wrong = [i for i in numbers if not torch.equal(read_frames(path, [i], timeline(path))[0], linear[i])]
    assert wrong == []


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES),
    reads=st.lists(st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=6), min_size=1, max_size=3),
)
def test_any_order_of_access_with_one_timeline(case, reads):
    path, linear = _film(*case)
    known = timeline(path)
    for indices in reads:
        assert torch.equal(read_frames(path, indices, known), linear[indices])


def test_a_file_whose_key_frames_are_none_is_not_sought_again():
    path, linear = _film("periodic intra refresh", "mp4")
    known = timeline(path)
    assert torch.equal(read_frames(path, [30], known)[0], linear[30])
    assert known.torn
    assert torch.equal(read_frames(path, [25, 7], known), linear[[25, 7]])


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mkv", "libx264", {"bf": "0", "g": "7"}),
        ("mkv", "libx264", {"bf": "3", "g": "8"}),
        ("webm", "libvpx", {"g": "7"}),
        ("flv", "libx264", {"bf": "0", "g": "7"}),
    ],
)
@pytest.mark.parametrize("fps", [1200, 2000, 5000])
def test_frames_of_one_millisecond_are_told_by_their_order(tmp_path, suffix, codec, options, fps):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"threads": "1", "crf": "5", **options})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for number in range(45):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 4 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        linear = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    whole = torch.from_numpy(linear).permute(0, 3, 1, 2)
    known = timeline(path)
    assert len(known) == len(whole) == 45
    for number in range(45):
        assert torch.equal(read_frames(path, [number])[0], whole[number]), number
    assert torch.equal(read_frames(path, [40, 3, 4, 3, 5], known), whole[[40, 3, 4, 3, 5]])
    # the rate is constant, for all that the clock is coarse
    assert known.at_equal_times(range(45)) == list(range(45))

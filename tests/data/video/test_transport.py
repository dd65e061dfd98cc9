"""Transport streams of several parts: what decodes is read, and what would be left out is said."""

import io

import av
import numpy as np
import pytest

from spikereel.data.video.read import probe, read_frames, timeline
from spikereel.errors import DataError

QUALITY = {
    "libx264": {"crf": "8", "g": "10"},
    "mpeg2video": {"g": "10"},
    "libx265": {"x265-params": "log-level=none:crf=8:keyint=10"},
}


def _part(first: int, *, count: int = 20, codec: str = "libx264", start: int = 0, **muxer: str) -> bytes:
    """Frame i of the film, from `first` on, is grey of level 20 + 3 i."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts", options=muxer) as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **QUALITY[codec]})
        stream.width = stream.height = 64
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 3 * (first + number), np.uint8), "rgb24")
            frame.pts = start + number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _numbers(path, indices) -> list[int]:
    return ((read_frames(path, indices).float().mean((1, 2, 3)) - 20) / 3).round().int().tolist()


OTHER = {"mpegts_start_pid": "300"}
JOINED = {
    "one clock from its start": [_part(0), _part(20)],
    "one clock going on": [_part(0), _part(20, start=20)],
    "clocks ahead and back": [_part(0, start=9000), _part(20, start=90_000), _part(40)],
    "MPEG-2": [_part(0, codec="mpeg2video"), _part(20, codec="mpeg2video")],
    "HEVC": [_part(0, codec="libx265"), _part(20, codec="libx265")],
    "another PID": [_part(0), _part(20, start=20, **OTHER)],
    "another PID and back": [_part(0), _part(20, **OTHER), _part(40)],
    "another PID of video and map": [_part(0), _part(20, mpegts_pmt_start_pid="100", **OTHER)],
    "M2TS": [_part(0, mpegts_m2ts_mode="1"), _part(20, mpegts_m2ts_mode="1", **OTHER)],
}


@pytest.mark.parametrize("name", JOINED)
def test_parts_are_read_as_one_with_a_note(tmp_path, name):
    path, count = tmp_path / "a.ts", 20 * len(JOINED[name])
    path.write_bytes(b"".join(JOINED[name]))
    info, known = probe(path), timeline(path)
    assert info.frames == len(known) == count
    assert _numbers(path, range(count)) == list(range(count))
    assert _numbers(path, [count - 1, 21, 3]) == [count - 1, 21, 3]
    assert f"joined of {len(JOINED[name])} parts" in info.notes[0]
    assert (info.fps, info.seconds) == (25.0, count / 25)
    assert known.at_equal_times(range(count)) == list(range(count))


@pytest.mark.parametrize("pid", ["256", "300"])
def test_another_codec_on_the_way_is_said(tmp_path, pid):
    path = tmp_path / "a.ts"
    first = _part(0)
    path.write_bytes(first + _part(20, codec="mpeg2video", mpegts_start_pid=pid))
    with pytest.raises(DataError, match=r"another stream begins at byte .*, MPEG-2 after H.264, and would be left out"):
        probe(path)


def test_packets_that_are_missing_are_damage_still(tmp_path):
    path = tmp_path / "a.ts"
    content = _part(0, count=40)
    at = len(content) // 2 // 188 * 188
    path.write_bytes(content[:at] + content[at + 5 * 188 :])
    for read in (probe, timeline):
        with pytest.raises(DataError, match="damaged"):
            read(path)


def test_two_programmes_at_once_are_not_parts_of_one(tmp_path):
    path = tmp_path / "a.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        streams = []
        for size in (32, 96):
            stream = container.add_stream("libx264", rate=25, options={"threads": "1", "g": "5"})
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for number in range(12):
            for stream in streams:
                picture = np.full((stream.height, stream.width, 3), 10 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    info = probe(path)
    assert (info.frames, info.width, info.notes) == (12, 32, ())
    assert info.assumed is not None
    assert info.assumed.streams == "1 of 2"

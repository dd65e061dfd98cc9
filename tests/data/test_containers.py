"""Declared sizes: complete files miss nothing, cut ones miss exactly what was cut."""

import pytest

from spikereel.data.containers import missing_bytes

FORMATS = [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.webm", "libvpx")]


@pytest.mark.parametrize(("name", "codec"), FORMATS)
@pytest.mark.parametrize("cut", [0, 1, 300])
def test_missing_is_what_was_cut(make_video, name, codec, cut):
    path = make_video(name, codec=codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    assert missing_bytes(path) == cut


def test_cut_in_the_middle(make_video):
    path = make_video(index_first=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert missing_bytes(path) == len(content) - len(content) // 2


def test_large_and_open_ended_boxes(tmp_path):
    path = tmp_path / "a.mp4"
    head = b"\x00\x00\x00\x08ftyp"
    large = b"\x00\x00\x00\x01mdat" + (116).to_bytes(8, "big")
    path.write_bytes(head + large + bytes(60))
    assert missing_bytes(path) == 40
    path.write_bytes(head + b"\x00\x00\x00\x00mdat" + bytes(60))  # size 0: to the end of the file
    assert missing_bytes(path) == 0


def test_rows_of_riff_chunks(tmp_path):
    path = tmp_path / "a.avi"
    chunk = b"RIFF" + (20).to_bytes(4, "little") + b"AVI " + bytes(16)
    path.write_bytes(chunk + chunk)
    assert missing_bytes(path) == 0
    path.write_bytes((chunk + chunk)[:-5])
    assert missing_bytes(path) == 5
    path.write_bytes(chunk + b"trailing rubbish")
    assert missing_bytes(path) == 0


def test_unknown_size_is_no_promise(tmp_path):
    path = tmp_path / "live.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(9))
    assert missing_bytes(path) == 0
    path.write_bytes(b"\x1a\x45\xdf\xa3")
    assert missing_bytes(path) == 0


@pytest.mark.parametrize("content", [b"", b"x", b"RIFF", b"some text, not a video at all", bytes(100)])
def test_other_content_promises_nothing(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert missing_bytes(path) == 0

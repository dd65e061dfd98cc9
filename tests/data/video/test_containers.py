"""Declared sizes: complete files miss nothing, cut ones miss exactly what was cut."""

import pytest
import torch

from spikereel.data.video.containers import missing_bytes
from spikereel.data.video.matroska import matroska_break
from spikereel.data.video.read import probe, read_frames
from spikereel.errors import DataError

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


@pytest.mark.parametrize("cut", [1, 100, 187])
def test_a_ts_file_is_a_row_of_packets(make_video, cut):
    path = make_video("a.ts", codec="mpeg2video")
    content = path.read_bytes()
    assert missing_bytes(path) == 0
    path.write_bytes(content[:-cut])
    assert missing_bytes(path) == cut
    path.write_bytes(content[:-188])
    assert missing_bytes(path) == 0


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx")])
def test_the_chain_of_matroska(make_video, name, codec):
    path = make_video(name, codec=codec, frames=20)
    content = path.read_bytes()
    assert matroska_break(path) is None
    middle = len(content) // 2
    for damaged in (content[:middle] + content[middle + 9 :], content[:middle] + b"nine more" + content[middle:]):
        path.write_bytes(damaged)
        at = matroska_break(path)
        # an element that lost bytes ends where the whole file did
        assert middle <= at <= max(len(damaged), len(content))
        with pytest.raises(DataError, match=f"is damaged at byte {at}|is cut short"):
            probe(path)
    path.write_bytes(content[:-1])
    assert matroska_break(path) == len(content)


def test_live_matroska_has_parts_of_unknown_size(tmp_path):
    path = tmp_path / "live.webm"
    unknown = b"\x01" + b"\xff" * 7
    cluster = b"\x1f\x43\xb6\x75" + unknown + b"\xe7\x81\x00" + b"\xa3\x85\x81\x00\x00\x80\x00"
    content = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67" + unknown + cluster + cluster
    path.write_bytes(content)
    assert matroska_break(path) is None
    path.write_bytes(content[:-1])
    assert matroska_break(path) == len(content)
    path.write_bytes(content + bytes(3))
    assert matroska_break(path) == len(content)
    path.write_bytes(content + cluster[:8])  # the file ends inside a length
    assert matroska_break(path) == len(content)


def test_other_files_have_no_such_chain(make_video):
    assert matroska_break(make_video()) is None


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "mpeg4"), ("a.webm", "libvpx")])
def test_a_laced_block_of_video_is_a_break(make_video, name, codec):
    path = make_video(name, codec=codec, frames=20)
    content = bytearray(path.read_bytes())
    at = content.index(b"\x81\x01\x68")  # track 1, 360 ms; the flags follow
    content[at + 3] |= 0b110
    path.write_bytes(content)
    assert at - 8 <= matroska_break(path) < at


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx")])
@pytest.mark.parametrize("track", [b"\x82", b"\x00", b"\x40\x02"])
def test_a_block_of_no_track_is_a_break(make_video, name, codec, track):
    path = make_video(name, codec=codec, frames=20)
    content = bytearray(path.read_bytes())
    at = content.index(b"\x81\x01\x68")  # track 1, 360 ms
    content[at : at + len(track)] = track
    path.write_bytes(content)
    assert at - 8 <= matroska_break(path) < at
    with pytest.raises(DataError, match="is damaged at byte"):
        probe(path)


@pytest.mark.parametrize("track", [b"\x81", b"\x82", b"\x83"])
def test_groups_of_blocks_are_looked_into(tmp_path, track):
    """Track 1 is of video and track 2 of sound, whose blocks alone may be laced, as this one is."""
    path = tmp_path / "a.mkv"
    tracks = b"".join(_part(b"\xae", _part(b"\xd7", bytes([i])) + _part(b"\x83", bytes([i]))) for i in (1, 2))
    group = _part(b"\xa0", _part(b"\x9b", b"\x05") + _part(b"\xa1", track + b"\x00\x00\x02\x00"))
    cluster = _part(b"\x1f\x43\xb6\x75", _part(b"\xe7", b"\x00") + group)
    head = b"\x1a\x45\xdf\xa3\x80"
    content = head + _part(b"\x18\x53\x80\x67", _part(b"\x16\x54\xae\x6b", tracks) + cluster)
    path.write_bytes(content)
    assert matroska_break(path) == (None if track == b"\x82" else content.index(group))
    path.write_bytes(content.replace(group, _part(b"\xa0", _part(b"\x9b", bytes(len(group) - 4)))))
    assert matroska_break(path) == content.index(group), "a group without a block"
    unknown = content.replace(content[5:10], b"\x18\x53\x80\x67\xff").replace(
        cluster, cluster[:4] + b"\xff" + cluster[5:]
    )
    path.write_bytes(unknown[: -len(group) + 5])
    assert matroska_break(path) == unknown.index(group), "the file ends in a group before its block"


def _part(kind, body):
    """An element of Matroska of less than 127 bytes."""
    return kind + bytes([0x80 | len(body)]) + body


def test_a_time_of_many_bytes_and_a_cluster_past_its_segment_are_breaks(make_video):
    path = make_video("a.mkv", frames=20)
    content = bytearray(path.read_bytes())
    at = content.index(b"\x81\x01\x68")
    block = content.rindex(b"\xa3", at - 8, at)
    content[block] = 0xE7
    path.write_bytes(content)
    assert matroska_break(path) == block
    content[block] = 0xA3
    cluster = content.index(b"\x1f\x43\xb6\x75")
    start = content.index(b"\x18\x53\x80\x67") + 4
    shorter = (1 << 56 | at - start - 8).to_bytes(8, "big")
    path.write_bytes(content[:start] + shorter + content[start + 8 :])
    assert matroska_break(path) == cluster


WHOLE = [
    ("first.mp4", "libx264", True),
    ("last.mp4", "libx264", False),
    ("a.mov", "libx264", False),
    ("a.mkv", "libx264", False),
    ("a.webm", "libvpx", False),
    ("a.avi", "mpeg4", False),
]


@pytest.mark.parametrize("tail", [bytes(300), b"\xff" * 100, b"<html>not found</html>" * 9, bytes(range(256)), b"abc"])
@pytest.mark.parametrize(("name", "codec", "index_first"), WHOLE)
def test_what_follows_a_complete_file_is_no_part_of_it(make_video, name, codec, index_first, tail):
    path = make_video(name, codec=codec, index_first=index_first)
    before, frames = probe(path), read_frames(path, [0, 7, 11])
    path.write_bytes(path.read_bytes() + tail)
    assert probe(path) == before
    assert torch.equal(read_frames(path, [0, 7, 11]), frames)


@pytest.mark.parametrize(("name", "codec", "index_first"), WHOLE)
def test_a_cut_file_is_never_whole(make_video, name, codec, index_first):
    path = make_video(name, codec=codec, frames=20, index_first=index_first)
    content = path.read_bytes()
    for part in range(60):
        cut = len(content) * part // 60
        path.write_bytes(content[:cut])
        with pytest.raises(DataError):
            probe(path)
        with pytest.raises(DataError):
            read_frames(path, [0])


def test_an_unknown_box_before_the_frames_is_a_box(tmp_path):
    path = tmp_path / "a.mp4"
    box = b"\x00\x00\x00\x40made" + bytes(24)
    path.write_bytes(b"\x00\x00\x00\x08ftyp" + b"\x00\x00\x00\x08moov" + box)
    assert missing_bytes(path) == 32
    path.write_bytes(b"\x00\x00\x00\x08ftyp" + b"\x00\x00\x00\x08moov" + b"\x00\x00\x00\x08mdat" + box)
    assert missing_bytes(path) == 0


def test_a_fragment_that_has_only_begun_is_cut(tmp_path):
    path = tmp_path / "a.mp4"
    boxes = b"".join(b"\x00\x00\x00\x08" + kind for kind in (b"ftyp", b"moov", b"moof", b"mdat"))
    path.write_bytes(boxes)
    assert missing_bytes(path) == 0
    path.write_bytes(boxes + b"\x00\x00\x00\x60mo")
    assert missing_bytes(path) == 2
    path.write_bytes(boxes + b"\x00\x00\x00\x08mfra" + bytes(3))
    assert missing_bytes(path) == 0


DECLARED = [
    ("a.flv", "flv", "yuv420p"),
    ("b.flv", "libx264", "yuv420p"),
    ("a.wmv", "wmv2", "yuv420p"),
    ("a.gif", "gif", "rgb8"),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), DECLARED)
def test_cut_flv_wmv_and_gif_are_refused(make_video, name, codec, pix_fmt):
    path = make_video(name, codec=codec, pix_fmt=pix_fmt, frames=20)
    content = path.read_bytes()
    assert missing_bytes(path) == 0
    assert probe(path).frames == 20
    cuts = {len(content) * part // 60 for part in range(1, 60)} | {len(content) - cut for cut in range(1, 40)}
    for at in sorted(cuts):
        path.write_bytes(content[:at])
        # FLV says nothing of a cut between two tags, and WMV has an index after the last frame.
        if missing_bytes(path) or name.endswith("gif"):
            with pytest.raises(DataError):
                probe(path)
        elif name.endswith("wmv"):
            assert _frames(path) in (0, 20)
        else:
            tag = int.from_bytes(content[at - 4 : at], "big")
            assert content[at - tag - 4] in (8, 9, 18)
            assert int.from_bytes(content[at - tag - 3 : at - tag], "big") == tag - 11


def _frames(path) -> int:
    try:
        return probe(path).frames
    except DataError:
        return 0


@pytest.mark.parametrize("tail", [bytes(300), b"\xff" * 100, b"<html>not found</html>" * 9])
@pytest.mark.parametrize(("name", "codec", "pix_fmt"), DECLARED)
def test_what_follows_flv_wmv_and_gif_is_no_part_of_them(make_video, name, codec, pix_fmt, tail):
    path = make_video(name, codec=codec, pix_fmt=pix_fmt)
    before = probe(path)
    path.write_bytes(path.read_bytes() + tail)
    assert probe(path) == before


def test_the_rest_of_a_tag_is_missing(tmp_path):
    path = tmp_path / "a.flv"
    tag = b"\x09\x00\x00\x05" + bytes(7) + b"12345" + (16).to_bytes(4, "big")
    content = b"FLV\x01\x01\x00\x00\x00\x09" + bytes(4) + tag + tag
    for cut, missing in ((0, 0), (3, 3), (9, 9), (19, 10 + 4), (20, 0), (23, 3)):
        path.write_bytes(content[: len(content) - cut])
        assert missing_bytes(path) == missing
    path.write_bytes(content[:5])
    assert missing_bytes(path) == 8


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx")])
def test_a_segment_that_says_it_ends_before_its_last_cluster_is_damaged(make_video, name, codec):
    path = make_video(name, codec=codec, frames=30, gop=5)
    content = path.read_bytes()
    start = content.index(b"\x18\x53\x80\x67") + 4
    last = content.rindex(b"\x1f\x43\xb6\x75")
    assert content[start] == 1  # a size of 8 bytes
    path.write_bytes(content[:start] + (1 << 56 | last - start - 8).to_bytes(8, "big") + content[start + 8 :])
    assert matroska_break(path) == last
    path.write_bytes(content + bytes(300))
    assert matroska_break(path) is None

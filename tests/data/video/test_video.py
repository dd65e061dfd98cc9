"""Reading video: true counts, the right frames, and one line of error for everything that is not a good video."""

import struct

import av
import numpy as np
import pytest
import torch

from spikereel.data.video.read import glance, probe, read_frames, sample_indices
from spikereel.errors import ConfigError, DataError

FORMATS = [
    ("a.mp4", "libx264", "yuv420p"),
    ("a.mov", "libx264", "yuv420p"),
    ("a.avi", "mpeg4", "yuv420p"),
    ("a.mkv", "libx264", "yuv420p"),
    ("a.webm", "libvpx", "yuv420p"),
    ("mj.avi", "mjpeg", "yuvj420p"),
    ("a.ts", "libx264", "yuv420p"),
    ("a.mpg", "mpeg2video", "yuv420p"),
]


def _grey(video: torch.Tensor) -> list[int]:
    """The number of each frame, from the level of its right half (see `make_video`)."""
    levels = video[..., video.shape[-1] // 2 + 4 :].float().mean(dim=(1, 2, 3))
    return ((levels - 20) / 10).round().int().tolist()


@pytest.mark.parametrize(("codec", "expected"), [("libaom-av1", "av1"), ("libsvtav1", "av1"), ("libx264", "h264")])
def test_the_codec_is_named_for_the_format(make_video, codec, expected):
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec}")
    assert probe(make_video(codec=codec)).codec == expected


def _refused(path, reason: str) -> None:
    for read in (probe, lambda p: read_frames(p, [0])):
        with pytest.raises(DataError, match=reason) as caught:
            read(path)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(f"{path}: ")
        assert ";" in message  # what is wrong; the way out


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), FORMATS)
def test_true_count_and_frames_of_every_format(make_video, name, codec, pix_fmt):
    path = make_video(name, codec=codec, pix_fmt=pix_fmt)
    info = probe(path)
    assert (info.frames, info.width, info.height, info.fps) == (12, 64, 48, 25.0)
    assert info.seconds == pytest.approx(0.48)
    video = read_frames(path, [11, 0, 3, 3])
    assert video.dtype == torch.uint8
    assert video.shape == (4, 3, 48, 64)
    assert _grey(video) == [11, 0, 3, 3]


def test_colours_are_rgb(tmp_path):
    path = tmp_path / "red.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        red = np.zeros((32, 32, 3), np.uint8) + np.array([230, 10, 20], np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        container.mux(stream.encode(None))
    assert read_frames(path, [0]).float().mean(dim=(0, 2, 3)).tolist() == pytest.approx([230, 10, 20], abs=6)


def test_one_frame_is_a_video(make_video):
    path = make_video(frames=1)
    assert probe(path).frames == 1
    assert read_frames(path, sample_indices(1, 4)).shape == (4, 3, 48, 64)


def test_gaps_in_time_are_no_damage(make_video):
    # AVI counts the 5 slots of the gap as frames: the header says 17.
    path = make_video("gap.avi", codec="mpeg4", gap_after=5)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 12
    assert probe(path).frames == 12


def test_missing_folder_and_empty(tmp_path):
    _refused(tmp_path / "absent.mp4", "no such file")
    _refused(tmp_path, "folder")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    _refused(empty, "empty")


@pytest.mark.parametrize(
    "content", [b"hello, this is text\n" * 50, bytes(5000), b"\x00\x00\x00\x18ftypmp42" + bytes(12)]
)
def test_what_is_not_video_whatever_its_name(tmp_path, content):
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    _refused(path, "video")


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _refused(path, "no video stream")


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), FORMATS[:-2])  # TS and MPEG declare no size
@pytest.mark.parametrize("share", [0.4, 0.7, 0.97])
@pytest.mark.parametrize("index_first", [False, True])
def test_cut_files_are_refused(make_video, name, codec, pix_fmt, share, index_first):
    path = make_video(name, codec=codec, pix_fmt=pix_fmt, frames=20, index_first=index_first and name == "a.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    _refused(path, "cut short, [0-9]+ bytes are missing")


def test_cut_at_the_border_of_a_frame(make_video):
    # No packet is partial here, and ffmpeg ends without an error: only the size of the box tells.
    path = make_video(index_first=True, frames=20)
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: sorted(starts)[12]])
    _refused(path, "cut short")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
@pytest.mark.parametrize("bytes_hit", [1, 60])  # one byte is concealed by the decoder, many make it fail
def test_damaged_frames_are_refused(make_video, name, codec, bytes_hit):
    path = make_video(name, codec=codec, frames=20, height=96, width=128)
    content = bytearray(path.read_bytes())
    for at in np.random.default_rng(0).integers(len(content) // 3, 2 * len(content) // 3, bytes_hit):
        content[at] ^= 0x5A
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|cannot be read"):
        probe(path)


@pytest.mark.parametrize(("gop", "reason"), [(100, "no frame of it can be"), (10, "only 1[01] of 17 frames can be")])
def test_frames_that_the_decoder_leaves_out_in_silence(make_video, tmp_path, gop, reason):
    # Without its first picture a stream decodes to nothing up to the next key frame, and ffmpeg does not complain.
    path = tmp_path / "headless.mp4"
    with av.open(str(make_video(frames=20, gop=gop))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and number >= 3:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(DataError, match=reason):
        probe(path)


def test_file_that_ends_inside_a_frame_is_refused_even_without_a_declared_size(make_video, monkeypatch):
    monkeypatch.setattr("spikereel.data.video.streams.missing_bytes", lambda path: 0)
    path = make_video(codec="mjpeg", pix_fmt="yuvj420p", frames=20, index_first=True)
    with av.open(str(path)) as container:
        at, size = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][10]
    path.write_bytes(path.read_bytes()[: at + size - 30])
    with pytest.raises(DataError, match="cut short or damaged at about frame 10"):
        probe(path)


def show_by(path, matrix):
    """Write a display matrix into an MP4 file."""
    content = bytearray(path.read_bytes())
    # tkhd, version 0: the 3 x 3 matrix of 16.16 numbers starts 44 bytes after the type
    at = content.index(b"tkhd") + 44
    a, b, c, d = (round(value * 65536) for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_rotation_is_honoured(make_video, matrix, turns):
    path = make_video()
    upright = read_frames(path, [3])
    show_by(path, matrix)
    info = probe(path)
    assert (info.width, info.height) == ((64, 48) if turns == 2 else (48, 64))
    assert torch.equal(read_frames(path, [3]), torch.rot90(upright, turns, dims=(2, 3)))


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-1, 0, 0, 1), lambda x: x.flip(3)),
        ((1, 0, 0, -1), lambda x: x.flip(2)),
        ((0, 1, 1, 0), lambda x: x.transpose(2, 3)),
        ((0, -1, -1, 0), lambda x: x.transpose(2, 3).flip((2, 3))),
    ],
)
def test_mirrors_are_honoured(make_video, matrix, shown):
    path = make_video()
    upright = read_frames(path, [3])
    show_by(path, matrix)
    assert torch.equal(read_frames(path, [3]), shown(upright))
    assert (probe(path).height, probe(path).width) == shown(upright).shape[2:]


def test_odd_rotation_is_refused(make_video):
    path = make_video()
    show_by(path, (0.70710678, 0.70710678, -0.70710678, 0.70710678))
    _refused(path, "rotated")


def test_an_edit_list_hides_frames_and_is_no_damage(make_video):
    # What phones write when a clip is trimmed: the header counts 20 frames, fewer are shown.
    path = make_video(frames=20)
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 12
    (duration,) = struct.unpack(">I", content[at : at + 4])
    content[at : at + 4] = struct.pack(">I", duration // 2)
    path.write_bytes(content)
    assert probe(path).frames == 10


def test_indices_out_of_range(make_video):
    path = make_video()
    with pytest.raises(DataError, match="has 12 frames, frame 12"):
        read_frames(path, [0, 12])
    for indices in ([], [-1]):
        with pytest.raises(ConfigError, match="indices"):
            read_frames(path, indices)
    assert _grey(read_frames(path, torch.tensor([2, 1]))) == [2, 1]


def test_sampling_gives_the_papers_examples():
    expected = [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]
    assert sample_indices(164, 16, stride=4, clip=0, clips=5) == expected
    assert sample_indices(40, 16, stride=4) == [*expected[:10], 39, 39, 39, 39, 39, 39]


def test_sampling_views():
    # delta = 164 - 64 = 100; views start at 0, 25, 50, 75, 100; one view alone at 50.
    starts = [sample_indices(164, 16, stride=4, clip=clip, clips=5)[0] for clip in range(5)]
    assert starts == [0, 25, 50, 75, 100]
    assert sample_indices(164, 16, stride=4, clip=4, clips=5)[-1] == 163
    assert sample_indices(164, 16, stride=4)[0] == 50
    assert sample_indices(164, 16, stride=4, start=7)[0] == 7


def test_sampling_the_whole_video():
    assert sample_indices(9, 5) == [0, 2, 4, 6, 8]
    assert sample_indices(8, 8) == list(range(8))
    assert sample_indices(3, 8) == [0, 0, 0, 0, 1, 1, 1, 2]
    assert sample_indices(10, 1) == [0]
    assert sample_indices(1, 4, stride=4) == [0, 0, 0, 0]


def test_random_starts_are_seeded_and_cover_the_range():
    def starts(seed):
        generator = torch.Generator().manual_seed(seed)
        return [sample_indices(50, 4, stride=2, generator=generator)[0] for _ in range(300)]

    assert starts(0) == starts(0) != starts(1)
    assert min(starts(0)) == 0
    assert max(starts(0)) in (40, 41)


@pytest.mark.parametrize(
    "arguments",
    [
        {"total": 0, "frames": 4},
        {"total": 9, "frames": 0},
        {"total": 9, "frames": 2, "stride": 0},
        {"total": 9, "frames": 2, "stride": 1, "clip": 2, "clips": 2},
        {"total": 9, "frames": 2, "clips": 3},
        {"total": 9, "frames": 2, "start": 3},
    ],
)
def test_sampling_refuses(arguments):
    with pytest.raises(ConfigError):
        sample_indices(**arguments)


@pytest.mark.realdata
def test_no_real_file_is_refused(real_data):
    counts = {p.name: probe(p).frames for p in sorted(real_data.glob("video_zoo/*"))}
    assert sorted(counts.values()) == [32, 103, 164, 280, 300]
    clips = [probe(path) for path in sorted(real_data.glob("ut_interaction_set1/*.avi"))]
    assert len(clips) == 60
    assert all(info.codec == "mpeg4" and info.fps == 30.0 and 52 <= info.frames <= 183 for info in clips)


@pytest.mark.realdata
def test_real_files_cut_anywhere_are_refused(real_data, tmp_path):
    for path in [*real_data.glob("video_zoo/*"), real_data / "ut_interaction_set1" / "0_1_4.avi"]:
        content = path.read_bytes()
        for share in (0.3, 0.6, 0.99):
            cut = tmp_path / f"cut{path.suffix}"
            cut.write_bytes(content[: int(len(content) * share)])
            _refused(cut, "cut short")


def test_an_index_that_points_out_of_the_file_is_damage(make_video):
    # ffmpeg drops all frames from the first of impossible size on, and says nothing.
    path = make_video(frames=20)
    content = bytearray(path.read_bytes())
    at = content.index(b"stsz") + 16 + 4 * 12
    content[at : at + 4] = (0xA4000000).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(DataError, match="index is damaged at about frame 12"):
        probe(path)
    assert read_frames(path, [3]).shape == (1, 3, 48, 64)
    with pytest.raises(DataError, match=r"has 12 frames|index is damaged"):
        read_frames(path, [15])


@pytest.mark.parametrize(
    ("box", "offset", "value", "frames"),
    [
        ("stsz", 16 + 4, 0xA4000000, 1),  # the size of the second frame
        ("stts", 16, 0xAF000200, 1),  # how long each frame is shown
        ("mdhd", 0, int.from_bytes(b"mdxd"), None),  # no time base
        ("elst", 12, 40, None),  # no damage: a clip trimmed to a single frame
    ],
)
def test_an_index_of_fewer_frames_than_promised(make_video, box, offset, value, frames):
    path = make_video(codec="mpeg4", frames=20)
    content = bytearray(path.read_bytes())
    at = content.index(box.encode()) + offset
    content[at : at + 4] = value.to_bytes(4, "big")
    path.write_bytes(content)
    if box == "elst":
        assert probe(path).frames == 1
        return
    with pytest.raises(DataError, match=f"index is damaged at about frame {frames or ''}"):
        probe(path)


def test_frames_of_avi_that_only_the_index_knows(make_video):
    path = make_video("a.avi", codec="mpeg4", frames=30)
    content = bytearray(path.read_bytes())
    at = 0
    for number in range(16):
        at = content.index(b"00dc", at) + 4
        if number >= 10:
            content[at - 4 : at + 4] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"only \d+ of 30 frames can be decoded"):
        probe(path)


def test_another_stream_that_begins_in_the_middle(make_video):
    path = make_video("a.ts", codec="mpeg2video", frames=30, height=64, width=96)
    content = bytearray(path.read_bytes())
    last = max(at for at in range(0, len(content), 188) if content[at + 1 : at + 3] == b"\x41\x00")
    content[last + 2] = 0xE8  # the packet is of another stream
    path.write_bytes(content)
    for read in (glance, probe):
        with pytest.raises(DataError, match="another stream begins in the middle"):
            read(path)

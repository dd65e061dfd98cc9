"""Times of frames without decoding, clips of long files, variable rates, and pictures of every kind."""

import time
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from spikereel.data.sets.folder import VideoFolder
from spikereel.data.transforms import EvalTransform
from spikereel.data.video import read as video
from spikereel.data.video.clip import Reading
from spikereel.data.video.index import _indexed
from spikereel.data.video.read import glance, probe, read_frames, timeline
from spikereel.data.video.streams import opened


def _grey(clip: torch.Tensor) -> list[int]:
    """The number of each frame, from the level of its right half (see `make_video`)."""
    return ((clip[..., clip.shape[-1] // 2 + 4 :].float().mean(dim=(1, 2, 3)) - 20) / 10).round().int().tolist()


def _repeated(source, path, times: int) -> None:
    """The packets of a short video without B-frames, over and over: a long file that costs no encoding."""
    with av.open(str(source)) as file:
        packets = [(bytes(x), x.is_keyframe) for x in file.demux(video=0) if x.size]
    with av.open(str(source)) as file, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(file.streams.video[0])
        for number in range(times * len(packets)):
            content, key = packets[number % len(packets)]
            packet = av.Packet(content)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 5), key
            packet.pts = packet.dts = number
            packet.duration = 1
            target.mux(packet)


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Grows by one with every frame that is decoded."""
    seen, decode = [], video.decoded

    def counted(path, stream, *options):
        for frame in decode(path, stream, *options):
            seen.append(frame.pts)
            yield frame

    monkeypatch.setattr(video, "decoded", counted)
    return seen


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_two_hours_cost_no_more_than_a_clip(make_video, tmp_path, decoded, suffix):
    short = make_video(f"short.{suffix}", codec="mpeg4", frames=20, gop=20, fps=10)
    path = tmp_path / f"long.{suffix}"
    _repeated(short, path, 1800)
    known = timeline(path)
    assert len(known) == 36_000
    started = time.perf_counter()
    clip = read_frames(path, [35_983, 35_987, 35_999], known)
    assert time.perf_counter() - started < 1
    assert _grey(clip) == [3, 7, 19]
    assert len(decoded) <= 20
    decoded.clear()
    assert _grey(read_frames(path, [*range(5, 36_000, 6_000)], known)) == [5] * 6
    assert len(decoded) <= 6 * 20


def test_the_index_of_a_long_mp4_is_read_at_once(make_video, tmp_path):
    path = tmp_path / "long.mp4"
    _repeated(make_video(codec="mpeg4", frames=20, gop=20, fps=10), path, 1800)
    started = time.perf_counter()
    assert isinstance(timeline(path).times, range)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")]
)
@pytest.mark.parametrize("gop", [4, 12])
def test_frames_sought_are_those_counted_from_the_start(make_video, decoded, name, codec, gop):
    path = make_video(name, codec=codec, frames=23, gop=gop)  # libx264 writes B-frames
    known = timeline(path)
    assert known.exact
    for number in range(0, 23, 2):
        sought, counted = (
            video._sought(path, [number], known.times, video._upright),
            video._counted(path, [number], known, video._upright),
        )
        assert torch.equal(sought[number], counted[number])
    decoded.clear()
    assert _grey(read_frames(path, [22, 2, 13])) == [22, 2, 13]
    assert len(decoded) <= 23


@pytest.mark.parametrize("suffix", ["ts", "mpg", "avi"])
def test_files_without_index_or_true_times_are_decoded_from_the_start(make_video, suffix):
    path = make_video(f"a.{suffix}", codec="mpeg2video", frames=23, gop=4)
    known = timeline(path)
    assert len(known) == 23
    for _ in range(2):
        assert _grey(read_frames(path, [22, 2, 13], known)) == [22, 2, 13]


def _program_stream(path, frames: int = 60) -> None:
    """A little square that moves over a still picture: most frames are far smaller than a pack of 2 KB."""
    picture = np.full((96, 128, 3), 90, np.uint8)
    with av.open(str(path), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg1video", rate=25, options={"bf": "2", "g": "15"})
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 96, 128, "yuv420p", 50_000
        for number in range(frames):
            shown = picture.copy()
            shown[20:40, 2 * number : 2 * number + 8] = 250
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("suffix", ["mpg", "mpeg", "vob"])
def test_program_streams_give_every_frame_of_linear_decoding(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    _program_stream(path)
    with av.open(str(path)) as container:
        linear = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    known = timeline(path)
    assert len(known) == len(linear) == 60
    assert not known.exact
    whole = torch.from_numpy(linear).permute(0, 3, 1, 2)
    for number in range(60):
        assert torch.equal(read_frames(path, [number])[0], whole[number]), number
        assert torch.equal(read_frames(path, [number], known)[0], whole[number]), number


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.mp4", "libx264")])
def test_the_rate_of_variable_rate_is_that_of_the_times(make_video, name, codec):
    # 12 frames in 17 steps of 40 ms, in a file that is marked as one of 25 frames a second.
    info, known = glance(path := make_video(name, codec=codec, gap_after=5))
    assert info.seconds == pytest.approx(17 / 25, abs=0.002)
    assert info.fps == pytest.approx(12 * 25 / 17, abs=0.1)
    assert info == probe(path)
    assert len(known) == 12


def test_the_rate_of_mpeg_in_ts_is_that_of_the_times(make_video):
    info, _ = glance(path := make_video("a.ts", codec="mpeg1video", frames=40))
    assert (info.fps, info.seconds) == (25.0, 1.6)
    assert info == probe(path)


@pytest.mark.parametrize("empty", [False, True])
def test_an_index_of_avi_is_believed_only_without_packets_of_a_byte(tmp_path, empty):
    # the 300th of 601 is none of the entries that are looked at in an MP4
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=32, height=32, options={"bf": "0"})
        for number in range(601):
            if empty and number == 300:
                packet = av.Packet(b"\x7f")
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, 300, 300, Fraction(1, 25)
                container.mux(packet)
                continue
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 200, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    with opened(tmp_path / "a.avi") as stream:
        assert len(stream.index_entries) == stream.frames == 601
        assert (_indexed(stream) is None) == empty


CONSTANT = [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx")]


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1001), Fraction(24_000, 1001), Fraction(60)])
@pytest.mark.parametrize(
    ("name", "codec", "frames"),
    [
        *((name, codec, n) for name, codec in CONSTANT for n in (1, 2, 47)),
        ("a.ts", "libx264", 47),  # of one or two frames ffmpeg takes the rate of fields
        ("a.mpg", "mpeg2video", 47),
    ],
)
def test_constant_rate_is_the_one_stated(make_video, name, codec, fps, frames):
    info, _ = glance(path := make_video(name, codec=codec, frames=frames, fps=fps))
    assert (info.fps, info.seconds) == (float(fps), frames / float(fps))
    assert info == probe(path)


def test_an_index_that_misleads_is_found_out(make_video):
    path = make_video(frames=20, gop=4)
    wrong = video.Timeline(range(7, 20 * 512 + 7, 512), exact=True)
    assert video._sought(path, [13], wrong.times, video._upright) is None
    assert _grey(read_frames(path, [13], wrong)) == [13]
    assert video._sought(path, [13], wrong.marks, video._upright) is not None


def test_damage_elsewhere_does_not_matter_and_damage_here_does(make_video):
    path = make_video("a.mkv", codec="mpeg4", frames=20, gop=5, height=96, width=128)
    with av.open(str(path)) as container:
        places = [(x.pos, x.size) for x in container.demux(video=0) if x.size]
    content = bytearray(path.read_bytes())
    at, size = places[7]
    content[at + size // 3 : at + size - 8] = bytes(size - 8 - size // 3)
    path.write_bytes(content)
    assert _grey(read_frames(path, [17])) == [17]
    for number in (8, 9):
        with pytest.raises(video.DataError, match="damaged"):
            read_frames(path, [number])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_variable_rate_is_sampled_by_time(make_video, suffix):
    # Frames 0 to 5 at 0 to 5, and 6 to 11 at 11 to 16: frame i of 12 stands for the instant 16 i / 11.
    path = make_video(f"a.{suffix}", codec="mpeg4", gap_after=5)
    known = timeline(path)
    assert len(known) == probe(path).frames == 12
    assert known.at_equal_times(range(12)) == [0, 1, 2, 4, 5, 5, 5, 5, 6, 8, 9, 11]
    data = VideoFolder(_in_class(path), Reading(frames=12, transform=EvalTransform(size=16, mean=0, std=1)))
    levels = (data[0][0][..., 12:].mean(dim=(1, 2, 3)) * 255 - 20) / 10
    assert levels.round().int().tolist() == [0, 1, 2, 4, 5, 5, 5, 5, 6, 8, 9, 11]


def _in_class(path):
    folder = path.parent / "root" / "class"
    folder.mkdir(parents=True)
    path.rename(folder / path.name)
    return folder.parent


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_constant_rate_is_left_alone(make_video, name, codec):
    known = timeline(make_video(name, codec=codec, frames=40, fps=30))  # Matroska rounds to 33, 67, 100 ms
    assert known.at_equal_times(range(40)) == list(range(40))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size"),
    [
        ("ffv1", "gray", (48, 64)),
        ("libx264", "yuv420p10le", (48, 64)),
        ("ffv1", "gray10le", (48, 64)),
        ("ffv1", "gray16le", (37, 51)),
        ("ffv1", "yuv420p", (37, 51)),
        ("libx264", "yuv444p", (37, 51)),
        ("libx264", "yuv444p10le", (1, 3)),
    ],
)
def test_grey_ten_bits_and_odd_sizes(make_video, codec, pix_fmt, size):
    height, width = size
    path = make_video("a.mkv", codec=codec, pix_fmt=pix_fmt, height=height, width=width)
    info = probe(path)
    assert (info.frames, info.height, info.width) == (12, height, width)
    clip = read_frames(path, [11, 0, 4])
    assert clip.shape == (3, 3, height, width)
    assert clip.dtype == torch.uint8
    if width > 8:
        assert _grey(clip) == [11, 0, 4]
    assert clip.float().std(dim=1).max() < 3  # no colour where there was none


@pytest.mark.realdata
def test_real_files_give_the_same_frames_either_way(real_data):
    for path in [*sorted(real_data.glob("video_zoo/*.mp4"))]:
        known = timeline(path)
        assert len(known) == probe(path).frames
        middle = len(known) // 2
        sought, counted = (
            video._sought(path, [middle], known.times, video._upright),
            video._counted(path, [middle], known, video._upright),
        )
        assert torch.equal(sought[middle], counted[middle])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_packets_that_become_no_frame_are_not_counted(make_video, tmp_path, suffix):
    # Without its first picture a stream decodes to nothing up to the next key frame.
    path = tmp_path / f"headless.{suffix}"
    with av.open(str(make_video(frames=24, gop=3))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[1:]:
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(path)) as file:
        assert sum(packet.size > 0 for packet in file.demux(video=0)) == 23
    assert len(timeline(path)) == probe(path).frames == glance(path)[0].frames == 22
    assert _grey(read_frames(path, range(22)))[1:] == list(range(3, 24))
    with pytest.raises(video.DataError, match="has 22 frames"):
        read_frames(path, [22])


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_a_glance_says_what_decoding_all_says_and_decodes_one_frame(make_video, decoded, name, codec):
    path = make_video(name, codec=codec)
    info, known = glance(path)
    assert len(decoded) == 1
    assert info == probe(path)
    assert len(known) == 12


def _moving_edge(path, codec: str, options: dict[str, str]) -> None:
    """24 frames, B-frames among them."""
    still = np.full((48, 64, 3), 120, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for i in range(24):
            still[:, : 2 * i] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(still, format="rgb24")))
        container.mux(stream.encode(None))


X264 = {"bf": "3", "b-pyramid": "none", "b-adapt": "0"}


def test_frames_that_no_other_needs_are_left_out(tmp_path, decoded):
    path = tmp_path / "still.mp4"
    _moving_edge(path, "libx264", X264)
    whole = read_frames(path, range(24))
    decoded.clear()
    assert torch.equal(read_frames(path, [2, 21]), whole[[2, 21]])
    assert len(decoded) < 12


@pytest.mark.parametrize(
    ("codec", "options", "most"),
    [
        ("libx264", X264, 14),
        ("libx264", X264 | {"b-pyramid": "normal"}, 18),
        ("mpeg4", {"bf": "2"}, 14),
        ("mpeg2video", {"bf": "2"}, 14),
    ],
)
def test_avi_with_b_frames_is_decoded_in_full_once(tmp_path, decoded, codec, options, most):
    path = tmp_path / "still.avi"
    _moving_edge(path, codec, options)
    known = timeline(path)
    assert not known.exact
    whole = read_frames(path, range(24), known)
    assert len(set(map(bytes, whole.numpy()))) == 24
    for number in range(24):
        decoded.clear()
        assert torch.equal(read_frames(path, [number], known)[0], whole[number])
        assert len(decoded) <= number + 1
    decoded.clear()
    assert torch.equal(read_frames(path, [23, 2, 2], known), whole[[23, 2, 2]])
    assert len(decoded) < most


def test_marks_that_mislead_are_found_out(tmp_path):
    path = tmp_path / "still.avi"
    _moving_edge(path, "mpeg4", {"bf": "2"})
    whole = read_frames(path, range(24))
    known = timeline(path)
    known.marks[:] = range(1000, 1024)
    assert torch.equal(read_frames(path, [5, 20], known), whole[[5, 20]])


@pytest.mark.realdata
def test_real_avi_gives_the_same_frames_with_b_frames_left_out(real_data, decoded):
    """XviD among them, which packs two frames into one packet."""
    paths = sorted(real_data.glob("ut_interaction_set1/*_1_*.avi"))[::3] + sorted(real_data.glob("video_zoo/*.avi"))
    shares = []
    for path in paths:
        known = timeline(path)
        numbers = list(range(len(known)))
        shrunk = {"each": lambda frame: frame[..., ::4, ::4]}
        whole = read_frames(path, numbers, video.Timeline(known.times, exact=False), **shrunk)
        read_frames(path, numbers[-1:], known)  # learns the marks
        for start in (0, 5):
            decoded.clear()
            assert torch.equal(read_frames(path, numbers[start::9], known, **shrunk), whole[start::9])
            shares.append(len(decoded) / len(known))
    assert max(shares) < 0.8


def test_what_is_done_to_each_frame_is_done_in_the_order_asked_for(make_video):
    path = make_video()
    shrunk = read_frames(path, [7, 2, 7], each=lambda frame: frame[..., ::4, ::4])
    assert torch.equal(shrunk, read_frames(path, [7, 2, 7])[..., ::4, ::4])


@pytest.mark.realdata
def test_real_files_are_counted_alike_with_and_without_decoding(real_data):
    paths = sorted([*real_data.glob("ut_interaction_set1/*.avi"), *real_data.glob("video_zoo/*")])
    assert len(paths) == 65
    for path in paths[::3]:
        assert glance(path)[0] == probe(path), path

"""Colours, shape, bits and streams: what is taken of a file, and what is said of it."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from PIL import Image, ImageOps, features

from spikereel.data.video.deep import deep, read_deep
from spikereel.data.video.read import probe, read_frames, timeline
from spikereel.data.video.rendering import Rendering
from spikereel.errors import DataError

HALVES = np.zeros((64, 96, 3), np.uint8)
HALVES[:, :48], HALVES[:, 48:] = (220, 40, 30), (30, 60, 210)


def _film(path: Path, *, picture=HALVES, aspect: Fraction | None = None, matrix: int | None = None, count=4, **options):
    codec, form = options.pop("codec", "libx264"), options.pop("pix_fmt", "yuv420p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], form
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix:
            stream.codec_context.colorspace = matrix
        for _ in range(count):
            own = "rgb24" if picture.ndim == 3 else "gray16le"
            frame = av.VideoFrame.from_ndarray(picture, own)
            if matrix:
                frame = frame.reformat(format=form, dst_colorspace=matrix)
                frame.colorspace = matrix
            elif form != own:
                frame = frame.reformat(format=form)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(8, 9)])
def test_pixels_are_stretched_where_that_is_asked_for(tmp_path, suffix, aspect):
    path = _film(tmp_path / f"a.{suffix}", aspect=aspect)
    info = probe(path)
    assert (info.width, info.height, info.aspect) == (96, 64, aspect)
    assert info.assumed is not None
    assert info.assumed.aspect == f"{aspect.numerator}:{aspect.denominator}"
    assert read_frames(path, [0]).shape == (1, 3, 64, 96)
    shown = read_frames(path, [0], rendering=Rendering(aspect="shown"))
    assert shown.shape == ((1, 3, 64, round(96 * aspect)) if aspect > 1 else (1, 3, round(64 / aspect), 96))


def test_the_matrix_is_that_of_the_file_or_what_is_asked_for(tmp_path):
    path = _film(tmp_path / "a.mp4", matrix=1, crf="1")
    tagged, other = (read_frames(path, [0], rendering=Rendering(colour=x)) for x in ("tagged", "bt601"))
    true = torch.from_numpy(HALVES).permute(2, 0, 1)[None].int()
    assert (tagged.int() - true)[..., 8:-8].abs().float().mean() < 3
    assert (other.int() - true)[..., 8:40].abs().float().mean() > 5
    assert torch.equal(read_frames(path, [0], rendering=Rendering(order="bgr")), tagged.flip(1))
    assert probe(path).assumed.matrix == "BT.709"
    assert probe(_film(tmp_path / "b.mp4")).assumed.matrix == "BT.601 (not stated)"


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_of_two_streams_the_default_one_is_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        streams = []
        for size in (32, 96):
            stream = container.add_stream("libx264", rate=10, options={"threads": "1"})
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        streams[0].disposition, streams[1].disposition = 0, Disposition.default
        for _ in range(6):
            for stream in streams:
                grey = np.full((stream.height, stream.width, 3), 90, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    info = probe(path)
    assert (info.width, info.assumed.streams) == (96, "2 of 2")
    assert read_frames(path, [3]).shape == (1, 3, 96, 96)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_of_an_animated_avif_the_track_is_read(tmp_path, mode):
    frames = []
    for number in range(8):
        picture = np.zeros((64, 96, len(mode)), np.uint8)
        picture[16:48, 8 + 6 * number : 40 + 6 * number, :3] = (220, 40, 40)
        picture[..., 3:] = 255
        frames.append(Image.fromarray(picture))
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=80)
    clip = read_frames(tmp_path / "a.avif", range(8))
    assert probe(tmp_path / "a.avif").frames == len(clip) == 8
    left = (clip[:, 0] > 120).float().mean(1).gt(0.3).int().argmax(1)
    assert (left - (8 + 6 * torch.arange(8))).abs().max() <= 2


DEPTHS = (1500 + np.arange(48 * 64, dtype=np.uint16)).reshape(48, 64)


@pytest.mark.parametrize(
    ("name", "codec", "form", "bits"),
    [
        ("a.mkv", "ffv1", "gray16le", 16),
        ("a.avi", "ffv1", "gray16le", 16),
        ("a.mov", "png", "gray16be", 16),
        ("a.mkv", "ffv1", "gray12le", 12),
    ],
)
def test_grey_of_many_bits_is_read_whole(tmp_path, name, codec, form, bits):
    path = tmp_path / name
    _film(path, picture=DEPTHS, codec=codec, pix_fmt=form)
    info = probe(path)
    assert deep(info)
    assert info.assumed.bits == bits
    depth = read_deep(path)
    assert (depth.shape, depth.dtype) == ((4, 48, 64), np.uint16)
    if bits == 16:
        assert np.array_equal(depth[2], DEPTHS)
    else:
        assert len(np.unique(depth)) == len(np.unique(DEPTHS >> 4))


def test_colour_is_no_depth(tmp_path):
    path = _film(tmp_path / "a.mp4")
    assert not deep(probe(path))
    with pytest.raises(DataError, match=r"is no depth.*8 bits of yuv420p"):
        read_deep(path)


def _jpeg(orientation: int) -> bytes:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[24:, :32], picture[:24, 32:] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", orientation
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize(("stated", "said"), [(0, "full (not stated)"), (1, "full (stated: limited)"), (2, "full")])
def test_grey_is_taken_as_it_is_and_said_to_be(tmp_path, stated, said):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "gray"
        stream.codec_context.color_range = stated
        frame = av.VideoFrame.from_ndarray(np.full((32, 64), 16, np.uint8), "gray")
        frame.color_range = stated
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert set(read_frames(tmp_path / "a.mkv", [0]).flatten().tolist()) == {16}
    assert probe(tmp_path / "a.mkv").assumed.range == said


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["", "avi", "mov", "mkv"])
def test_jpeg_frames_with_exif_are_upright(tmp_path, suffix, orientation):
    data = _jpeg(orientation)
    path = tmp_path / f"a.{suffix}" if suffix else tmp_path / "frames"
    if suffix:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            for number in range(4):
                packet = av.Packet(data)
                packet.pts = packet.dts = number
                packet.duration, packet.time_base, packet.stream = 1, Fraction(1, 10), stream
                packet.is_keyframe = True
                container.mux(packet)
    else:
        path.mkdir()
        for number in range(1, 5):
            (path / f"{number:05d}.jpg").write_bytes(data)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).astype(int)
    info = probe(path)
    assert (info.frames, info.height, info.width) == (4, *shown.shape[:2])
    clip = read_frames(path, [0, 3], timeline(path))
    assert np.abs(clip[1].permute(1, 2, 0).numpy().astype(int) - shown).mean() < 6


@pytest.mark.parametrize("rubbish", [b"", b"II*\x00", b"MM\x00*\x00\x00\x00\x08\xff\xff", b"no TIFF at all"])
def test_exif_that_cannot_be_read_loses_no_frame(tmp_path, rubbish):
    data = _jpeg(1)
    note = b"Exif\x00\x00" + rubbish
    (tmp_path / "00001.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note + data[2:])
    assert probe(tmp_path).frames == 1
    assert read_frames(tmp_path, [0]).shape == (1, 3, 48, 64)

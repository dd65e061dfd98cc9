"""How decoded frames become pictures, and what is assumed of them where the file does not say."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from spikereel.data.transforms import resize
from spikereel.data.video.orientation import Orientation

Colour = Literal["tagged", "bt601"]
Aspect = Literal["stored", "shown"]
Order = Literal["rgb", "bgr"]

_MATRIX = {0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 8: "YCgCo"}
_MATRIX |= {9: "BT.2020", 10: "BT.2020, constant luminance", 14: "ICtCp"}
_CONVERTED = frozenset({0, 1, 4, 5, 6, 7, 9})
"""Matrices that the conversion to RGB knows; others are taken for BT.601."""
_TRANSFER = {1: "BT.709", 4: "gamma 2.2", 5: "gamma 2.8", 6: "BT.601", 7: "SMPTE 240M", 8: "linear", 13: "sRGB"}
_TRANSFER |= {14: "BT.2020", 15: "BT.2020", 16: "PQ", 18: "HLG"}
_PRIMARIES = {1: "BT.709", 4: "BT.470 M", 5: "BT.601, 625 lines", 6: "BT.601, 525 lines", 7: "SMPTE 240M"}
_PRIMARIES |= {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
"""Numbers of ITU-T H.273, tables 2 to 4; 2 is not stated."""


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How decoded frames become pictures."""

    colour: Colour = "tagged"
    """YUV to RGB by the matrix that the file states, BT.601 where it states none; bt601: whatever it states, as OpenCV
    up to 4.12 does."""
    aspect: Aspect = "stored"
    """Pixels as they are stored, or stretched to the shape that players show."""
    order: Order = "rgb"
    """Of the channels; OpenCV gives blue first."""

    def picture(self, frame: VideoFrame) -> Tensor:
        """uint8 [H, W, 3], as it lies in the file."""
        # colours are converted by one thread: starting others takes longer than a frame
        if self.colour == "bt601" and not frame.format.is_rgb:
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24", threads=1, src_colorspace="ITU601"))
        else:
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24", threads=1))
        return pixels if self.order == "rgb" else pixels.flip(-1)

    def shaped(self, picture: Tensor, aspect: Fraction) -> Tensor:
        """A picture [H, W, 3] whose upright pixels have this aspect, stretched if that is asked for."""
        height, width = shown_size(*picture.shape[:2], aspect)
        if self.aspect == "stored" or (height, width) == picture.shape[:2]:
            return picture
        return resize(picture.permute(2, 0, 1)[None], height, width)[0].permute(1, 2, 0)


AS_STORED = Rendering()


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """How the pixels of a video are taken; "not stated" is said where that is a guess."""

    matrix: str
    """YUV to RGB."""
    range: str
    """Limited: black is 16 and white 235; full: 0 and 255."""
    transfer: str
    """Never converted: PQ and HLG look flat."""
    primaries: str
    """Never converted."""
    aspect: str
    """Width to height of a pixel, upright. Applied in what is drawn, and with data.aspect=shown."""
    rotation: str
    """Undone."""
    interlaced: bool
    """Frames stay combed."""
    bits: int
    """Of a channel; more than 8 are cut to the highest 8, but in depth."""
    grey: bool
    alpha: bool
    """Left out: the colours under it show."""
    streams: str
    """Which stream is read, of how many with pictures."""


def assumed_of(stream: VideoStream, frame: VideoFrame, how: Orientation) -> Assumed:
    """What is stated of the pixels of a frame, and what is taken where nothing is."""
    rgb, full = frame.format.is_rgb, frame.color_range == 2 or frame.format.name.startswith("yuvj")
    matrix, stated = int(frame.colorspace), _MATRIX.get(int(frame.colorspace))
    if rgb:
        named = "none, the file holds RGB"
    elif grey_of(frame):
        named = "none, the file holds grey"
    elif stated is None:
        named = "BT.601 (not stated)"
    else:
        named = stated if matrix in _CONVERTED else f"BT.601 (stated: {stated})"
    told = frame.color_range in (1, 2) or frame.format.name.startswith("yuvj")
    span = "full" if full or (rgb and not told) else "limited"
    if grey_of(frame) and not full:
        # ffmpeg takes grey as it is, whatever the file says
        span = "full (stated: limited)" if told else "full"
    aspect = upright_aspect(stated_aspect(stream), how)
    pictures = stream.container.streams.video
    return Assumed(
        matrix=named,
        range=span if told or rgb else f"{span} (not stated)",
        transfer=_TRANSFER.get(int(frame.color_trc), "BT.709 (not stated)"),
        primaries=_PRIMARIES.get(int(frame.color_primaries), "BT.709 (not stated)"),
        aspect=f"{aspect.numerator}:{aspect.denominator}" + ("" if stream.sample_aspect_ratio else " (not stated)"),
        rotation=str(how),
        interlaced=bool(frame.interlaced_frame),
        bits=bits_of(frame),
        grey=grey_of(frame),
        alpha=_has_alpha(frame) or stream.metadata.get("alpha_mode") == "1",
        streams=f"{[s.index for s in pictures].index(stream.index) + 1} of {len(pictures)}",
    )


def bits_of(frame: VideoFrame) -> int:
    """Bits of a channel."""
    return frame.format.components[0].bits


def grey_of(frame: VideoFrame) -> bool:
    """Whether a frame has no colour."""
    return frame.format.name.startswith(("gray", "ya", "mono"))


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components) or frame.format.has_palette


def stated_aspect(stream: VideoStream) -> Fraction:
    """Width to height of a pixel as it is stored; 1 where the file does not say, or says nonsense."""
    stated = stream.sample_aspect_ratio
    aspect = Fraction(stated) if stated and stated > 0 else Fraction(1)
    return aspect if Fraction(1, 16) <= aspect <= 16 else Fraction(1)


def upright_aspect(aspect: Fraction, how: Orientation) -> Fraction:
    """Width to height of a pixel of the upright picture."""
    return 1 / aspect if how.transposed else aspect


def shown_size(height: int, width: int, aspect: Fraction) -> tuple[int, int]:
    """Height and width that players show: the shorter side of a pixel is stretched, never the longer one shrunk."""
    if aspect >= 1:
        return height, max(round(width * aspect), 1)
    return max(round(height / aspect), 1), width

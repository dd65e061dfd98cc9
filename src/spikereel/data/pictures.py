"""Pictures and label masks from files, by Pillow: upright by their EXIF, the frame and its mask alike."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.augment import require_pillow
from spikereel.data.exif import exif_orientation, tiff_orientation
from spikereel.data.video.orientation import BY_EXIF, Orientation
from spikereel.errors import DataError

_GREY_ALPHA_16 = bytes([16, 4])
PICTURES = frozenset({".jpg", ".jpeg", ".png"})
"""Suffixes of pictures."""


def read_picture(path: Path) -> Tensor:
    """A picture as uint8 [3, H, W], RGB, upright; 16-bit grey by its high byte, as video readers do it.

    Raises DataError for a file that is none; ConfigError without Pillow.
    """
    return torch.from_numpy(_array(path, "RGB")).permute(2, 0, 1).contiguous()


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width, upright, from the head of the file. Raises as `read_picture`."""
    require_pillow("pictures")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            turned = _orientation(path, picture).transposed
            return (picture.width, picture.height) if turned else (picture.height, picture.width)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        # says what is wrong
        return read_picture(path).shape[1], read_picture(path).shape[2]


def read_grey(path: Path, side: int) -> np.ndarray:
    """A picture in grey, squeezed to a square: uint8 [side, side]. Raises as `read_picture`."""
    return _array(path, "L", (side, side))


def is_grey16(path: Path) -> bool:
    """Whether a file is a PNG of 16-bit grey, which a network that takes depth reads whole."""
    return path.suffix.lower() == ".png" and _png_kind(path) == bytes([16, 0])


def read_grey16(path: Path) -> np.ndarray:
    """Such a picture as uint16 [H, W]. Raises as `read_picture`."""
    return _array(path, None).astype(np.uint16)


def read_mask(path: Path) -> np.ndarray:
    """A mask as it is stored, upright: integers [H, W] of a grey or palette PNG, or colours uint8 [H, W, 3].

    What is transparent keeps its value. Raises DataError as `read_picture`, for pictures with losses, whose labels are
    not what they were, and for the one kind of PNG that Pillow cannot give as it is: 16 bits of grey with alpha.
    """
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: masks are PNG files; other formats change labels")
    mask = _array(path, None)
    if _png_kind(path) == _GREY_ALPHA_16:
        raise DataError(f"{path}: is a mask of 16-bit grey with alpha; save it without the alpha channel")
    if mask.ndim == 2:
        return mask
    return mask[..., 0] if mask.shape[-1] == 2 else mask[..., :3]


def _png_kind(path: Path) -> bytes:
    """Bits of a channel and type of colour (PNG specification, 11.2.1: the first chunk)."""
    with path.open("rb") as file:
        return file.read(26)[24:]


def _orientation(path: Path, picture: Any) -> Orientation:
    """How an open picture is to be turned; PNG may say it behind its pixels, where Pillow has not looked yet."""
    notes = picture.info.get("exif")
    if notes is None and picture.format == "PNG":
        return BY_EXIF[exif_orientation(path.read_bytes())]
    return BY_EXIF[tiff_orientation(notes or b"")]


def _array(path: Path, mode: str | None, size: tuple[int, int] | None = None) -> np.ndarray:
    require_pillow("pictures")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            how = _orientation(path, picture)
            if mode is not None and picture.mode.startswith("I"):
                # Pillow would make white of all above 255
                picture = Image.fromarray((np.array(picture) >> 8).clip(0, 255).astype(np.uint8))
            converted = picture if mode is None else picture.convert(mode)
            if size is not None:
                converted = converted.resize(size)
            return np.ascontiguousarray(how.upright(torch.from_numpy(np.array(converted))).numpy())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; copy it there, or leave out what belongs to it") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is no picture; copy it again") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}); copy it again") from None

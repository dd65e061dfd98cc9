"""Pictures and label masks from files, by Pillow."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikereel.data.augment import require_pillow
from spikereel.errors import DataError

PICTURES = frozenset({".jpg", ".jpeg", ".png"})
"""Suffixes of pictures."""


def read_picture(path: Path) -> Tensor:
    """A picture as uint8 [3, H, W], RGB. Raises DataError for a file that is none; ConfigError without Pillow."""
    return torch.from_numpy(_array(path, "RGB")).permute(2, 0, 1).contiguous()


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width, from the head of the file. Raises as `read_picture`."""
    require_pillow("pictures")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        # says what is wrong
        return read_picture(path).shape[1], read_picture(path).shape[2]


def read_grey(path: Path, side: int) -> np.ndarray:
    """A picture in grey, squeezed to a square: uint8 [side, side]. Raises as `read_picture`."""
    return _array(path, "L", (side, side))


def read_mask(path: Path) -> np.ndarray:
    """A mask as it is stored: integers [H, W] of a grey or palette PNG, or colours uint8 [H, W, 3].

    Raises DataError as `read_picture`, and for pictures with losses, whose labels are not what they were.
    """
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: masks are PNG files; other formats change labels")
    mask = _array(path, None)
    return mask[..., :3] if mask.ndim == 3 else mask


def _array(path: Path, mode: str | None, size: tuple[int, int] | None = None) -> np.ndarray:
    require_pillow("pictures")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            converted = picture if mode is None else picture.convert(mode)
            return np.array(converted if size is None else converted.resize(size))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; copy it there, or leave out what belongs to it") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is no picture; copy it again") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}); copy it again") from None

"""The native decoders, where the installation has them; the numpy ones beside each are their reference."""

import warnings
from typing import Any

import numpy as np

try:
    from spikereel.data.events import _decode  # ty: ignore
except ImportError:
    _decode = None

_VERSION = 2
"""Of what the module's functions take."""
_LONG_AGO = np.iinfo(np.int64).min


def native() -> Any:
    """The module, or None where it was not built. One of another version is warned of, and not used."""
    if _decode is not None and getattr(_decode, "version", 1) != _VERSION:
        warnings.warn(
            "the native decoders are of another version of spikereel, so event files are read more slowly; "
            "install spikereel again",
            stacklevel=2,
        )
        return None
    return _decode


def look(width: int, height: int) -> np.ndarray:
    """What the decoders keep of the events that they saw: the last time, whether all were in the order of their times
    and inside the sensor, and its size."""
    return np.array([_LONG_AGO, 1, width, height])


def sound(seen: np.ndarray) -> bool:
    """Whether all events that were looked at are good."""
    return bool(seen[1])

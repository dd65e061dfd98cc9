"""The native decoders, where the installation has them; the numpy ones beside each are their reference."""

from typing import Any

try:
    from spikereel.data.events import _decode  # ty: ignore
except ImportError:
    _decode = None


def native() -> Any:
    """The module, or None where it was not built."""
    return _decode

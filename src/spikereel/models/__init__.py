"""Architectures, one file each, and the import of published weights."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "to_binary":
        from spikereel.models.binary import to_binary

        return to_binary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The native part, where there is one."""

from typing import Any

from spikereel.errors import ConfigError

try:
    from spikereel.engine import _native  # ty: ignore
except ImportError:
    _native = None

ABI = 9
"""What this version calls; a module that was built for another one is not used."""
HOW = (
    "with a C++ compiler and the headers of Python at hand (Debian: g++ python3-dev) install anew from the clone or "
    "the sdist: pip install --no-deps --no-cache-dir --force-reinstall ."
)


def stale() -> str | None:
    """Why the native module is not that of this version of the package; None where it is, or where there is none."""
    found = getattr(_native, "ABI", None)
    if _native is None or found == ABI:
        return None
    return f"{_native.__file__} was built for another version of spikereel (ABI {found}, this one needs {ABI})"


def available() -> bool:
    """Whether this installation holds the native kernels, of this version."""
    return _native is not None and stale() is None


def native() -> Any:
    """The module of native kernels; ConfigError where the installation has none."""
    if _native is None:
        raise ConfigError(f"this installation has no native engine; {HOW}, or choose engine='reference'")
    if why := stale():
        raise ConfigError(f"{why}; {HOW}, or choose engine='reference'")
    return _native


def describe() -> str:
    """One line for `doctor`: the instruction set in use and those there are, or that there is none."""
    if _native is None:
        return f"none: {HOW}"
    if why := stale():
        return f"none: {why}; {HOW}"
    return f"{_native.instruction_set()} (of {', '.join(_native.instruction_sets())})"

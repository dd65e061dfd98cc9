"""The native part, where there is one."""

from typing import Any

from spikereel.errors import ConfigError

try:
    from spikereel.engine import _native  # ty: ignore
except ImportError:
    _native = None

HOW = "install with a C++ compiler at hand (pip install --force-reinstall --no-binary spikereel spikereel)"


def available() -> bool:
    """Whether this installation holds the native kernels."""
    return _native is not None


def native() -> Any:
    """The module of native kernels; ConfigError where the installation has none."""
    if _native is None:
        raise ConfigError(f"this installation has no native engine; {HOW}, or choose engine='reference'")
    return _native


def describe() -> str:
    """One line for `doctor`: the instruction set in use and those there are, or that there is none."""
    if _native is None:
        return f"none: {HOW}"
    return f"{_native.instruction_set()} (of {', '.join(_native.instruction_sets())})"

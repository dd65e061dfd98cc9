"""Optional parts of the installation."""

from importlib.util import find_spec

from spikereel.errors import ConfigError

EXTRAS = {"train": ("pytorch_lightning", "tensorboard"), "draw": ("matplotlib", "PIL"), "hub": ("huggingface_hub",)}


def missing(extra: str) -> list[str]:
    """Modules of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def need(extra: str) -> None:
    """ConfigError that names the extra where any of it is missing."""
    if absent := missing(extra):
        raise ConfigError(f"{', '.join(absent)} not installed; run: pip install 'spikereel[{extra}]'")

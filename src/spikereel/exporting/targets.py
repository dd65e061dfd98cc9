"""The table of targets: how a file of each is written and run, and what it may change."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError
from spikereel.exporting import executorch, nir, onnx, openvino, plain_c, program
from spikereel.exporting.contract import Contract


@dataclass(frozen=True)
class Target:
    """One row."""

    name: str
    suffix: str
    owner: Any
    """Its module, which has `write` and `read`."""
    extra: str | None
    """What has to be installed."""
    free_batch: bool
    """Whether one file takes any number of clips a batch."""
    title: str
    changes: str
    """What it may change, in words."""
    beside: tuple[str, ...] = ()
    """Suffixes of further files of the same stem."""

    @property
    def any_size(self) -> bool:
        """Whether one file can take frames of any size; runtimes that plan their memory beforehand cannot."""
        return self.name in ("onnx", "torch", "openvino")

    @property
    def write(self) -> Callable[..., None]:
        """(flat, contract, path, **options)."""
        return self.owner.write

    @property
    def read(self) -> Callable[..., tuple[Contract, onnx.Call, str]]:
        """(path, threads=) -> contract, call, what runs it."""
        return self.owner.read

    def files(self, path: Path) -> list[Path]:
        """All that is written, but for the certificate."""
        return [path, *(path.with_suffix(end) for end in self.beside)]


SUMS = "rounding of float32 sums"
RECIPROCAL = "rounding; division becomes a product with the reciprocal; without the float32 hint everything"
ABOVE = "rounding; a reader that fires at the threshold, not above it, has one number in 2^24 otherwise"

_ROWS = (
    Target("onnx", ".onnx", onnx, "export", True, "ONNX, run by ONNX Runtime", f"{SUMS}, in the order of the runtime"),
    Target("torch", ".pt2", program, None, True, "torch.export", "nothing but rounding of folded norms"),
    Target("openvino", ".xml", openvino, "openvino", True, "OpenVINO", RECIPROCAL, (".bin",)),
    Target("executorch", ".pte", executorch, "executorch", False, "ExecuTorch", SUMS),
    Target("c", ".spkc", plain_c, None, False, "C99, without dependencies", SUMS),
    Target("nir", ".nir", nir, "nir", True, "NIR", ABOVE),
)

TARGETS: dict[str, Target] = {row.name: row for row in _ROWS}


def target_of(name: str) -> Target:
    """A row. Raises ConfigError for a name that is not there."""
    if name not in TARGETS:
        raise ConfigError(f"nothing is exported to {name!r}; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def target_by_suffix(path: str | Path) -> Target | None:
    """The row of a file; None for one of no target."""
    return next((row for row in TARGETS.values() if Path(path).suffix == row.suffix), None)


def target_of_file(path: str | Path) -> Target:
    """The row of a file, by its suffix. Raises ConfigError for one of no target."""
    if row := target_by_suffix(path):
        return row
    known = ", ".join(f"{row.suffix} ({name})" for name, row in TARGETS.items())
    raise ConfigError(f"{path} is no exported model; they end in {known}")

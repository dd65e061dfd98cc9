"""The table of targets: how a file of each is written and run, and what it may change."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError
from spikereel.exporting import executorch, nir, onnx, openvino, plain_c, program
from spikereel.exporting.contract import Contract


@dataclass(frozen=True, kw_only=True)
class Target:
    """One row."""

    name: str
    title: str
    suffix: str
    write: Callable[..., None]
    """(flat, contract, path, **options)."""
    read: Callable[..., tuple[Contract, onnx.Call, str]]
    """(path, threads=) -> contract, call, what runs it."""
    extra: str | None
    """What has to be installed."""
    free_batch: bool
    """Whether one file takes any number of clips a batch."""
    changes: str
    """What it may change, in words."""
    beside: tuple[str, ...] = ()
    """Suffixes of further files of the same stem."""

    def files(self, path: Path) -> list[Path]:
        """All that is written, but for the certificate."""
        return [path, *(path.with_suffix(end) for end in self.beside)]


TARGETS: dict[str, Target] = {
    "onnx": Target(
        name="onnx",
        title="ONNX, run by ONNX Runtime",
        suffix=".onnx",
        write=onnx.write,
        read=onnx.read,
        extra="export",
        free_batch=True,
        changes="rounding of float32 sums, in the order of the runtime",
    ),
    "torch": Target(
        name="torch",
        title="torch.export",
        suffix=".pt2",
        write=program.write,
        read=program.read,
        extra=None,
        free_batch=True,
        changes="nothing but rounding of folded norms",
    ),
    "openvino": Target(
        name="openvino",
        title="OpenVINO",
        suffix=".xml",
        write=openvino.write,
        read=openvino.read,
        extra="openvino",
        free_batch=True,
        changes="rounding; division becomes a product with the reciprocal; without the float32 hint everything",
        beside=(".bin",),
    ),
    "executorch": Target(
        name="executorch",
        title="ExecuTorch",
        suffix=".pte",
        write=executorch.write,
        read=executorch.read,
        extra="executorch",
        free_batch=False,
        changes="rounding of float32 sums",
    ),
    "c": Target(
        name="c",
        title="C99, without dependencies",
        suffix=".spkc",
        write=plain_c.write,
        read=plain_c.read,
        extra=None,
        free_batch=False,
        changes="rounding of float32 sums",
    ),
    "nir": Target(
        name="nir",
        title="NIR",
        suffix=".nir",
        write=nir.write,
        read=nir.read,
        extra="nir",
        free_batch=True,
        changes="rounding; a reader that fires at the threshold, not above it, has one number in 2^24 otherwise",
    ),
}


def target_of(name: str) -> Target:
    """A row. Raises ConfigError for a name that is not there."""
    if name not in TARGETS:
        raise ConfigError(f"nothing is exported to {name!r}; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def target_of_file(path: str | Path) -> Target:
    """The row of a file, by its suffix. Raises ConfigError for one of no target."""
    for row in TARGETS.values():
        if Path(path).suffix == row.suffix:
            return row
    known: Any = ", ".join(f"{row.suffix} ({name})" for name, row in TARGETS.items())
    raise ConfigError(f"{path} is no exported model; they end in {known}")

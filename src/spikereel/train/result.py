"""What a run leaves behind."""

import dataclasses
from pathlib import Path
from typing import Any

from spikereel.runs.clips import DataPassport

BEST = "best.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run left behind."""

    folder: Path
    best: Path | None
    """Weights of the best validation, with configuration inside; None where the network never said anything."""
    last: Path
    monitor: str
    """Name of the figure that `best` has the best of."""
    value: float | None
    """None where there is no best."""
    history: list[dict[str, float]]
    passport: DataPassport
    """Of the training clips."""
    seconds: float
    forecast: dict[str, Any] | None = None
    """What a batch was expected to need, and what it needed, as in plan.json."""
    judged: Path | None = None
    """Weights that the figures are of, where the best were trained a second time, on all clips."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Files that data.on_error=skip left out, training or held out, each with its reason."""
    notes: tuple[str, ...] = ()
    """What is to be known about data and weights, a line each."""

    @property
    def top1(self) -> float:
        """Best validation accuracy of a classification, per cent."""
        assert self.monitor == "val_top1"
        assert self.value is not None
        return self.value

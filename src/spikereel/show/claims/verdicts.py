"""From figures to a verdict: results of benchmarks, what one says on a claim, and the rule."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spikereel.errors import ConfigError

Verdict = Literal["holds", "does not here", "open"]
Said = tuple[str, Verdict]
"""A sentence on a claim, and what it says."""

STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Factor of a 95 % interval of a mean, by number of values."""
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Finding:
    """What a measurement says on a claim."""

    text: str
    verdict: Verdict
    source: str
    """Name of the file in benchmarks/results."""
    command: str


class Results:
    """The newest result of every benchmark in a folder. Raises ConfigError for a folder without any."""

    def __init__(self, folder: Path):
        self._newest: dict[str, tuple[str, Path, dict[str, Any]]] = {}
        for path in sorted(folder.glob("*.json")):
            record = json.loads(path.read_text())
            name, date = record.get("benchmark", path.stem), record.get("date", "")
            if name not in self._newest or date >= self._newest[name][0]:
                self._newest[name] = date, path, record
        if not self._newest:
            raise ConfigError(f"no results in {folder}; give the folder benchmarks/results of a copy of the repository")

    def newest(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """File name and record of a benchmark; None where it was not run."""
        if name not in self._newest:
            return None
        _, path, record = self._newest[name]
        return path.name, record


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of paired differences, and half its 95 % interval; infinite for one value."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return mean, float("inf")
    factor = STUDENT[min(len(differences), max(STUDENT))]
    return mean, factor * statistics.stdev(differences) / len(differences) ** 0.5


def judge(differences: Sequence[float]) -> Verdict:
    """The verdict on "these are above zero"; see the head of this file."""
    mean, half = interval(differences)
    if len(differences) < LEAST_SEEDS:
        return "open"
    return "holds" if mean - half > 0 else "does not here"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several: what all say that are not open, and open where they disagree."""
    told = set(verdicts) - {"open"}
    return told.pop() if len(told) == 1 else "open"

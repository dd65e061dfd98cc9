"""Exported files: clips to compare them on, and `predict` through a foreign runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel.config import build
from spikereel.errors import ConfigError
from spikereel.exporting.run import Exported, open_export
from spikereel.exporting.targets import target_by_suffix
from spikereel.files import write_json
from spikereel.hub import load_model
from spikereel.inference.look import look
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.tasks import TASKS

BEST = 5


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer:
    """What an exported file says of one video."""

    path: str
    """The video; "clip" for a tensor."""
    model: str
    runtime: str
    """What ran the file, with its version."""
    weights: str
    """sha256 of the weights that the file was made of."""
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Softmax of the logits, averaged over the views before it."""
    indices: tuple[int, ...]
    """Numbers of the frames that were seen."""

    def __repr__(self) -> str:
        name, probability = self.top5[0]
        return f"Answer({self.path}: {name} {100 * probability:.1f} % by {self.runtime})"

    @property
    def top5(self) -> list[tuple[str, float]]:
        """The most probable classes, at most five, best first."""
        return sorted(zip(self.classes, self.probabilities, strict=True), key=lambda pair: -pair[1])[:BEST]

    @property
    def engine(self) -> str:
        """What ran the network: the runtime."""
        return self.runtime

    def brief(self) -> tuple[str, str]:
        """The answer, and how sure."""
        name, probability = self.top5[0]
        return name, f"{100 * probability:.1f} %"

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        top5 = [{"class": name, "probability": p} for name, p in self.top5]
        own = {name: getattr(self, name) for name in ("path", "model", "runtime", "weights")}
        return {**own, "engine": self.engine, "frames": list(self.indices), "top5": top5}

    def draw(self, path: str | PathLike) -> None:
        """Raises ConfigError: firing rates and energy come from the library's own network."""
        raise ConfigError(f"cannot draw {path}: an exported file shows no firing rates; predict with the weights")

    def tables(self) -> list[Any]:
        """What a terminal shows."""
        from spikereel.show.tables import best_table

        return [best_table(self.path, self.top5, f"{len(self.indices)} frames, by {self.runtime}")]

    def write(
        self, folder: Path, name: str, *, video: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Write <name>.json."""
        write_json(folder / f"{name}.json", self.to_json())
        return [f"written: {folder / name}.json"]


def classify_exported(exported: Exported, source: str | PathLike | Tensor, *, views: int | None = None) -> Answer:
    """The classes of one video, from an exported file; frames are chosen and prepared as for the weights.

    Raises DataError for a video that is no good one or does not fit the file, ConfigError for a file of another task,
    or of weights that do not say how clips are made.
    """
    c = _of_classes(exported, "this file").contract
    if not c.preprocess:
        raise ConfigError("the weights of this file did not say how clips are made; call it from Python")
    seen = look(source, build(DataSpec, c.preprocess), c.channels, views=views)
    logits = torch.cat([exported(view)[0] for view in seen.views]).mean(0)
    return Answer(
        path=seen.name,
        model=c.model,
        runtime=exported.runtime,
        weights=c.weights,
        classes=c.classes,
        probabilities=tuple(logits.double().softmax(0).tolist()),
        indices=seen.indices,
    )


def runnable(name: str, runtime: str = "auto", *, classes: bool = True) -> VideoModel | Exported:
    """Weights as a model, an exported file as what its runtime makes of it.

    runtime: auto; reference, for weights; or the target of an exported file. classes: of a file, whether its answers
    have to be classes. Raises ConfigError where either is another.
    """
    row = target_by_suffix(name)
    target = row.name if row else "reference"
    if runtime not in ("auto", target):
        raise ConfigError(f"{name} is run by {target}, not by {runtime}: leave --runtime out, or export it first")
    if target == "reference":
        return load_model(name)
    exported = open_export(name)
    return _of_classes(exported, name) if classes else exported


def _of_classes(exported: Exported, name: str) -> Exported:
    """The file itself. Raises ConfigError where it gives features, poses or masks, which need more than its outputs."""
    if exported.contract.part is not None:
        raise ConfigError(
            f"{name} ends at {exported.contract.part} and gives features, no classes: call it from Python"
        )
    if not TASKS[exported.task].views:
        raise ConfigError(f"{name} is for {exported.task}; predict by a runtime gives classes: call it from Python")
    return exported


def clips_to_compare(model: VideoModel, sources: Sequence[str]) -> list[Tensor]:
    """The first view of each file, as the weights see it: [T, 1, C, H, W]."""
    if not sources:
        return []
    spec = data_spec_of(model.metadata)
    return [look(source, spec, model.config.in_channels, views=1).views[0] for source in sources]

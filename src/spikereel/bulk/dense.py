"""Poses and masks of many clips: each file by itself, its results in files named by the id of its row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikereel.body.camera import Camera
from spikereel.bulk.classes import energy_of, firing_columns
from spikereel.bulk.clock import Clock
from spikereel.bulk.job import Job, content_hash, row_id
from spikereel.energy.many import Estimates
from spikereel.engine.choose import engine_for
from spikereel.inference.predict import TASKS, begin
from spikereel.models.base import VideoModel
from spikereel.runs.config import data_spec_of

FILES = "_files"
"""Folder of what does not fit a row; readers of Parquet pass over names that begin so."""


class Dense:
    """As `Classes`; frames are decoded while the network goes through them."""

    batch = 1

    def __init__(self, model: VideoModel, job: Job, clock: Clock):
        self.job, self.clock, self.model = job, clock, model.to(job.device).eval()
        self.spec, self.task = data_spec_of(model.metadata), TASKS[model.task]
        self.runner = engine_for(self.model, job.engine, threads=job.threads)
        self.estimates = Estimates(self.model, weights=job.weights)
        lens = job.options.get("camera")
        self.options = {**job.options, **({"camera": Camera(**lens)} if lens else {})}

    def warm(self) -> None:
        """Nothing: what a file costs is learned with the first."""

    def decode(self, path: str) -> str:
        """The path: nothing is done before its turn comes."""
        return path

    def shape(self, clip: str) -> tuple[int, ...]:
        """All files are alike."""
        return ()

    def answer(self, paths: Sequence[str], clips: Sequence[str]) -> list[dict[str, Any]]:
        """Columns of each file, whose results are written."""
        return [self._one(path) for path in paths]

    def _one(self, path: str) -> dict[str, Any]:
        folder, place = Path(self.job.out, FILES), self.job.place(path)
        name = row_id(content_hash(place), path, self.job)
        folder.mkdir(parents=True, exist_ok=True)
        with self.clock.busy("network"), self.runner.firing_rates() as rates:
            result = self.task.finish(begin(self.runner.front, place, self.options), None)
            result.write(folder, name, video=False)
        written = sorted(f"{FILES}/{x.name}" for x in folder.glob(f"{name}*"))
        said = result.to_json()
        means = {key: [float(x.mean())] * self.spec.frames for key, x in rates.items()}
        size = (self.spec.frames, self.model.config.in_channels, self.spec.size or 64, self.spec.size or 64)
        energy, notes = energy_of(self.estimates, means, size)
        return {
            "engine": self.runner.name,
            "files": written,
            "summary": ", ".join(result.brief()),
            **firing_columns(means),
            "energy_mj": energy,
            "notes": [*said.get("notes", ()), *notes],
        }

"""The held-out clips of a run, one by one: which are behind a cell of its confusion matrix."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikereel.config import build
from spikereel.data.transforms import shown_frames
from spikereel.errors import ConfigError, DataError
from spikereel.hub import load_model
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import Recipe
from spikereel.runs.tasks import TASKS
from spikereel.studio.comparing import weights_in
from spikereel.studio.roots import Roots
from spikereel.studio.runs import RECIPE, read
from spikereel.tasks.classification import view_scores

PICTURES = 6
"""Frames of a clip that are shown side by side."""


class Judged:
    """Answers of the weights of one run to its held-out clips, computed once."""

    def __init__(self, path: Path):
        content = read(path / RECIPE)
        if content is None:
            raise DataError(f"{path.name}: is no folder of a run, it has no {RECIPE}")
        self.recipe = build(Recipe, content)
        if not TASKS[self.recipe.task].views:
            raise ConfigError(f"{path.name}: is a run of {self.recipe.task}, whose clips have no class")
        self.model = load_model(weights_in(path))
        self.classes = tuple(self.model.metadata.classes)
        seed = self.recipe.run.seed
        self.clips = build_dataset(self.recipe.data, "val", seed=seed, classes=self.classes)
        self.rows: list[tuple[int, int, float]] = []
        """Label, guess, and the probability of the guess, of each clip."""
        with torch.inference_mode():
            for i in range(len(self.clips)):
                video, label = self.clips[i]
                shares = view_scores(self.model, video[None]).float().softmax(1)[0]
                guess = int(shares.argmax())
                self.rows.append((int(label), guess, float(shares[guess])))

    def cell(self, truth: int, guess: int, roots: Roots) -> list[dict[str, Any]]:
        """The clips of one cell; `place` is None of those that are no file inside the folders of the studio."""
        found = []
        for i, (label, said, share) in enumerate(self.rows):
            if (label, said) == (truth, guess):
                path = _file(self.clips, i)
                found.append(
                    {
                        "index": i,
                        "name": path.name if path else f"clip {i}",
                        "place": roots.place(path) if path else None,
                        "share": share,
                    }
                )
        return found

    def confusion(self) -> list[list[int]]:
        """[true][predicted]."""
        counts = np.zeros((len(self.classes), len(self.classes)), int)
        for label, guess, _ in self.rows:
            counts[label, guess] += 1
        return counts.tolist()

    def strip(self, index: int) -> np.ndarray:
        """uint8 [H, N * W, 3]: frames of a clip as the network sees them, side by side."""
        if not 0 <= index < len(self.clips):
            raise DataError(f"there are {len(self.clips)} clips, {index} is none")
        frames = shown_frames(self.clips[index][0], PICTURES)
        strip = (255 * frames).round().clamp(0, 255).to(torch.uint8).permute(2, 0, 3, 1).flatten(1, 2)
        return np.ascontiguousarray(strip.expand(-1, -1, 3).numpy())


def _file(clips: Any, index: int) -> Path | None:
    """The file of a clip, where there is one."""
    while hasattr(clips, "clips"):
        index, clips = (clips.kept[index] if hasattr(clips, "kept") else index), clips.clips
    samples = getattr(clips, "samples", None)
    return Path(samples[index][0]) if samples else None

"""Whether people do things with one hand here: then a mirror shows what no clip of the folder shows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikereel.errors import DataError
from spikereel.runs.baselines import ENERGY_GRID, features, motion_energy, plain_clips, ridge
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import Recipe
from spikereel.runs.mirrors import mirror_plan

LOOKED_AT = 100
"""Clips of either part, drawn at random."""

ERRORS = 2.0
"""Standard errors by which clips have to be known better than their mirror images."""


@dataclass(frozen=True, kw_only=True)
class InMirror:
    """Held-out clips that a ridge regression of where something moved knows, and those whose mirror images it knows."""

    plain: int
    mirrored: int
    either: int
    """Known one way and not the other."""
    clips: int

    @property
    def handed(self) -> bool:
        """Whether the difference is no accident (McNemar)."""
        return self.plain - self.mirrored > ERRORS * self.either**0.5

    def __str__(self) -> str:
        plain, mirrored = (round(100 * x / max(self.clips, 1)) for x in (self.plain, self.mirrored))
        return f"a simple model knows {plain} % of {self.clips} held-out clips, and {mirrored} % in a mirror"


def in_mirror(recipe: Recipe) -> InMirror | None:
    """What a mirror makes of the held-out clips of a recipe; None where nothing is mirrored anyway, and where clips
    cannot be read: the run says so."""
    spec = plain_clips(recipe.data)
    try:
        train, held = (build_dataset(spec, part, task=recipe.task, seed=recipe.run.seed) for part in ("train", "val"))
        carried, changes, _ = mirror_plan(recipe.data, train.classes, recipe.task)
        if not carried.flip:
            return None
        (x, y), (seen, truth) = (features(part, motion_energy, LOOKED_AT) for part in (train, held))
    except DataError:
        return None
    other = torch.tensor([-1 if label is None else label for label in changes.labels(train.classes)])[truth]
    plain, mirrored = (ridge(x, y, z, classes=len(train.classes)).argmax(1) for z in (seen, _turned(seen)))
    known, turned = ((guess == label)[other >= 0] for guess, label in ((plain, truth), (mirrored, other)))
    return InMirror(
        plain=int(known.sum()), mirrored=int(turned.sum()), either=int((known != turned).sum()), clips=len(known)
    )


def _turned(energy: Tensor) -> Tensor:
    """Motion energy [N, F] of the mirror images."""
    return energy.unflatten(1, (-1, ENERGY_GRID, ENERGY_GRID)).flip(3).flatten(1)

"""What a simple model gets on the clips that a network is judged on: motion energy with a ridge, and one answer."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.runs.clips import build_dataset
from spikereel.runs.data import DataSpec

RIDGE_WEIGHT = 1.0
"""The penalty in shares of the mean square of an input."""

ENERGY_GRID, ENERGY_FRAMES = 8, 33
"""Cells a side that motion energy is summed in, and frames that it is taken from."""

MOST_CLIPS = 400
"""Clips of either part that the baselines see, drawn at random: enough to compare with, in seconds."""

STILL = 1e-4
"""Mean change of pixels in [0, 1] from frame to frame, below which nothing moves."""


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Accuracy of simple models in per cent."""

    ridge: float
    """Ridge regression from where something moved in each third of the time."""
    majority: float
    """The commonest class of the training clips, whatever is shown."""
    majority_class: str
    train_clips: int
    clips: int
    moving: float
    """Mean change from frame to frame of what was judged."""

    @property
    def still(self) -> bool:
        """Whether the videos show no motion at all."""
        return self.moving < STILL


def plain_clips(spec: DataSpec) -> DataSpec:
    """What simple models see of the clips of a spec: all frames, without random changes."""
    return dataclasses.replace(
        spec,
        frames=ENERGY_FRAMES,
        stride=None,
        clips=1,
        crops=1,
        mirrored=False,
        copies=1,
        cache=None,
        trails=0.0,
        time_warp=0.0,
        flip=False,
        whole=True,
        crop_area=(1.0, 1.0),
        randaugment=None,
        jitter=0.0,
        erasing=0.0,
        mean=(0.0,),
        std=(1.0,),
    )


def baselines(spec: DataSpec, *, seed: int = 0, classes: tuple[str, ...] | None = None) -> Baselines:
    """Simple models on training and held-out clips of a spec, without random changes, in grey steps of 0 to 1."""
    parts = [build_dataset(plain_clips(spec), part, seed=seed, classes=classes) for part in ("train", "val")]
    (x, y), (seen, truth) = (features(part, motion_energy, MOST_CLIPS) for part in parts)
    counts = torch.bincount(y)
    common = int(counts.argmax())
    guess = ridge(x, y, seen, classes=len(parts[0].classes)).argmax(1)
    return Baselines(
        ridge=100.0 * float((guess == truth).float().mean()),
        majority=100.0 * float((truth == common).float().mean()),
        majority_class=parts[0].classes[common],
        train_clips=len(y),
        clips=len(truth),
        moving=float(torch.cat([x, seen]).mean()),
    )


def motion_energy(video: Tensor) -> Tensor:
    """[3 * 64]: where in the picture something moved, in each third of the time, of a video [T, C, H, W]."""
    thirds = video.diff(dim=0).abs().mean(1).tensor_split(3)
    return torch.cat([F.adaptive_avg_pool2d(third.mean(0)[None], ENERGY_GRID).flatten() for third in thirds])


def features(clips: Any, of: Callable[[Tensor], Tensor], most: int | None = None) -> tuple[Tensor, Tensor]:
    """Features [N, F] and labels [N] of all clips, or of so many.

    Those are drawn, always alike: classes often follow one another in turn, and evenly spread clips would miss some.
    """
    few = most is None or len(clips) <= most
    drawn = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0))
    chosen = range(len(clips)) if few else drawn[:most].sort().values.tolist()
    items = [clips[i] for i in chosen]
    return torch.stack([of(video) for video, _ in items]), torch.tensor([label for _, label in items])


def ridge(x: Tensor, y: Tensor, seen: Tensor, *, classes: int) -> Tensor:
    """Scores [M, classes] of `seen` [M, F], by a ridge regression of the classes y [N] from standardised x [N, F]."""
    spread, middle = torch.std_mean(x, dim=0)
    x, seen = ((z - middle) / spread.clamp(min=1e-6) for z in (x, seen))
    target = F.one_hot(y, classes).float()
    gram = x @ x.T
    # features that never vary leave nothing to solve
    gram.diagonal().add_(RIDGE_WEIGHT * gram.diagonal().mean().clamp(min=1e-6))
    return seen @ (x.T @ torch.linalg.solve(gram, target - target.mean(0))) + target.mean(0)

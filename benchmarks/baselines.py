"""What a simple model gets on the very clips that the networks are judged on: `compare.py` prints it beside them."""

from pathlib import Path
from typing import Any

import torch

from spikereel.body.skeletons import KINECT20
from spikereel.config import override
from spikereel.data.sets.utd_mhad import find_clips
from spikereel.data.sets.utd_mhad_pose import UTDMHADPose, WindowReading
from spikereel.runs.baselines import ENERGY_FRAMES, RIDGE_WEIGHT, features, motion_energy, ridge
from spikereel.runs.clips import build_dataset
from spikereel.runs.recipes import get_recipe
from spikereel.tasks.pose import PoseScore

RIDGE_SIZE = 32
"""Pixels."""


def counts_ridge(name: str, root: str) -> float:
    """Top-1 in % of a ridge regression from how many events every pixel has, on what a recipe of events holds out."""
    off = ["shift", "rotate", "zoom", "drop", "polarity_flip", "jitter_us"]
    changes = [f"data.root={root}", "data.flip=false", *(f"data.{option}=0" for option in off)]
    spec = override(get_recipe(name), changes).data
    train, val = (
        features(build_dataset(spec, split), lambda video: video.mean(0).flatten()) for split in ("train", "val")
    )
    return _ridge(train, val)


def energy_ridge(name: str, root: str, folds: list[int]) -> dict[int, float]:
    """Top-1 in % on every fold of a ridge regression that sees where in the picture something moved, in each third of
    the time.

    Trained on the clips of all other folds, which have to be all that there are for this to be the recipe's own split.
    """

    plain = ["data.trails=0", f"data.frames={ENERGY_FRAMES}"]
    parts = {}
    for fold in folds:
        spec = override(get_recipe(name), [f"data.root={root}", f"data.fold={fold}", *plain]).data
        parts[fold] = features(build_dataset(spec, "val"), motion_energy)
    outcome = {}
    for fold, part in parts.items():
        x, y = zip(*(others for other, others in parts.items() if other != fold), strict=True)
        outcome[fold] = _ridge((torch.cat(x), torch.cat(y)), part)
    return outcome


def _ridge(train: tuple[Any, Any], test: tuple[Any, Any]) -> float:
    """Top-1 in % of a ridge regression of the classes from standardised features."""
    classes = int(max(train[1].max(), test[1].max())) + 1
    return 100 * float((ridge(*train, test[0], classes=classes).argmax(1) == test[1]).float().mean())


def pose_baselines(root: str, fold: int) -> list[tuple[str, dict[str, Any]]]:
    """The mean pose, and a ridge regression from the picture of one frame, judged as the networks are."""
    everybody = {subject for _, _, subject in find_clips(Path(root))}
    reading = WindowReading(frames=1, size=RIDGE_SIZE, form="plain")

    def arrays(subjects: set[int]) -> tuple[torch.Tensor, torch.Tensor]:
        data = UTDMHADPose(root, reading, subjects=subjects)
        pairs = [(video.flatten(), target["joints"].flatten()) for video, target in (data[i] for i in range(len(data)))]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])

    (x, y), (seen, truth) = arrays(everybody - {fold}), arrays({fold})
    middle, mean = x.mean(0), y.mean(0)
    square = (x - middle).T @ (x - middle)
    square.diagonal().add_(RIDGE_WEIGHT * square.diagonal().mean())
    guesses = {
        "mean pose": mean.expand_as(truth),
        "ridge regression": (seen - middle) @ torch.linalg.solve(square, (x - middle).T @ (y - mean)) + mean,
    }
    rows = []
    for name, guess in guesses.items():
        score = PoseScore(KINECT20)
        score.add(*(z.view(1, -1, 20, 3) for z in (guess, truth)))
        rows.append((name, {error: score.means()[error] for error in ("root_mpjpe", "pa_mpjpe")}))
    return rows

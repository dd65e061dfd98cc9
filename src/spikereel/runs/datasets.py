"""Training clips of a DataSpec for any task, to take the statistics of norms from."""

from typing import Any

from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.segmentation_data import norm_clips
from spikereel.train.pose import build_pose_dataset


def training_clips(task: str, spec: DataSpec, *, classes: tuple[str, ...] | None = None) -> Any:
    """The clips that a model of a task trains on: items are `(video float32 [T, C, H, W], target)`. Those of
    segmentation are of the size that is judged (`norm_clips`).

    classes: those of the model, for a classification. Errors: as the dataset's own.
    """
    if task == "pose":
        return build_pose_dataset(spec, "train")
    if task == "segmentation":
        return norm_clips(spec)
    return build_dataset(spec, "train", classes=classes)

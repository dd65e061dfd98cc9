"""Semantic segmentation of video: mIoU from one confusion matrix, and how consistent a video's labels are in time."""

from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

import torch
from jaxtyping import Integer
from torch import Tensor

from spikereel.errors import DataError

IGNORE = 255
"""Label of pixels that nobody judges."""

WINDOWS = (8, 16)
"""Frames of the windows that consistency is judged in: VC8 and VC16."""


@dataclass
class VideoConsistency:
    """VC_n (Miao et al., VSPW, CVPR 2021): over all windows of n frames, of the pixels whose true class stays the same
    through the window, the share that is predicted right in all of its frames; mean over the windows of a video, then
    over videos. `steady` is the share predicted alike in all frames, right or wrong, and the mean is the same.

    `released` is what VC_perclip.py of VSPW's repository computes under the name of VC_n, and what papers of VSPW
    report: the share predicted alike, of all pixels whose true label stays the same, "void" among them; one mean over
    the windows of all videos together, without the last window of each, so that videos of n frames have none.

    Frames are given one by one, in the order of the video.
    """

    lengths: tuple[int, ...] = WINDOWS
    shares: dict[int, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    """{n: {video: (right, steady) of each window}}."""
    released: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    """{n: {stretch of a video: share of each window, NaN where nothing stays}}."""
    _last: tuple[str, Tensor, Tensor] | None = None
    _runs: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    _stretch: int = 0
    _seen: int = 0

    def add(self, video: str, labels: Integer[Tensor, "H W"], truth: Integer[Tensor, "H W"]) -> None:
        """Count the next frame; another name, or another size, begins another video."""
        known, right = truth != IGNORE, truth == labels
        one = torch.ones_like(truth, dtype=torch.int32)
        if self._last is None or self._last[0] != video or self._last[1].shape != labels.shape:
            runs = (one * known, one * right, one, one)
            self._stretch, self._seen = self._stretch + 1, 0
        else:
            assert self._runs is not None
            _, labels_before, truth_before = self._last
            # frames, up to this one, through which a pixel's truth was the same, it was right, its label was the same
            true, correct, alike, still = self._runs
            runs = (
                torch.where(truth == truth_before, true + 1, one) * known,
                (correct + 1) * right,
                torch.where(labels == labels_before, alike + 1, one),
                torch.where(truth == truth_before, still + 1, one),
            )
        self._last, self._runs, self._seen = (video, labels, truth), runs, self._seen + 1
        for n in self.lengths:
            constant = runs[0] >= n
            if total := int(constant.sum()):
                right_in_all, steady = (float((constant & (run >= n)).sum()) / total for run in runs[1:3])
                self.shares.setdefault(n, {}).setdefault(video, []).append((right_in_all, steady))
            if self._seen >= n:
                still = runs[3] >= n
                count = int(still.sum())
                share = float((still & (runs[2] >= n)).sum()) / count if count else nan
                self.released.setdefault(n, {}).setdefault(f"{self._stretch}", []).append(share)

    def to_json(self) -> dict[str, float | None]:
        """`vc8`, `vc8_steady`, `vc8_released` and those of 16, per cent; None where no video has so many frames."""
        out: dict[str, float | None] = {}
        for n in self.lengths:
            videos = [torch.tensor(x, dtype=torch.float64).mean(0) for x in self.shares.get(n, {}).values()]
            means = (100.0 * torch.stack(videos).mean(0)).tolist() if videos else [None, None]
            pool = [x for own in self.released.get(n, {}).values() for x in own[:-1] if not isnan(x)]
            whole = 100.0 * sum(pool) / len(pool) if pool else None
            out |= {f"vc{n}": means[0], f"vc{n}_steady": means[1], f"vc{n}_released": whole}
        return out


@dataclass
class SegmentationScore:
    """Counts over a test set, pixel by pixel; pixels whose true label is IGNORE do not count."""

    classes: tuple[str, ...]
    confusion: Tensor = field(init=False)
    """int64 [true, predicted]."""
    frames: int = 0
    """Frames with a label."""
    consistency: VideoConsistency = field(default_factory=VideoConsistency)

    def __post_init__(self) -> None:
        self.confusion = torch.zeros(len(self.classes), len(self.classes), dtype=torch.int64)

    def add(self, labels: Integer[Tensor, "*n H W"], truth: Integer[Tensor, "*n H W"]) -> None:
        """Count predicted labels. Raises DataError for a true label that is no class and not IGNORE."""
        count = len(self.classes)
        known = truth != IGNORE
        self.frames += int(known.flatten(-2).any(-1).sum())
        x, y = labels[known].cpu().long(), truth[known].cpu().long()
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < count:
            raise DataError(f"labels of the data go from {int(y.min())} to {int(y.max())}; there are {count} classes")
        self.confusion += torch.bincount(count * y + x, minlength=count * count).view(count, count)

    def add_clip(
        self, labels: Integer[Tensor, "T H W"], truth: Integer[Tensor, "T H W"], video: str | None = None
    ) -> None:
        """Count a clip. Its frames with a label are the next ones of `video`, for the consistency of that."""
        self.add(labels, truth)
        if video is None:
            return
        for own, true in zip(labels, truth, strict=True):
            if bool(torch.any(true != IGNORE)):
                self.consistency.add(video, own.cpu(), true.cpu())

    def iou(self) -> list[float]:
        """Per class, per cent: true and predicted pixels in common over those of either; NaN where there are none."""
        counts = self.confusion.double()
        common = counts.diagonal()
        return (100.0 * common / (counts.sum(0) + counts.sum(1) - common)).tolist()

    @property
    def miou(self) -> float:
        """Mean over the classes that occur, in truth or prediction; per cent, NaN where nothing was counted."""
        return float(torch.tensor(self.iou(), dtype=torch.float64).nanmean())

    @property
    def pixel_accuracy(self) -> float:
        """Per cent of all labelled pixels."""
        return 100.0 * float(self.confusion.diagonal().sum()) / max(int(self.confusion.sum()), 1)

    def to_json(self) -> dict[str, Any]:
        """Plain types; per cent, None where a figure has nothing to stand on."""
        return {
            "miou": _number(self.miou),
            "pixel_accuracy": self.pixel_accuracy,
            **self.consistency.to_json(),
            "per_class_iou": dict(zip(self.classes, map(_number, self.iou()), strict=True)),
            "frames": self.frames,
            "pixels": int(self.confusion.sum()),
            "confusion": self.confusion.tolist(),
        }


def _number(value: float) -> float | None:
    return None if value != value else value

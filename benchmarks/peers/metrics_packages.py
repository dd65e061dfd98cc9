"""Figures of cityscapesScripts and torchmetrics on predictions in an npz file, as JSON: runs in their environment."""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch


def cityscapes(found: np.ndarray, truth: np.ndarray) -> float:
    """mIoU in per cent of label maps [N, H, W] of the 19 classes, by the evaluation script on PNG files."""
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as script
    from cityscapesscripts.helpers.labels import labels
    from PIL import Image

    args: Any = script.args
    args.evalInstLevelScore = args.evalPixelAccuracy = False
    matrix = script.generateMatrix(args)
    judged = [label for label in labels if not label.ignoreInEval]
    number = np.zeros(256, np.uint8)
    for label in judged:
        number[label.trainId] = label.id
    with tempfile.TemporaryDirectory() as folder:
        for i, pair in enumerate(zip(found, truth, strict=True)):
            paths = [Path(folder, f"{i}_{name}.png") for name in ("found", "truth")]
            for path, labels_of in zip(paths, pair, strict=True):
                Image.fromarray(number[labels_of]).save(path)
            script.evaluatePair(*map(str, paths), matrix, {}, {}, args)
    scores = {x.name: script.getIouScoreForLabel(x.id, matrix, args) for x in judged}
    return 100.0 * script.getScoreAverage(scores, args)


def torchmetrics(data: dict[str, np.ndarray], classes: int) -> dict[str, float]:
    """What torchmetrics calls the same, or what a reader would take for it."""
    from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
    from torchmetrics.segmentation import MeanIoU

    found, truth = (torch.from_numpy(data[name]).long() for name in ("found", "truth"))
    scores, labels = torch.from_numpy(data["scores"]), torch.from_numpy(data["labels"])
    number = scores.shape[1]
    plain = torch.where(truth == 255, 0, truth)
    return {
        "jaccard": 100 * float(MulticlassJaccardIndex(classes, ignore_index=255)(found, truth)),
        "mean_iou_index": 100 * float(MeanIoU(classes, input_format="index")(found, plain)),
        "mean_iou_default": 100 * float(MeanIoU(len(found[0]))(found, plain)),
        **{
            f"top{k}": 100 * float(MulticlassAccuracy(number, average="micro", top_k=k)(scores, labels)) for k in (1, 5)
        },
        "top1_macro": 100 * float(MulticlassAccuracy(number)(scores, labels)),
        "top5_ties": 100
        * float(MulticlassAccuracy(number, average="micro", top_k=5)(torch.zeros_like(scores), labels)),
    }


def main() -> None:
    """Read the file that is named first, print a line of JSON."""
    data = dict(np.load(sys.argv[1]))
    print(
        json.dumps(
            {
                "cityscapesscripts": {"miou": cityscapes(data["found"], data["truth"])},
                "torchmetrics": torchmetrics(data, int(data["classes"])),
                "versions": {name: version(name) for name in ("cityscapesscripts", "torchmetrics", "torch", "numpy")},
            }
        )
    )


if __name__ == "__main__":
    main()

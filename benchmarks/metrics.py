"""Our figures beside those of other evaluators, on one set of seeded predictions.

    python benchmarks/metrics.py

The first run makes an environment of pinned packages for them (`--environment`, a minute). Rows of one definition have
to agree to TOLERANCE, or this fails; the others have to differ, and say why.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.formulas import IGNORE, pose_errors, top, vc_paper, vc_released
from run import save

from spikereel.body.skeletons import KINECT20
from spikereel.tasks.classification import ClassificationScore
from spikereel.tasks.pose import PoseScore
from spikereel.tasks.segmentation import SegmentationScore

HERE = Path(__file__).parent
TOLERANCE = 1e-3
"""Per cent, or millimetres: packages sum in float32."""

CLASSES, ACTIONS, STRIDE, FRAMES = 19, 12, 2, 8


def predictions(seed: int = 0) -> dict[str, Any]:
    """Label maps of videos of unequal length with void and two classes that never occur, scores of clips without ties,
    and joints of a recording, all with errors."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for frames, wrong in ((8, 0.01), (9, 0.002), (40, 0.1), (24, 0.03)):
        blocks = rng.integers(0, CLASSES - 2, (1, 6, 8)).repeat(8, 1).repeat(8, 2).repeat(frames, 0)
        true = np.where(rng.random(blocks.shape) < 0.002, rng.integers(0, CLASSES - 2, blocks.shape), blocks)
        own = np.where(rng.random(true.shape) < wrong, rng.integers(0, CLASSES - 2, true.shape), true)
        # wrong, and steady
        own[:, 20:30, 20:30] = CLASSES - 3
        true[:, :5, :9] = IGNORE
        found.append(own.astype(np.uint8))
        truth.append(true.astype(np.uint8))
    labels = rng.integers(0, ACTIONS, 500)
    scores = rng.normal(size=(500, ACTIONS)) + 1.2 * np.eye(ACTIONS)[labels]
    walk = np.cumsum(np.cumsum(rng.normal(0, 2e-4, (101, 20, 3)), 0), 0)
    joints = rng.normal(0, 0.4, (20, 3)) + walk + (0, 0, 3)
    off = joints * 1.05 + rng.normal(0, 0.02, joints.shape) + (0.1, 0, 0.2)
    return {"found": found, "truth": truth, "scores": scores, "labels": labels, "joints": joints, "off": off}


def ours(data: dict[str, Any]) -> dict[str, float]:
    """Our figures."""
    maps = SegmentationScore(tuple(map(str, range(CLASSES))))
    for name, (own, true) in enumerate(zip(data["found"], data["truth"], strict=True)):
        maps.add_clip(torch.from_numpy(own), torch.from_numpy(true), str(name))
    actions = ClassificationScore(ACTIONS)
    actions.add(torch.from_numpy(data["scores"]), torch.from_numpy(data["labels"]))
    ties = ClassificationScore(ACTIONS)
    ties.add(torch.zeros(len(data["labels"]), ACTIONS), torch.from_numpy(data["labels"]))
    found, truth = (torch.from_numpy(data[name])[:, None] for name in ("off", "joints"))
    whole, clips = PoseScore(KINECT20), PoseScore(KINECT20)
    whole.add(found, truth)
    step = FRAMES * STRIDE
    for start in range(0, len(found) - step + 1, step):
        clips.add(*(x[start : start + step : STRIDE] for x in (found, truth)))
    segmentation, pose = maps.to_json(), whole.means()
    return {
        **{name: segmentation[name] for name in ("miou", "vc8", "vc16", "vc8_steady", "vc8_released", "vc16_released")},
        "top1": actions.top1,
        "top5": actions.top5,
        "top5_ties": ties.top5,
        **{name: pose[name] for name in ("mpjpe", "pel_mpjpe", "pa_mpjpe", "acceleration")},
        "acceleration_clips": clips.means()["acceleration"],
    }


def packages(data: dict[str, Any], python: Path) -> dict[str, Any]:
    """Figures of the packages, in their environment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predictions.npz")
        arrays = {name: np.concatenate(data[name]) for name in ("found", "truth")}
        np.savez(path, classes=CLASSES, scores=data["scores"], labels=data["labels"], **arrays)
        script = HERE / "peers" / "metrics_packages.py"
        done = subprocess.run([python, script, path], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows(data: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """Each figure of ours beside another's: `why` is None where the definition is the same."""
    own, jaccard = ours(data), theirs["torchmetrics"]
    hips = tuple(KINECT20.hips)
    pose = pose_errors(data["off"], data["joints"], hips)
    found, truth, scores, labels = (data[name] for name in ("found", "truth", "scores", "labels"))
    city, metrics = (f"{name} {theirs['versions'][name]}" for name in ("cityscapesscripts", "torchmetrics"))
    table: list[tuple[str, str, float, str | None]] = [
        ("miou", f"{city}, evaluation script", theirs["cityscapesscripts"]["miou"], None),
        ("miou", f"{metrics}, MulticlassJaccardIndex", jaccard["jaccard"], None),
        ("miou", f'{metrics}, MeanIoU(input_format="index")', jaccard["mean_iou_index"], PER_PICTURE),
        ("miou", f"{metrics}, MeanIoU by default", jaccard["mean_iou_default"], ONE_HOT),
        ("top1", f"{metrics}, micro", jaccard["top1"], None),
        ("top5", f"{metrics}, micro, top_k=5", jaccard["top5"], None),
        ("top1", f"{metrics}, by default", jaccard["top1_macro"], "the mean over classes, not over clips"),
        ("top5_ties", f"{metrics}, top_k=5", jaccard["top5_ties"], TIES),
        ("top1", "NumPy, stable order", top(scores, labels, 1), None),
        ("top5", "NumPy, stable order", top(scores, labels, 5), None),
        *((f"vc{n}", "VSPW's paper, written here", vc_paper(found, truth, n), None) for n in (8, 16)),
        *(
            (f"vc{n}_released", "VSPW's released code, written here", vc_released(found, truth, n), None)
            for n in (8, 16)
        ),
        ("vc8_steady", "VSPW's released code, written here", vc_released(found, truth, 8), POOLED),
        ("pel_mpjpe", "VIBE-style, written here", pose["mpjpe"], None),
        ("mpjpe", "VIBE-style, written here", pose["mpjpe"], "ours is before the camera; theirs is `pel_mpjpe`"),
        ("pa_mpjpe", "VIBE-style, written here", pose["pa_mpjpe"], None),
        ("acceleration", "VIBE-style, written here", pose["acceleration"], None),
        ("acceleration_clips", "VIBE-style, written here", pose["acceleration"], IN_CLIPS),
    ]
    return [
        {"figure": name, "ours": own[name], "other": other, "theirs": value, "why": why}
        for name, other, value, why in table
    ]


PER_PICTURE = "the mean over pictures of the mean over their classes, and void counts as the class it is replaced by"
ONE_HOT = "reads label maps as one-hot, rows of the picture as classes"
TIES = "of equal scores ours takes the first class as the better one, as argmax does; torch.topk any of them"
POOLED = "a mean over videos, with their last windows and without void; `vc8_released` is theirs"
IN_CLIPS = f"inside clips of {FRAMES} frames of which each is {STRIDE} frames of the video later: mm a step squared"


def check(table: list[dict[str, Any]]) -> list[str]:
    """Rows that agree where they should not, or the reverse."""
    apart = [abs(row["ours"] - row["theirs"]) for row in table]
    return [
        f"{row['figure']} beside {row['other']}: {row['ours']:.4f} and {row['theirs']:.4f}"
        for row, gap in zip(table, apart, strict=True)
        if (gap <= TOLERANCE) != (row["why"] is None)
    ]


def environment(folder: Path) -> Path:
    """The interpreter of the environment of the packages, which is made where it is not there."""
    python = folder / "metrics" / "bin" / "python"
    if not python.is_file():
        print(f"making {folder / 'metrics'}", flush=True)
        subprocess.run(["bash", HERE / "peers" / "environments.sh", folder, "metrics"], check=True)
    return python


def main() -> None:
    """Parse the command line, compare, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--environment", type=Path, default=HERE.parent / "build" / "peers", help="folder to make it in"
    )
    options = parser.parse_args()
    data = predictions()
    theirs = packages(data, environment(options.environment))
    table = rows(data, theirs)
    for row in table:
        print(f"{row['figure']:20}{row['ours']:10.4f}{row['theirs']:10.4f}  {row['other']}: {row['why'] or 'the same'}")
    if wrong := check(table):
        sys.exit("not as said:\n" + "\n".join(wrong))
    save("metrics", {"tolerance": TOLERANCE, "peers": theirs["versions"], "rows": table}, "metrics.py")


if __name__ == "__main__":
    main()

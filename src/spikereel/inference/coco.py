"""Results in the format of COCO (cocodataset.org/#format-data): keypoints, and masks as run lengths."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from spikereel.files import whole

if TYPE_CHECKING:
    from spikereel.inference.track import Track


def keypoints(track: "Track") -> dict[str, Any]:
    """One person in every frame: `keypoints` is x, y and 2 for each joint, in pixels, 1 where it is outside the frame.

    Names and bones are in the category; bones count joints from 1.
    """
    height, width = track.frames.size if track.frames is not None else (0, 0)
    images, annotations = [], []
    for number, points in enumerate(track.points.astype(float)):
        inside = ((points >= 0) & (points < (width, height))).all(1) if width else np.ones(len(points), bool)
        flat = [
            v for (x, y), seen in zip(points, inside, strict=True) for v in (round(x, 2), round(y, 2), 1 + int(seen))
        ]
        low, size = points.min(0), np.ptp(points, axis=0)
        images.append({"id": number, "file_name": f"{number:06d}", "width": width, "height": height})
        annotations.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "keypoints": flat,
                "num_keypoints": len(points),
                "bbox": np.round([*low, *size], 2).tolist(),
                "area": round(float(size.prod()), 2),
                "iscrowd": 0,
            }
        )
    bones = [[int(a) + 1, int(b) + 1] for a, b in track.skeleton.bones]
    names = list(track.skeleton.joints)
    category = {"id": 1, "name": "person", "keypoints": names, "skeleton": bones}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_masks(path: Path, frames: Iterable[tuple[int, Tensor]], classes: tuple[str, ...]) -> None:
    """Write labels uint8 [H, W] of frames as COCO: a region for each class of each frame, as pycocotools reads it.

    Category i + 1 is class i. Frames are not held in memory. Whole or not at all.
    """
    images, count = [], 0
    with whole(path) as part, part.open("w") as out:
        out.write('{"annotations": [')
        for number, labels in frames:
            height, width = labels.shape
            images.append({"id": number, "file_name": f"{number:06d}.png", "width": width, "height": height})
            array = labels.numpy()
            for value in np.unique(array):
                if value < len(classes):
                    count += 1
                    region = _region(array == value, count, number, int(value) + 1)
                    out.write((", " if count > 1 else "") + json.dumps(region))
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
        out.write(f'], "images": {json.dumps(images)}, "categories": {json.dumps(categories)}}}\n')


def label_map(classes: Iterable[str], palette: Iterable[tuple[int, int, int]]) -> str:
    """The classes with their colours in the form of CVAT and Pascal VOC: `name:r,g,b::`, a line each, class 0 first."""
    lines = [f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(classes, palette, strict=False)]
    return "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"


def _region(mask: np.ndarray, number: int, image: int, category: int) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": {"size": list(mask.shape), "counts": compressed(run_lengths(mask))},
        "area": int(mask.sum()),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "iscrowd": 1,
    }


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of runs of 0 and 1 in turn, down the columns; the first is of 0 and may be 0."""
    flat = mask.ravel(order="F").astype(np.int8)
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


def compressed(counts: list[int]) -> str:
    """Run lengths as the text of COCO: from the third on the difference to the one two before, six bits a character."""
    out = []
    for i, count in enumerate(counts):
        x = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = x & 0x1F
            x >>= 5
            more = x != -1 if bits & 0x10 else x != 0
            out.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(out)

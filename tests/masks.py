"""Frames with label masks that tests write: level 20 c + 10 where the class is c, in blocks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def blocks(rng: np.random.Generator, classes: int, height: int = 36, width: int = 48) -> np.ndarray:
    """A mask uint8 [height, width] in blocks of 12."""
    small = rng.integers(0, classes, (height // 12, width // 12))
    return np.kron(small, np.ones((12, 12))).astype(np.uint8)


def write_pair(
    frame: Path, mask: Path | None, labels: np.ndarray, *, stored: Callable[[np.ndarray], np.ndarray] = lambda x: x
) -> None:
    """The frame that shows `labels`, and the mask that holds what `stored` makes of them."""
    frame.parent.mkdir(parents=True, exist_ok=True)
    picture = np.repeat((20 * labels.astype(int) + 10).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    Image.fromarray(picture).save(frame, **({"quality": 95} if frame.suffix == ".jpg" else {}))
    if mask is not None:
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stored(labels).astype(np.uint8)).save(mask)


def write_camvid(root: Path, *, seed: int = 0) -> None:
    """Sequences A (6 frames), B (4 and, after a gap, 3) once a second, and 20 dense frames of B in val."""
    rng = np.random.default_rng(seed)
    rows = [("train", "A", 30 * i) for i in range(6)]
    rows += [("train", "B", 30 * i) for i in (*range(4), *range(20, 23))]
    rows += [("val", "B", 1000 + 2 * i) for i in range(20)]
    for folder, sequence, number in rows:
        name = f"{sequence}_f{number:05d}"
        write_pair(root / folder / f"{name}.jpg", root / f"{folder}annot" / f"{name}.png", blocks(rng, 12))


def write_folder(root: Path, *, videos: int = 3, frames: int = 5, every: int = 1, seed: int = 0) -> None:
    """Videos of 3 classes in the layout of `MaskFolder`, each `every`-th frame with a mask."""
    rng = np.random.default_rng(seed)
    for v in range(videos):
        for i in range(frames):
            name = f"{i + 1:05d}"
            mask = root / "masks" / f"v{v}" / f"{name}.png" if i % every == 0 else None
            write_pair(root / "frames" / f"v{v}" / f"{name}.png", mask, blocks(rng, 3))
    (root / "classes.txt").write_text("# a list\nroad 128 64 128\ntraffic light 250 170 30\nsky 70 130 180\n")

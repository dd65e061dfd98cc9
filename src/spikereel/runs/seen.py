"""Classes that the clips of a data set do not show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikereel.data.clips import Part, WrappedClips
from spikereel.data.mask_clips import IGNORE, MaskClips
from spikereel.data.mirrored import MirroredClips
from spikereel.runs.origins import labels_of
from spikereel.runs.splits import named

MOST_MASKS = 1000
"""Masks that are looked at, evenly spread, until all classes were seen."""


def unseen(clips: Any) -> tuple[list[str], str | None]:
    """Classes that nothing in the clips shows, mirrored or not, and a line on them; none for clips that are made."""
    others = clips.others if isinstance(clips, MirroredClips) else list(range(len(clips.classes)))
    while isinstance(clips, WrappedClips) and not isinstance(clips, Part):
        clips = clips.clips
    if isinstance(clips, MaskClips):
        return _of_masks(clips, others)
    labels = labels_of(clips)
    if labels is None:
        return [], None
    shown = {x for label in labels for x in (label, others[label])}
    names = [name for i, name in enumerate(clips.classes) if i not in shown]
    return names, f"no clip is of class {named(names)}" if names else None


def _of_masks(clips: MaskClips, others: Sequence[int | None]) -> tuple[list[str], str | None]:
    paths = [x for video in clips.videos for x in video.masks if x is not None]
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(MOST_MASKS, len(paths))).round().astype(int))
    shown: set[int] = set()
    ignored = pixels = 0
    for i in chosen:
        mask = clips.labels.read(paths[i])
        shown.update(np.unique(mask.numpy()).tolist())
        ignored, pixels = ignored + int((mask == IGNORE).sum()), pixels + mask.numel()
        if len(shown - {IGNORE}) == len(clips.classes):
            return [], None
    shown |= {other for label in shown - {IGNORE} if (other := others[label]) is not None}
    names = [name for i, name in enumerate(clips.classes) if i not in shown]
    of = "" if len(chosen) == len(paths) else f" of {len(chosen)} looked at"
    left_out = f"; {100 * ignored / pixels:.0f} % of the pixels are {IGNORE}, which means to ignore" if ignored else ""
    return names, f"no mask{of} shows class {named(names)}{left_out}"

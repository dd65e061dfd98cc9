"""What a folder of videos is like, as far as a rule goes by it."""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from spikereel.data.clips import Part, WrappedClips
from spikereel.data.video.read import glance
from spikereel.errors import DataError
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import Recipe
from spikereel.runs.handed import InMirror, in_mirror
from spikereel.runs.mirrors import mirror_plan
from spikereel.runs.origins import origins_of
from spikereel.runs.splits import parts_of

LOOKED_AT = 9
"""Files whose length is read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rule goes by."""

    clips: int
    """For training."""
    classes: int
    seconds: float | None
    """Median length of a video; None where that is not known."""
    rate: float | None = None
    """Frames a second of the videos; None where that is not known."""
    shape: float | None = None
    """Long side of a frame over its short side; None where that is not known."""
    sources: bool = True
    """Whether names say which clips belong together, or validation has a folder of its own."""
    groups: int = 0
    """Persons, scenes or recordings that the training clips are known to be of; 0 where that is not known."""
    apart: bool = False
    """Whether validation has a folder of its own."""
    symmetric: bool = False
    """Whether a mirror leaves every class what it is, by their names."""
    in_mirror: InMirror | None = None
    """What is known of held-out clips in a mirror; None where that was not looked at."""

    @property
    def warning(self) -> str | None:
        """What to know of the split, where names do not say which clips belong together."""
        if self.sources:
            return None
        return (
            "names do not say which clips are of one person, scene or recording, so such clips may stand on both sides "
            "of the split and flatter the figures: put such a word and a number into the names (person03_wave_2.mp4), "
            "or give train/ and val/ folders"
        )

    def __str__(self) -> str:
        length = "" if self.seconds is None else f" of about {self.seconds:.3g} s"
        return f"{self.clips} training clips{length} in {self.classes} classes"


def facts_of(recipe: Recipe, given: Collection[str] = ()) -> Facts:
    """The facts of the training clips of a recipe, with these keys given. Raises DataError for a single class."""
    # broken files are found, and left out, when the run begins
    spec = dataclasses.replace(recipe.data, on_error="raise", cache=None)
    clips = build_dataset(spec, "train", task=recipe.task, seed=recipe.run.seed)
    if len(clips.classes) < 2:
        raise DataError(
            f"{spec.root}: has the one class {', '.join(clips.classes)}, so there is nothing to tell apart; "
            "add a sub-folder with videos of something else"
        )
    seconds, rate, shape = _looked_at(_paths(clips))
    groups = {origin.source for origin in origins_of(clips) or () if origin.source}
    apart = "val" in parts_of(Path(spec.root or ""))
    return Facts(
        clips=len(clips),
        classes=len(clips.classes),
        seconds=seconds,
        rate=rate,
        shape=shape,
        sources=bool(groups) or apart,
        groups=len(groups),
        apart=apart,
        symmetric=_symmetric(recipe, clips.classes),
        in_mirror=in_mirror(recipe) if "data.flip" not in given and recipe.data.hold_out else None,
    )


def _symmetric(recipe: Recipe, classes: Sequence[str]) -> bool:
    carried, changes, _ = mirror_plan(recipe.data, classes, recipe.task)
    return carried.flip and not changes


def _paths(clips: Any) -> list[Path]:
    if isinstance(clips, Part):
        whole = _paths(clips.clips)
        return [whole[i] for i in clips.kept] if whole else []
    if isinstance(clips, WrappedClips):
        return _paths(clips.clips)
    return [path for path, _ in getattr(clips, "samples", [])]


def _looked_at(paths: Sequence[Path]) -> tuple[float | None, float | None, float | None]:
    """Median seconds, frames a second and shape of some files, evenly spread; broken ones and those of no known rate
    out."""
    seconds, rates, shapes = [], [], []
    for path in paths[:: max(len(paths) // LOOKED_AT, 1)][:LOOKED_AT]:
        try:
            info, _ = glance(path)
        except DataError:
            continue
        # where the times of an AVI only count its frames, its rate is what the file says
        if info.seconds > 0 and info.frames > 1:
            seconds.append(info.seconds)
            rates.append(info.frames / info.seconds)
            shapes.append(max(info.width, info.height) / min(info.width, info.height))
    return (median(seconds), median(rates), median(shapes)) if seconds else (None, None, None)

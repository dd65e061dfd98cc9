"""Two networks on one clip: what `spikereel.tracing.compare` finds, with what a page draws."""

from pathlib import Path
from typing import Any

import numpy as np

from spikereel.errors import DataError, SpikereelError
from spikereel.models.base import VideoModel
from spikereel.studio.opened import Opened
from spikereel.tracing import Trace
from spikereel.tracing.compare import compare, tensors_apart, words_of
from spikereel.tracing.make import trace

MEMORY = 512 << 20
"""Bytes of one of the two traces; layers that are too large are compared by their rates."""

WEIGHTS = ("best.safetensors", "last.safetensors")
"""Of the folder of a run, the first that is there."""

VIEW = 2000
"""Frames of a clip that are compared at most, for tasks that answer every frame."""


def weights_in(path: Path) -> Path:
    """The weights file of a run, or the file itself. Raises DataError for a folder without."""
    if not path.is_dir():
        return path
    found = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if found is None:
        raise DataError(f"{path.name}: holds no {' or '.join(WEIGHTS)}; give the folder of a run, or a weights file")
    return found


def compared(opened: Opened, models: tuple[VideoModel, VideoModel]) -> dict[str, Any]:
    """The difference of two models on the clip that each sees of a source.

    Raises DataError for a source that they do not see, and for models that see other frames of it, or are of other
    tasks.
    """
    if opened.path is None:
        raise DataError("frames of a camera are no file; record a file to compare on")
    made: list[Trace] = []
    try:
        for model in models:
            made.append(
                trace(model, opened.path, fit="reduce", memory=MEMORY, pictures=False, frames=_frames(model, opened))
            )
        found = compare(*made)
    except SpikereelError as error:
        raise DataError(opened.named(error)) from None
    return {
        **found.to_json(),
        "tensors": words_of(tensors_apart(*models)),
        "source": opened.id,
        "name": opened.name,
        "frames": made[0].frames.tolist(),
        "shares": {x.name: [float(f"{v:.4g}") for v in x.shares] for x in found.layers},
        "answered": [x.answered.tolist() for x in made],
        "classes": [list(x.classes) for x in made],
        "probabilities": [None if x.probabilities is None else np.round(x.probabilities, 5).tolist() for x in made],
        "notes": list(dict.fromkeys(note for x in made for note in x.notes)),
    }


def _frames(model: VideoModel, opened: Opened) -> tuple[int, int] | None:
    return None if model.task == "classification" else (0, min(len(opened.frames), VIEW))

"""What is drawn over a frame: the attention of a token, joints, and masks."""

from typing import Any

import numpy as np
import torch

from spikereel.errors import ConfigError, DataError
from spikereel.runs.config import data_spec_of
from spikereel.runs.kinds import KINDS, palette_of
from spikereel.studio.analysis import Analysis


def attention(analysis: Analysis, number: int, token: tuple[int, int, int], layer: str | None) -> dict[str, Any]:
    """The row of a token (step, y, x) of a window: {first, low, values [F][h][w] in [-1, 1] or [0, 1], None unseen}.

    Raises ConfigError for a layer or a token that is not there.
    """
    made, before, (step, y, x) = analysis.trace(number), 0, token
    if not 0 <= step < len(made):
        raise DataError(f"window {number} has {len(made)} steps, {step} is none")
    count = len(made)
    if analysis.opened.trace is not None:
        # what it looks at may lie in other windows
        made, before = analysis.opened.trace, analysis.spans[number][0]
    row = made.attention((before + step, y, x), layer or None)
    here = (row.frames >= before) & (row.frames < before + count)
    mean = row.mean()[here]
    return {
        "layer": row.layer.name,
        "similarity": row.layer.similarity,
        "token": list(token),
        "first": int(row.frames[here][0]) - before,
        "grid": list(row.layer.grid),
        "values": [[[None if np.isnan(x) else round(float(x), 3) for x in r] for r in f] for f in mean],
    }


def drawn(analysis: Analysis) -> dict[str, Any]:
    """What a page needs to draw answers: {kind: "joints", bones} or {kind: "masks", colours}; {} for classes."""
    model = analysis.model
    if not model.metadata.preprocess:
        return {}
    spec = data_spec_of(model.metadata)
    if model.task == "segmentation":
        return {"kind": "masks", "colours": [list(c) for c in palette_of(spec, tuple(analysis.classes))]}
    skeleton = KINDS[spec.kind].skeleton
    if model.task == "pose" and skeleton is not None:
        return {"kind": "joints", "bones": [list(x) for x in skeleton.bones], "names": list(skeleton.joints)}
    return {}


def points(analysis: Analysis, number: int) -> list[Any]:
    """[T][J][x, y] pixels of the source: joints where the camera of training sees them, in the square around the frame.

    Raises ConfigError for weights without joints.
    """
    outputs = analysis.trace(number).outputs
    if "joints" not in outputs:
        raise ConfigError("these weights give no joints that can be drawn")
    row = KINDS[data_spec_of(analysis.model.metadata).kind]
    around, where = (torch.from_numpy(np.array(outputs[name])).float() for name in ("joints", "translation"))
    height, width = analysis.opened.frames.size
    side = max(height, width)
    at = row.camera.project(around + where[:, None]) * side + torch.tensor([(width - side) / 2, (height - side) / 2])
    return np.round(at.numpy().clip(-1e4, 1e4).astype(float), 1).tolist()


def mask(analysis: Analysis, number: int, step: int) -> np.ndarray:
    """uint8 [h, w]: the class of every pixel that the network saw of a step. Raises ConfigError for other weights."""
    outputs = analysis.trace(number).outputs
    if "masks" not in outputs:
        raise ConfigError("these weights give no masks")
    if not 0 <= step < len(outputs["masks"]):
        raise DataError(f"window {number} has {len(outputs['masks'])} steps, {step} is none")
    return np.ascontiguousarray(outputs["masks"][step].astype(np.uint8))

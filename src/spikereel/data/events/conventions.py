"""Conventions of frames, voxel grids and time surfaces: the formula's, and those of libraries whose weights saw theirs.

Sources: tonic 1.7 (functional/to_frame.py, to_voxel_grid.py, to_timesurface.py, slicers.py) and SpikingJelly 2.0
(datasets/utils.py), each run against ours; docs/data/events.md has the table.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints

import numpy as np

from spikereel.errors import ConfigError

Named = Literal["formula", "tonic", "spikingjelly"]
Channels = Literal["on_off", "off_on", "signed"]
Edges = Literal["exact", "floor"]
Rest = Literal["last_bin", "dropped"]
Span = Literal["T-1", "T"]


@dataclass(frozen=True, kw_only=True)
class Convention:
    """What is not said by "T frames of these events". Raises ConfigError for a value that does not exist."""

    channels: Channels = "on_off"
    """ON first, OFF first, or one channel of ON minus OFF."""
    edges: Edges = "exact"
    """T bins cut the whole exactly, or each has the whole part of a T-th: of the microseconds, or of the events."""
    rest: Rest = "last_bin"
    """Where events after the last edge go, the very last one among them: into the last bin, or nowhere."""
    span: Span = "T-1"
    """Of voxel grids: the last event is at T - 1, the last bin, or at T, one past it, and so left out."""

    def __post_init__(self):
        for name, kind in get_type_hints(type(self)).items():
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: choose {', '.join(get_args(kind))}")

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """[T, C, H, W] of [T, 2, H, W] with ON first."""
        if self.channels == "signed":
            return array[:, :1] - array[:, 1:]
        return array if self.channels == "on_off" else np.ascontiguousarray(array[:, ::-1])


FORMULA = Convention()
_TONIC = Convention(channels="off_on", edges="floor", rest="dropped", span="T")
_SPIKINGJELLY = Convention(channels="off_on", edges="floor")


def convention(name: Named, form: str, **own: str | None) -> Convention:
    """The convention of a library for a form of `EventReading`, with options of `Convention` changed that are given.

    Raises ConfigError for a name or value that does not exist, and for a form that the library does not have.
    """
    if name not in get_args(Named):
        raise ConfigError(f"convention is {name!r}: choose {', '.join(get_args(Named))}")
    if name == "spikingjelly" and form != "frames":
        raise ConfigError(f"convention is 'spikingjelly', which has frames and no {form}; choose formula or tonic")
    base = {"formula": FORMULA, "tonic": _TONIC, "spikingjelly": _SPIKINGJELLY}[name]
    if (name, form) == ("tonic", "voxels"):
        base = replace(base, channels="signed")
    known = {field.name for field in fields(Convention)}
    return replace(base, **{key: value for key, value in own.items() if key in known and value is not None})

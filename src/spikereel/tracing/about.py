"""What a trace says of itself besides its arrays, in plain types."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikereel.errors import DataError
from spikereel.tracing.layers import AttentionLayer, Layer


@dataclass(frozen=True, kw_only=True)
class About:
    """Model, source and layers of a trace."""

    model: str
    weights: str
    """sha256."""
    task: str
    classes: tuple[str, ...] = ()
    source: str = "clip"
    """The file; "clip" for a tensor."""
    frame: tuple[int, int, int]
    """(C, H, W) of what the network sees."""
    layers: tuple[Layer, ...]
    """In order of execution."""
    attentions: tuple[AttentionLayer, ...] = ()
    tokens: tuple[tuple[int, int, int], ...] = ()
    """(frame, y, x) that were asked for."""
    costs: tuple[str, ...] = ()
    """Cost models that energy was counted for; none where it was not."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, width and height of what the network saw, in pixels of the source; None where that is not known."""
    before: int = 0
    """Frames since the state began that come before the trace."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Configuration of the model, how frames were chosen, and how they were cut."""
    notes: tuple[str, ...] = ()


def to_json(about: About) -> dict[str, Any]:
    """Plain types, for `json.dump`."""
    return dataclasses.asdict(about)


def from_json(values: Mapping[str, Any], where: str) -> About:
    """Inverse of `to_json`. Raises DataError for what another version wrote."""
    try:
        plain: dict[str, Any] = {
            name: tuple(x) if isinstance(x, list) else x for name, x in values.items() if name != "version"
        }
        plain["layers"] = tuple(Layer(**(x | {"shape": tuple(x["shape"])})) for x in plain["layers"])
        plain["attentions"] = tuple(AttentionLayer(**(x | {"grid": tuple(x["grid"])})) for x in plain["attentions"])
        plain["tokens"] = tuple(tuple(x) for x in plain["tokens"])
        return About(**plain)
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: is a trace of another version ({error}); trace the clip again") from None

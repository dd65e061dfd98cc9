"""Weights to start from: which, and how they fit a model that sees other channels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikereel.errors import WeightsError
from spikereel.hub import TASK_PARTS, architecture, load_model
from spikereel.layers.contrast import ContrastConfig
from spikereel.models.base import VideoModel
from spikereel.runs.data import data_spec_of
from spikereel.runs.kinds import KINDS, sees_recordings
from spikereel.runs.readings import convention_of

AUTO = "auto"
"""`model.start`: those weights of the architecture that ship and fit, and fresh ones where none do."""

FREE = frozenset(
    {"task", "num_classes", "in_channels", "attention", "attention_clip", "positions", "drop_path", "residual_gain"}
    | set(TASK_PARTS)
    | {field.name for field in dataclasses.fields(ContrastConfig)}
)
"""Fields of a configuration in which a model may differ from the weights that are chosen for it."""

STEMS = ("downsample1_1.encode_conv.weight", "patch_embed1.proj.weight")
"""The first convolution of each family."""

COLOURS = ("red", "green", "blue")


def start_from(model: VideoModel, source: str) -> list[str]:
    """Copy weights that fit by name and shape; returns the names that start fresh, which may be the head's alone.

    The first convolution may see other channels: those it knows keep their weights, grey ones take the sum of colours
    and colours their share of grey, and all others begin at 0. `source`: a file, a listed name, or "auto". Raises
    WeightsError where anything else differs, with the option to change.
    """
    chosen = source_of(model, source)
    if chosen is None:
        return sorted(model.state_dict())
    start = load_model(chosen)
    have, own = dict(start.state_dict()), model.state_dict()
    for stem in STEMS:
        if stem in own and stem in have and own[stem].shape != have[stem].shape:
            have[stem] = _first_layer(have[stem], start, model, chosen)
    fits = {k: x for k, x in have.items() if k in own and own[k].shape == x.shape}
    fresh = sorted((own.keys() | have.keys()) - fits.keys())
    if wrong := [name for name in fresh if not name.startswith(("head.", "lif.", "contrast.", "positions."))]:
        raise WeightsError(
            f"{chosen} cannot start this model: {len(wrong)} entries differ, first {wrong[0]}; {_way_out(start, model)}"
        )
    model.load_state_dict(own | fits)
    return fresh


def source_of(model: VideoModel, start: str | None) -> str | None:
    """The weights that `model.start` means for a model; None for a fresh start."""
    return chosen_start(model) if start == AUTO else start


def chosen_start(model: VideoModel) -> str | None:
    """The listed weights of "auto" for a model; None where none fit, which means a fresh start.

    Those of its task and attention come first, of these the ones that know most of its channels, and of these the ones
    that are listed first.
    """
    name = model.metadata.name
    listed = [(tag, load_model(f"{name}.{tag}")) for tag in (architecture(name).weights if name else ())]
    # those of a task know its channels and motions; those of classes serve others as well
    useful = [(tag, start) for tag, start in listed if start.task in (model.task, "classification")]
    wanted = getattr(model.config, "attention", None)

    def unlike(row: tuple[str, VideoModel]) -> tuple[bool, bool, bool, int]:
        """The same task, the same attention, then statistics after an attention over one frame for another such."""
        own = getattr(row[1].config, "attention", None)
        return row[1].task != model.task, own != wanted, (own == "joint") != (wanted == "joint"), -_known(row[1], model)

    for tag, start in sorted(useful, key=unlike):
        if not _differences(start, model, but=FREE) and _known(start, model):
            return f"{name}.{tag}"
    return None


def channel_names(model: VideoModel) -> tuple[str, ...] | None:
    """What each channel of the first convolution shows; None where that is not known.

    Trails of videos are events over a longer past. Those of depth, and its motion, have channels of their own meaning,
    which their number does not tell.
    """
    config, seen = model.config, model.metadata.preprocess
    if seen.get("depth_motion") or (seen.get("trails") and KINDS[seen["kind"]].depth):
        return None
    if seen.get("trails"):
        plain: tuple[str, ...] | None = ("grey", "on", "off")
    else:
        plain = {1: ("grey",), 2: ("on", "off"), 3: COLOURS}.get(config.in_channels)
    if seen.get("kind") and config.in_channels < 3:
        spec = data_spec_of(model.metadata)
        if sees_recordings(spec):
            order = convention_of(spec).channels
            plain = {"on_off": plain, "off_on": ("off", "on")}.get(order, ("on minus off",))
    if plain is None:
        return None
    first = tuple(f"change of {name}" for name in plain) if config.contrast_form == "signed" else ("on", "off")
    others = config.contrast_taus[1:]
    changes = (*first, *(f"{name} over {tau:g} frames" for tau in others for name in first))
    return {"none": plain, "beside": (*plain, *changes), "instead": changes}[config.contrast]


def _known(start: VideoModel, model: VideoModel) -> int:
    """How many channels of a model weights know as they are."""
    have, want = channel_names(start), channel_names(model)
    return 0 if have is None or want is None else len({*have} & {*want})


def _shared(start: VideoModel, model: VideoModel) -> bool:
    have, want = channel_names(start), channel_names(model)
    return have is not None and want is not None and any(_taken(name, have) for name in want)


def _first_layer(weight: Tensor, start: VideoModel, model: VideoModel, source: str) -> Tensor:
    """The weight [O, C, k, k] of the first convolution for the channels of another model."""
    have, want = channel_names(start), channel_names(model)
    if have is None or want is None or not _shared(start, model):
        raise WeightsError(
            f"{source} cannot start this model: its first layer sees {_called(start)}, this one {_called(model)}; "
            "change model.contrast (with model.contrast_form=on_off it makes on and off), or the data (of videos "
            "data.trails=0.33 makes grey, on and off)"
        )
    columns = []
    for name in want:
        taken = _taken(name, have)
        parts = [share * weight[:, have.index(other)] for other, share in taken.items()]
        columns.append(torch.stack(parts).sum(0) if parts else torch.zeros_like(weight[:, 0]))
    return torch.stack(columns, dim=1)


def _taken(name: str, have: Sequence[str]) -> dict[str, float]:
    """Channels whose weights serve for a channel, each with its factor; none where nothing does."""
    if name in have:
        return {name: 1.0}
    prefix, _, plain = name.rpartition(" of ")
    prefix = f"{prefix} of " if prefix else ""
    if plain == "grey" and all(prefix + colour in have for colour in COLOURS):
        return {prefix + colour: 1.0 for colour in COLOURS}
    if plain in COLOURS and f"{prefix}grey" in have:
        return {f"{prefix}grey": 1.0 / len(COLOURS)}
    return {}


def _called(model: VideoModel) -> str:
    names = channel_names(model)
    return ", ".join(names) if names else f"{model.config.in_channels} channels of a kind of their own"


def _differences(start: VideoModel, model: VideoModel, *, but: frozenset[str]) -> dict[str, tuple[Any, Any]]:
    """Fields in which two configurations differ: {name: (of the weights, of the model)}."""
    if type(start.config) is not type(model.config):
        return {"name": (start.metadata.name or start.family, model.metadata.name or model.family)}
    a, b = (dataclasses.asdict(x.config) for x in (start, model))
    a, b = ({**x, **x.pop("neuron")} for x in (a, b))
    found = {name: (a[name], b[name]) for name in a if name not in but and a[name] != b[name]}
    return {"neuron" if name == "kind" else name: values for name, values in found.items()}


def _way_out(start: VideoModel, model: VideoModel) -> str:
    differ = _differences(start, model, but=frozenset({"task", "num_classes", "in_channels", *TASK_PARTS}))
    if not differ:
        return "choose weights of the same architecture"
    values = ", ".join(
        f"model.{name}={list(x) if isinstance(x, tuple) else x} (here {list(y) if isinstance(y, tuple) else y})"
        for name, (x, y) in differ.items()
    )
    return f"the weights have {values}"

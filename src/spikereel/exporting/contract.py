"""What an exported file says of itself, and what a runtime must keep to: JSON, schema `spikereel.export/1`."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import torch

from spikereel import __version__
from spikereel.errors import WeightsError
from spikereel.exporting.flat import Flat, Part
from spikereel.layers.neuron import Neuron
from spikereel.models.base import VideoModel
from spikereel.models.files import weights_hash

SCHEMA = "spikereel.export/1"
AXES = "video [T, B, C, H, W], T = steps of one call; states [B, ...]"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Signature, meaning and origin of an exported model."""

    target: str
    """Row of `spikereel.exporting.targets.TARGETS`."""
    model: str
    task: str
    classes: tuple[str, ...]
    steps: int
    """Time steps, which are frames, of one call."""
    batch: int | None
    """None: any."""
    channels: int
    size: tuple[int, int]
    """Height and width in pixels; with `any_size` those of training, and of `shape` of the states."""
    whole: bool
    """One call is one clip, and no state goes in."""
    fields: tuple[str, ...]
    """Outputs, in order; the states after come behind them."""
    parts: tuple[Part, ...]
    """States before and after, in order."""
    folded: bool
    """Whether norms are folded into the weights."""
    neurons: dict[str, dict[str, Any]]
    """Neuron: kind, reset, threshold and further constants."""
    preprocess: dict[str, Any]
    """How frames become `video`: options `data.*` of training."""
    weights: str
    """sha256 of the weights."""
    any_size: bool = False
    """Whether frames may be of any size that 32 divides."""
    precision: str = "float32"
    """int8: of the weights of convolutions that take spikes; all else is float32."""
    part: str | None = None
    """The last stage that is in the file, which then gives features; None for the whole model."""
    axes: str = AXES
    input: dict[str, Any] | None = None
    """The same in steps that any program can do, schema `spikereel.input/1`; None where the weights do not say."""
    schema: str = SCHEMA
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs of a call."""
        return ["video", *([] if self.whole else [f"before.{part.name}" for part in self.parts])]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs of a call."""
        return [*self.fields, *(f"after.{part.name}" for part in self.parts)]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_text(cls, text: str | None, path: Any) -> "Contract":
        """Inverse of `json.dumps(contract.to_json())`. Raises WeightsError for a file that carries none of ours."""
        try:
            values: dict[str, Any] = json.loads(text or "")
            if values["schema"] != SCHEMA:
                raise WeightsError(f"{path} is of schema {values['schema']}, this version reads {SCHEMA}; export again")
            for name in ("classes", "size", "fields"):
                values[name] = tuple(values[name])
            values["parts"] = tuple(_part(part) for part in values["parts"])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, WeightsError):
                raise
            raise WeightsError(f"{path} says nothing of its states; write it with spikereel export") from None


def _part(values: dict[str, Any]) -> Part:
    values["shape"] = tuple(values["shape"])
    values["over"] = tuple(tuple(rule) for rule in values.get("over", ()))
    return Part(**values)


def contract_of(model: VideoModel, flat: Flat, *, target: str, batch: int | None, folded: bool) -> Contract:
    """The contract of a model, whose weights are not folded yet, with its list of states."""
    meta, config = model.metadata, model.config
    neurons = {name: neuron_constants(m) for name, m in model.named_modules() if isinstance(m, Neuron)}
    return Contract(
        target=target,
        model=meta.name or model.family,
        task=model.task,
        classes=meta.classes or tuple(f"class {i}" for i in range(getattr(config, "num_classes", 0))),
        steps=flat.shape[0],
        batch=batch,
        channels=config.in_channels,
        size=(flat.shape[3], flat.shape[4]),
        any_size=flat.any_size,
        whole=flat.whole,
        fields=flat.fields,
        parts=flat.parts,
        folded=folded,
        neurons=neurons,
        preprocess={name: x for name, x in meta.preprocess.items() if name not in ("root", "cache")},
        weights=weights_hash(model),
        input=model.input_contract(),
        versions={"spikereel": __version__, "torch": torch.__version__},
    )


def decays(neuron: Neuron) -> float | list[float]:
    """1 / tau of a neuron, 0 without a leak; a list where each channel has its own."""
    c = neuron.config
    if c.kind == "plif" or c.tau_spread is not None:
        return torch.sigmoid(neuron.w.detach()).tolist()
    return 0.0 if c.kind == "if" else 1.0 / c.tau


def neuron_constants(neuron: Neuron) -> dict[str, Any]:
    """What decides a neuron's spikes, as plain numbers; see `spikereel.ops.lif` for the equations."""
    c = neuron.config
    if not neuron.spiking:
        return {"kind": c.kind}
    if c.kind == "ilif":
        top = c.levels if c.top is None else c.top
        return {"kind": c.kind, "levels": c.levels, "decay": c.ilif_decay, "top": top, "reset": "soft", "unit": c.unit}
    decay = decays(neuron)
    scaled = c.decay_input and c.kind != "if"
    fires = {"threshold": c.threshold, "reset": c.reset, "v_reset": c.v_reset}
    ported = {"fires": c.fires, "reset_delay": c.reset_delay, "recheck": c.recheck} if c.ported else {}
    return {"kind": c.kind, "decay": decay, "decay_input": scaled, **fires, **ported}

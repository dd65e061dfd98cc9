"""What is sure of an exported file: spikes and outputs beside the model's, and a clip that any machine can repeat.

Spikes are not outputs of a file, membranes are: a neuron that spiked otherwise has a membrane that is off by what a
spike takes, while rounding moves it by some 1e-6. Each call begins once from the file's own state, and once from the
model's, so that one flipped spike does not count for all that it causes.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel import __version__
from spikereel.errors import DataError, WeightsError
from spikereel.exporting.decisions import Layer, added, compared, first_alone, rounding_of_sum, summary
from spikereel.exporting.flat import Flat, flat
from spikereel.exporting.run import Exported, extent
from spikereel.exporting.targets import target_by_suffix
from spikereel.exporting.ties import Tie, ties
from spikereel.files import write_json
from spikereel.models.base import VideoModel
from spikereel.versions import hardware

SCHEMA = "spikereel.certificate/1"
FRAMES, SEED = 8, 0
VERSIONS = {"spikereel": __version__, "torch": str(torch.__version__)}
TOLERANCE = 1e-3
"""Of outputs, in shares of the largest one or of 1: what rounding may do."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Certificate:
    """How a file compares with the model that it was made of."""

    file: str
    """sha256 of the file; of all of them, one after the other, where a target writes several."""
    weights: str
    """sha256 of the weights."""
    target: str
    runtime: str
    clips: int
    frames: int
    on: str
    """given clips, or noise."""
    largest: float
    """Largest difference of an output, the file running on from its own states."""
    size: float
    """Largest output of the model."""
    layers: tuple[Layer, ...]
    repeat: dict[str, Any]
    """A clip from a seed: outputs, and sums of membranes after each call, as the model has them."""
    grid: tuple[Layer, ...] = ()
    """The same of a network with many ties at the threshold."""
    ties: tuple[Tie, ...] = ()
    """Where spikes of a call of several steps differ: layers of which float32 leaves decisions open."""
    versions: dict[str, str] = field(default_factory=dict)
    hardware: str = ""
    schema: str = SCHEMA

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    @property
    def faithful(self) -> bool:
        """Whether outputs are within rounding and not one spike differs, on the clips and on the grid."""
        close = self.largest <= TOLERANCE * max(1.0, self.size)
        return close and all(x.verdict == "faithful" for x in (*self.layers, *self.grid))

    def lines(self) -> list[str]:
        """What a terminal shows."""
        said = [f"{self.target} by {self.runtime}: {self.clips} clip(s) of {self.on}, {self.frames} frames each"]
        said.append(f"outputs differ by {self.largest:.2g} at most, of {self.size:.3g}")
        for title, layers in (("", self.layers), ("on a grid of ties: ", self.grid)):
            if layers:
                said.append(title + summary(layers))
        if self.ties:
            said.append("calls are compared after their last step; rounding decides on the way to it")
            said[-1] += f": {'; '.join(map(str, self.ties[:3]))}{'; ...' if len(self.ties) > 3 else ''}"
        return said

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "Certificate":
        """Read what `save` wrote. Raises WeightsError for anything else."""
        try:
            values: dict[str, Any] = json.loads(Path(path).read_text())
            for name in ("layers", "grid"):
                values[name] = tuple(Layer(**x) for x in values[name])
            values["ties"] = tuple(Tie(**x) for x in values.get("ties", ()))
            return cls(**values)
        except FileNotFoundError:
            raise WeightsError(f"{path} is not there; spikereel export writes it beside the file") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{path} is no certificate ({error}); export again") from None


def certify(model: VideoModel, exported: Exported, path: Path, *, clips: Sequence[Tensor] = ()) -> Certificate:
    """Run a file and its model on clips [T, B, C, H, W], or on noise where there are none.

    Raises DataError for clips that the file does not take.
    """
    c = exported.contract
    own = clips or [_noise(exported)]
    if c.any_size:
        own = [*own, _noise(exported, more=(32, 64))]
    plain = flat(model, steps=c.steps, batch=c.batch or 1, size=c.size, any_size=c.any_size)
    found: dict[str, Layer] = {}
    largest, size, near = 0.0, 0.0, {}
    for clip in own:
        whole = _whole_calls(clip, c.steps, c.whole)
        for layers, difference, top in _compared(plain, exported, whole):
            largest, size = max(largest, difference), max(size, top)
            begins = [x.name for x in layers if x.first]
            off = bool(begins) or difference > TOLERANCE * max(1.0, top)
            if off and c.steps > 1 and c.precision == "float32":
                near |= {x.layer: x for x in ties(model, whole, until=begins[0] if begins else None)}
            for x in layers:
                found[x.name] = added(found.get(x.name), x)
    return Certificate(
        file=_digest(path),
        weights=c.weights,
        target=c.target,
        runtime=exported.runtime,
        clips=len(own),
        frames=min(len(clip) for clip in own),
        on=f"{'given clips' if clips else 'noise'}{' and one of another size' if c.any_size else ''}",
        largest=largest,
        size=size,
        layers=tuple(found.values()),
        ties=tuple(near.values()),
        repeat=_repeat(plain, exported),
        versions=dict(VERSIONS),
        hardware=hardware(),
    )


def check(exported: Exported, path: Path, certificate: Certificate) -> list[str]:
    """What is not as the certificate says, on the clip that it can repeat; nothing where all is. Needs no weights."""
    wrong = []
    if (found := _digest(path)) != certificate.file:
        several = len(_files(path)) > 1
        is_not, its = ("are not the files", "their") if several else ("is not the file", "its")
        named = " and ".join(map(str, _files(path)))
        wrong.append(f"{named} {is_not} of the certificate: {its} sha256 is {found[:12]}...")
    values, calls, rows = None, _noise(exported).split(exported.contract.steps), certificate.repeat["calls"]
    if len(calls) != len(rows):
        return [*wrong, f"the certificate has {len(rows)} calls, the file takes {len(calls)}; export again"]
    for number, (frames, row) in enumerate(zip(calls, rows, strict=True)):
        outputs, values = exported.step(frames, values)
        difference = float((_joined(outputs) - torch.tensor(row["outputs"])).abs().max())
        if not difference <= TOLERANCE * max(1.0, certificate.size):
            wrong.append(f"call {number}: an output differs by {difference:.3g}")
        for part, x in zip(exported.contract.parts, values, strict=True):
            if not part.jump:
                continue
            near = rounding_of_sum(part, x)
            # written so that what is no number differs
            if not abs(float(x.double().sum()) - row["membranes"][part.name]) <= near:
                wrong.append(f"call {number}: spikes of {part.name} differ")
    return wrong


def made_with(exported: Exported, certificate: Certificate) -> str:
    """Versions and machine that a certificate is of, and those of here, in a sentence; empty where all are the same."""
    then = {"": certificate.runtime, **certificate.versions, "hardware": certificate.hardware}
    now = {"": exported.runtime, **VERSIONS, "hardware": hardware()}
    other = [name for name, value in then.items() if value and value != now.get(name)]
    of, here = (", ".join(f"{name} {x.get(name, '')}".strip() for name in other) for x in (then, now))
    return f"the certificate is of {of}; here is {here}" if other else ""


def _compared(plain: Flat, exported: Exported, clip: Tensor):
    """For each call: its layers, the largest difference of an output, and the largest output."""
    mine = ours = None
    parted = False
    for frames in clip.split(exported.contract.steps):
        outputs, ours_after = _reference(plain, frames, ours)
        free, mine = exported.step(frames, mine)
        forced = exported.step(frames, ours)[1] if ours is not None else mine
        difference = max(float((a - b).abs().nan_to_num(torch.inf).max()) for a, b in zip(free, outputs, strict=True))
        layers = [compared(exported.contract, i, ours_after, mine, forced) for i, p in enumerate(plain.parts) if p.jump]
        # a spike that differs changes what is behind it, and calls after it where the file runs on
        if any(x.from_states for x in layers) or not parted:
            layers = first_alone(layers)
        else:
            layers = [replace(x, first=0, distance=0.0) for x in layers]
        parted = parted or any(x.from_zero for x in layers)
        ours = ours_after
        yield layers, difference, max(float(x.abs().max()) for x in outputs)


def calls_of(plain: Flat, clip: Tensor) -> list[list[Tensor]]:
    """Inputs of the calls that a clip is: frames, and the states of the model before them."""
    found, before = [], None
    for frames in _whole_calls(clip, plain.shape[0], plain.whole).split(plain.shape[0]):
        if before is None:
            before = [] if plain.whole else [part.first(*extent(clip)) for part in plain.parts]
        found.append([frames, *before])
        before = _reference(plain, frames, before)[1]
    return found


def _reference(plain: Flat, frames: Tensor, before: list[Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
    states = [] if plain.whole else before or [part.first(*extent(frames)) for part in plain.parts]
    with torch.no_grad():
        found = plain(frames, *states)
    return list(found[: len(plain.fields)]), list(found[len(plain.fields) :])


def _whole_calls(clip: Tensor, steps: int, whole: bool) -> Tensor:
    usable = steps if whole else len(clip) - len(clip) % steps
    if not usable or len(clip) < usable:
        raise DataError(f"a clip of {len(clip)} frames is too short for calls of {steps}; give longer ones")
    return clip[:usable]


def _noise(exported: Exported, *, more: tuple[int, int] = (0, 0)) -> Tensor:
    """A clip from a seed, the same on every machine. more: pixels of height and width beyond those of the contract."""
    c = exported.contract
    frames = c.steps if c.whole else c.steps * max(FRAMES // c.steps, 2)
    shape = (frames, c.batch or 1, c.channels, c.size[0] + more[0], c.size[1] + more[1])
    return 2.0 * torch.rand(shape, generator=torch.Generator().manual_seed(SEED)) - 1.0


def _repeat(plain: Flat, exported: Exported) -> dict[str, Any]:
    """Of a file in 8 bits, which is not the model, what the file itself gives."""
    rows, before, own = [], None, exported.contract.precision == "int8"
    for frames in _noise(exported).split(exported.contract.steps):
        outputs, before = exported.step(frames, before) if own else _reference(plain, frames, before)
        sums = {p.name: float(x.double().sum()) for p, x in zip(plain.parts, before, strict=True) if p.jump}
        rows.append({"outputs": _joined(outputs).tolist(), "membranes": sums})
    return {"seed": SEED, "calls": rows}


def _joined(outputs: Sequence[Tensor]) -> Tensor:
    """At most so many values of the outputs, evenly taken: masks of pixels are many."""
    flat = torch.cat([x.flatten() for x in outputs])
    return flat[:: max(len(flat) // 256, 1)]


def _files(path: Path) -> list[Path]:
    row = target_by_suffix(path)
    return [path] if row is None else row.files(path)


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    for name in _files(path):
        with name.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()

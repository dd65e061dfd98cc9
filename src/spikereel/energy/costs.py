"""Cost models: what an operation and a moved bit are taken to cost. A new one is a row of `COSTS`.

Every energy, and every ratio to an opponent, is of one model alone.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikereel.config import unknown_key
from spikereel.energy.layer import PARTS, LayerCost, Split

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014, 45 nm 0.9 V"
STEP = "STEP: A Unified Spiking Transformer Evaluation Platform, 2025"

Operations = Literal["dense", "folded", "fused", "exact"]


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """One way to count; energies in pJ, widths in bits."""

    title: str
    source: str
    operations: Operations
    """exact: operations as counted, none on padding, and real-valued operands as multiply-accumulates. The others take
    firing rate x dense operations, and merge chains of linear layers as their authors do: as they stand (dense), each
    RepConv as one 3x3 convolution (folded), SepConv's depthwise and 1x1 as one 7x7 as well (fused)."""
    multiply_pj: float = 3.7
    add_pj: float = 0.9
    """An accumulation; a multiply-accumulate costs both. These are 32-bit floats."""
    word: int = 32
    """Bits of a weight and of a real value."""
    integer: bool = False
    """Integer arithmetic: a multiplication costs in proportion to the bits of its second operand."""
    update_pj: float = 0.0
    """Of one neuron and time step."""
    membrane: int = 32
    off_chip_pj: float = 0.0
    """Per bit; 0 leaves data movement out."""
    on_chip_pj: float = 0.0
    on_chip_bits: int = 0
    """Size of the buffer: what fits stays there over the time steps, and comes from outside once a clip."""
    assumptions: tuple[str, ...] = ()

    @property
    def mac_pj(self) -> float:
        """A multiply-accumulate."""
        return self.multiply_pj + self.add_pj

    def quantised_mac_pj(self, bits: int) -> float:
        """A multiply-accumulate with an operand of so many bits; integer models only."""
        return self.multiply_pj * bits / self.word + self.add_pj

    def snn_pj(self, layer: LayerCost) -> Split:
        """The layer as it is, with the neurons that it drives."""
        steps = len(layer.rate)
        parts = Split((part, [0.0] * steps) for part in PARTS)
        compute = "attention" if layer.kind == "attention" else "mac" if self.multiplies(layer) else "ac"
        if self.multiplies(layer):
            parts[compute] = [self.mac_pj * self.dense(layer) / steps] * steps
        else:
            parts[compute] = [self.add_pj * x for x in self.accumulations(layer)]
        parts["neurons"] = [self.update_pj * layer.membranes / steps] * steps
        if self.off_chip_pj:
            real = layer.operand == "real"
            values = layer.inputs * (self.word if real else spike_bits(layer.levels))
            values += layer.inputs * self.word if real and not layer.analog else 0.0
            values += layer.spike_bits + (layer.neurons - layer.membranes) * self.word
            parts["memory"] = self._moved_pj(layer, values, 2 * layer.membranes * self.membrane)
        return parts

    def ann_pj(self, layer: LayerCost, bits: int | None = None) -> Split:
        """The same layer of an ANN, all multiply-accumulates; `bits` of its activations, None for whole words."""
        steps = len(layer.rate)
        parts = Split((part, [0.0] * steps) for part in PARTS)
        mac = self.mac_pj if bits is None else self.quantised_mac_pj(bits)
        macs = layer.inner_macs if self.operations == "exact" else layer.macs
        parts["attention" if layer.kind == "attention" else "mac"] = [mac * macs / steps] * steps
        if self.off_chip_pj:
            width = bits or self.word
            written = layer.inputs if layer.operand == "real" and not layer.analog else 0.0
            parts["memory"] = self._moved_pj(layer, (layer.inputs + written + layer.neurons) * width, 0.0)
        return parts

    def clip_pj(self, layers: Iterable[LayerCost], *, ann: bool = False) -> Split:
        """All layers of a clip; ann: of the same network as an ANN."""
        splits = [self.ann_pj(x) if ann else self.snn_pj(x) for x in layers]
        return Split((part, [sum(x) for x in zip(*(s[part] for s in splits), strict=True)]) for part in PARTS)

    def multiplies(self, layer: LayerCost) -> bool:
        """Whether the layer counts as multiply-accumulates."""
        return layer.analog or (layer.operand == "real" and (self.operations == "exact" or not layer.merged))

    def dense(self, layer: LayerCost) -> float:
        """Operations of the clip at a firing rate of 1."""
        if self.operations == "exact":
            return layer.inner_macs
        if self.multiplies(layer) or self.operations == "dense":
            return layer.macs
        return layer.folded_macs if self.operations == "folded" else layer.fused_macs

    def accumulations(self, layer: LayerCost) -> list[float]:
        """Of a layer on spikes, at each time step: as counted, or firing rate x dense."""
        if self.operations == "exact" and layer.synops is not None:
            return list(layer.synops)
        each = self.dense(layer) / len(layer.rate)
        return [rate * each for rate in layer.rate]

    def _moved_pj(self, layer: LayerCost, activations: float, membranes: float) -> list[float]:
        """Data movement: weights once a time step, activations and membranes as given for the clip, all in bits."""
        steps = len(layer.rate)
        weights = layer.weights * self.word
        activations = (activations + 2 * layer.intermediates * self.word) / steps
        fits = weights <= self.on_chip_bits
        fetched = weights * self.off_chip_pj / steps + weights * self.on_chip_pj if fits else weights * self.off_chip_pj
        moved = sum(x * self._price(x) for x in (activations, membranes / steps))
        return [fetched + moved] * steps

    def _price(self, bits: float) -> float:
        return self.on_chip_pj if bits <= self.on_chip_bits else self.off_chip_pj

    def to_json(self) -> dict[str, Any]:
        """Constants, source and assumptions."""
        return {
            "title": self.title,
            "source": self.source,
            "mac_pj": self.mac_pj,
            "ac_pj": self.add_pj,
            "update_pj": self.update_pj,
            "operations": self.operations,
            "word_bits": self.word,
            "membrane_bits": self.membrane,
            "off_chip_pj_per_bit": self.off_chip_pj,
            "on_chip_pj_per_bit": self.on_chip_pj,
            "on_chip_bits": self.on_chip_bits,
            "assumptions": list(self.assumptions),
        }


def spike_bits(levels: int) -> int:
    """Bits that hold 0 to `levels`."""
    return max(1, math.ceil(math.log2(levels + 1)))


_RATES = "accumulations are firing rate x dense operations, padding counted as input"
_LEFT_OUT = "left out: neuron updates, norms, residual additions, memory traffic"
_EXACT = "accumulations are counted one by one: none on padding, none where no output reaches"
_REAL = "layers whose operand is observed to be real-valued are multiply-accumulates"
_TRAFFIC = (
    "each layer reads its weights once a time step and its operand once; a neuron writes its output, reads and writes "
    "its membrane of 32 bits; layer, norm, addition and neuron are one pass",
    "the ANN reads the same weights once a frame and writes real activations; no membranes",
    "a neuron update is one multiply-accumulate",
    "left out: norms, residual streams, addressing of spikes",
)

COSTS: dict[str, CostModel] = {
    "paper": CostModel(
        title="as the papers count",
        source=f"{HOROWITZ}; counting as in SpikeVideoFormer and SVFormer",
        operations="dense",
        assumptions=(
            _RATES,
            "multiply-accumulates: the first convolution, and layers whose operand is real-valued",
            "but chains that their authors re-parameterise (RepConv, SepConv) count as accumulations, at the rate of "
            "the spikes that enter the chain",
            "attention: k^T v at the lower rate of k and v, q (k^T v) at that of q; Hamming: at that of v, and at 1",
            _LEFT_OUT,
        ),
    ),
    "executed": CostModel(
        title="as it runs", source=HOROWITZ, operations="exact", assumptions=(_EXACT, _REAL, _LEFT_OUT)
    ),
    "folded": CostModel(
        title="RepConv folded",
        source=f"{HOROWITZ}; folding as the authors of Spike-driven Transformer V2 describe",
        operations="folded",
        assumptions=(_RATES, "each RepConv is one dense 3x3 convolution on spikes; all else as in `paper`", _LEFT_OUT),
    ),
    "fused": CostModel(
        title="RepConv and SepConv folded",
        source=HOROWITZ,
        operations="fused",
        assumptions=(
            _RATES,
            "as `folded`, and SepConv's depthwise 7x7 with its 1x1 is one dense 7x7 on spikes",
            _LEFT_OUT,
        ),
    ),
    "memory": CostModel(
        title="as it runs, data off chip",
        source=f"{HOROWITZ}; 3.12 pJ a bit off chip as in {STEP}",
        operations="exact",
        update_pj=4.6,
        off_chip_pj=3.12,
        assumptions=(_EXACT, _REAL, *_TRAFFIC),
    ),
    "memory_onchip": CostModel(
        title="as it runs, two levels of memory",
        source=f"{HOROWITZ}, 1 MB SRAM: 100 pJ a 64-bit access; 3.12 pJ a bit off chip as in {STEP}",
        operations="exact",
        update_pj=4.6,
        off_chip_pj=3.12,
        on_chip_pj=100 / 64,
        on_chip_bits=8 * 2**20,
        assumptions=(
            _EXACT,
            _REAL,
            *_TRAFFIC,
            "weights, activations and membranes of a layer that fit into 1 MB each stay on chip, weights fetched once",
        ),
    ),
    "int8": CostModel(
        title="8-bit integers",
        source=f"{HOROWITZ}: 8-bit multiplication 0.2 pJ, 32-bit addition 0.1 pJ",
        operations="exact",
        multiply_pj=0.2,
        add_pj=0.1,
        word=8,
        integer=True,
        assumptions=(
            _EXACT,
            _REAL,
            "sums are held in 32 bits",
            "a multiplication by b bits costs b / 8 of one by 8 bits",
            _LEFT_OUT,
        ),
    ),
    "fp16": CostModel(
        title="16-bit floating point",
        source=f"{HOROWITZ}: 16-bit multiplication 1.1 pJ, addition 0.4 pJ",
        operations="exact",
        multiply_pj=1.1,
        add_pj=0.4,
        word=16,
        assumptions=(_EXACT, _REAL, _LEFT_OUT),
    ),
}
"""Names that `--cost` takes. Loihi 2 is not among them: no energy of its events is published that could be cited."""

DEFAULT = ("paper", "executed", "folded", "memory", "int8")


def cost_model(cost: "str | CostModel") -> CostModel:
    """A row of `COSTS`, or the model itself. Raises ConfigError for an unknown name, with the nearest one."""
    if isinstance(cost, CostModel):
        return cost
    if cost not in COSTS:
        raise unknown_key(cost, COSTS, "cost model")
    return COSTS[cost]


def cost_models(names: str | None) -> Mapping[str, CostModel]:
    """Those of a list with commas, in its order; None for the usual ones. Raises ConfigError for an unknown name."""
    chosen = DEFAULT if names is None else [x.strip() for x in names.split(",") if x.strip()]
    if not chosen:
        raise unknown_key(names or "", COSTS, "cost model")
    return {name: cost_model(name) for name in chosen}

"""What each layer of an engine did with its time."""

import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from spikereel.engine.execute import Call
from spikereel.engine.loaded import native
from spikereel.engine.plan import Layer, Pointwise, SpikeConv

REFERENCE = "reference"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One layer over one clip."""

    layer: str
    kernel: str
    """events, tables, dense, depthwise, attention, neuron; reference: the modules of the model."""
    rate: float | None
    """Firing rate of its input; None where that is real-valued."""
    seconds: float
    macs: int
    """Dense multiply-accumulates."""
    saved: float
    """Share of them that firing spares: what event lists leave out, and what a neuromorphic chip would."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows in order of execution; `str(report)` is a table."""

    instruction_set: str
    threads: int
    frames: int
    near_threshold: int
    """Charges within 1e-6 of the threshold."""
    rows: tuple[Row, ...]

    @property
    def seconds(self) -> float:
        """Of the whole call."""
        return sum(row.seconds for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self) | {"seconds": self.seconds}

    def __str__(self) -> str:
        lines = [f"{'layer':48} {'kernel':10} {'rate':>6} {'ms':>8} {'share':>6} {'GMAC/s':>7} {'saved':>6}"]
        for row in self.rows:
            rate = "" if row.rate is None else f"{row.rate:.3f}"
            saved = "" if row.rate is None else f"{100 * row.saved:.0f} %"
            speed = row.macs / row.seconds / 1e9 if row.seconds else 0.0
            lines.append(
                f"{row.layer:48} {row.kernel:10} {rate:>6} {1e3 * row.seconds:8.2f} "
                f"{100 * row.seconds / self.seconds:4.1f} % {speed:7.1f} {saved:>6}"
            )
        total = sum(row.macs for row in self.rows)
        lines.append(
            f"{1e3 * self.seconds:.1f} ms for {self.frames} frames,"
            f" {total / self.seconds / 1e9:.0f} GMAC/s of the dense count, {self.instruction_set},"
            f" {self.threads} thread(s); {self.near_threshold} charges within 1e-6 of the threshold"
        )
        return "\n".join(lines)


class Profile:
    """`watch` of a run: time, spikes and operations of each layer."""

    def __init__(self) -> None:
        self.layers: dict[int, Layer] = {}
        self.seconds: dict[int, float] = {}
        self.macs: dict[int, int] = {}
        self.spikes: dict[int, tuple[int, int]] = {}
        self.counting = 0.0
        """Seconds spent on counting spikes, which are nobody's."""

    def __call__(self, layer: Layer, call: Call, t0: int, t1: int, seconds: float) -> None:
        key = id(layer)
        self.layers[key] = layer
        self.seconds[key] = self.seconds.get(key, 0.0) + seconds
        self.macs[key] = self.macs.get(key, 0) + (t1 - t0) * layer.macs(*call.layout.sizes[key])
        started = time.perf_counter()
        if layer.inputs() and layer.inputs()[0].kind == "bits":
            source = layer.inputs()[0]
            bits = call.frames_of(source, t0, t1)
            count, room = self.spikes.get(key, (0, 0))
            more = bits.shape[1] * bits.shape[2] * source.live
            self.spikes[key] = (count + native().count_spikes(bits), room + more)
        self.counting += time.perf_counter() - started

    def rows(self) -> list[Row]:
        """In the order of the program."""
        out = []
        for key, layer in self.layers.items():
            count, room = self.spikes.get(key, (0, 0))
            rate = count / room if room else None
            kernel = layer.choice if isinstance(layer, SpikeConv) else _kind(layer)
            saved = 0.0 if rate is None else max(0.0, 1.0 - rate)
            out.append(
                Row(
                    layer=layer.name,
                    kernel=kernel,
                    rate=rate,
                    seconds=self.seconds[key],
                    macs=self.macs[key],
                    saved=saved,
                )
            )
        return out


class Rates:
    """`watch` of a run: mean spikes a time step of each neuron."""

    def __init__(self) -> None:
        self.parts: dict[str, list[list[float]]] = defaultdict(list)
        """Of each clip, a rate a frame."""

    def __call__(self, layer: Layer, call: Call, t0: int, t1: int, _seconds: float) -> None:
        if layer.neuron is None or layer.spikes is None:
            return
        bits = call.fired_by(layer, t0, t1)
        unit = layer.neuron.unit / (bits.shape[2] * layer.channels * layer.neuron.parts)
        clips = self.parts[layer.neuron.name]
        if t0 == 0 and layer.share == 0:
            clips.append([])
        found = [native().count_spikes(bits[:, t : t + 1]) * unit for t in range(t1 - t0)]
        if layer.share:
            clips[-1][t0:t1] = [a + b for a, b in zip(clips[-1][t0:t1], found, strict=True)]
        else:
            clips[-1] += found

    def of(self, name: str) -> Tensor:
        """Mean over the clips, float64 [T]; over those of the last one's length."""
        clips = self.parts[name]
        return torch.tensor([x for x in clips if len(x) == len(clips[-1])], dtype=torch.float64).mean(0)


def _kind(layer: Layer) -> str:
    if isinstance(layer, Pointwise):
        return "depthwise" if layer.kernel > 1 else "dense"
    return {"PictureConv": "dense", "Fire": "neuron", "Resize": "resize"}.get(type(layer).__name__, "attention")

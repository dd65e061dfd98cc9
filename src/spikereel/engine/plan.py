"""What the engine runs: buffers and layers in their order, without sizes; the sizes come with the first clip."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikereel.engine.packing import LANES, Fixed, Floats, spike_words, whole
from spikereel.layers.attention import summed_tokens

Grouping = Literal["frame", "clip", "pixel", "past", "recent"]


@dataclass(eq=False)
class Buffer:
    """Spikes (bits) or values of one place in the network, for some frames or for a whole clip."""

    kind: Literal["bits", "value"]
    channels: int
    planes: int = 1
    padding: int = 0
    """Channels among them that nobody writes."""
    writer: "Layer | None" = None
    """The last layer that writes it."""
    first: int = -1
    """Number of the first layer that touches it, and of the last."""
    last: int = -1
    kept: bool = False
    """Wanted by the caller: lives to the end, and for all frames."""
    whole_clip: bool = False

    @property
    def live(self) -> int:
        """Channels that are written."""
        return self.channels - self.padding

    def frame_bytes(self, pixels: int) -> int:
        """Of one frame."""
        if self.kind == "bits":
            return self.planes * pixels * spike_words(self.channels) * 2
        return pixels * whole(self.channels) * LANES * 4


@dataclass(frozen=True)
class Neuron:
    """Constants of a neuron as the kernels take them."""

    name: str
    kind: int
    """1: leaky integrate-and-fire, 2: integer spikes."""
    soft_reset: bool
    decay_input: bool
    top: int
    decay: float
    threshold: float
    v_reset: float
    start: float
    unit: float = 1.0
    """What one spike is worth to the layers behind."""
    flat: bool = False
    """The membrane is [B, C, H W] in a state, not [B, C, H, W]."""
    parts: int = 1
    """Layers whose outputs it sees side by side, each as many channels."""

    @property
    def planes(self) -> int:
        """Bits of a spike."""
        return self.top if self.kind == 2 else 1

    def constants(self) -> dict[str, Any]:
        """Arguments of a native target."""
        return {
            "kind": self.kind,
            "soft_reset": self.soft_reset,
            "decay_input": self.decay_input,
            "top": self.top,
            "decay": self.decay,
            "threshold": self.threshold,
            "v_reset": self.v_reset,
            "start": self.start,
        }


SILENT = Neuron("", 0, False, True, 1, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Norm:
    """y = scale x + bias, [frames or 1, channels in whole vectors]."""

    scale: Floats
    bias: Floats

    def at(self, first: int, frames: int) -> "Norm":
        """The rows of these frames, where frames have rows of their own."""
        if len(self.scale) == 1:
            return self
        rows = slice(first, first + frames)
        return Norm(self.scale[rows], self.bias[rows])


@dataclass(eq=False)
class Layer:
    """One call of a kernel: what comes in, and what becomes of its sums."""

    name: str
    channels: int
    """Of the output."""
    value: Buffer | None = None
    norm: Norm | None = None
    residual: Buffer | None = None
    neuron: Neuron | None = None
    spikes: Buffer | None = None
    share: int = 0
    """Which of the parts of its neuron it is."""
    part: int = 0
    """Number of the chunk loop that it runs in."""

    @property
    def words(self) -> slice:
        """Words of `spikes` that it writes: shares begin at whole words of 64 channels."""
        own = spike_words(self.channels)
        return slice(self.share * own, (self.share + 1) * own)

    @property
    def lanes(self) -> slice:
        """Channels of the membrane that are its own."""
        if self.neuron is None or self.neuron.parts == 1:
            return slice(None)
        return slice(self.share * self.channels, (self.share + 1) * self.channels)

    def inputs(self) -> list[Buffer]:
        """Buffers it reads, the residual left out."""
        return []

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Of its output, from that of its input."""
        return height, width

    def macs(self, height: int, width: int) -> int:
        """Dense multiply-accumulates of one frame with an output of this size."""
        return 0


@dataclass(eq=False)
class PictureConv(Layer):
    """The first convolution, of the pictures themselves."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    in_channels: int = 3
    weights: Floats | None = None

    def size(self, height: int, width: int) -> tuple[int, int]:
        return _convolved(height, self), _convolved(width, self)

    def macs(self, height: int, width: int) -> int:
        return height * width * self.channels * self.in_channels * self.kernel**2


@dataclass(eq=False)
class SpikeConv(Layer):
    """A convolution (or matrix: kernel 1) of spikes."""

    source: Buffer = None  # ty: ignore[invalid-assignment]
    shape: tuple[int, int, int, int] = (0, 0, 0, 0)
    """[C', C, k, k]."""
    weight: Fixed | None = None
    """In fixed point, packed anew for each choice; an engine from a file has none."""
    unit: Floats | None = None
    """What one is worth, [C']; the norm has it in its scale."""
    real: NDArray[np.float32] | None = None
    """The weights before they were rounded, for those who check."""
    stride: int = 1
    padding: int = 0
    choice: str = ""
    """events1 to events8 (vectors of outputs at a time), rows1 and so on (the same, one row of the window after the
    other), cached, tables, digits, or coarse, which are tables of weights rounded to 16 bits; chosen when the layer is
    timed."""
    packed: NDArray[np.int32] | NDArray[np.int16] | NDArray[np.int8] | None = None
    coarse: Norm | None = None
    """The norm of sums of weights that the choice "coarse" has rounded."""

    def inputs(self) -> list[Buffer]:
        return [self.source]

    def size(self, height: int, width: int) -> tuple[int, int]:
        return _convolved(height, self), _convolved(width, self)

    @property
    def kernel(self) -> int:
        return self.shape[2]

    def macs(self, height: int, width: int) -> int:
        return height * width * self.shape[0] * self.source.live * self.kernel**2


@dataclass(eq=False)
class Pointwise(Layer):
    """A depthwise convolution of spikes or values (kernel 1: none) and a matrix behind it."""

    source: Buffer = None  # ty: ignore[invalid-assignment]
    offset: int = 0
    """First channel read of the source."""
    depth: int = 0
    kernel: int = 1
    stride: int = 1
    """Of the depthwise convolution."""
    taps: Floats | None = None
    """Of the depthwise convolution of values."""
    fixed: Fixed | None = None
    """Of that of spikes, in fixed point; the matrix holds what one is worth."""
    real: Floats | None = None
    """The same before they were rounded, for those who check."""
    weights: Floats = None  # ty: ignore[invalid-assignment]

    def inputs(self) -> list[Buffer]:
        return [self.source]

    @property
    def padding(self) -> int:
        """Zeros around the picture, so that a stride of 1 leaves its size."""
        return self.kernel // 2

    def size(self, height: int, width: int) -> tuple[int, int]:
        return _convolved(height, self), _convolved(width, self)

    def macs(self, height: int, width: int) -> int:
        depthwise = self.kernel**2 * self.depth if self.kernel > 1 else 0
        return height * width * (self.channels * self.depth + depthwise)


@dataclass(eq=False)
class Fire(Layer):
    """A neuron on values."""

    source: Buffer = None  # ty: ignore[invalid-assignment]

    def inputs(self) -> list[Buffer]:
        return [self.source]


@dataclass(eq=False)
class Resize(Layer):
    """Values at the size of another layer's output, corners not aligned."""

    source: Buffer = None  # ty: ignore[invalid-assignment]
    like: Layer = None  # ty: ignore[invalid-assignment]
    bilinear: bool = True
    """Otherwise each output is the nearest value."""

    def inputs(self) -> list[Buffer]:
        return [self.source]


@dataclass(eq=False)
class AttendCount(Layer):
    """Coincidences of k and v, added up over the tokens that see each other."""

    k: Buffer = None  # ty: ignore[invalid-assignment]
    v: Buffer = None  # ty: ignore[invalid-assignment]
    heads: int = 1
    grouping: Grouping = "frame"
    hamming: bool = True
    window: int = 1
    """Frames that a token of "recent" sees."""

    def inputs(self) -> list[Buffer]:
        return [self.k, self.v]

    def macs(self, height: int, width: int) -> int:
        return height * width * self.channels * (self.channels // self.heads)


@dataclass(eq=False)
class AttendApply(Layer):
    """What the q of each token makes of them."""

    q: Buffer = None  # ty: ignore[invalid-assignment]
    counted: AttendCount = None  # ty: ignore[invalid-assignment]
    reference: tuple[int, int] | None = None
    """Frames, and tokens of a frame, of clips whose sums stay as they are; None for all."""

    def inputs(self) -> list[Buffer]:
        return [self.q]

    def norm_in(self, frames: int, tokens: int) -> Norm | None:
        """The norm in a call of so many frames of so many tokens each: with a reference, sums are held against it."""
        if self.norm is None or self.reference is None:
            return self.norm
        grouping = self.counted.grouping
        seen = summed_tokens(grouping, self.counted.window if grouping == "recent" else frames, tokens)
        share = np.float32(summed_tokens(grouping, *self.reference) / seen)
        return Norm(self.norm.scale * share, self.norm.bias)

    def macs(self, height: int, width: int) -> int:
        return height * width * self.channels * (self.channels // self.counted.heads)


def _convolved(length: int, layer: PictureConv | SpikeConv | Pointwise) -> int:
    return (length + 2 * layer.padding - layer.kernel) // layer.stride + 1


@dataclass
class Program:
    """Layers in order, cut into parts; each part runs over the clip in chunks of frames before the next one begins."""

    layers: list[Layer] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    taps: dict[str, Buffer] = field(default_factory=dict)
    """Values that the caller wants, by name."""

    def parts(self) -> list[list[Layer]]:
        """The layers of each part."""
        count = self.layers[-1].part + 1
        return [[layer for layer in self.layers if layer.part == i] for i in range(count)]

    def neurons(self) -> list[Layer]:
        """Layers that end in a neuron."""
        return [layer for layer in self.layers if layer.neuron is not None]

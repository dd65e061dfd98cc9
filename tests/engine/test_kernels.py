"""Every native kernel on every instruction set of this machine, against the plain modules in float64."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spikereel.engine import packing
from spikereel.engine.attending import between, of_the_last, so_far
from spikereel.engine.loaded import available, native
from spikereel.engine.memory import grid
from spikereel.ops.hamming import attention
from spikereel.ops.lif import ilif, lif

pytestmark = pytest.mark.skipif(not available(), reason="this installation has no native engine")


@pytest.fixture(params=[1, 3])
def threads(request):
    before = native().threads()
    native().set_threads(request.param)
    yield request.param
    native().set_threads(before)


def values(x):
    """[T, C, H, W] as [T, H W, whole vectors]."""
    t, c, h, w = x.shape
    out = np.zeros((t, h * w, packing.whole(c) * 16), np.float32)
    out[..., :c] = x.numpy().reshape(t, c, h * w).transpose(0, 2, 1)
    return out


def planar(x, channels, height, width):
    """Inverse of `values`."""
    return torch.from_numpy(x[..., :channels].transpose(0, 2, 1).reshape(len(x), channels, height, width).copy())


def sixteenths(rng, *shape, most=64):
    """Random multiples of 1/16, whose sums and products are exact in float32: results have to be equal."""
    return torch.from_numpy(rng.integers(-most, most + 1, shape).astype(np.float32) / 16)


class Into:
    """Buffers for the results of one layer, and the target that names them."""

    def __init__(self, frames, channels, height, width, **neuron):
        self.shape = (channels, height, width)
        lanes = packing.whole(channels) * 16
        self.value = np.full((frames, height * width, lanes), np.nan, np.float32)
        kind = neuron.get("kind", 0)
        planes = neuron.get("top", 1) if kind == 2 else 1
        self.bits = np.full((planes, frames, height * width, packing.spike_words(channels)), 0xFFFF, np.uint16)
        self.membrane = np.zeros((height * width, lanes), np.float32)
        self.near = np.zeros(1, np.int64)
        self.neuron = {
            "kind": 0,
            "soft_reset": False,
            "decay_input": True,
            "top": 1,
            "decay": 0.5,
            "threshold": 1.0,
            "v_reset": 0.0,
            "fresh": False,
            "start": 0.0,
            **neuron,
        }

    def target(self, *, scale=None, bias=None, residual=None):
        kind = self.neuron["kind"]
        return native().Target(
            self.shape[0],
            scale=scale,
            bias=bias,
            residual=residual,
            value=self.value,
            bits=self.bits if kind else None,
            membrane=self.membrane if kind else None,
            near=self.near,
            **self.neuron,
        )

    def read(self):
        return planar(self.value, *self.shape)

    def counts(self):
        beyond = np.unpackbits(self.bits.view(np.uint8), axis=-1, bitorder="little")[..., self.shape[0] :]
        assert not beyond.any()
        return torch.from_numpy(packing.unpack_spikes(self.bits, *self.shape))


def spikes(rng, *shape, rate=0.2, top=1):
    return torch.from_numpy(rng.binomial(top, rate, shape).astype(np.float32))


@pytest.mark.parametrize("planes", [1, 4])
@pytest.mark.parametrize(
    ("frames", "inputs", "outputs", "height", "width", "kernel", "stride"),
    [
        (1, 1, 1, 1, 1, 1, 1),
        (3, 70, 37, 5, 7, 3, 1),
        (2, 32, 33, 9, 6, 3, 2),
        (4, 64, 128, 4, 4, 1, 1),
        (5, 45, 360, 3, 19, 1, 1),
        (2, 130, 16, 6, 18, 3, 1),
    ],
)
@pytest.mark.parametrize(
    "way", ["events1", "events2", "events4", "events8", "rows1", "rows4", "cached", "digits", "tables", "coarse"]
)
def test_convolution_of_spikes(isa, threads, way, frames, inputs, outputs, height, width, kernel, stride, planes):
    if way in ("tables", "coarse") and (isa not in ("amx", "avx512") or stride != 1):
        pytest.skip("tables are for AVX-512 and stride 1")
    rng = np.random.default_rng(0)
    x = spikes(rng, frames, inputs, height, width, top=planes)
    weight = sixteenths(rng, outputs, inputs, kernel, kernel, most=64 if way != "coarse" else 32)
    pad = kernel // 2
    wanted = F.conv2d(x.double(), weight.double(), stride=stride, padding=pad)
    into = Into(frames, outputs, *wanted.shape[2:])
    shared = {"channels": inputs, "height": height, "width": width, "kernel": kernel, "padding": pad}
    bits = packing.pack_spikes(x.numpy(), planes)
    fixed, unit = packing.fixed_point(weight.numpy(), planes)
    scale, bias = packing.affine_rows(unit[None]), packing.affine_rows(np.zeros((1, outputs)))
    shared["target"] = into.target(scale=scale, bias=bias)
    if way == "tables":
        native().tables(bits, weights=packing.table_rows(fixed), **shared)
    elif way == "coarse":
        # 16 bits hold these weights as they are, where few enough of them are summed
        most = int(np.abs(weight.numpy() * 16).max())
        assert most * packing.COARSE_RUN * packing.COARSE_GROUP * planes < 2**15
        rows = packing.table_rows((weight.numpy() * 16).astype(np.int16), packing.COARSE_GROUP)
        shared["target"] = into.target(scale=np.full_like(scale, 1 / 16), bias=bias)
        native().coarse(bits, weights=rows, **shared)
    elif way == "digits":
        native().digits(bits, stride=stride, weights=packing.digit_rows(fixed), **shared)
    elif way == "cached":
        native().cached(bits, stride=stride, weights=packing.event_rows(fixed, 1), **shared)
    else:
        block = int(way[-1])
        native().events(
            bits,
            stride=stride,
            weights=packing.event_rows(fixed, block),
            block=block,
            by_row=way.startswith("rows"),
            **shared,
        )
    assert torch.equal(into.read().double(), wanted)


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
@pytest.mark.parametrize(("kernel", "stride", "planes"), [(1, 1, 1), (3, 1, 1), (3, 2, 4), (2, 2, 127)])
def test_digits_of_the_largest_weights(isa, threads, digits, kernel, stride, planes):
    """The smallest and largest whole numbers of so many digits, most counts at their most: sums need the carries."""
    rng = np.random.default_rng(digits)
    ones = (256**digits - 1) // 255
    least, most = (-128 * ones, 127 * ones) if digits < 4 else (-(2**31), 2**31 - 1)
    weight = rng.integers(least, most, (33, 70, kernel, kernel), endpoint=True).astype(np.int32)
    weight[0, 0], weight[1, 1] = most, least
    assert packing.digits_of(weight) == digits
    x = spikes(rng, 2, 70, 5, 9, rate=0.9, top=planes)
    padding = kernel // 2
    wanted = F.conv2d(x.double(), torch.from_numpy(weight).double(), stride=stride, padding=padding)
    # 32 bits wrap around, as those of every kernel would
    wrapped = (wanted.long() + 2**31) % 2**32 - 2**31
    into = Into(2, 33, *wanted.shape[2:])
    native().digits(
        packing.pack_spikes(x.numpy(), planes),
        channels=70,
        height=5,
        width=9,
        kernel=kernel,
        stride=stride,
        padding=padding,
        weights=packing.digit_rows(weight),
        target=into.target(scale=np.ones((1, 48), np.float32), bias=np.zeros((1, 48), np.float32)),
    )
    assert torch.equal(into.read(), wrapped.float())


NEURONS = {
    "lif": ({"kind": 1}, {}),
    "third": ({"kind": 1, "decay": 1 / 3}, {"tau": 3.0}),
    "soft": ({"kind": 1, "soft_reset": True, "threshold": 0.7}, {"reset": "soft", "threshold": 0.7}),
    "reset": ({"kind": 1, "v_reset": -0.25, "decay": 0.25}, {"v_reset": -0.25, "tau": 4.0}),
    "leak": ({"kind": 1, "decay_input": False}, {"decay_input": False}),
    "if": ({"kind": 1, "decay_input": False, "decay": 0.0}, {"decay_input": False, "tau": float("inf")}),
}


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (6, 37, 3, 5), (3, 64, 9, 9), (2, 200, 2, 3)])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_neurons_are_those_of_the_reference(isa, threads, name, shape, given, bare):
    own, reference = NEURONS[name]
    rng = np.random.default_rng(1)
    # halves and quarters: many charges fall on the threshold itself
    x = torch.from_numpy(rng.integers(-4, 9, shape).astype(np.float32) / 4)
    v = torch.from_numpy(rng.integers(-4, 4, shape[1:]).astype(np.float32) / 4) if given else None
    wanted, after = lif(x, v, backend="reference", **reference)
    into = Into(*shape, **own)
    into.membrane[:] = reference.get("v_reset", 0.0)
    if v is not None:
        into.membrane[:, : shape[1]] = v.numpy().reshape(shape[1], -1).T
    drives = values(x)
    # nothing that lies beyond the channels may fire
    drives[..., shape[1] :] = 99.0
    native().fire(drives, target=_bare(into) if bare else into.target())
    assert torch.equal(into.counts(), wanted)
    assert torch.equal(torch.from_numpy(into.membrane[:, : shape[1]].T.reshape(shape[1:])), after)


@pytest.mark.parametrize("top", [1, 4])
def test_integer_neuron_is_that_of_the_reference(isa, threads, top):
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.integers(-4, 24, (5, 21, 4, 3)).astype(np.float32) / 4)
    wanted, after = ilif(x, None, levels=top, decay=0.25, backend="reference")
    into = Into(*x.shape, kind=2, top=top, decay=0.25)
    native().fire(values(x), target=into.target())
    assert torch.equal(into.counts(), wanted)
    assert torch.equal(torch.from_numpy(into.membrane[:, :21].T.reshape(x.shape[1:])), after)


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride"),
    [(1, 1, 1, 1), (37, 70, 3, 1), (64, 32, 7, 1), (48, 150, 5, 1), (37, 70, 3, 2), (64, 32, 5, 3), (48, 150, 3, 4)],
)
@pytest.mark.parametrize("rate", [None, 0.01, 0.2])
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (14, 14), (3, 40), (3, 80)])
def test_depthwise_and_matrix(isa, threads, channels, outputs, kernel, stride, rate, size):
    real = rate is None
    if kernel == 1 and not real:
        pytest.skip("spikes into a matrix go by events or tables")
    rng = np.random.default_rng(3)
    x = sixteenths(rng, 3, channels, *size, most=8)
    x = x if real else spikes(rng, 3, channels, *size, rate=rate, top=2)
    taps = sixteenths(rng, channels, 1, kernel, kernel, most=8)
    weight = sixteenths(rng, outputs, channels, most=8)
    y = (
        x.double()
        if kernel == 1
        else F.conv2d(x.double(), taps.double(), stride=stride, padding=kernel // 2, groups=channels)
    )
    wanted = F.conv2d(y, weight.double()[..., None, None])
    into = Into(3, outputs, *wanted.shape[2:])
    native().pointwise(
        None if real else packing.pack_spikes(x.numpy(), 2),
        values(x) if real else None,
        depth=channels,
        height=size[0],
        width=size[1],
        kernel=kernel,
        stride=stride,
        taps=packing.depthwise_taps(taps.numpy()) if kernel > 1 and real else None,
        fixed=None if real else packing.depthwise_taps((16 * taps.numpy()).astype(np.int32)),
        weights=packing.matrix_panels(weight.numpy() if real else weight.numpy() / 16),
        target=into.target(),
    )
    assert torch.equal(into.read().double(), wanted)


@pytest.mark.parametrize("bilinear", [True, False])
@pytest.mark.parametrize(
    ("size", "out"), [((1, 1), (1, 1)), ((1, 1), (5, 3)), ((4, 4), (8, 8)), ((3, 5), (12, 80)), ((9, 7), (4, 10))]
)
def test_values_at_another_size(isa, threads, bilinear, size, out):
    rng = np.random.default_rng(6)
    x = sixteenths(rng, 2, 37, *size)
    mode, align = ("bilinear", False) if bilinear else ("nearest", None)
    wanted = F.interpolate(x.double(), size=out, mode=mode, align_corners=align)
    into = Into(2, 37, *out)
    (rows, down), (columns, along) = (grid(*lengths, bilinear) for lengths in zip(size, out, strict=True))
    shares = {"rows": rows, "columns": columns, "down": down, "along": along}
    native().resize(values(x), height=size[0], width=size[1], **shares, target=into.target())
    torch.testing.assert_close(into.read().double(), wanted, rtol=1e-6, atol=1e-6)


def test_rows_beyond_the_picture_are_refused():
    (rows, down), (columns, along) = grid(2, 4, True), grid(2, 4, True)
    for wrong in (rows + 1, rows - 1):
        shares = {"rows": wrong, "columns": columns, "down": down, "along": along}
        with pytest.raises(ValueError, match="a row beyond the input"):
            native().resize(
                values(torch.zeros(1, 16, 2, 2)), height=2, width=2, **shares, target=Into(1, 16, 4, 4).target()
            )


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(7, 2, 3, (30, 30)), (6, 4, 0, (18, 70)), (3, 1, 0, (3, 3)), (7, 4, 3, (1, 2)), (3, 2, 1, (9, 80))],
)
def test_pictures(isa, threads, kernel, stride, padding, size):
    rng = np.random.default_rng(4)
    x = sixteenths(rng, 2, 3, *size)
    weight = sixteenths(rng, 33, 3, kernel, kernel)
    wanted = F.conv2d(x.double(), weight.double(), stride=stride, padding=padding)
    into = Into(2, 33, *wanted.shape[2:])
    packed = packing.matrix_panels(weight.reshape(33, -1).numpy())
    native().pictures(x.numpy(), kernel=kernel, stride=stride, padding=padding, weights=packed, target=into.target())
    assert torch.equal(into.read().double(), wanted)


def test_norm_of_each_frame_residual_and_neuron(isa, threads):
    rng = np.random.default_rng(5)
    x, residual = (torch.from_numpy(rng.normal(size=(4, 21, 5, 6)).astype(np.float32)) for _ in range(2))
    scale, bias = (rng.normal(size=(4, 21)).astype(np.float32) for _ in range(2))
    wanted = x * torch.from_numpy(scale)[..., None, None] + torch.from_numpy(bias)[..., None, None] + residual
    into = Into(4, 21, 5, 6, kind=1)
    into.value[:] = values(residual)
    norms = {"scale": packing.affine_rows(scale), "bias": packing.affine_rows(bias)}
    native().fire(values(x), target=into.target(residual=into.value, **norms))
    torch.testing.assert_close(into.read(), wanted)
    assert torch.equal(into.counts(), lif(into.read(), None, backend="reference")[0])


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 37, 3, 3), (2, 128, 5, 13)])
def test_charges_near_the_threshold_are_counted(isa, shape, normed):
    places = int(np.prod(shape[1:]))
    ones = np.ones((1, packing.whole(shape[1]) * 16), np.float32)
    for place in {0, places // 3, places - 1}:
        for drive, near in ((2.0 + 1e-6, 1), (2.0 - 1e-6, 1), (2.0 + 1e-5, 0)):
            x = torch.zeros(shape)
            x[0].view(-1)[place] = drive
            into = Into(*shape, kind=1)
            native().fire(values(x), target=into.target(scale=ones, bias=0 * ones) if normed else _bare(into))
            assert into.near[0] == near


def _bare(into):
    """A target without values: what the quickest way of a neuron takes."""
    into.value = None
    return into.target()


@pytest.mark.parametrize("hamming", [True, False])
@pytest.mark.parametrize("grouping", ["frame", "clip", "pixel"])
@pytest.mark.parametrize(
    ("heads", "dim", "planes", "frames", "height", "width"),
    [
        (1, 1, 1, 1, 1, 1),
        (8, 360, 1, 3, 4, 5),
        (2, 130, 3, 3, 4, 5),
        (3, 96, 1, 9, 9, 8),
        (1, 256, 2, 2, 1, 65),
        (2, 48, 1, 70, 3, 3),
    ],
)
def test_attention(isa, threads, hamming, grouping, heads, dim, planes, frames, height, width):
    rng = np.random.default_rng(6)
    q, k = (spikes(rng, frames, dim, height, width, rate=0.4) for _ in range(2))
    v = spikes(rng, frames, dim, height, width, rate=0.4, top=planes)

    def grouped(x):
        x = x.view(frames, heads, dim // heads, height * width).permute(1, 0, 3, 2)  # m T N d
        return {"frame": x, "clip": x.flatten(1, 2), "pixel": x.transpose(1, 2)}[grouping]

    similarity = "hamming" if hamming else "dot"
    a = attention(grouped(q), grouped(k), grouped(v), similarity=similarity, scale=1.0)
    a = {"frame": lambda: a, "clip": lambda: a.unflatten(1, (frames, -1)), "pixel": lambda: a.transpose(1, 2)}[
        grouping
    ]()
    wanted = a.permute(1, 0, 3, 2).reshape(frames, dim, height, width)
    d, code = dim // heads, {"frame": 0, "clip": 1, "pixel": 2}[grouping]
    groups = {"frame": frames, "clip": 1, "pixel": height * width}[grouping]
    counts = np.zeros((groups, heads, d + 1, packing.whole(d) * 16), np.int32)
    packed = [packing.pack_spikes(x.numpy(), n) for x, n in ((q, 1), (k, 1), (v, planes))]
    shared = {"channels": dim, "heads": heads, "grouping": code}
    native().attend_count(packed[1], packed[2], counts=counts.ravel(), **shared)
    into, sums = Into(frames, dim, height, width), np.full(counts.shape, np.nan, np.float32)
    native().attend_between(counts, hamming=hamming, sums=sums)
    assert np.array_equal(sums, between(counts, hamming))
    native().attend_apply(packed[0], hamming=hamming, sums=sums.ravel(), target=into.target(), **shared)
    assert torch.equal(into.read(), wanted)


@pytest.mark.parametrize("hamming", [True, False])
@pytest.mark.parametrize(
    ("frames", "heads", "d", "seen"), [(1, 8, 32, 0), (1, 3, 45, 7), (5, 2, 16, 100_000), (2, 1, 1, 3)]
)
def test_running_means_of_causal_attention(isa, threads, frames, heads, d, seen, hamming):
    rng = np.random.default_rng(0)
    counts = np.zeros((frames, heads, d + 1, packing.whole(d) * 16), np.int32)
    counts[..., :d] = rng.integers(0, 197, (frames, heads, d + 1, d))
    sums, before = between(counts, hamming), rng.integers(-(2**24), 2**40, (heads, d, d)).astype(np.float64)
    kept = before.copy()
    for past in (before, None) if seen == 0 else (before,):
        means, running = so_far(sums, hamming, seen=seen, before=np.zeros_like(before) if past is None else past)
        found, after = sums.copy(), np.full_like(before, np.nan)
        native().attend_past(found, hamming=hamming, seen=seen, before=past, after=after)
        assert np.array_equal(found, means)
        assert np.array_equal(after, running)
    assert np.array_equal(before, kept)


def test_running_sums_of_another_size_are_refused():
    sums = np.zeros((1, 2, 17, 16), np.float32)
    with pytest.raises(ValueError, match="running sums of another size"):
        native().attend_past(sums, hamming=True, seen=0, before=None, after=np.zeros((2, 16, 15)))


@pytest.mark.parametrize("hamming", [True, False])
@pytest.mark.parametrize("window", [1, 3, 8])
@pytest.mark.parametrize(("frames", "heads", "d"), [(1, 1, 1), (7, 2, 12), (8, 3, 32), (20, 1, 33)])
def test_sums_of_the_last_frames(isa, threads, frames, heads, d, window, hamming):
    rng = np.random.default_rng(0)
    counts = np.zeros((frames, heads, d + 1, packing.whole(d) * 16), np.int32)
    counts[..., :d] = rng.integers(0, 197, (frames, heads, d + 1, d))
    sums = between(counts, hamming)
    own = sums[:, :, :d, :d]
    summed, recent, parts = None, None, []
    for cut in (slice(None, (frames + 1) // 2), slice((frames + 1) // 2, None)):
        if not len(sums[cut]):
            continue
        kept = (summed, recent) if summed is None else (summed.copy(), recent.copy())
        wanted = of_the_last(sums[cut], hamming, window=window, summed=summed, recent=recent)
        found = sums[cut].copy()
        after = np.full((heads, d, d), np.nan), np.full((window, heads, d, d), np.nan, np.float32)
        native().attend_recent(
            found, hamming=hamming, summed=summed, recent=recent, summed_after=after[0], recent_after=after[1]
        )
        for got, other in zip((found, *after), wanted, strict=True):
            assert np.array_equal(got, other)
        assert summed is None or all(np.array_equal(a, b) for a, b in zip((summed, recent), kept, strict=True))
        summed, recent = after
        parts.append(found[:, :, :d, :d])
    # and by its definition: the first frame stands for those before it
    held = np.concatenate([np.repeat(own[:1], window, axis=0), own[1:]])
    for t, frame in enumerate(np.concatenate(parts)):
        assert np.array_equal(frame, held[t : t + window].sum(0))


def test_sums_of_another_window_are_refused():
    sums, summed = np.zeros((1, 2, 17, 16), np.float32), np.zeros((2, 16, 16))
    wrong = np.zeros((4, 2, 16, 15), np.float32)
    with pytest.raises(ValueError, match="sums of another window"):
        native().attend_recent(sums, hamming=True, summed=None, recent=None, summed_after=summed, recent_after=wrong)

"""Damaged event files: whatever the bytes, a good recording or one clear error, soon and within bounded memory."""

import resource
import time

import event_writers as write
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikereel.data.events.readers import read_events
from spikereel.errors import DataError

SECONDS, MEGABYTES = 5, 300


def scene(count=60):
    rng = np.random.default_rng(0)
    rows = np.stack([np.sort(rng.integers(0, 50_000, count)), *rng.integers(0, [[34], [34], [2]], (3, count))], axis=1)
    return [tuple(row) for row in rows.tolist()]


def packed(code, module, function):
    return lambda events: write.aedat4(events, code, getattr(pytest.importorskip(module), function), packet=20)


def hdf5(events):
    import io

    h5py = pytest.importorskip("h5py")
    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        for name, column in zip("txyp", zip(*events, strict=True), strict=True):
            out.create_dataset(name, data=column, compression="gzip")
        out.attrs.update({"width": 40, "height": 40})
    return file.getvalue()


def matlab(events):
    import io

    columns, file = dict(zip(("ts", "x", "y", "pol"), zip(*events, strict=True), strict=True)), io.BytesIO()
    columns = {name: np.array(column)[:, None] for name, column in columns.items()}
    pytest.importorskip("scipy.io").savemat(file, columns | {"width": 40, "height": 40}, do_compression=True)
    return file.getvalue()


def dat1(events):
    head = b"% Data file containing CD events.\n% Version 1\n% Width 40\n% Height 40\n"
    rows = [(t, x | y << 9 | p << 17) for t, x, y, p in events]
    return head + bytes([12, 8]) + np.array(rows, "<u4").tobytes()


def evt21(events):
    out, high = b"% evt 2.1\n% geometry 40x40\n% endianness little\n% end\n", None
    for t, x, y, p in events:
        if t >> 6 != high:
            high = t >> 6
            out += np.array([0, 8 << 28 | high], "<u4").tobytes()
        out += np.array([1 << x % 32, p << 28 | (t & 63) << 22 | (x & ~31) << 11 | y], "<u4").tobytes()
    return out


WRITERS = {
    "aedat2.aedat": write.aedat2,
    "aedat3.aedat": write.aedat3,
    "plain.aedat4": write.aedat4,
    "lz4.aedat4": packed(1, "lz4.frame", "compress"),
    "zstandard.aedat4": packed(3, "zstandard", "compress"),
    "nmnist.bin": write.nmnist,
    "prophesee.dat": write.dat,
    "evt2.raw": write.evt2,
    "evt3.raw": write.evt3,
    "evt21.raw": evt21,
    "atis.dat": dat1,
    "dvs.es": write.es,
    "atis.es": lambda events: write.es(events, kind=2),
    "columns.csv": write.text,
    "matlab.mat": matlab,
    "arrays.npz": write.npz,
    "arrays.h5": hdf5,
}

PLACE = st.floats(0, 1, exclude_max=True)  # share of the file
EXTREMES = st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\n", b"# "])
MUTATION = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.integers(1, 255)),
    st.tuples(st.just("put"), PLACE, st.one_of(EXTREMES, st.binary(min_size=1, max_size=9))),
    st.tuples(st.just("insert"), PLACE, st.one_of(EXTREMES, st.binary(min_size=1, max_size=9))),
    st.tuples(st.just("remove"), PLACE, st.integers(1, 40)),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 200)),
    st.tuples(st.just("cut"), PLACE, st.none()),
    st.tuples(st.just("head"), PLACE, st.sampled_from(sorted(WRITERS))),
)


def mutated(content, what, share, value):
    # Half of the places lie in the first bytes, where the headers are.
    at = int(share * 2 * min(len(content), 400)) if share < 0.5 else int((share * 2 - 1) * len(content))
    at = min(at, len(content))
    if what == "flip":
        return content[:at] + bytes([content[at] ^ value]) + content[at + 1 :] if at < len(content) else content
    if what in ("put", "insert"):
        return content[:at] + value + content[at + (len(value) if what == "put" else 0) :]
    if what == "remove":
        return content[:at] + content[at + value :]
    if what == "repeat":
        return content[: at + value] + content[at:]
    if what == "cut":
        return content[:at]
    other = WRITERS[value](scene(3))
    return other[: min(at, len(other))] + content[at:]


def survives(name, folder, mutations):
    """Reads a mutated file, or sees one clear error; a cut alone leaves a beginning of the recording."""
    events = scene()
    content = WRITERS[name](events)
    for mutation in mutations:
        content = mutated(content, *mutation)
    path = folder / name
    path.write_bytes(content)
    # of the process: the machine may be busy with something else
    started = time.process_time()
    try:
        read = read_events(path)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert len(read) <= 12 * len(content)
        if all(what == "cut" for what, *_ in mutations):
            rows = zip(read.t.tolist(), read.x.tolist(), read.y.tolist(), read.p.astype(int).tolist(), strict=True)
            assert list(rows) == events[: len(read)]
    assert time.process_time() - started < SECONDS


def fuzz(name, folder, examples):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=examples, database=None)
    @given(st.lists(MUTATION, min_size=1, max_size=3))
    def run(mutations):
        survives(name, folder, mutations)

    run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < MEGABYTES * 1024


@pytest.mark.parametrize("name", WRITERS)
def test_some_damaged_files(name, tmp_path):
    fuzz(name, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_two_thousand_damaged_files(name, tmp_path):
    fuzz(name, tmp_path, 2000)

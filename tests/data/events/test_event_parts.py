"""Recordings read part by part: the same events, in memory that does not grow with the file."""

import subprocess
import sys

import event_writers as write
import numpy as np
import pytest

from spikereel.data.events import evt3, prophesee, stream
from spikereel.data.events.decoders import native
from spikereel.data.events.readers import read_events, stream_events
from spikereel.errors import DataError

RNG = np.random.default_rng(1)
MANY = [
    (int(t), int(x), int(y), int(p))
    for t, (x, y, p) in zip(np.sort(RNG.integers(0, 40_000, 300)), RNG.integers(0, [34, 34, 2], (300, 3)), strict=True)
]
WRAPS = [(t * 400_000 + (1 << 32) - 10**9, x, y, p) for t, x, y, p in MANY]
FILES = {"a.raw": (write.evt3, MANY), "a.dat": (write.dat, WRAPS), "a.aedat4": (write.aedat4, WRAPS)}


def rows(parts):
    return [row for part in parts for row in write.rows_of(part)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 18])
def test_parts_of_any_size_are_the_whole(save, monkeypatch, name, size):
    make, events = FILES[name]
    path = save(name, make(events))
    whole = read_events(path)
    monkeypatch.setattr(stream, "PART", size)
    monkeypatch.setattr(evt3, "_CHUNK", size)
    assert rows(stream_events(path)) == write.rows_of(whole) == write.rows_of(read_events(path)) == events


def test_faults_are_found_where_they_are(save, monkeypatch):
    monkeypatch.setattr(stream, "PART", 2)
    back = [(5, 1, 1, 1), (6, 1, 1, 1), (5, 1, 1, 1)]
    parts = stream_events(save("a.dat", write.dat(back)))
    assert write.rows_of(next(parts)) == back[:2]
    with pytest.raises(DataError, match=r"a\.dat: time goes backwards at event 2, 5 us after 6 us"):
        next(parts)
    with pytest.raises(DataError, match="from event 2 on: event 0 has x 50, outside the sensor"):
        list(stream_events(save("a.dat", write.dat([*back[:2], (7, 50, 1, 1)]))))
    with pytest.raises(DataError, match="event 2 has x 310, outside the sensor of 304 x 240 that is assumed"):
        list(stream_events(save("a.dat", write.dat([*back[:2], (7, 310, 1, 1)], "% Version 2\n"))))
    with pytest.raises(DataError, match="ends inside an event"):
        list(stream_events(save("a.dat", write.dat(back)[:-1])))
    with pytest.raises(DataError, match="holds no events"):
        list(stream_events(save("a.raw", write.evt3([]))))
    with pytest.raises(DataError, match=r"is not EVT 3\.0, DAT or AEDAT 4\.0, which are read in parts"):
        stream_events(save("a.bin", write.nmnist(write.FIVE)))


@pytest.mark.parametrize("size", [3, 1 << 18])
@pytest.mark.parametrize("seed", range(12))
def test_the_native_decoders_are_the_plain_ones(monkeypatch, seed, size):
    if native() is None:
        pytest.skip("this installation has no native decoders")
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 16, 4000).astype("<u2")
    # Few times of large steps, many rows and vectors: all that carries over, from any place on.
    words = words[rng.random(4000) < np.where(words >> 12 == 8, 0.2, 1.0)]
    pairs = rng.integers(0, 1 << 32, (500, 2)).astype("<u4")
    cut = lambda all_words: (all_words[i : i + size] for i in range(0, len(all_words), size))  # noqa: E731
    makers = [(evt3._natively(cut(words)), evt3._plainly(cut(words)))]
    for bits in ((14, 14, False), (9, 8, True)):
        makers.append((prophesee._dat_natively(cut(pairs), *bits), prophesee._dat_plainly(cut(pairs), *bits)))
    for fast, plain in makers:
        # A part overwrites the one before it.
        fast, plain = ([tuple(map(np.copy, part)) for part in parts] for parts in (fast, plain))
        fast, plain = ([np.concatenate(column) for column in zip(*parts, strict=True)] for parts in (fast, plain))
        assert len(plain[0]) > 100
        assert all(map(np.array_equal, fast, plain))


PEAK = """
import resource, sys
from pathlib import Path
from spikereel.data.events.readers import stream_events
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(len(part) for part in stream_events(Path(sys.argv[1])))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_the_file(save):
    head = b"% Version 2\n% Width 40\n% Height 40\n" + bytes([12, 8])
    peaks = []
    for count in (1_000_000, 8_000_000):
        path = save("a.dat", head)
        words = np.zeros((count, 2), "<u4")
        words[:, 0] = np.arange(count)
        with path.open("ab") as file:
            words.tofile(file)
        said = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        events, peak = said.stdout.split()
        assert int(events) == count
        peaks.append(float(peak))
    # 56 MiB more of file.
    assert peaks[1] < peaks[0] + 8, peaks

"""Recordings read part by part: the same events, in memory that does not grow with the file."""

import struct
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import event_writers as write
import numpy as np
import pytest

from spikereel.data.events import aedat4, dat, decoders, evt3, stream
from spikereel.data.events.decoders import look, native, sound
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


def outcome(path):
    """Events, or what is said in their place."""
    try:
        return write.rows_of(read_events(path))
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("fault", ["none", "turns", "earlier", "to the right", "below", "cut", "few"])
@pytest.mark.parametrize("lines", ["% Height 40\n% Width 40\n", "% Height 40\n% Width 40\n% t0 77\n", ""])
def test_cores_read_a_file_as_one_does(save, monkeypatch, lines, fault):
    if native() is None:
        pytest.skip("this installation has no native decoders")
    monkeypatch.setattr(dat, "SPLIT", 1)
    for shares, at in ((2, 151), (3, 100), (4, 74), (3, 299), (2, 1)):
        events = list(WRAPS[: 4 if fault == "few" else 300])
        if fault == "turns":
            # nearly every event is in a turn of its own
            events = [(2_000_000_000 * i, x, y, p) for i, (_, x, y, p) in enumerate(events)]
        t, x, y, p = events[at % len(events)]
        wrong = {
            "earlier": (events[at % len(events) - 1][0] - 1000, x, y, p),
            "to the right": (t, 310, y, p),
            "below": (t, x, 250, p),
        }
        events[at % len(events)] = wrong.get(fault, (t, x, y, p))
        content = write.dat(events, header=f"% Data file containing CD events.\n% Version 2\n{lines}")
        path = save("a.dat", content[:-3] if fault == "cut" else content)
        monkeypatch.setattr(dat, "cores", lambda: 1)
        wanted = outcome(path)
        monkeypatch.setattr(dat, "cores", lambda n=shares: n)
        assert outcome(path) == wanted
        assert isinstance(wanted, list) == (fault in ("none", "turns", "few"))


def test_a_file_that_becomes_shorter_is_said(save, monkeypatch):
    if native() is None:
        pytest.skip("this installation has no native decoders")
    path = save("a.dat", write.dat(WRAPS))
    file = dat._opened(path, None)
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(DataError, match="became shorter while it was read"):
        dat.together(file, len(WRAPS), 2)


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


def gathered(parts):
    """The columns that a reader writes part after part, and what it says of them at the end."""
    room, seen = stream._Gathered(1), None
    for count, sound_so_far in parts(room.room):
        room.add(count)
        seen = sound_so_far
    return room.first(room.count), seen


@pytest.mark.parametrize("size", [3, 1 << 18])
@pytest.mark.parametrize("seed", range(12))
def test_the_native_decoders_are_the_plain_ones(seed, size):
    if native() is None:
        pytest.skip("this installation has no native decoders")
    rng = np.random.default_rng(seed)
    count = 1500 if size == 3 else 9000
    words = rng.integers(0, 1 << 16, count).astype("<u2")
    # Few times of large steps, many rows and vectors: all that carries over, from any place on.
    words = words[rng.random(count) < np.where(words >> 12 == 8, 0.2, 1.0)]
    pairs = rng.integers(0, 1 << 32, (count // 2, 2)).astype("<u4")
    if seed % 2:
        # A clock that turns, now and then within a block of events and now and then between two.
        pairs[:, 0] = np.cumsum(rng.integers(0, 1 << 24, count // 2)).astype("<u4")
    cut = lambda all_words: (all_words[i : i + size] for i in range(0, len(all_words), size))  # noqa: E731
    makers = [(lambda room: evt3._natively(cut(words), room, 7, look(1, 1)), evt3._plainly(cut(words)))]
    for bits in ((14, 14, False), (9, 8, True)):
        fast = partial(dat.natively, cut(pairs), *bits, moved=7, seen=look(1, 1))
        makers.append((lambda room, fast=fast: fast(room=room), dat.plainly(cut(pairs), *bits)))
    for fast, parts in makers:
        columns, _ = gathered(fast)
        plain = [np.concatenate(column) for column in zip(*(map(np.copy, part) for part in parts), strict=True)]
        plain[0] += 7
        assert len(plain[0]) > 100
        assert all(map(np.array_equal, columns, plain))


@pytest.mark.parametrize("seed", range(6))
def test_the_native_packets_are_the_plain_ones(seed):
    if native() is None:
        pytest.skip("this installation has no native decoders")
    rows = np.random.default_rng(seed).integers(0, 256, 16 * 5000).astype(np.uint8)
    room = stream.empty(5000)
    native().aedat4(rows, look(1, 1), *room)
    assert all(map(np.array_equal, room, aedat4._columns(rows.view(aedat4._EVENT))))


def _dat(t, x, y):
    pairs = np.stack([t, y << 14 | x], 1).astype("<u4")
    return lambda room, seen: dat.natively(np.split(pairs, [1, 3000]), 14, 14, False, room, 0, seen)


def _evt3(t, x, y):
    words = np.stack([0x8000 | t >> 12, 0x6000 | t & 4095, y, 0x2000 | x], 1).ravel().astype("<u2")
    return lambda room, seen: evt3._natively(np.split(words, [3, 9000]), room, 0, seen)


def _aedat4(t, x, y):
    rows = np.zeros(len(t), aedat4._EVENT)
    rows["t"], rows["x"], rows["y"] = t, x, y

    def parts(room, seen):
        for part in np.split(rows, [1, 3000]):
            native().aedat4(part.view(np.uint8), seen, *room(len(part)))
            yield len(part), sound(seen)

    return parts


@pytest.mark.parametrize("fault", [None, "t", "x", "y"])
@pytest.mark.parametrize("at", [1, 2047, 2048, 2049, 3000, 4999])
@pytest.mark.parametrize("decoder", [_dat, _evt3, _aedat4])
def test_a_decoder_sees_each_fault_of_one_event(decoder, at, fault):
    if native() is None:
        pytest.skip("this installation has no native decoders")
    columns = {"t": np.arange(5000) * 2 + 4, "x": np.full(5000, 39), "y": np.full(5000, 38)}
    if fault:
        columns[fault][at] += {"t": -3, "x": 1, "y": 1}[fault]
    parts, seen = decoder(**columns), look(40, 39)
    found, sound_so_far = gathered(lambda room: parts(room, seen))
    assert all(map(np.array_equal, found, columns.values()))
    assert sound_so_far is (fault is None)


def test_decoders_of_another_version_are_warned_of_and_not_used(save, monkeypatch):
    monkeypatch.setattr(decoders, "_decode", SimpleNamespace(version=1))
    path = save("a.dat", write.dat(MANY))
    with pytest.warns(UserWarning, match="another version of spikereel, so event files are read more slowly; install"):
        assert write.rows_of(read_events(path)) == MANY


LIMITED = """
import resource, sys
from pathlib import Path
from spikereel.data.events.readers import read_events, stream_events
from spikereel.errors import DataError
path = Path(sys.argv[1])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (24 << 20), resource.RLIM_INFINITY))
print(sum(len(part) for part in stream_events(path)))
try:
    read_events(path)
except DataError as error:
    print(error)
"""


def test_a_recording_larger_than_the_memory_is_read_in_parts(save):
    path, count = save("a.dat", b"% Version 2\n% Width 40\n% Height 40\n" + bytes([12, 8])), 4_000_000
    words = np.zeros((count, 2), "<u4")
    words[:, 0] = np.arange(count)
    with path.open("ab") as file:
        words.tofile(file)
    said = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    events, error = said.stdout.splitlines()
    assert int(events) == count
    assert error.endswith("a.dat: does not fit into the memory; read it part by part with stream_events")


@pytest.mark.parametrize("fill", ["random", "alike"])
@pytest.mark.parametrize("size", [0, 1, 1 << 17, (1 << 18) - 4, (1 << 18) - 3, 3_000_000])
def test_a_packet_of_lz4_comes_out_whole_in_bounded_pieces(size, fill):
    frame = pytest.importorskip("lz4.frame")
    flat = struct.pack("<I", size) + (RNG.bytes(size) if fill == "random" else b"a" * size)
    packet = frame.compress(flat)
    pieces = list(aedat4._lz4_pieces(frame.LZ4FrameDecompressor(), packet))
    assert max(len(piece) for piece, _ in pieces) <= 1 << 18
    assert bytes(aedat4._bounded(iter(pieces), packet, aedat4._Desk())) == flat
    for cut in (packet[: len(packet) // 2], packet[:-1]):
        with pytest.raises(ValueError, match="ends early"):
            aedat4._bounded(aedat4._lz4_pieces(frame.LZ4FrameDecompressor(), cut), cut, aedat4._Desk())

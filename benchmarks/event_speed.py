"""How fast the readers of raw event files are: files of millions of events, written here, read whole on one core."""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from spikereel.data.events.readers import read_events
from spikereel.data.events.recording import Events

GOAL = 20e6  # events a second


def scene(count: int, *, width: int, height: int, rate: float) -> Events:
    """Random events at so many a second; in each microsecond sorted by row, as a sensor reads them out."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, int(count / rate * 1e6), count))
    y, x = rng.integers(0, height, count), rng.integers(0, width, count)
    order = np.lexsort((y, t))
    return Events(
        t=t[order],
        x=x[order].astype(np.uint16),
        y=y[order].astype(np.uint16),
        p=rng.random(count) < 0.5,
        width=width,
        height=height,
    )


def aedat2(e: Events) -> bytes:
    address = e.y.astype("<u4") << 8 | e.x.astype("<u4") << 1 | ~e.p
    return b"#!AER-DAT2.0\r\n# AEChip: DVS128\r\n" + _pairs(address, e.t, ">u4")


def aedat3(e: Events, packet: int = 4096) -> bytes:
    words = e.x.astype("<u4") << 17 | e.y.astype("<u4") << 2 | e.p.astype("<u4") << 1 | 1
    parts = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"]
    for i in range(0, len(e), packet):
        n = min(packet, len(e) - i)
        head = np.array([1 | 1 << 16, 8, 4, 0, n, n, n], "<i4").tobytes()
        parts += [head, _pairs(words[i : i + n], e.t[i : i + n], "<u4")]
    return b"".join(parts)


def nmnist(e: Events) -> bytes:
    t = e.t % (1 << 23)
    rows = np.stack([e.x, e.y, e.p.astype(np.int64) << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1)
    return rows.astype(np.uint8).tobytes()


def dat(e: Events) -> bytes:
    words = e.p.astype("<u4") << 28 | e.y.astype("<u4") << 14 | e.x
    head = f"% Data file containing CD events.\n% Version 2\n% Height {e.height}\n% Width {e.width}\n"
    return head.encode() + bytes([12, 8]) + _pairs(e.t, words, "<u4")


def evt2(e: Events) -> bytes:
    words = e.p.astype("<u4") << 28 | (e.t & 63).astype("<u4") << 22 | e.x.astype("<u4") << 11 | e.y
    first = np.flatnonzero(np.diff(e.t >> 6, prepend=-1))
    highs = (8 << 28 | e.t[first] >> 6).astype("<u4")
    return f"% evt 2.0\n% geometry {e.width}x{e.height}\n% end\n".encode() + np.insert(words, first, highs).tobytes()


def evt3(e: Events) -> bytes:
    """Single events only, which is the slowest form to read: vectors hold up to 12 events in a word. At 1 M events a
    second, a quiet scene, nearly each of them also has a time and a row of its own: 2.6 words an event."""
    fresh = [np.diff(column, prepend=-1) != 0 for column in (e.t >> 12, e.t, e.y.astype(np.int64))]
    words = [0x8000 | e.t >> 12 & 4095, 0x6000 | e.t & 4095, e.y, 0x2000 | e.p.astype(np.int64) << 11 | e.x]
    table = np.stack(words, axis=1).astype("<u2")
    kept = np.stack([*fresh, np.ones(len(e), bool)], axis=1)
    return f"% evt 3.0\n% geometry {e.width}x{e.height}\n% end\n".encode() + table[kept].tobytes()


# File, writer, size of the sensor, events a second.
FORMATS = {
    "AEDAT 2.0": ("a.aedat", aedat2, 128, 128, 5e6),
    "AEDAT 3.1": ("a.aedat", aedat3, 128, 128, 5e6),
    "N-MNIST": ("a.bin", nmnist, 34, 34, 5e6),
    "DAT": ("a.dat", dat, 1280, 720, 5e6),
    "EVT2": ("a.raw", evt2, 1280, 720, 5e6),
    "EVT3": ("a.raw", evt3, 1280, 720, 5e6),
    "EVT3 slow": ("a.raw", evt3, 1280, 720, 1e6),
}


def events(options: argparse.Namespace) -> dict[str, Any]:
    """Events a second of every raw format: reading, decoding and checking a file in the page cache, on one core."""
    rows = []
    for name, (file, write, width, height, rate) in FORMATS.items():
        # The 23 bits of N-MNIST last 8 s, so its events come faster.
        rate = max(rate, options.events / 8) if write is nmnist else rate
        scenery = scene(options.events, width=width, height=height, rate=rate)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file)
            path.write_bytes(write(scenery))
            wall, cpu = [], []
            for _ in range(options.repeats):
                walls, cpus = time.perf_counter(), time.process_time()
                read = read_events(path)
                wall.append(time.perf_counter() - walls)
                cpu.append(time.process_time() - cpus)
            size = path.stat().st_size
        same = all(np.array_equal(getattr(read, column), getattr(scenery, column)) for column in "txyp")
        row = {
            "format": name,
            "rate": rate,
            "events": len(read),
            "bytes": size,
            "equal_to_written": same,
            "million_events_per_cpu_second": round(len(read) / min(cpu) / 1e6, 1),
            "million_events_per_wall_second": round(len(read) / min(wall) / 1e6, 1),
            "cpu_seconds": cpu,
            "wall_seconds": wall,
        }
        rows.append(row)
        print(
            f"{name:10} {row['million_events_per_cpu_second']:7.1f} M events/s of processor time, "
            f"{row['million_events_per_wall_second']:7.1f} M of wall time, equal to what was written: {same}"
        )
    slowest = min(row["million_events_per_cpu_second"] for row in rows)
    return {
        "rows": rows,
        "slowest": slowest,
        "goal": GOAL / 1e6,
        "note": "best of the repeats; processor time of one thread is what one core needs, wall time includes waiting "
        "for other programs where the machine is shared",
    }


def _pairs(first: np.ndarray, second: np.ndarray, kind: str) -> bytes:
    return np.stack([first, second], axis=1).astype(kind).tobytes()

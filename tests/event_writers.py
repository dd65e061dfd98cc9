"""Small event files of every format, written with Python integers; and EVT 3.0 decoded one word at a time."""

import io
import struct
from pathlib import Path

import numpy as np

Event = tuple[int, int, int, int]  # t, x, y, p
FIVE = [(10, 1, 2, 1), (10, 2, 2, 1), (5000, 33, 0, 0), (5001, 0, 33, 1), (9000, 7, 8, 0)]


def aedat2(events, chip="DVS128", end="#End Of ASCII Header\r\n"):
    out = f"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# AEChip: a.b.{chip}\r\n{end}".encode()
    for t, x, y, p in events:
        address = (y << 8 | x << 1 | 1 - p) if chip == "DVS128" else (y << 22 | x << 12 | p << 11)
        out += struct.pack(">II", address, t % 2**32)
    return out


def aedat3(events, source="DVS128", form="RAW", packet=2):
    out = f"#!AER-DAT3.1\r\n#Format: {form}\r\n#Source 1: {source}\r\n#!END-HEADER\r\n".encode()
    out += aedat3_packet(0, [struct.pack("<II", 1, 0)])  # a special event: passed over
    for i in range(0, len(events), packet):
        body = [struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t % 2**31) for t, x, y, p in events[i : i + packet]]
        out += aedat3_packet(1, body, overflow=events[i][0] >> 31)
    return out


def aedat3_packet(kind, bodies, overflow=0):
    size, number = len(bodies[0]), len(bodies)
    return struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, number, number, number) + b"".join(bodies)


INFO = """<dv version="2.0"><node name="outInfo" path="/">
<node name="1"><attr key="typeIdentifier" type="string">FRME</attr></node>
<node name="0"><attr key="typeIdentifier" type="string">EVTS</attr>
<node name="info"><attr key="sizeX" type="int">40</attr><attr key="sizeY" type="int">34</attr></node></node>
</node></dv>"""


def aedat4(events, code=0, pack=bytes, closed=True, info=INFO, packet=2):
    bodies = []
    for i in range(0, len(events), packet):
        vector = struct.pack("<I", len(events[i : i + packet]))
        for t, x, y, p in events[i : i + packet]:
            vector += struct.pack("<qhhB3x", t, x, y, p)
        bodies.append((0, pack(_flat(b"EVTS", vector))))
        bodies.append((1, pack(_flat(b"FRME", b"\0\0\0\0"))))
    head = len(_aedat4_head(code, 0, info))
    packets = b"".join(struct.pack("<ii", stream, len(body)) + body for stream, body in bodies)
    table = pack(_flat(b"FTAB", b"\0\0\0\0")) if closed else b""
    return _aedat4_head(code, head + len(packets) if closed else -1, info) + packets + table


def _flat(identifier, vector):
    """A root table with one field, a vector: root offset, identifier, padding, vtable, table, vector."""
    body = struct.pack("<I4s2xHHHiI", 16, identifier, 6, 8, 4, 6, 4) + vector
    return struct.pack("<I", len(body)) + body


def _aedat4_head(code, end, info):
    text = info.encode()
    table = struct.pack("<iiIq", 10, code, 12, end) + struct.pack("<I", len(text)) + text + b"\0"
    body = struct.pack("<I4s2xHHHHH", 20, b"IOHE", 10, 20, 4, 12, 8) + table
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(body)) + body


def nmnist(events):
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, p in events)


def dat(events, header="% Data file containing CD events.\n% Version 2\n% Height 40\n% Width 40\n"):
    out = header.encode() + bytes([12, 8])
    for t, x, y, p in events:
        out += struct.pack("<II", t % 2**32, p << 28 | y << 14 | x)
    return out


def evt2(events, header="% evt 2.0\n% geometry 40x40\n% end\n"):
    out, high = header.encode(), None
    for t, x, y, p in events:
        if t >> 6 != high:
            high = t >> 6
            out += struct.pack("<I", 8 << 28 | high % 2**28)
        out += struct.pack("<I", p << 28 | (t & 63) << 22 | x << 11 | y)
    return out


def evt3(events, header="% evt 3.0\n% geometry 40x40\n% end\n"):
    words, high, low, row = [], None, None, None
    for t, x, y, p in events:
        if t >> 12 != high:
            high, low = t >> 12, 0
            words.append(0x8000 | high % 4096)
        if t & 4095 != low:
            low = t & 4095
            words.append(0x6000 | low)
        if y != row:
            row = y
            words.append(y)
        words.append(0x2000 | p << 11 | x)
    return header.encode() + b"".join(struct.pack("<H", word) for word in words)


def npz(events, **extra):
    t, x, y, p = (np.array(column) for column in zip(*events, strict=True))
    file = io.BytesIO()
    np.savez(file, **({"t": t, "x": x, "y": y, "p": p, "width": 40, "height": 40} | extra))
    return file.getvalue()


def hdf5(path: Path, events, group="events", names=("t", "x", "y", "p"), **attributes):
    import h5py

    with h5py.File(path, "w") as file:
        where = file.require_group(group) if group else file
        for name, column in zip(names, zip(*events, strict=True), strict=True):
            where[name] = list(column)
        file.attrs.update({"width": 40, "height": 40} | attributes)
    return path.read_bytes()


def slow_evt3(words):
    """(t, x, y, p) of EVT 3.0 words, by a machine that takes one at a time; None for what is not known yet."""
    high = row = base = None
    low = turns = 0
    events = []
    for word in words:
        kind, value = word >> 12, word & 4095
        if kind == 8:
            if high is not None and value < high - 2048:
                turns += 1
            if value != high:
                low = 0
            high = value
        elif kind == 6:
            low = value
        elif kind == 0:
            row = value & 2047
        elif kind == 3:
            base = [value & 2047, value >> 11]
        else:
            found = []
            if kind == 2:
                found = [(value & 2047, value >> 11)]
            elif kind in (4, 5) and base is not None:
                width = 12 if kind == 4 else 8
                found = [(base[0] + i, base[1]) for i in range(width) if value >> i & 1]
                base[0] += width
            if high is not None and row is not None:
                events += [((turns << 24) + (high << 12) + low, x, row, p) for x, p in found]
    return events


def rows_of(events):
    """[(t, x, y, p), ...]"""
    columns = (events.t, events.x, events.y, events.p)
    return list(zip(*(column.astype(int).tolist() for column in columns), strict=True))


def es(events, width=40, height=40, kind=1, version=b"\2\0\1", exposures=()):
    """Event Stream of a DVS (1) or ATIS (2); `exposures` are numbers of events that are none of brightness."""
    out, last = b"Event Stream" + version + bytes([kind]) + struct.pack("<HH", width, height), 0
    most = 127 if kind == 1 else 63
    for i, (t, x, y, p) in enumerate(events):
        turns, rest = divmod(t - last, most)
        out += b"\xff" * turns if kind == 1 else b"\xff" * (turns // 3) + bytes([0xFC + turns % 3]) * (turns % 3 > 0)
        first = rest << 1 | p if kind == 1 else rest << 2 | p << 1 | (i in exposures)
        out += struct.pack("<BHH", first, x, height - 1 - y)
        last = t
    return out


def text(events, head="t,x@40,y@40,on\r\n", mark=","):
    return (head + "\r\n".join(mark.join(map(str, row)) for row in events) + "\r\n").encode()

"""Large event files, written part by part: EVT 3.0, DAT and AEDAT 4.0 with LZ4."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from event_speed import evt3

Write = Callable[[Any, int], bytes]
"""The bytes of the next events, which come so many microseconds later than they say; of None those of the end."""


def writer(suffix: str, width: int, height: int) -> Write:
    """Of a file of a format."""
    return {".raw": _evt3, ".dat": _dat, ".aedat4": _aedat4}[suffix](width, height)


def _evt3(width: int, height: int) -> Write:
    head = f"% evt 3.0\n% format EVT3;width={width};height={height}\n% geometry {width}x{height}\n% end\n".encode()

    def write(events: Any, moved: int) -> bytes:
        if events is None:
            return b""
        # Each part starts with its own time and row, as the words of one file do where both change.
        body = evt3(_moved(events, moved)).split(b"% end\n", 1)[1]
        return body if moved else head + body

    return write


def _dat(width: int, height: int) -> Write:
    head = f"% Data file containing CD events.\n% Version 2\n% Height {height}\n% Width {width}\n".encode()

    def write(events: Any, moved: int) -> bytes:
        if events is None:
            return b""
        words = np.stack([events.t + moved, events.p.astype("<u4") << 28 | events.y.astype("<u4") << 14 | events.x], 1)
        return (b"" if moved else head + bytes([12, 8])) + words.astype("<u4").tobytes()

    return write


_INFO = """<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">
<node name="0" path="/mainloop/Recorder/outInfo/0/"><attr key="compression" type="string">LZ4</attr>
<attr key="originalModuleName" type="string">made</attr><attr key="originalOutputName" type="string">events</attr>
<attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>
<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/mainloop/Recorder/outInfo/0/info/">
<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr>
<attr key="source" type="string">made</attr></node></node></node></dv>"""
_EVENT = np.dtype({"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "?"], "itemsize": 16})


def _aedat4(width: int, height: int, packet: int = 10_000) -> Write:
    """Without a table of packets at the end, as a recording that goes on."""
    from lz4.frame import compress

    text = _INFO.format(width=width, height=height).encode()
    table = struct.pack("<iiIq", 10, 1, 12, -1) + struct.pack("<I", len(text)) + text + b"\0"
    body = struct.pack("<I4s2xHHHHH", 20, b"IOHE", 10, 20, 4, 12, 8) + table
    head = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(body)) + body

    def write(events: Any, moved: int) -> bytes:
        if events is None:
            return b""
        out = [] if moved else [head]
        for i in range(0, len(events), packet):
            part = slice(i, i + packet)
            rows = np.zeros(len(events.t[part]), _EVENT)
            rows["t"], rows["x"], rows["y"], rows["p"] = (
                events.t[part] + moved,
                events.x[part],
                events.y[part],
                events.p[part],
            )
            flat = struct.pack("<I4s2xHHHiI", 16, b"EVTS", 6, 8, 4, 6, 4) + struct.pack("<I", len(rows))
            flat += rows.tobytes()
            sized = compress(struct.pack("<I", len(flat)) + flat)
            out += [struct.pack("<ii", 0, len(sized)), sized]
        return b"".join(out)

    return write


def _moved(events: Any, moved: int) -> Any:
    from dataclasses import replace

    return replace(events, t=events.t + moved)

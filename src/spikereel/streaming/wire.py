"""Events over a socket: the wire format, a reader, and a sender.

A camera listens, a stream connects. All numbers are little-endian. First the camera sends 16 bytes: "SRE1", width and
height in pixels (uint16 each), 8 zeros. Then packets: the number of events n (uint32), the camera's clock in
microseconds (int64), up to which all events have been sent, and n events of 16 bytes: t (int64, microseconds), x, y
(uint16 each), p (uint8, 1 for ON), 3 zeros. Times rise. A camera that sees nothing sends packets of no events, so that
time goes on.
"""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError, DataError

MAGIC = b"SRE1"
HEAD = struct.Struct("<4sHH8x")
PACKET = struct.Struct("<Iq")
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("rest", "V3")])
MOST = 1 << 22
"""Events of a packet; more is garbage."""


def read_socket(address: str, patience: float, name: str) -> Iterator[tuple[Events, int]]:
    """(events, clock in microseconds) of each packet from events://HOST:PORT, until the camera closes.

    Raises OSError where the camera cannot be reached or is silent for `patience` seconds, DataError for garbage, and
    ConfigError for an address without a port.
    """
    parts = urlsplit(address)
    if not parts.hostname or not parts.port:
        raise ConfigError(f"{name}: give host and port, events://HOST:PORT")
    line = socket.create_connection((parts.hostname, parts.port), timeout=patience)
    with line, line.makefile("rb") as file:
        magic, width, height = HEAD.unpack(_exactly(file, HEAD.size))
        if magic != MAGIC or not width or not height:
            raise DataError(
                f"{name}: sends no events of this wire format (begins with {magic!r}); see docs/streaming.md"
            )
        while head := file.read(PACKET.size):
            if len(head) < PACKET.size:
                raise ConnectionResetError("ends inside a packet")
            count, clock = PACKET.unpack(head)
            if count > MOST:
                raise DataError(f"{name}: a packet of {count} events is garbage")
            rows: Any = np.frombuffer(_exactly(file, count * EVENT.itemsize), EVENT)
            columns = {"t": rows["t"].astype(np.int64), "x": rows["x"].copy(), "y": rows["y"].copy()}
            yield Events(**columns, p=rows["p"] > 0, width=width, height=height, format="socket", source=name), clock


def _exactly(file: Any, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ConnectionResetError("ends inside a packet")
    return data


def packet(events: Events, clock: int) -> bytes:
    """One packet."""
    rows: Any = np.zeros(len(events), EVENT)
    for column in "txyp":
        rows[column] = getattr(events, column)
    return PACKET.pack(len(events), clock) + rows.tobytes()


def send_events(listening: socket.socket, events: Events, *, step_us: int = 10_000, speed: float | None = 1.0) -> None:
    """Be a camera for one viewer: wait for a connection, and send a recording in packets of `step_us`.

    speed: times as fast as it was; None is at once. Returns when all is sent, or the viewer has gone.
    """
    line, _ = listening.accept()
    first, last = int(events.t[0]), int(events.t[-1])
    began = time.monotonic()
    with line, suppress(BrokenPipeError, ConnectionResetError):
        line.sendall(HEAD.pack(MAGIC, events.width, events.height))
        for start in range(first, last + 1, step_us):
            if speed:
                time.sleep(max(began + (start + step_us - first) / 1e6 / speed - time.monotonic(), 0))
            line.sendall(packet(events.between(start, start + step_us), start + step_us))

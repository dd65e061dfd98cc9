"""AEDAT 2.0 (jAER: DVS128 and DAVIS) and AEDAT 3.1 (cAER; the format of DVS128-Gesture).

Source: the AEDAT file format pages of iniVation, and the address masks of jAER.
"""

import re
import struct
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import (
    GIVE_SENSOR,
    Sensor,
    content,
    header,
    records,
    require_events,
    require_sensor,
    unwrap,
)
from spikereel.errors import DataError

_SENSORS = {
    "DVS128": (128, 128),
    "DAVIS128": (128, 128),
    "DAVIS208": (208, 192),
    "DAVIS240": (240, 180),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
}
_CAMERA = re.compile("|".join(_SENSORS), re.IGNORECASE)
_PACKET = struct.Struct("<hhiiiiii")
"""Type, source, size, time offset, time overflow, capacity, number, valid."""
_POLARITY = 1


def read_aedat2(path: Path, *, sensor: Sensor | None = None) -> Events:
    """8 bytes an event, big-endian: address, then microseconds in 32 bits, which may wrap.

    DVS128 address: bit 0 polarity (0 is ON), 1-7 x, 8-14 y, 15 external event. DAVIS: bit 11 polarity (1 is ON),
    12-21 x, 22-30 y, 31 not an event of brightness, 10 external. External events, frames and inertia are left out.
    x and y are the addresses as they stand; jAER counts rows from the bottom and mirrors x when it shows them.
    A header that names no camera, as those of CIFAR10-DVS, is read as of a DVS128 where `sensor` is (128, 128).
    Raises DataError as `read_events`, and for a header that names no known camera.
    """
    data = content(path)
    text, start = header(data, b"#", last=b"#end of ascii header")
    words = records(path, data, start, ">u4", columns=2)
    require_events(path, len(words))
    name = _camera(path, text, "AEChip", "HardwareInterface")
    if name is None:
        if sensor is None or tuple(sensor) != _SENSORS["DVS128"]:
            raise DataError(
                f"{path}: its header names no camera; if it is of a DVS128, as CIFAR10-DVS, give its 128 x 128 pixels: "
                f"{GIVE_SENSOR}; else add a line '# AEChip: DAVIS346' (or {', '.join(_SENSORS)})"
            )
        name = "DVS128"
    address = words[:, 0].astype(np.uint32)
    dvs128 = name == "DVS128"
    other = 0x8000 if dvs128 else 0x8000_0400
    time = words[:, 1]
    if (address & other).any():
        kept = np.flatnonzero((address & other) == 0)
        address, time = address[kept], time[kept]
    require_events(path, len(address))
    at_x, at_y, size_x, size_y = (1, 8, 0x7F, 0x7F) if dvs128 else (12, 22, 0x3FF, 0x1FF)
    width, height = require_sensor(path, _SENSORS[name], sensor)
    return Events(
        t=unwrap(time.astype(np.uint32), 32),
        x=((address >> at_x) & size_x).astype(np.uint16),
        y=((address >> at_y) & size_y).astype(np.uint16),
        p=(address & 1) == 0 if dvs128 else (address & 0x800) != 0,
        width=width,
        height=height,
        format="AEDAT 2.0",
        source=str(path),
    )


def read_aedat3(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Packets of a 28-byte header and events of 8 bytes, little-endian; polarity packets are read, others passed over.

    Event: bit 0 valid, 1 polarity, 2-16 y, 17-31 x, then microseconds in 31 bits, whose overflows the packet counts.
    Raises DataError as `read_events`; for a compressed file, one cut inside a packet, and a packet of no sense.
    """
    data = content(path)
    text, start = header(data, b"#", last=b"#!end-header")
    form = re.search(r"#Format: *(\S+)", text)
    if form and form[1].upper() != "RAW":
        raise DataError(f"{path}: its format is {form[1]}, only RAW is read; export it uncompressed")
    name = _camera(path, text, "Source")
    packets = _polarity_packets(path, data, start)
    words = np.frombuffer(b"".join(data[first:last] for first, last, _ in packets), "<u4").reshape(-1, 2)
    overflow = np.array([count for *_, count in packets], np.int64)
    event, time = words[:, 0], words[:, 1].astype(np.int64)
    if overflow.any():
        time += np.repeat(overflow << 31, [(last - first) // 8 for first, last, _ in packets])
    if not (event & 1).all():
        kept = np.flatnonzero(event & 1)
        event, time = event[kept], time[kept]
    require_events(path, len(event))
    width, height = require_sensor(path, _SENSORS[name] if name else None, sensor)
    return Events(
        t=time,
        x=(event >> 17).astype(np.uint16),
        y=((event >> 2) & 0x7FFF).astype(np.uint16),
        p=(event & 2) != 0,
        width=width,
        height=height,
        format="AEDAT 3.1",
        source=str(path),
    )


def _camera(path: Path, text: str, *keys: str) -> str | None:
    """The key of _SENSORS that the first of the header's lines `key: value` names; None without such a line."""
    for key in keys:
        if line := re.search(rf"^# ?{key}\b[^:\n]*:(.*)$", text, re.MULTILINE):
            if camera := _CAMERA.search(line[1]):
                return camera[0].upper()
            raise DataError(f"{path}: its camera is {line[1].strip()!r}; known are {', '.join(_SENSORS)}")
    return None


def _polarity_packets(path: Path, data: bytes, at: int) -> list[tuple[int, int, int]]:
    """(first byte, last byte + 1, time overflows) of the events of every polarity packet."""
    packets = []
    while at < len(data):
        if len(data) - at < _PACKET.size:
            raise DataError(f"{path}: ends inside the head of a packet; copy or download it again")
        kind, _, size, _, overflow, _, number, _ = _PACKET.unpack_from(data, at)
        if size < 1 or number < 0 or overflow < 0 or (kind == _POLARITY and size != 8):
            raise DataError(f"{path}: the packet at byte {at} has {number} events of {size} bytes; copy it again")
        first = at + _PACKET.size
        at = first + size * number
        if at > len(data):
            raise DataError(
                f"{path}: is cut short, {at - len(data)} bytes of its last packet are missing; copy it again"
            )
        if kind == _POLARITY:
            packets.append((first, at, overflow))
    return packets

"""AEDAT 4.0, as DV and dv-processing write it: FlatBuffers packets, each compressed on its own.

The few tables needed are read by hand; LZ4 and Zstandard need the packages of the extra "events".
Source: the AEDAT 4.0 specification of iniVation, and the FlatBuffers internals.
"""

import re
import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol
from xml.etree import ElementTree

import numpy as np

from spikereel.data.events.decoders import look, native, sound
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, require_sensor
from spikereel.data.events.stream import Columns, Room, Stream, placed
from spikereel.errors import ConfigError, DataError, SpikereelError

if TYPE_CHECKING:
    from lz4.frame import LZ4FrameDecompressor

_MAGIC = b"#!AER-DAT4.0\r\n"
_EVENT = np.dtype({"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "?"], "itemsize": 16})

_UNPACKS = 255
"""Times that compression makes data smaller, at most: LZ4 can do no more, and equally spaced events reach some 100 with
Zstandard."""
# Bytes unpacked at a time; those of Zstandard take no more than some 40 MiB, those of LZ4 no more than _LZ4_MOST.
_LZ4_STEP, _ZSTANDARD_STEP = 1 << 17, 1 << 10
_LZ4_MOST = 1 << 18
"""Bytes that a step gives: all of a packet as DV writes it, so that nothing is put together."""

_AHEAD = 1 << 20
"""Bytes of a file read at a time."""

Buffer = bytes | memoryview
Unpack = Callable[[Buffer, "_Desk"], Buffer]


class _Desk:
    """Memory that each packet overwrites: taken anew for every one, it costs as much as unpacking does."""

    def __init__(self) -> None:
        # one large block that is freed: else malloc gives the memory of every packet back to the system
        self.memory = bytearray(_AHEAD)
        self.memory = bytearray(1 << 16)

    def at_least(self, size: int, kept: int = 0) -> memoryview:
        """All of it, with the first `kept` bytes as they were. What looks at the old memory still may."""
        if size > len(self.memory):
            larger = bytearray(max(size, 2 * len(self.memory)))
            larger[:kept] = memoryview(self.memory)[:kept]
            self.memory = larger
        return memoryview(self.memory)


class Decompressor(Protocol):
    """A decompressor of LZ4 or Zstandard."""

    @property
    def eof(self) -> bool | None: ...

    def decompress(self, data: Buffer, /) -> bytes: ...


def read_aedat4(path: Path, *, sensor: Sensor | None = None) -> Events:
    """All events of `stream_aedat4`. Raises as that does."""
    return stream_aedat4(path, sensor=sensor).whole()


def stream_aedat4(path: Path, *, sensor: Sensor | None = None) -> Stream:
    """The event stream of a recording; frames, inertia and triggers are passed over. Times are of the Unix epoch.

    A recording that was closed well says where its packets end, and so shows any cut; one that was not may end after
    any whole packet. Raises DataError as `read_events`, for no or several event streams, and for a packet of no sense;
    ConfigError, which names the extra, where the package for its compression is missing.
    """
    content(path, 1)
    with _damage(path):
        head = _file_header(path)
        stream, stated = _event_stream(path, head.info)
    width, height = require_sensor(path, stated, sensor)
    parts, number = partial(_parts, path, head, stream, look(width, height)), partial(_number, path, head, stream)
    return Stream(path=path, width=width, height=height, format="AEDAT 4.0", parts=parts, number=number)


def _parts(path: Path, head: "_Head", stream: int, seen: np.ndarray, room: Room) -> Iterator[tuple[int, bool]]:
    desk = _Desk()
    with _damage(path), BufferedReader(path.open("rb", buffering=0), _AHEAD) as file:
        for body in _bodies(path, file, head, stream):
            events = _events(head.unpack(body, desk))
            if native():
                native().aedat4(events.view(np.uint8), seen, *room(len(events)))
                yield len(events), sound(seen)
            else:
                yield from placed(iter([_columns(events)]), room)
        if head.end < head.size:
            # The table of packets comes last, so a cut shows here.
            file.seek(head.end)
            head.unpack(file.read(), desk)


def _columns(events: np.ndarray) -> Columns:
    """The reference of the native decoder."""
    return events["t"], events["x"].astype(np.uint16), events["y"].astype(np.uint16), events["p"].view(np.uint8) != 0


def _number(path: Path, head: "_Head", stream: int) -> int:
    """Of the packets of a stream."""
    with _damage(path), path.open("rb", buffering=0) as file:
        return sum(number == stream for number, _ in _packets(path, file, head))


@contextmanager
def _damage(path: Path) -> Generator[None]:
    """What goes wrong inside is a DataError."""
    try:
        yield
    except SpikereelError:
        raise
    except (struct.error, ValueError, RuntimeError, EOFError, OSError) as error:
        raise DataError(f"{path}: is cut short or damaged ({error}); copy or download it again") from error


@dataclass(frozen=True)
class _Head:
    unpack: Unpack
    start: int
    """Of the packets."""
    end: int
    """Of the packets."""
    size: int
    """Of the file."""
    info: str
    """The XML on the streams."""


def _file_header(path: Path) -> _Head:
    total = path.stat().st_size
    with path.open("rb") as file:
        file.seek(len(_MAGIC))
        (size,) = struct.unpack("<I", file.read(4))
        start = len(_MAGIC) + 4 + size
        if start > total:
            raise DataError(f"{path}: ends inside its header; copy or download it again")
        file.seek(len(_MAGIC))
        table = _table(file.read(4 + size), b"IOHE")
    end = table.number(1, "<q", -1)
    if end >= total:
        missing = end - total + 1
        raise DataError(f"{path}: is cut short, {missing} bytes or more are missing; copy or download it again")
    unpack = _unpacker(path, table.number(0, "<i", 0))
    return _Head(unpack, start, total if end < 0 else end, total, table.text(2))


def _unpacker(path: Path, code: int) -> Unpack:
    if code == 0:
        return _whole
    names = {1: "LZ4", 2: "LZ4", 3: "Zstandard", 4: "Zstandard"}
    if code not in names:
        raise DataError(f"{path}: its compression has the unknown number {code}; export it with LZ4 or none")
    try:
        if code in (1, 2):
            from lz4.frame import LZ4FrameDecompressor

            return lambda body, desk: _bounded(_lz4_pieces(LZ4FrameDecompressor(), body), body, desk)
        from zstandard import ZstdDecompressor, ZstdError
    except ImportError:
        raise ConfigError(f"{path}: is compressed with {names[code]}; run pip install 'spikereel[events]'") from None

    def unpack(body: Buffer, desk: _Desk) -> Buffer:
        try:
            return _bounded(_pieces(ZstdDecompressor().decompressobj(), body), body, desk)
        except ZstdError as error:
            raise ValueError(error) from error

    return unpack


def _pieces(stream: Decompressor, body: Buffer) -> Iterator[tuple[bytes, bool]]:
    """A packet unpacked step by step, and whether each is the last one."""
    for at in range(0, len(body), _ZSTANDARD_STEP):
        yield stream.decompress(body[at : at + _ZSTANDARD_STEP]), bool(stream.eof)


def _lz4_pieces(stream: "LZ4FrameDecompressor", body: Buffer) -> Iterator[tuple[bytes, bool]]:
    """As `_pieces`. However little a bomb is, no piece is larger than _LZ4_MOST."""
    for at in range(0, len(body), _LZ4_STEP):
        given = body[at : at + _LZ4_STEP]
        while True:
            piece = stream.decompress(given, max_length=_LZ4_MOST)
            yield piece, bool(stream.eof)
            if stream.needs_input or not piece:
                break
            given = b""


def _bounded(pieces: Iterator[tuple[bytes, bool]], body: Buffer, desk: _Desk) -> Buffer:
    """A packet of its pieces, so that one which grows past what it says or can hold takes no memory."""
    limit, size = _UNPACKS * len(body), 0
    for piece, last in pieces:
        end = size + len(piece)
        if last and not size:
            room: Buffer = piece
        else:
            room = desk.at_least(end, size)
            room[size:end] = piece
        if size < 4 <= end:
            limit = min(limit, 4 + struct.unpack_from("<I", room)[0])
        size = end
        if size > limit:
            raise ValueError(f"a packet of {len(body)} bytes unpacks to more than {limit}")
        if last:
            return room[:size]
    raise ValueError("a packet ends early")


def _whole(body: Buffer, _desk: _Desk) -> Buffer:
    if len(body) < 4 or len(body) != 4 + struct.unpack_from("<I", body)[0]:
        raise ValueError("a packet is not as long as it says")
    return body


def _event_stream(path: Path, info: str) -> tuple[int, Sensor | None]:
    """Number of the only event stream, and the size that it states."""
    try:
        root = ElementTree.fromstring(re.sub(r"[^>]*\Z", "", info))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: the list of its streams cannot be read ({error}); export it again") from error
    streams = [
        (node, {attr.get("key"): attr.text or "" for attr in node.iter("attr")})
        for node in root.iterfind("./node[@name='outInfo']/node")
    ]
    events = [(int(node.get("name", "")), keys) for node, keys in streams if keys.get("typeIdentifier") == "EVTS"]
    if len(events) != 1:
        raise DataError(f"{path}: has {len(events)} event streams, one is read; export one of them")
    number, keys = events[0]
    return number, (int(keys["sizeX"]), int(keys["sizeY"])) if {"sizeX", "sizeY"} <= keys.keys() else None


def _bodies(path: Path, file: BufferedIOBase, head: _Head, stream: int) -> Iterator[memoryview]:
    """Of the packets of a stream. Each overwrites the last."""
    desk = _Desk()
    for number, size in _packets(path, file, head):
        if number == stream:
            body = desk.at_least(size)[:size]
            yield body[: file.readinto(body)]


def _packets(path: Path, file: IO[bytes] | BufferedIOBase, head: _Head) -> Iterator[tuple[int, int]]:
    """Number of the stream and size of each packet, 4 bytes each before its body, where the file then is."""
    at = head.start
    while at < head.end:
        file.seek(at)
        number, size = struct.unpack("<ii", file.read(8))
        if size < 0 or at + 8 + size > head.end:
            raise DataError(f"{path}: the packet at byte {at} passes the end of the file; copy or download it again")
        yield number, size
        at += 8 + size


def _events(packet: Buffer) -> np.ndarray:
    start, number = _table(packet, b"EVTS").vector(0)
    return np.frombuffer(packet, _EVENT, count=number, offset=start)


class _Table:
    """A FlatBuffers table: its fields lie where its vtable says, 0 meaning absent."""

    def __init__(self, data: Buffer, at: int):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        if self.vtable < 0:
            raise ValueError("a table points outside its packet")

    def field(self, number: int) -> int:
        """Where a field lies, or 0."""
        (size,) = struct.unpack_from("<H", self.data, self.vtable)
        if 4 + 2 * number >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * number)
        return self.at + offset if offset else 0

    def number(self, field: int, kind: str, default: int) -> int:
        at = self.field(field)
        return struct.unpack_from(kind, self.data, at)[0] if at else default

    def vector(self, field: int) -> tuple[int, int]:
        """Where the elements start, and how many there are."""
        at = self.field(field)
        if not at:
            return 0, 0
        at += struct.unpack_from("<I", self.data, at)[0]
        return at + 4, struct.unpack_from("<I", self.data, at)[0]

    def text(self, field: int) -> str:
        start, size = self.vector(field)
        return bytes(self.data[start : start + size]).decode("utf-8", errors="replace")


def _table(packet: Buffer, identifier: bytes) -> _Table:
    """The root table of a packet that starts with its size and carries the identifier."""
    if (named := bytes(packet[8:12])) != identifier:
        raise ValueError(f"a packet is {named!r} instead of {identifier!r}")
    return _Table(packet, 4 + struct.unpack_from("<I", packet, 4)[0])

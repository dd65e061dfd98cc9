"""MPEG transport streams (ISO/IEC 13818-1): recordings of one programme in several parts, as one file.

Recorders and downloaders join parts, and an encoder that was restarted may take another PID for its video. ffmpeg
follows the first PID alone. Here the video of later parts gets the PID of the first, in what ffmpeg is given to read.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from spikereel.errors import DataError

_SYNC, _NULL, _PAT = 0x47, 0x1FFF, 0
_SIZES = ((188, 0), (192, 4), (204, 0))
"""Bytes of a packet, and where in it the sync byte is: plain, with a time before it (M2TS), with parity after it."""
_VIDEO = {0x01: "MPEG-1", 0x02: "MPEG-2", 0x10: "MPEG-4", 0x1B: "H.264", 0x24: "HEVC", 0x33: "VVC", 0xEA: "VC-1"}
"""Types of streams (ISO/IEC 13818-1, table 2-34)."""
_AT_ONCE = 1 << 17
"""Packets that are in memory together."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Where the video of a programme goes on under another PID."""

    packet: int
    """Bytes."""
    sync: int
    """Where in a packet its sync byte is."""
    pids: dict[int, int]
    """{PID of a later part: that of the first}; empty where nothing changes."""
    change: int
    """The packet from which on a later part may begin."""
    maps: frozenset[int]
    """PIDs of the tables that say which streams there are."""


def transport_parts(path: Path) -> Parts | None:
    """Whether the video of a transport stream changes its PID on the way; None for a file that is none.

    Only streams that follow each other are parts of one: those that a map of the programme names together are not, nor
    those of programmes sent at the same time. Raises DataError where another stream follows that cannot be decoded with
    the first, and would be left out.
    """
    stat = path.stat()
    return _parts(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _parts(path: Path, _size: int, _changed: int) -> Parts | None:
    found = _survey(path)
    if found is None:
        return None
    pids: dict[int, int] = {}
    changes: list[int] = []
    present = [pid for pid in dict.fromkeys(found.video[:, 1].tolist()) if pid in found.kinds]
    for number, pid in enumerate(present):
        for first in present[:number]:
            if first in pids or any({first, pid} <= group for group in found.together):
                continue
            turns = _turns(found, first, pid)
            if turns is None:
                continue
            if found.kinds[pid] != found.kinds[first]:
                raise _other(path, turns[0] * found.packet, found.kinds[first], found.kinds[pid])
            pids[pid] = first
            changes.append(turns[0])
            break
    return Parts(
        packet=found.packet,
        sync=found.sync,
        pids=pids,
        change=min(changes, default=0),
        maps=frozenset({_PAT} | found.maps),
    )


def _turns(found: "_Survey", first: int, second: int) -> list[int] | None:
    """The packets after which one stream gives way to the other; None where they come at the same time: there no table
    of programmes comes between."""
    own = found.video[np.isin(found.video[:, 1], (first, second))]
    turn = 1 + np.flatnonzero(np.diff(own[:, 1]))
    tables = np.searchsorted(found.tables, own[:, 0])
    return (own[turn - 1, 0] + 1).tolist() if np.all(tables[turn] > tables[turn - 1]) else None


def _other(path: Path, at: int, first: int, second: int) -> DataError:
    return DataError(
        f"{path}: another stream begins at byte {at}, {_VIDEO[second]} after {_VIDEO[first]}, and would be left out; "
        "cut the file there"
    )


def joined_cleanly(path: Path) -> bool:
    """Whether the video packets of a transport stream are all there, but for counters that begin anew at a seam.

    A seam is where a table of programmes comes and then the start of a picture by which decoding may begin: a part that
    begins as a file does.
    """
    found, parts = _survey(path), transport_parts(path)
    if found is None or parts is None:
        return False
    names = np.array([parts.pids.get(pid, pid) for pid in found.video[:, 1].tolist()])
    return all(_is_whole(found.video[names == name], found.tables) for name in set(names.tolist()))


def _is_whole(video: np.ndarray, tables: np.ndarray) -> bool:
    place, pid, flags, control, length, field = video.T
    if np.any(flags & 0x80):
        return False
    counter, payload = control & 0x0F, (control & 0x10) > 0
    adapted = ((control & 0x20) > 0) & (length > 0)
    announced, entry = adapted & ((field & 0x80) > 0), adapted & ((field & 0x40) > 0)
    expected = np.where(payload[1:], (counter[:-1] + 1) & 0x0F, counter[:-1])
    repeated = counter[1:] == counter[:-1]
    broken = 1 + np.flatnonzero(((counter[1:] != expected) & ~repeated & ~announced[1:]) | (pid[1:] != pid[:-1]))
    between = np.searchsorted(tables, place[broken]) > np.searchsorted(tables, place[broken - 1])
    # muxers mark where decoding may begin, most of them
    begins = ((flags[broken] & 0x40) > 0) & (entry[broken] if np.any(entry) else True)
    return bool(np.all(between & begins))


class OnePid(io.RawIOBase):
    """A transport stream as if the video of all its parts had the PID of the first.

    Maps of the programme that come after the first change are left out: they name the other PID.
    """

    def __init__(self, path: Path, parts: Parts):
        super().__init__()
        self.parts = parts
        self._file = path.open("rb")
        self._table = np.arange(_NULL + 1, dtype=np.uint16)
        for pid, first in parts.pids.items():
            self._table[pid] = first
        self._maps = np.array(sorted(parts.maps), np.uint16)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def close(self) -> None:
        self._file.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        start = self._file.tell()
        count = size if size >= 0 else self._file.seek(0, io.SEEK_END) - start
        packet = self.parts.packet
        first = start // packet
        self._file.seek(first * packet)
        whole = -(-(start + count) // packet) - first
        content = bytearray(self._file.read(whole * packet))
        self._rewrite(content, first)
        out = bytes(content[start - first * packet :][:count])
        self._file.seek(start + len(out))
        return out

    def _rewrite(self, content: bytearray, first: int) -> None:
        size, sync = self.parts.packet, self.parts.sync
        rows = np.frombuffer(content, np.uint8)[: len(content) // size * size].reshape(-1, size)
        pid = _pids(rows, sync)
        now = self._table[pid]
        now[np.isin(pid, self._maps) & (np.arange(first, first + len(pid)) >= self.parts.change)] = _NULL
        rows[:, sync + 1] = (rows[:, sync + 1] & 0xE0) | (now >> 8).astype(np.uint8)
        rows[:, sync + 2] = (now & 0xFF).astype(np.uint8)


def _layout(path: Path) -> tuple[int, int] | None:
    with path.open("rb") as file:
        head = file.read(5 * 204)
    for size, sync in _SIZES:
        marks = head[sync::size]
        if len(marks) > 1 and set(marks) == {_SYNC}:
            return size, sync
    return None


def _pids(rows: np.ndarray, sync: int) -> np.ndarray:
    return (rows[:, sync + 1].astype(np.uint16) & 0x1F) << 8 | rows[:, sync + 2]


def _rows(path: Path, size: int) -> np.ndarray:
    packets = path.stat().st_size // size
    return np.memmap(path, np.uint8, "r", shape=(packets, size))


@dataclass(frozen=True, kw_only=True)
class _Survey:
    """What a transport stream holds."""

    packet: int
    sync: int
    maps: set[int]
    """PIDs of the maps of programmes."""
    kinds: dict[int, int]
    """{PID of video: type of the stream}."""
    together: list[set[int]]
    """PIDs of video that one map names together."""
    video: np.ndarray
    """Of each packet of video: place, PID, flags, control and counter, length and flags of the adaptation field."""
    tables: np.ndarray
    """Places of the tables of programmes."""


def _survey(path: Path) -> _Survey | None:
    layout = _layout(path)
    if layout is None:
        return None
    size, sync = layout
    rows = np.memmap(path, np.uint8, "r", shape=(path.stat().st_size // size, size))
    kinds: dict[int, int] = {}
    together: list[set[int]] = []
    maps: set[int] = set()
    sections: set[tuple[int, bytes]] = set()
    video, tables = [np.zeros((0, 6), np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(rows), _AT_ONCE):
        part = np.asarray(rows[start : start + _AT_ONCE, sync:])
        pid = _pids(part, 0)
        begins = (part[:, 1] & 0x40) > 0
        tables.append(start + np.flatnonzero(pid == _PAT))
        for at in np.flatnonzero(begins & (pid == _PAT)):
            maps |= set(_programmes(_section(part[at])))
        for at in np.flatnonzero(begins & np.isin(pid, np.array(sorted(maps), np.uint16))):
            section = _section(part[at])
            if (int(pid[at]), section) in sections:
                continue
            sections.add((int(pid[at]), section))
            own = _streams(section)
            for name in own.keys() & kinds.keys():
                if own[name] != kinds[name]:
                    raise _other(path, (start + int(at)) * size, kinds[name], own[name])
            kinds |= own
            together.append(set(own))
        own = np.flatnonzero(np.isin(pid, np.array(sorted(kinds), np.uint16)))
        video.append(np.column_stack([start + own, pid[own], part[own, 1], part[own, 3:6]]).astype(np.int64))
    return _Survey(
        packet=size,
        sync=sync,
        maps=maps,
        kinds=kinds,
        together=together,
        video=np.concatenate(video),
        tables=np.concatenate(tables),
    )


def _section(packet: np.ndarray) -> bytes:
    """The table that begins in a packet, as far as the packet goes (2.4.4)."""
    content = packet[:188].tobytes()
    at = 4 + (1 + content[4] if content[3] & 0x20 else 0)
    at += 1 + (content[at] if at < len(content) else 0)
    length = int.from_bytes(content[at + 1 : at + 3], "big") & 0xFFF
    return content[at : at + 3 + length]


def _programmes(section: bytes) -> list[int]:
    """PIDs of the maps that a programme association table names (2.4.4.3)."""
    if section[:1] != b"\x00":
        return []
    entries = section[8:-4]
    return [
        int.from_bytes(entries[i + 2 : i + 4], "big") & 0x1FFF
        for i in range(0, len(entries) - 3, 4)
        if entries[i : i + 2] != b"\x00\x00"
    ]


def _streams(section: bytes) -> dict[int, int]:
    """{PID: type} of the video streams in a programme map (2.4.4.8)."""
    if section[:1] != b"\x02":
        return {}
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    found = {}
    while at + 5 <= len(section) - 4:
        kind, pid = section[at], int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        if kind in _VIDEO:
            found[pid] = kind
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return found

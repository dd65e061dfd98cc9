"""Events as text: CSV, or columns between spaces, with or without a line of names."""

import io
import re
from pathlib import Path

import numpy as np

from spikereel.data.events.arrays import COLUMNS, GIVE_COLUMNS, UNITS, column_names, events_of
from spikereel.data.events.recording import Events
from spikereel.data.events.source import PASSED_OVER, UNTOLD, Sensor, Told, content, require_events
from spikereel.errors import DataError

SUFFIXES = frozenset({".csv", ".txt"})

_COMMENT = re.compile(rb"\s*(?:[#%].*)?\r?\n?", re.DOTALL)
_NAME = re.compile(r"(?P<name>\w+?)(?:@(?P<size>\d{1,9}))?\s*(?:[\[(](?P<unit>[a-zµ]+)[\])])?")
"""Such as t, x@640 (the size of the sensor, as Faery writes it) and t [us]."""


def read_text(path: Path, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> Events:
    """A line an event, columns between commas, semicolons, tabs or spaces; lines of # and % are passed over.

    The columns are named by a first line (t, x, y, p and the other names of `COLUMNS`; t,x@640,y@480,on as Faery
    writes it), or told. A first line of two numbers is width and height, as in the recordings of e2vid. Times are
    whole microseconds, of the unit that the first line names ("t [us]"), or that is told. Polarities may be True and
    False. Raises DataError as `read_events`, for columns that nobody names or both name differently, and for a line
    of other columns.
    """
    data = content(path).removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data[:1024]:
        raise DataError(f"{path}: is no text of one byte a letter; save it as UTF-8")
    at, size = _past_comments(data, 0), None
    first, end = _line(data, at)
    if re.fullmatch(r"\d{1,9}\s+\d{1,9}", first):
        width, height = first.split()
        size, at = (int(width), int(height)), _past_comments(data, end)
        first, end = _line(data, at)
    mark = next((mark for mark in (",", ";", "\t") if mark in first), None)
    words = [word.strip().strip("\"'") for word in first.split(mark)] or [""]
    columns, unit = told.names, told.time_unit
    if not first:
        require_events(path, 0)
    if not _is_number(words[0]):
        stated, named, own = _names(path, words, columns)
        size, columns, at = stated or size, columns or named, end
        if own and unit and UNITS[own] != UNITS[unit]:
            raise DataError(f"{path}: says that its times are in {own}, not {unit}; leave time_unit out")
        unit = unit or own
    if not columns:
        raise DataError(f"{path}: does not name its columns; name them: {GIVE_COLUMNS}")
    if len(columns) != len(words):
        raise DataError(f"{path}: has {len(words)} columns, not the {len(columns)} of {','.join(columns)}; name each")
    arrays = _numbers(path, data[at:], columns, mark)
    names = column_names(path, arrays)
    arrays = {column: arrays[name] for column, name in names.items()}
    return events_of(path, arrays, "text", size, sensor, unit=unit, sign=names["p"] == "sign")


def _line(data: bytes, at: int) -> tuple[str, int]:
    """The line at a place, and where the next one starts."""
    end = data.find(b"\n", at) + 1 or len(data)
    return data[at : min(end, at + 1000)].decode("utf-8", errors="replace").strip(), end


def _past_comments(data: bytes, at: int) -> int:
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        if not _COMMENT.fullmatch(data, at, end):
            return at
        at = end
    return at


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _names(path: Path, words: list[str], told: tuple[str, ...]) -> tuple[Sensor | None, tuple[str, ...], str | None]:
    """The size, the columns and the unit of time that a line of names states.

    Raises DataError for a name twice, a unit that is none, and names that contradict those told.
    """
    found = [_NAME.fullmatch(word) for word in words]
    names = tuple(match["name"].lower() if match else word.lower() for match, word in zip(found, words, strict=True))
    own = column_names(path, names) if not told else {}
    columns = tuple(next((c for c, name in own.items() if name == word), PASSED_OVER) for word in names)
    if told and len(told) == len(names):
        for name, given in zip(names, told, strict=True):
            known = next((column for column, aliases in COLUMNS.items() if name in aliases), None)
            if known and given != known and (given, known) != ("sign", "p"):
                raise DataError(f"{path}: names a column {name} that is told to be {given}; leave columns out")
    sizes = {match["name"].lower(): int(match["size"]) for match in found if match and match["size"]}
    unit = next((match["unit"] for match in found if match and match["unit"]), None)
    if unit and unit not in UNITS:
        raise DataError(f"{path}: its time unit is {unit!r}; use one of {', '.join(UNITS)}")
    return (sizes["x"], sizes["y"]) if {"x", "y"} <= sizes.keys() else None, columns, unit


def _numbers(path: Path, data: bytes, columns: tuple[str, ...], mark: str | None) -> dict[str, np.ndarray]:
    """The columns by name, times and all else as whole numbers where they are. Raises DataError."""
    if not data.strip():
        require_events(path, 0)
    data = re.sub(rb"\b[Tt]rue\b", b"1", re.sub(rb"\b[Ff]alse\b", b"0", data)) if b"rue" in data else data
    used = [i for i, name in enumerate(columns) if name != PASSED_OVER]
    reason = ""
    for kind in (np.int64, np.float64):
        fields = [(columns[i], kind if columns[i] == "t" else np.float64) for i in used]
        try:
            table: np.ndarray = np.loadtxt(
                io.BytesIO(data), np.dtype(fields), comments=None, delimiter=mark, usecols=used, ndmin=1
            )
        except (ValueError, OverflowError, IndexError) as error:
            reason = (str(error).splitlines() or ["no numbers"])[0]
            continue
        return {columns[i]: np.ascontiguousarray(table[columns[i]]) for i in used}
    raise DataError(f"{path}: cannot be read as columns of numbers ({reason}); save it again")

"""Prophesee recordings: RAW in the encoding EVT 2.0; EVT 2.1 is in `evt21`, EVT 3.0 in `evt3`, DAT in `dat`.

Source: the data encoding formats of the Metavision SDK's documentation. Triggers and vendor words are passed over.
"""

import re
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, header, records, require_events, require_sensor, unwrap

# Names that older headers hold instead of a size; the longer ones first.
_SENSORS = {
    "genx320": (320, 320),
    "imx636": (1280, 720),
    "gen41": (1280, 720),
    "gen4": (1280, 720),
    "gen31": (640, 480),
    "gen3": (640, 480),
}
_HIGH = 8


def read_evt2(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Words of 32 bits, little-endian: kind in the top 4 (0 OFF, 1 ON, 8 time), then 6 bits time, 11 x, 11 y.

    A time word carries bits 6 to 33 of the microseconds, which wrap after 4.8 hours. Events before the first time word
    are left out: their time is not known. Raises DataError as `read_events`.
    """
    data = content(path)
    text, start = raw_header(data)
    width, height = require_sensor(path, stated_sensor(text), sensor)
    words = records(path, data, start, "<u4")
    at, t = timed(words)
    require_events(path, len(at))
    events = words[at]
    return Events(
        t=t + stated_start(text),
        x=((events >> 11) & 0x7FF).astype(np.uint16),
        y=(events & 0x7FF).astype(np.uint16),
        p=events >= 0x1000_0000,
        width=width,
        height=height,
        format="EVT2",
        source=str(path),
    )


def timed(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the words of events are, and int64 microseconds of each; those before the first time word are left out."""
    highs = np.flatnonzero(words >> 28 == _HIGH)
    at = np.flatnonzero(words < 0x2000_0000)
    if not len(highs):
        return at[:0], np.empty(0, np.int64)
    first = np.searchsorted(at, highs)
    at = at[first[0] :]
    time = unwrap(words[highs] & 0xFFF_FFFF, 28) << 6
    t = np.repeat(time, np.diff(first, append=first[0] + len(at)))
    return at, t + (words[at] >> 22 & 0x3F)


def encoding(data: bytes) -> str:
    """The encoding that a header of `%` lines names, such as "2.0" or "EVT21"; "" if none (then it may be DAT)."""
    text, _ = raw_header(data)
    found = re.search(r"^% (?:evt|format) +([\w.]+)", text, re.MULTILINE | re.IGNORECASE)
    return found[1].upper() if found else ""


def raw_header(data: bytes) -> tuple[str, int]:
    return header(data, b"% ", last=b"% end")


def stated_sensor(text: str) -> Sensor | None:
    """The size in a header: `geometry`, `format EVT3;height=720;width=1280`, `Height` and `Width`, or a known name."""
    if found := re.search(r"^% geometry +(\d+)x(\d+)", text, re.MULTILINE):
        return _pixels(found[1]), _pixels(found[2])
    width, height = (re.search(rf"\b{key}[= ]+(\d+)", text, re.IGNORECASE) for key in ("width", "height"))
    if width and height:
        return _pixels(width[1]), _pixels(height[1])
    named = re.search("|".join(_SENSORS), text, re.IGNORECASE)
    return _SENSORS[named[0].lower()] if named else None


def stated_start(text: str) -> int:
    """Microseconds that Faery took off all times, as `% t0` says; 0 where no such line is."""
    found = re.search(r"^%\s*t0[ \t:]+(\d{1,18})\s*$", text, re.MULTILINE | re.IGNORECASE)
    return int(found[1]) if found else 0


def _pixels(digits: str) -> int:
    """Python refuses numbers of very many digits, and no sensor has one of ten."""
    return int(digits[:9])

"""Prophesee RAW in the encoding EVT 2.1: words of 64 bits, each up to 32 events of one row.

Source: the data encoding formats of the Metavision SDK's documentation. Triggers and vendor words are passed over.
"""

import re
from pathlib import Path

import numpy as np

from spikereel.data.events.prophesee import raw_header, stated_sensor, stated_start, timed
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, records, require_events, require_sensor
from spikereel.errors import DataError

_ORDERS = {"little": (1, 0), "legacy": (0, 1)}
"""By the header's `% endianness`: which of the two halves of a word says what it is, and which holds the bits."""


def read_evt21(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Words of 64 bits: a half as a word of EVT 2.0, and a half with a bit for each event at x, x + 1, .. x + 31.

    Of an order that is "little" the half of bits comes first in the file, of "legacy" last; each half is little-endian.
    Raises DataError as `read_events`, and for a header that states no order or another one.
    """
    data = content(path)
    text, start = raw_header(data)
    width, height = require_sensor(path, stated_sensor(text), sensor)
    stated = re.search(r"^% endianness +(\S+)", text, re.MULTILINE | re.IGNORECASE)
    order = stated[1].lower() if stated else "not stated"
    if order not in _ORDERS:
        raise DataError(
            f"{path}: is EVT 2.1, and its byte order is {order}; add '% endianness little' or 'legacy' to its header"
        )
    if rest := (len(data) - start) % 8:
        raise DataError(
            f"{path}: is EVT 2.1 and ends inside a word, after {rest} of 8 bytes; copy or download it again"
        )
    words = records(path, data, start, "<u4", columns=2)
    heads, bits = (np.ascontiguousarray(words[:, half]) for half in _ORDERS[order])
    at, t = timed(heads)
    # The number of a bit, over 32, is its word.
    bit = np.flatnonzero(np.unpackbits(bits[at].astype("<u4").view(np.uint8), bitorder="little"))
    require_events(path, len(bit))
    heads = heads[at][bit >> 5]
    return Events(
        t=t[bit >> 5] + stated_start(text),
        x=((heads >> 11 & 0x7FF) + (bit & 31)).astype(np.uint16),
        y=(heads & 0x7FF).astype(np.uint16),
        p=heads >= 0x1000_0000,
        width=width,
        height=height,
        format="EVT2.1",
        source=str(path),
    )

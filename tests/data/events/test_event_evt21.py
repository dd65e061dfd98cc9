"""EVT 2.1 in both of its byte orders."""

import struct

import event_writers as write
import pytest

from spikereel.data.events.readers import info, read_events
from spikereel.errors import DataError

HEADER = "% date today\n% endianness {}\n% evt 2.1\n% geometry 64x48\n% end\n"
WORDS = [
    (0x1000_0000 | 5 << 11 | 3, 1),  # before the first time word: left out
    (8 << 28 | 2, 0),
    (1 << 28 | 7 << 22 | 4 << 11 | 9, 0b1000_0000_0000_0000_0000_0000_0000_0101),
    (0xA << 28 | 1, 0xFFFF_FFFF),  # a trigger
    (0 << 28 | 8 << 22 | 63 << 11 | 47, 1),
    (8 << 28 | 3, 0xFFFF_FFFF),
    (0 << 28 | 0 << 22 | 0 << 11 | 0, 0),  # no events
    (1 << 28 | 1 << 22 | 0 << 11 | 1, 2),
]
ROWS = [(135, 4, 9, 1), (135, 6, 9, 1), (135, 35, 9, 1), (136, 63, 47, 0), (193, 1, 1, 1)]


def evt21(order, words=WORDS, header=HEADER):
    pairs = [(bits, head) if order == "little" else (head, bits) for head, bits in words]
    return header.format(order).encode() + b"".join(struct.pack("<II", *pair) for pair in pairs)


@pytest.mark.parametrize("order", ["little", "legacy"])
def test_by_hand(save, order):
    path = save("a.raw", evt21(order))
    assert write.rows_of(read_events(path)) == ROWS
    assert info(path).format == "EVT2.1"
    named = HEADER.replace("% evt 2.1", "% format EVT21;height=48;width=64")
    assert write.rows_of(read_events(save("b.raw", evt21(order, header=named)))) == ROWS


def test_clock_wraps(save):
    words = [(8 << 28 | 0xFFF_FFFF, 0), (1 << 28 | 1, 1), (8 << 28, 0), (1 << 28 | 1, 1)]
    t = read_events(save("a.raw", evt21("little", words))).t
    assert t.tolist() == [0xFFF_FFFF << 6, 1 << 34]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (evt21("big"), "EVT 2.1, and its byte order is big; add '% endianness little'"),
        (evt21("", header=HEADER.replace("% endianness {}\n", "")), "byte order is not stated"),
        (evt21("little")[:-3], "ends inside an event, after 5 of 8 bytes"),
        (evt21("little", WORDS[:1]), "holds no events"),
        (evt21("little", WORDS[:2]), "holds no events"),
        (evt21("little", [(8 << 28, 0), (62 << 11, 4)]), "event 0 has x 64, outside the sensor of 64 x 48"),
    ],
)
def test_refused(save, content, message):
    with pytest.raises(DataError, match=message):
        read_events(save("a.raw", content))

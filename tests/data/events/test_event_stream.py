"""Event Stream files: of DVS and ATIS, with time between events, whatever bytes come."""

import event_writers as write
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikereel.data.events.es import _starts
from spikereel.data.events.readers import info, read_events
from spikereel.errors import DataError

LONG = [(1000, 1, 0, 1), (1000, 2, 1, 0), (1126, 3, 2, 1), (1253, 39, 39, 0), (100_000, 4, 30, 1), (100_001, 5, 31, 0)]


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("events", [write.FIVE, LONG])
def test_events_as_written(save, kind, events):
    path = save("a.es", write.es(events, kind=kind))
    assert write.rows_of(read_events(path)) == events
    assert info(path).format == f"Event Stream {'DVS' if kind == 1 else 'ATIS'}"


def test_bytes_of_another_writer(save):
    # What event_stream 1.6.3 writes: rows from the bottom, 126 us in one step, 0xFE and 0xFC without meaning.
    dvs = b"Event Stream\2\0\1\1\x28\0\x22\0" + b"\xfe\xff\xc9\3\0\x1f\0" + b"\xfd\2\0\x20\0"
    assert write.rows_of(read_events(save("a.es", dvs))) == [(227, 3, 2, 1), (353, 2, 1, 1)]
    atis = b"Event Stream\2\0\0\2\x28\0\x22\0" + b"\xfc\xfd\x96\3\0\2\0" + b"\5\3\0\2\0" + b"\xfe\4\4\0\x1e\0"
    assert write.rows_of(read_events(save("a.es", atis))) == [(100, 3, 31, 1), (228, 4, 3, 0)]


def test_exposures_are_left_out(save):
    path = save("a.es", write.es(LONG, kind=2, exposures=(1, 3)))
    assert write.rows_of(read_events(path)) == [LONG[i] for i in (0, 2, 4, 5)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=40), st.integers(0, 1200), st.integers(0, 2**32))
def test_starts_are_those_found_one_by_one(head, more, seed):
    long = np.concatenate([np.array(head, bool), np.random.default_rng(seed).random(more) < 0.4])
    slow, at = np.zeros(len(long), int), 0
    while at < len(long):
        slow[at] = 1
        at += 1 if long[at] else 5
    assert np.array_equal(_starts(long), slow)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Event Stream\2\0", "ends inside its header"),
        (write.es(write.FIVE)[:-1], "ends inside an event"),
        (write.es(write.FIVE, version=b"\1\0\0"), r"is Event Stream 1\.0\.0; version 2 is read"),
        (write.es(write.FIVE, kind=4), "holds colour; Event Stream files of DVS"),
        (write.es(write.FIVE, kind=0), "holds generic data"),
        (write.es(write.FIVE, kind=9), "holds type 9"),
        (write.es([]) + b"\xff" * 99, "holds no events"),
        (write.es(write.FIVE, width=0), "its sensor is 0 x 40"),
        (write.es([(5, 40, 3, 1)]), "event 0 has x 40, outside the sensor"),
        (write.es([(5, 4, -1, 1)]), "event 0 has y 40, outside the sensor"),
    ],
)
def test_what_is_no_recording(save, content, reason):
    with pytest.raises(DataError, match=reason):
        read_events(save("a.es", content))

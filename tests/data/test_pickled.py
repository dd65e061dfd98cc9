"""Pickled packets are read without calling anything; hostile pickles are errors."""

import os
import pickle
from itertools import pairwise

import event_sets
import event_writers as write
import numpy as np
import pytest

from spikereel.data.events.readers import read_events
from spikereel.data.pickled import read_packets
from spikereel.errors import DataError

EVENTS = event_sets.rows(3)
KIND = np.dtype([("timestamp", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "i1")])


def parts(sizes=(5, 5, 7, 7), kind=KIND):
    edges = np.cumsum((0, *sizes))
    return [np.array(EVENTS[a:b], kind) for a, b in pairwise(edges)]


def object_array(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("kind", [KIND, np.dtype(KIND.descr, align=True), KIND.newbyteorder(">")])
@pytest.mark.parametrize("outer", [list, object_array])
def test_what_numpy_pickles_comes_back(protocol, kind, outer):
    found = read_packets(pickle.dumps(outer(parts(kind=kind)), protocol=protocol))
    assert found.tolist() == EVENTS


def test_a_file_of_packets_is_a_recording(tmp_path):
    path = event_sets.save(tmp_path / "a.npy", event_sets.packets(EVENTS))
    assert write.rows_of(read_events(path, sensor=(346, 260))) == EVENTS


class Caller:
    def __reduce__(self):
        return os.mkdir, ("called",)


@pytest.mark.parametrize(
    "value",
    [
        Caller(),
        object_array([*parts(), Caller()]),
        [*parts(), Caller()],
        [*parts(), "text"],
        object_array([np.arange(3), np.arange(4)]),
        [*parts(), np.array(EVENTS[:2], [("a", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "i1")])],
        [[[[parts()]]]],
        [],
        {},
        np.ones(3),
    ],
    ids=range(10),
)
def test_nothing_is_called_and_others_are_refused(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^its? "):
        read_packets(pickle.dumps(value, protocol=4))
    assert not (tmp_path / "called").exists()


def test_cut_and_changed_files(tmp_path):
    whole = event_sets.packets(EVENTS)
    path, random = tmp_path / "a.npy", np.random.default_rng(0)
    for cut in range(10, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"a\.npy"):
            read_events(path, sensor=(346, 260))
    for _ in range(300):
        changed = bytearray(whole)
        for at in random.integers(0, len(whole), 3):
            changed[at] = random.integers(256)
        path.write_bytes(bytes(changed))
        try:
            assert len(read_events(path, sensor=(346, 260)))
        except DataError as error:
            assert "a.npy" in str(error)  # noqa: PT017


def test_a_stated_size_takes_no_memory():
    array = np.array(EVENTS[:1], KIND)
    name, arguments, state = array.__reduce__()

    class Large:
        def __reduce__(self):
            return name, arguments, (state[0], (2**40,), *state[2:])

    with pytest.raises(ValueError, match="another size than it states"):
        read_packets(pickle.dumps([Large()], protocol=4))

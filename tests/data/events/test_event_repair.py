"""`spikereel data repair`."""

import json
import pickle

import event_writers as write
import numpy as np
import pytest

from spikereel.apps.cli import main
from spikereel.data.events.readers import read_events
from spikereel.data.events.recording import MisplacedEvents
from spikereel.data.events.repair import repair
from spikereel.errors import ConfigError, DataError

ROWS = [(9, 1, 1, 1), (7, 2, 2, 0), (9, 40, 3, 1), (8, 4, 39, 1), (7, 5, 5, 0), (1, 6, 40, 1)]
RIGHT = [(7, 2, 2, 0), (7, 5, 5, 0), (8, 4, 39, 1), (9, 1, 1, 1)]
FORMS = {
    "a.npz": write.npz,
    "a.dat": write.dat,
    "a.aedat4": lambda rows: write.aedat4(rows, info=write.INFO.replace(">34<", ">40<")),
}


@pytest.mark.parametrize("name", FORMS)
def test_sorted_and_inside(save, tmp_path, name):
    path = save(name, FORMS[name](ROWS))
    before = path.read_bytes()
    with pytest.raises(MisplacedEvents, match="spikereel data repair"):
        read_events(path)
    done = repair(path, tmp_path / "out.npz")
    # events 1, 3, 4 and 5 are earlier than the one before them
    assert (done.events, done.dropped, done.backwards) == (4, 2, 4)
    events = read_events(tmp_path / "out.npz")
    assert (write.rows_of(events), events.width, events.height) == (RIGHT, 40, 40)
    assert path.read_bytes() == before


def test_events_of_one_time_keep_their_order(save, tmp_path):
    # more than are sorted by insertion, which keeps any order
    rows = [((7 * i) % 5, i % 34, i // 34, i % 2) for i in range(1000)]
    repair(save("a.npz", write.npz(rows)), tmp_path / "out.npz")
    assert write.rows_of(read_events(tmp_path / "out.npz")) == sorted(rows, key=lambda row: row[0])


def test_a_good_file_stays_as_it_is(save, tmp_path):
    done = repair(save("a.npz", write.npz(write.FIVE)), tmp_path / "out.npz")
    assert (done.events, done.dropped, done.backwards) == (5, 0, 0)
    assert write.rows_of(read_events(tmp_path / "out.npz")) == write.FIVE


def test_refused(save, tmp_path):
    path = save("a.npz", write.npz(ROWS))
    with pytest.raises(ConfigError, match=r"out\.raw: repaired events are written as \.npz"):
        repair(path, tmp_path / "out.raw")
    with pytest.raises(ConfigError, match="is the recording itself"):
        repair(path, path)
    with pytest.raises(DataError, match="no event is inside the sensor of 40 x 40"):
        repair(save("b.npz", write.npz([(1, 40, 40, 1)])), tmp_path / "out.npz")
    with pytest.raises(DataError, match="ends inside an event"):
        repair(save("c.dat", write.dat(ROWS)[:-1]), tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_the_command(save, tmp_path, capsys):
    path = save("a.npz", write.npz(ROWS))
    assert main(["data", "repair", str(path), str(tmp_path / "out.npz"), "--json", str(tmp_path / "r.json")]) == 0
    said = capsys.readouterr().out
    assert "4 events; 2 outside the sensor dropped; time went backwards 4 times before" in said
    assert json.loads((tmp_path / "r.json").read_text()) == {"events": 4, "dropped": 2, "backwards": 4}


def test_the_error_can_leave_a_worker(save):
    with pytest.raises(MisplacedEvents) as caught:
        read_events(save("a.npz", write.npz(ROWS)))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert np.array_equal(caught.value.columns["t"], [row[0] for row in ROWS])

"""HARDVS: lists, the names of its classes, and both layouts of its recordings."""

import event_writers as write
import pytest

from spikereel.data.events.reading import EventReading
from spikereel.data.sets.hardvs import HARDVS
from spikereel.errors import DataError

READING = EventReading(bins=2)
NAMES = ["Action001-L type clamp back", "Action002 wink_ Blink an eye", "Action003- Head"]
NAMES += [f"Action{k:03}-move {k // 2}" for k in range(4, 301)]


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def recording():
    return write.npz([(1, 2, 3, 1)], width=346, height=260)


def test_hardvs_lists(tmp_path):
    save(tmp_path / "action_001/a.npz", write.npz([(1, 2, 3, 1)], width=346, height=260))
    save(tmp_path / "action_300/b.aedat4", b"")
    save(tmp_path / "train_label.txt", b"action_001/a 8 0\naction_300/b.aedat4 299\n")
    data = HARDVS(tmp_path, READING)
    assert (data.labels, len(data.classes)) == ([0, 299], 300)
    assert data[0][0].shape == (2, 2, 260, 346)
    assert HARDVS(tmp_path, READING, on_error="skip").labels == [0]
    for lists, message in (
        ("action_001/a 300", "0 to 299"),
        ("action_001/a", "0 to 299"),
        ("action_001/c 0", "c is no event file"),
    ):
        save(tmp_path / "val_label.txt", lists.encode())
        with pytest.raises(DataError, match=rf"val_label\.txt:1: .*{message}"):
            HARDVS(tmp_path, READING, split="val")


@pytest.mark.parametrize("named", ["a1/dv-1", "a1/dv-1.npz", "a1/dv-1/dv-1", "a1/dv-1/dv-1.npz"])
def test_a_folder_for_each_recording(tmp_path, named):
    save(tmp_path / "a1/dv-1/dv-1.npz", recording())
    save(tmp_path / "test_label.txt", f"{named} 8 4\n".encode())
    assert HARDVS(tmp_path, READING, split="test").labels == [4]


def test_the_flat_layout_comes_first(tmp_path):
    save(tmp_path / "a1/dv-1/dv-1.npz", b"")
    save(tmp_path / "a1/dv-1.npz", recording())
    save(tmp_path / "train_label.txt", b"a1/dv-1 8 4\n")
    assert HARDVS(tmp_path, READING)[0][0].shape == (2, 2, 260, 346)


def test_classes_are_named(tmp_path):
    save(tmp_path / "a1/b.npz", recording())
    save(tmp_path / "train_label.txt", b"a1/b 1\n")
    assert HARDVS(tmp_path, READING).classes == tuple(map(str, range(300)))
    save(tmp_path / "HARDVS_300_class.txt", "\r\n".join(NAMES).encode())
    classes = HARDVS(tmp_path, READING).classes
    assert classes[:3] == ("L type clamp back", "wink_ Blink an eye", "Head")
    assert classes[3:5] == ("move 2 (Action004)", "move 2 (Action005)")
    assert len(set(classes)) == 300


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (NAMES[:-1], "has no name for Action300"),
        ([*NAMES, "Action301 more"], r":301: 'Action301 more' is not"),
        ([*NAMES, "Action001 again"], r":301: .* each once"),
        ([*NAMES[:-1], "Action300"], r":300: 'Action300' is not"),
    ],
)
def test_names_that_make_no_sense(tmp_path, lines, message):
    save(tmp_path / "a1/b.npz", recording())
    save(tmp_path / "train_label.txt", b"a1/b 1\n")
    save(tmp_path / "HARDVS_300_class.txt", "\n".join(lines).encode())
    with pytest.raises(DataError, match=rf"HARDVS_300_class\.txt.*{message}"):
        HARDVS(tmp_path, READING)

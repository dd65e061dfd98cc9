"""Folders of event files: labels, seeds, windows, broken files; and N-MNIST as it is."""

from functools import partial

import event_writers as write
import numpy as np
import pytest
import torch
from event_writers import FIVE
from torch.utils.data import DataLoader

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.frames import to_frames, to_surface, to_voxels
from spikereel.data.events.readers import read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventFolder, pad_clips
from spikereel.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path):
    """events/{0,1}/ with three N-MNIST files and some others."""
    rng = np.random.default_rng(0)
    for name in ("0/b.bin", "0/a.bin", "1/c.BIN"):
        rows = rng.integers(0, [300_000, 34, 34, 2], (400, 4))
        path = tmp_path / "events" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write.nmnist(sorted(map(tuple, rows.tolist()))))
    (tmp_path / "events/0/notes.txt").write_text("not events")
    (tmp_path / "events/.cache").mkdir()
    return tmp_path / "events"


def test_labels_and_items(folder):
    data = EventFolder(folder, EventReading(bins=4))
    assert data.classes == ("0", "1")
    assert [(path.name, label) for path, label in data.samples] == [("a.bin", 0), ("b.bin", 0), ("c.BIN", 1)]
    video, label = data[-1]
    assert label == 1
    assert video.shape == (4, 2, 34, 34)
    assert video.dtype == torch.float32
    assert video.sum() == 400
    assert len(data) == len(list(data)) == 3
    assert data.labels == [0, 0, 1]


@pytest.mark.parametrize(
    ("form", "function"),
    [("frames", to_frames), ("voxels", to_voxels), ("surface", partial(to_surface, tau_us=9000.0))],
)
def test_forms_and_size(folder, form, function):
    data = EventFolder(folder, EventReading(bins=3, form=form, size=(16, 20), tau_us=9000.0))
    video, _ = data[0]
    assert video.shape == (3, 2, 16, 20)
    assert np.array_equal(video.numpy(), function(data.events(0), 3, size=(16, 20)))
    assert video.max() > 0


def test_frames_by_count_and_binary(folder):
    data = EventFolder(folder, EventReading(bins=3, by="count", values="binary"))
    assert np.array_equal(data[0][0].numpy(), to_frames(data.events(0), 3, by="count", values="binary"))


@pytest.mark.parametrize("form", ["frames", "voxels", "surface"])
def test_variable_length_with_masks(tmp_path, form):
    for name, last in (("a", 1000), ("b", 3500), ("c", 3000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.bin").write_bytes(write.nmnist([(t, 0, 0, 1) for t in range(0, last + 1, 500)]))
    data = EventFolder(tmp_path, EventReading(bin_us=1000, form=form))
    assert [len(video) for video, _ in data] == [1, 4, 3]
    videos, mask, labels = next(iter(DataLoader(data, batch_size=3, collate_fn=pad_clips)))
    assert (videos.shape, labels.tolist()) == ((3, 4, 2, 34, 34), [0, 1, 2])
    assert mask.tolist() == [[True, False, False, False], [True] * 4, [True, True, True, False]]
    assert videos[~mask].abs().sum() == 0
    for i in range(3):
        assert torch.equal(videos[i][mask[i]], data[i][0])


def test_errors_of_folders(tmp_path, folder):
    reading = EventReading(bins=2)
    with pytest.raises(DataError, match="no such folder"):
        EventFolder(tmp_path / "absent", reading)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="has no subfolders"):
        EventFolder(tmp_path / "bare", reading)
    with pytest.raises(DataError, match="1: is not among the classes 0"):
        EventFolder(folder, reading, classes=("0",))
    assert EventFolder(folder, reading, classes=("1", "0")).labels == [1, 1, 0]
    with pytest.raises(ConfigError, match="on_error is 'ignore'"):
        EventFolder(folder, reading, on_error="ignore")
    (folder / "2").mkdir()
    with pytest.raises(DataError, match="2: class without files"):
        EventFolder(folder, reading)


def test_bad_files_raise_or_are_skipped(folder):
    (folder / "0/aa.bin").write_bytes(b"1234")
    data = EventFolder(folder, EventReading(bins=2))
    with pytest.raises(DataError, match=r"aa\.bin: ends inside an event"):
        data[1]
    data = EventFolder(folder, EventReading(bins=2), on_error="skip")
    assert len(data) == 3
    ((path, reason),) = data.skipped
    assert path.name == "aa.bin"
    assert "ends inside an event" in reason
    for name in ("0/a.bin", "0/b.bin", "1/c.BIN"):
        (folder / name).write_bytes(b"1")
    with pytest.raises(DataError, match="none of 4 files is good"):
        EventFolder(folder, EventReading(bins=2), on_error="skip")


@pytest.mark.parametrize(
    "options",
    [
        {"bins": 0},
        {},
        {"bins": 2, "bin_us": 1000, "form": "surface"},
        {"bin_us": 0},
        {"bins": 2, "form": "picture"},
        {"bins": 2, "by": "mean"},
        {"bins": 2, "form": "voxels", "by": "count"},
        {"bins": 2, "size": (0, 1)},
        {"bins": 2, "window_us": 0},
        {"bins": 2, "tau_us": 0},
        {"bins": 2, "seed": -1},
        {"bins": 2, "augment": EventAugment()},
    ],
)
def test_reading_refuses(options):
    with pytest.raises(ConfigError):
        EventReading(**options)


def _train_set(folder, **options) -> EventFolder:
    reading = {"bins": 2, "train": True, "window_us": 50_000, "augment": EventAugment(shift=3)} | options
    return EventFolder(folder, EventReading(**reading))


def test_training_items_depend_on_seed_epoch_and_index_only(folder):
    data, same, other = _train_set(folder), _train_set(folder), _train_set(folder, seed=1)
    first = data[1][0]
    assert torch.equal(first, same[1][0])
    assert torch.equal(first, data[-2][0])
    assert not torch.equal(first, other[1][0])
    data.set_epoch(1)
    assert not torch.equal(first, data[1][0])
    data.set_epoch(0)
    assert torch.equal(first, data[1][0])


def test_window_of_evaluation_is_the_middle(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/a.bin").write_bytes(write.nmnist([(t, 0, 0, 1) for t in range(100, 200)]))
    data = EventFolder(tmp_path, EventReading(bins=1, window_us=10))
    assert data[0][0].sum() == 10
    kept = data.events(0).between(*data.reading._span(data.events(0), None))
    assert kept.t.tolist() == list(range(145, 155))
    assert len(kept.between(*data.reading._span(kept, None))) == 10
    long = EventReading(bins=1, window_us=1000, train=True)
    assert len(kept.between(*long._span(kept, np.random.default_rng(0)))) == 10
    # Every start that fits comes up, the first and the last among them.
    short = EventReading(bins=1, window_us=8, train=True)
    rng = np.random.default_rng(0)
    assert {int(kept.between(*short._span(kept, rng)).t[0]) for _ in range(60)} == {145, 146, 147}


def test_fingerprint(folder):
    data = EventFolder(folder, EventReading(bins=2))
    before = data.fingerprint()
    assert before == EventFolder(folder, EventReading(bins=3)).fingerprint()
    assert before != EventFolder(folder, EventReading(bins=2), classes=("1", "0")).fingerprint()
    (folder / "0/a.bin").write_bytes(write.nmnist(FIVE))
    assert before != data.fingerprint()


@pytest.mark.realdata
def test_real_nmnist_as_a_folder(real_data, tmp_path):
    """Nearest mean on 500 and 500 recordings beats chance by far, so frames and labels belong together."""
    pack = real_data / "nmnist_small"
    for line in (pack / "train1K.txt").read_text().splitlines()[1:]:
        number, label = line.split()
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.bs2").symlink_to(pack / f"{number}.bs2")
    data = EventFolder(tmp_path, EventReading(bins=2, size=(17, 17)))
    assert len(data) == 1000
    assert data.classes == tuple("0123456789")
    video = torch.stack([data[i][0].flatten() for i in range(1000)])
    labels = torch.tensor(data.labels)
    video = video / video.norm(dim=1, keepdim=True)
    means = torch.stack([video[::2][labels[::2] == k].mean(dim=0) for k in range(10)])
    guess = torch.cdist(video[1::2], means).argmin(dim=1)
    assert (guess == labels[1::2]).float().mean() > 0.6


@pytest.mark.realdata
def test_real_recordings_in_windows(real_data):
    events = read_events(real_data / "dvs128_objects_set100" / "Caneca.aedat")
    video = EventReading(bins=8, window_us=500_000, size=(64, 64))(events)
    assert video.shape == (8, 2, 64, 64)
    middle = (int(events.t[0]) + int(events.t[-1])) // 2
    assert abs(video.sum() - len(events.between(middle - 250_000, middle + 250_000))) <= 2


@pytest.mark.parametrize("values", ["count", "binary"])
def test_bins_of_fixed_duration(values):
    t = np.array([5, 14, 15, 24, 25, 25, 80], np.int64)
    events = Events(t=t, x=np.zeros(7, np.uint16), y=np.zeros(7, np.uint16), p=np.ones(7, bool), width=1, height=1)
    whole = EventReading(bins=9, bin_us=10, values=values)(events)
    most = 1 if values == "binary" else 2
    assert whole[:, 0, 0, 0].tolist() == [most, most, most, 0, 0, 0, 0, 1, 0]
    # 76 us with both ends, 30 of them from 5 + 46 // 2 = 28 on: nothing happens there.
    assert EventReading(bins=3, bin_us=10)(events).sum() == 0
    reading = EventReading(bins=2, bin_us=10, train=True)
    seen = {tuple(reading(events, np.random.default_rng(i))[:, 0, 0, 0].tolist()) for i in range(60)}
    assert (2, 2) in seen
    assert len(seen) > 3
    for options in ({"form": "surface"}, {"by": "count"}, {"window_us": 9}):
        with pytest.raises(ConfigError, match="bin_us is 10"):
            EventReading(bins=2, bin_us=10, **options)


def test_jitter_takes_no_events_from_the_first_and_last_bin():
    """As many come in as go out, of a recording that goes on before and after the bins."""
    t = np.arange(0, 100_000, 2)
    zeros = np.zeros(len(t), np.uint16)
    events = Events(t=t, x=zeros, y=zeros, p=np.ones(len(t), bool), width=1, height=1)
    reading = EventReading(bins=4, bin_us=2000, train=True, augment=EventAugment(jitter_us=1000.0))
    for seed in range(4):
        counts = reading(events, np.random.default_rng(seed))[:, 0, 0, 0]
        assert counts.sub(1000).abs().max() < 100

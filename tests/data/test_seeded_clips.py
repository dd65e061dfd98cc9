"""What all data sets have in common: seeds, epochs, index checks, and wrappers that hand on what is said of files."""

from pathlib import Path

import pytest
import torch

from spikereel.data.clips import Part, SeededClips, fingerprint
from spikereel.data.events.reading import EventReading
from spikereel.data.events.simulate import EventSimulator, SimulatedEvents


class Draws(SeededClips[int]):
    """Each item is one random picture, four times."""

    classes = ("only",)
    skipped = ((Path("broken.mp4"), "is empty"),)
    missing = ("gone", "gone_too")

    def __len__(self):
        return 5

    def item(self, index):
        return torch.from_numpy(self.random(index).random((4, 1, 6, 6))).float(), index

    def fingerprint(self):
        return "of draws"


def wrapped(clips):
    return [
        Part(clips, [3, 1, 4]),
        SimulatedEvents(clips, EventReading(bins=3, train=True), EventSimulator()),
        Part(SimulatedEvents(clips, EventReading(bins=3, train=True), EventSimulator()), [3, 1, 4]),
    ]


@pytest.mark.parametrize("number", range(3))
def test_wrappers_hand_on_what_is_said_of_the_files(number):
    clips = wrapped(Draws(0))[number]
    assert (clips.classes, clips.skipped, clips.missing) == (Draws.classes, Draws.skipped, Draws.missing)
    assert clips.simulated == (number > 0)


@pytest.mark.parametrize("number", range(3))
def test_wrappers_hand_on_the_epoch(number):
    clips = wrapped(Draws(0))[number]
    before = clips[1][0]
    assert torch.equal(clips[1][0], before)
    clips.set_epoch(3)
    assert clips.epoch == 3
    assert not torch.equal(clips[1][0], before)
    clips.set_epoch(0)
    assert torch.equal(clips[1][0], before)


def test_an_item_depends_on_seed_epoch_and_index_alone():
    clips, other = Draws(7), Draws(7)
    assert torch.equal(clips[2][0], other[2][0])
    assert not torch.equal(clips[2][0], clips[3][0])
    assert not torch.equal(clips[2][0], Draws(8)[2][0])
    assert clips.torch_random(2).initial_seed() == other.torch_random(2).initial_seed()
    assert clips.torch_random(2).initial_seed() != clips.torch_random(3).initial_seed()


def test_persistent_workers_see_the_epoch():
    clips = Draws(0)
    loader = torch.utils.data.DataLoader(clips, batch_size=None, num_workers=1, persistent_workers=True)
    first = [video for video, _ in loader]
    clips.set_epoch(1)
    second = [video for video, _ in loader]
    assert torch.equal(second[4], clips[4][0])
    assert not torch.equal(first[4], second[4])


def test_indices_count_from_the_end_too_and_end():
    clips = Draws(0)
    assert (clips[-1][1], clips[4][1]) == (4, 4)
    assert Part(clips, [3, 1])[-1][1] == 1
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"clip {index} of 5"):
            clips[index]


def test_the_fingerprint_is_of_names_sizes_and_what_is_missing(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    items = [(tmp_path / "a", 0)]
    hashes = {
        fingerprint(tmp_path, items),
        fingerprint(tmp_path, items, ["b"]),
        fingerprint(tmp_path, [(tmp_path / "a", 1)]),
    }
    (tmp_path / "a").write_bytes(b"12")
    assert len(hashes | {fingerprint(tmp_path, items)}) == 4

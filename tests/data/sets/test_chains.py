"""Chains of clips: what they are made of, how long members last, and what is drawn."""

from dataclasses import replace

import event_writers as write
import numpy as np
import pytest
import torch
from small import DATA

from spikereel.data.clips import SeededClips
from spikereel.data.sets.chains import Chains, durations, whole_frames, words
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset
from spikereel.runs.origins import identities, labels_of

FRAMES, LENGTH = 18, 3


class Marked(SeededClips[int]):
    """Clips whose pixels say which clip, which frame and which epoch they are of."""

    classes = ("a", "b", "c", "d")

    def __init__(self, each=3):
        super().__init__()
        self.labels = [i % 4 for i in range(4 * each)]

    def __len__(self):
        return len(self.labels)

    def item(self, index):
        video = torch.zeros(whole_frames(FRAMES, LENGTH), 3, 1, 1)
        video[:, 0], video[:, 2] = index, self.epoch
        video[:, 1, 0, 0] = torch.arange(len(video))
        return video, self.labels[index]

    def fingerprint(self):
        return "marked"


def chains(clips=None, **options):
    clips = clips or Marked()
    return Chains(clips, clips.labels, frames=FRAMES, length=LENGTH, **{"kinds": 2, "count": 40, **options})


def members(video):
    """(clip, frames from its start) of each member."""
    found = []
    for clip, frame in video[:, :2, 0, 0].int().tolist():
        if frame == 0:
            found.append([clip, 0])
        assert found[-1] == [clip, frame]
        found[-1][1] += 1
    return found


def test_members_are_of_the_classes_of_the_word_and_begin_at_their_start():
    made = chains()
    assert made.classes == ("a-a-a", "a-a-b", "a-b-a", "a-b-b", "b-a-a", "b-a-b", "b-b-a", "b-b-b")
    lasts = set()
    for i in range(len(made)):
        video, label = made[i]
        assert video.shape == (FRAMES, 3, 1, 1)
        found = members(video)
        assert [made.clips.labels[clip] for clip, _ in found] == list(made.words[label])
        by_kind = {}
        for clip, count in found:
            # a kind that comes twice is the same clip
            assert by_kind.setdefault(made.clips.labels[clip], clip) == clip
            assert 1 <= count <= whole_frames(FRAMES, LENGTH)
        lasts.add(tuple(count for _, count in found))
    assert sorted(made.labels) == sorted(list(range(8)) * 5)
    assert lasts == {(5, 6, 7), (6, 5, 7), (6, 6, 6)}


def test_all_members_are_of_one_person():
    people = [i // 4 for i in range(12)]
    made = chains(people=people)
    seen = set()
    for i in range(len(made)):
        (who,) = {people[clip] for clip, _ in members(made[i][0])}
        seen.add(who)
    assert seen == {0, 1, 2}


def test_training_draws_anew_in_every_epoch_and_judging_does_not():
    fixed, fresh = chains(), chains(fresh=True)
    before = [made[5][0][:, :2].clone() for made in (fixed, fresh)]
    for made in (fixed, fresh):
        made.set_epoch(3)
        # the clips themselves know the epoch
        assert (made[5][0][:, 2] == 3).all()
    assert torch.equal(fixed[5][0][:, :2], before[0])
    assert any(not torch.equal(fresh[i][0][:, :2], chains(fresh=True)[i][0][:, :2]) for i in range(10))
    assert fixed.fingerprint() != fresh.fingerprint() != chains(fresh=True, seed=1).fingerprint()


def test_durations_add_up_and_differ():
    drawn = [durations(str(i), 20, 4) for i in range(200)]
    assert all(sum(x) == 20 and min(x) >= 1 for x in drawn)
    # int(20 / 2.4) = 8 frames, of which half to seven tenths are kept, and what the others leave
    assert {count for x in drawn for count in x[:-1]} == {4, 5, 6}
    assert durations("7", 20, 4) == durations("7", 20, 4)


def test_words():
    assert words(2, 2, repeat=False) == [(0, 1), (1, 0)]
    assert len(words(3, 4, repeat=True)) == 81
    assert len(words(3, 4, repeat=False)) == 24


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="without repeats"):
        chains(kinds=1, repeat=False)
    with pytest.raises(ConfigError, match="5 kinds: give 1 to 4"):
        chains(kinds=5)
    with pytest.raises(ConfigError, match="hold no chain"):
        whole_frames(1, 4)
    with pytest.raises(ConfigError, match="give 1 or more"):
        whole_frames(8, 0)
    with pytest.raises(DataError, match="nobody has clips of all of a, b"):
        chains(people=range(12))


def test_chains_of_digits_are_of_recordings_of_their_split(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for i in range(40):
        events = [(200 * k, int(x), int(y), k % 2) for k, (x, y) in enumerate(rng.integers(0, 34, (60, 2)))]
        (tmp_path / f"{i + 1}.bs2").write_bytes(write.nmnist(events))
        lines.append(f"{i + 1} {i % 4}")
    (tmp_path / "labels.txt").write_text("\n".join(lines) + "\n")
    spec = replace(DATA, kind="nmnist_chain", root=str(tmp_path), frames=12, chain_length=2, chain_gestures=2)
    spec = replace(spec, train_length=16, test_length=8, size=16)
    parts = {split: build_dataset(spec, split) for split in ("train", "val")}
    for part in parts.values():
        video, label = part[1]
        assert video.shape == (12, 2, 16, 16)
        assert video.any()
        assert labels_of(part)[1] == label
    assert parts["train"].classes == ("0-0", "0-1", "1-0", "1-1")
    known = {split: set(identities(part)) for split, part in parts.items()}
    assert known["train"]
    assert known["val"]
    assert not known["train"] & known["val"]

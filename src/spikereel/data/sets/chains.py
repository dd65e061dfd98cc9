"""Chains: clips of a data set one after the other, so that their order is the class.

The rule is that of DVS-Gesture-Chain (published generator, dvsgc 0.1.2), for any clips: each member is made in more
frames than fit, the first few are kept, and how many is drawn. So no frame says where in the chain it stands.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from spikereel.data.clips import Clips, WrappedClips, random_of
from spikereel.errors import ConfigError, DataError

_WHOLE = 0.6
"""Share of a chain that its members would fill on average if each were whole."""
_SHORTEST, _LONGEST = 0.5, 0.7
"""Shares of a member's frames that a chain keeps."""


def whole_frames(frames: int, length: int, what: str = "clips") -> int:
    """Frames that each member of a chain of `length` is made in; ConfigError where `frames` hold no such chain."""
    if length < 1:
        raise ConfigError(f"chains of {length} {what}: give 1 or more")
    whole = int(frames / (_WHOLE * length))
    if whole < 1:
        raise ConfigError(f"{frames} frames hold no chain of {length} {what}; give at least {length}")
    return whole


def durations(key: str, frames: int, length: int) -> list[int]:
    """Frames of each member of a chain, drawn from `key`; they add up to `frames`.

    Raises ConfigError where a member would have none.
    """
    whole = whole_frames(frames, length)
    digest = hashlib.sha256(key.encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    low, high = whole * _SHORTEST, whole * _LONGEST
    counts: list[int] = []
    for left in range(length - 1, 0, -1):
        rest = frames - sum(counts)
        # The two bounds may cross, and are used as they are.
        first, last = max(low, rest - left * high), min(high, rest - left * low)
        counts.append(int(first + (last - first) * random.random()))
    counts.append(frames - sum(counts))
    if not all(1 <= count <= whole for count in counts):
        raise ConfigError(f"{frames} frames are {counts} for the members of a chain, of 1 to {whole}; give more frames")
    return counts


def words(letters: int, length: int, *, repeat: bool) -> list[tuple[int, ...]]:
    """All chains of `length` of the first `letters`; without `repeat` none follows itself. ConfigError for none."""
    chosen = [
        word for word in product(range(letters), repeat=length) if repeat or all(a != b for a, b in pairwise(word))
    ]
    if not chosen:
        raise ConfigError(f"no chain of {length} of {letters} kinds is without repeats; give more kinds")
    return chosen


class Chains(WrappedClips[int]):
    """Chains of the clips of another data set: items `(video, label)`, float32 [T, C, H, W] for T = `frames`.

    clips: their items have `whole_frames(frames, length)` frames. labels: the class of each. A class is a word of
    `length` of the first `kinds` classes there, such as "3-0-3"; without `repeat` none follows itself. All members of a
    chain are of one of `people`, if they are given, and a kind that comes twice is the same clip from its start both
    times. `count` chains, as many of each class as can be; which clips they are made of is drawn from `seed`, anew in
    every epoch where `fresh`.
    Raises ConfigError for a chain that the frames cannot hold, DataError where nobody has all kinds.
    """

    def __init__(
        self,
        clips: Clips[int],
        labels: Sequence[int],
        *,
        frames: int,
        length: int = 4,
        kinds: int = 3,
        repeat: bool = True,
        count: int = 1000,
        seed: int = 0,
        fresh: bool = False,
        people: Sequence[int] | None = None,
    ):
        super().__init__(clips, seed)
        whole_frames(frames, length)
        if not 1 <= kinds <= len(clips.classes):
            raise ConfigError(f"chains of {kinds} kinds: give 1 to {len(clips.classes)}, as many as there are classes")
        self.frames, self.length, self.fresh = frames, length, fresh
        self.words = words(kinds, length, repeat=repeat)
        self.classes = tuple("-".join(clips.classes[kind] for kind in word) for word in self.words)
        self.labels = [i % len(self.words) for i in range(count)]
        people = [0] * len(labels) if people is None else list(people)
        self.groups = [
            [[i for i, own in enumerate(people) if own == who and labels[i] == kind] for kind in range(kinds)]
            for who in sorted(set(people))
        ]
        self.groups = [group for group in self.groups if all(group)]
        if not self.groups:
            raise DataError(
                f"nobody has clips of all of {', '.join(clips.classes[:kinds])}; copy more, or take fewer kinds"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> tuple[Tensor, int]:
        """The frames of a chain, and its label."""
        epoch, label = self.epoch if self.fresh else 0, self.labels[index]
        random = random_of(self.seed, epoch, index)
        group = self.groups[random.integers(len(self.groups))]
        chosen = [own[random.integers(len(own))] for own in group]
        made = {kind: self.clips[chosen[kind]][0] for kind in set(self.words[label])}
        counts = durations(f"{self.seed} {epoch} {index}", self.frames, self.length)
        return torch.cat([made[kind][:n] for kind, n in zip(self.words[label], counts, strict=True)]), label

    def fingerprint(self) -> str:
        """sha256 (hex) of the clips, and of all that decides which chains are made of them."""
        facts = (self.clips.fingerprint(), self.frames, self.seed, self.fresh, self.classes, len(self), self.groups)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

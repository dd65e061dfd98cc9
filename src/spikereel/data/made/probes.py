"""Temporal probes: clips whose class lies in things far apart in time, while every single frame says nothing.

A clip is dark but for a few showings of a shape, with at least `gap` dark frames between two. What is shown when is a
`Layout`; all layouts of a class are equally likely, and so are all starts in the clip. `frame_share` and `bag_share`
count over all of them, exactly, what a classifier of single frames or of frames without order could be right about.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikereel.data.made.scenes import events_from
from spikereel.data.made.shapes import Pose, ShapeLook, background, draw, paint, random_look
from spikereel.errors import ConfigError

ProbeName = Literal["match", "order", "count", "duration", "rhythm", "control"]
ProbeModality = Literal["grey", "events", "rgb"]

SHAPES = ("disc", "cross", "bar", "ring")
"""What is shown; *order* and *control* use the first two."""

# Part of the fingerprint: raise it whenever the same (seed, index) gives other pixels.
_CONTENT_VERSION = 1
_SHOWN = 2
"""Frames of a showing, where its length is not the question."""
_LIT = 12
"""Frames of all flashes of a count together: their number does not show in how much is lit."""
_LENGTHS = ((2, 4), (2, 5), (3, 5), (3, 6))
"""Shorter and longer showing of *duration*."""
_RADIUS = (0.22, 0.32)
"""Share of the side."""


@dataclass(frozen=True)
class Showing:
    """A shape that stays for some frames."""

    shape: int
    """Place in SHAPES."""
    start: int
    """First frame, from the start of the layout."""
    length: int
    """Frames."""


Layout = tuple[Showing, ...]


def _line(shapes: tuple[int, ...], lengths: tuple[int, ...], darks: tuple[int, ...]) -> Layout:
    """Showings one after the other, with these numbers of dark frames between them."""
    showings, start = [], 0
    for shape, length, dark in zip(shapes, lengths, (*darks, 0), strict=True):
        showings.append(Showing(shape, start, length))
        start += length + dark
    return tuple(showings)


def _match(gap: int) -> tuple[list[Layout], ...]:
    kinds = range(len(SHAPES))
    pair = (_SHOWN, _SHOWN)
    same = [_line((i, i), pair, (gap,)) for i in kinds]
    return [_line((i, j), pair, (gap,)) for i, j in permutations(kinds, 2)], same


def _order(gap: int) -> tuple[list[Layout], ...]:
    return tuple([_line(shapes, (_SHOWN, _SHOWN), (gap,))] for shapes in ((0, 1), (1, 0)))


def _control(gap: int) -> tuple[list[Layout], ...]:
    return tuple([_line((i, i), (_SHOWN, _SHOWN), (gap,))] for i in (0, 1))


def _count(gap: int) -> tuple[list[Layout], ...]:
    return tuple([_line((i,) * n, (_LIT // n,) * n, (gap,) * (n - 1)) for i in range(len(SHAPES))] for n in range(1, 5))


def _duration(gap: int) -> tuple[list[Layout], ...]:
    kinds = range(len(SHAPES))
    longer_second = [_line((i, i), lengths, (gap,)) for i, lengths in product(kinds, _LENGTHS)]
    return [_line((i, i), lengths[::-1], (gap,)) for i, lengths in product(kinds, _LENGTHS)], longer_second


def _rhythm(gap: int) -> tuple[list[Layout], ...]:
    off = max(1, gap // 2)
    middle = gap + off
    evens, unevens = (middle, middle), ((middle - off, middle + off), (middle + off, middle - off))
    three = (_SHOWN,) * 3
    even = [_line((i,) * 3, three, evens) for i in range(len(SHAPES))]
    return even, [_line((i,) * 3, three, darks) for i, darks in product(range(len(SHAPES)), unevens)]


@dataclass(frozen=True)
class Probe:
    """A question about a clip."""

    classes: tuple[str, ...]
    layouts: Callable[[int], tuple[list[Layout], ...]]
    """From the gap to the layouts of each class, all equally likely."""
    asks: str


PROBES: dict[str, Probe] = {
    "match": Probe(("different", "same"), _match, "is the shape after the gap the one before it?"),
    "order": Probe((f"{SHAPES[0]}_first", f"{SHAPES[1]}_first"), _order, "which of two shapes came first?"),
    "count": Probe(("one", "two", "three", "four"), _count, "how many flashes, of equal light in sum?"),
    "duration": Probe(("first_longer", "second_longer"), _duration, "which of two showings was longer?"),
    "rhythm": Probe(("even", "uneven"), _rhythm, "are three flashes equally far apart?"),
    "control": Probe(SHAPES[:2], _control, "which shape is shown? (needs no memory)"),
}
assert tuple(PROBES) == get_args(ProbeName)


def layouts(probe: ProbeName, gap: int) -> tuple[list[Layout], ...]:
    """All layouts of each class, equally likely. Raises ConfigError for a gap below 1."""
    if gap < 1:
        # Without a dark frame between them the change from one shape to the next would show the order.
        raise ConfigError(f"the gap of a probe must be at least 1 frame, got {gap}")
    return PROBES[probe].layouts(gap)


def least_frames(probe: ProbeName, gap: int) -> int:
    """Frames that a clip needs: the longest layout, with a dark frame before and after it."""
    return 2 + max(_span(layout) for of_class in layouts(probe, gap) for layout in of_class)


def _span(layout: Layout) -> int:
    return layout[-1].start + layout[-1].length


def _clips(probe: ProbeName, gap: int, frames: int) -> Iterator[tuple[int, Fraction, list[Hashable]]]:
    """Class, probability within the class, and for each frame what it shows, as its events do: (shape, change)."""
    for label, of_class in enumerate(layouts(probe, gap)):
        for layout in of_class:
            starts = frames - 1 - _span(layout)
            for start in range(1, 1 + starts):
                frame: list[Hashable] = [None] * frames
                for showing in layout:
                    first = start + showing.start
                    for t in range(first, first + showing.length):
                        frame[t] = (showing.shape, "appears" if t == first else "stays")
                    frame[first + showing.length] = (showing.shape, "gone")
                yield label, Fraction(1, len(of_class) * starts), frame


def frame_share(probe: ProbeName, gap: int, frames: int, *, changes: bool = False) -> Fraction:
    """Share of frames that the best classifier of single frames gets right, classes equally likely; exact.

    changes: whether a frame shows that a shape appears or goes, as events do; else only whether it is there.
    """
    shares: dict[tuple[Hashable, int], Fraction] = defaultdict(Fraction)
    for label, chance, clip in _clips(probe, gap, frames):
        for seen in clip:
            shares[_seen(seen, changes), label] += chance / frames
    return _best(shares)


def bag_share(probe: ProbeName, gap: int, frames: int, *, changes: bool = False) -> Fraction:
    """Share of clips that the best classifier of all frames without their order gets right; exact."""
    shares: dict[tuple[Hashable, int], Fraction] = defaultdict(Fraction)
    for label, chance, clip in _clips(probe, gap, frames):
        bag = frozenset(Counter(_seen(seen, changes) for seen in clip).items())
        shares[bag, label] += chance
    return _best(shares)


def _seen(seen: Any, changes: bool) -> Hashable:
    if changes or seen is None:
        return seen
    return None if seen[1] == "gone" else seen[0]


def _best(shares: Mapping[tuple[Hashable, int], Fraction]) -> Fraction:
    best: dict[Hashable, Fraction] = {}
    for (seen, _), share in shares.items():
        best[seen] = max(best.get(seen, Fraction(0)), share)
    classes = len({label for _, label in shares})
    return sum(best.values(), Fraction(0)) / classes


class ProbeClips(Dataset[tuple[Tensor, int]]):
    """`length` clips of a probe; item i is `(video, label)` with label i modulo the number of classes.

    video: "grey", float32 [T, 1, H, W] of 0 and 1 with soft edges, the shape alone; "rgb", float32 [T, 3, H, W] in
    [0, 1], a textured shape on a textured background; "events", float32 [T, 2, H, W] of 0 and 1, ON and OFF against the
    frame before. Each showing has a place and size of its own. A time surface is not offered: it carries the past into
    the frame, and a single frame would tell.
    A clip depends on (seed, index) and the options only. Raises ConfigError for options out of range, a clip too short
    for the gap, and events of *count*, whose single frames tell: more flashes have more frames in which one appears.
    """

    def __init__(
        self,
        length: int,
        *,
        probe: ProbeName = "match",
        gap: int = 8,
        frames: int = 24,
        size: int = 32,
        modality: ProbeModality = "grey",
        seed: int = 0,
        noise: float = 0.03,
    ):
        for name, value, allowed in (("probe", probe, tuple(PROBES)), ("modality", modality, get_args(ProbeModality))):
            if value not in allowed:
                raise ConfigError(f"{name} is {value!r}: choose one of {', '.join(allowed)}")
        if (least := least_frames(probe, gap)) > frames:
            raise ConfigError(f"{frames} frames hold no {probe} with a gap of {gap}: give at least {least}")
        if probe == "count" and modality == "events":
            raise ConfigError("single frames of events tell the count of flashes; give modality grey or rgb")
        self.length, self.probe, self.gap, self.frames, self.size = length, probe, gap, frames, size
        self.modality, self.seed, self.noise = modality, seed, noise
        self.classes = PROBES[probe].classes
        self._layouts = layouts(probe, gap)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not -self.length <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        index %= self.length
        rng, layout, start = self._drawn(index)
        return torch.from_numpy(self._render(rng, layout, start)), index % len(self.classes)

    def shown(self, index: int) -> Tensor:
        """int64 [T], what each frame of a clip shows: a place in SHAPES, or their number where it is dark.

        A helper in training may name it: it says nothing of what lies far apart, and nothing of the class but in
        *control*.
        """
        _, layout, start = self._drawn(index % self.length)
        frames = torch.full((self.frames,), len(SHAPES))
        for showing in layout:
            frames[start + showing.start : start + showing.start + showing.length] = showing.shape
        return frames

    def _drawn(self, index: int) -> tuple[np.random.Generator, Layout, int]:
        """What a clip shows, from which frame on, and the generator for all the rest of it."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, index]))
        of_class = self._layouts[index % len(self.classes)]
        layout = of_class[rng.integers(len(of_class))]
        return rng, layout, int(rng.integers(1, self.frames - _span(layout)))

    def fingerprint(self) -> str:
        """sha256 (hex) of everything the clips depend on: the data hash of a run."""
        options = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        text = json.dumps({"probe": _CONTENT_VERSION, **options}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _render(self, rng: np.random.Generator, layout: Layout, start: int) -> np.ndarray:
        size: dict[str, int] = {"height": self.size, "width": self.size}
        if self.modality == "grey":
            video = np.zeros((self.frames, 1, self.size, self.size), np.float32)
        else:
            # The instant before the clip too, which events compare the first frame with.
            canvas, look = background(rng, **size), random_look(rng)
            video = np.repeat(canvas[None], self.frames + 1, axis=0)
        for showing in layout:
            place, radius, angle = rng.random(2) * self.size, rng.uniform(*_RADIUS) * self.size, rng.uniform(-0.2, 0.2)
            still = Pose(*(np.array([value]) for value in (*place, angle, radius)))
            frames = slice(start + showing.start, start + showing.start + showing.length)
            if self.modality == "grey":
                cover, _ = draw(_look(SHAPES[showing.shape]), still, **size)
                video[frames] = cover
            else:
                own = _look(SHAPES[showing.shape], look)
                after = slice(frames.start + 1, frames.stop + 1)
                video[after] = paint(canvas, own, *draw(own, still, **size))
        if self.modality == "grey":
            return video
        video *= rng.uniform(0.98, 1.02, (len(video), 1, 1, 1)).astype(np.float32)
        if self.noise:
            video += np.float32(self.noise) * rng.standard_normal(video.shape, dtype=np.float32)
        np.clip(video, 0, 1, out=video)
        return events_from(video, threshold=0.25) if self.modality == "events" else video[1:]


def _look(shape: str, like: ShapeLook | None = None) -> ShapeLook:
    """A shape with the colours of a look; without one they do not matter."""
    none = np.zeros(3, np.float32)
    like = like or ShapeLook(shape, none, none, 1.0, 0.0)
    return ShapeLook(shape, like.bright, like.dark, like.frequency, like.phase)

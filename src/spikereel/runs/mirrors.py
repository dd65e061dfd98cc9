"""Classes that a mirror turns into each other, such as to swipe left and to swipe right."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spikereel.errors import ConfigError
from spikereel.runs.data import DataSpec
from spikereel.runs.kinds import use_of

ONE_NAME = {
    "cw": "clockwise",
    "ccw": "counterclockwise",
    "acw": "counterclockwise",
    "anticlockwise": "counterclockwise",
}
"""Words that mean the same."""

SIDES = {
    "left": "right",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "lefthand": "righthand",
    "lefthanded": "righthanded",
    "leftmost": "rightmost",
    "lefty": "righty",
    "clockwise": "counterclockwise",
    "links": "rechts",
    "gauche": "droite",
    "izquierda": "derecha",
    "sinistra": "destra",
}
OTHER_WAY = SIDES | {b: a for a, b in SIDES.items()}
"""Words that a mirror turns into each other."""

PARTS = {"left": "right", "clockwise": "counterclockwise", "左": "右", "влево": "вправо"}
LETTERS = {"l": "r"}
"""Parts of words, and words of one letter, that mean a side only where the class of the other side is there too:
`turnleft` beside `turnright`, but not `bright`."""


@dataclass(frozen=True, kw_only=True)
class Mirroring:
    """What a mirror makes of classes."""

    swaps: tuple[tuple[str, str], ...] = ()
    """Pairs that it turns into each other."""
    alone: tuple[str, ...] = ()
    """Classes whose mirror image is none of the classes: their clips are not mirrored."""

    def __bool__(self) -> bool:
        return bool(self.swaps or self.alone)

    def labels(self, classes: Sequence[str]) -> list[int | None]:
        """The class that the mirror image of each class is of; None for none."""
        other = {a: b for pair in self.swaps for a, b in (pair, pair[::-1])}
        return [None if name in self.alone else classes.index(other.get(name, name)) for name in classes]

    def as_options(self) -> tuple[str, ...]:
        """As `data.mirror` has them."""
        return (*(f"{a}={b}" for a, b in self.swaps), *self.alone)

    def line(self) -> str:
        """One line on them."""
        facts = [f"a mirrored clip changes its class: {', '.join(f'{a} <-> {b}' for a, b in self.swaps)}"] * bool(
            self.swaps
        )
        if self.alone:
            facts.append(f"never mirrored, since the mirror image is of no class: {', '.join(self.alone)}")
        return f"data.flip: {'; '.join(facts)} (data.mirror sets other pairs, data.flip=false mirrors nothing)"


def mirroring_of(classes: Sequence[str]) -> Mirroring:
    """What a mirror makes of classes, by their names."""
    own = {name: _words(name) for name in classes}
    same = Counter(own.values())
    named = {words: name for name, words in own.items() if same[words] == 1}
    swaps, alone = [], []
    for name, words in own.items():
        plain = tuple(OTHER_WAY.get(word, word) for word in words)
        other = named.get(_less_surely(plain)) or named.get(plain)
        if other is not None and other != name and named.get(words) == name:
            swaps += [(name, other)] if classes.index(name) < classes.index(other) else []
        elif plain != words:
            alone.append(name)
    return Mirroring(swaps=tuple(swaps), alone=tuple(alone))


def mirrored(classes: Sequence[str]) -> list[str]:
    """Names of classes whose clips a mirror would make clips of another one, or of none."""
    found = mirroring_of(classes)
    changed = {name for pair in found.swaps for name in pair} | set(found.alone)
    return [name for name in classes if name in changed]


def mirroring_by(options: Sequence[str], classes: Sequence[str]) -> Mirroring:
    """What `data.mirror` says: `A=B` are swapped, clips of `A` alone are not mirrored. Raises ConfigError for a name
    that is no class, and for one that is named twice."""
    swaps, alone = [], []
    for text in options:
        cuts = [i for i, letter in enumerate(text) if letter == "="]
        pairs = [(text[:i].strip(), text[i + 1 :].strip()) for i in cuts]
        pair = next((x for x in pairs if set(x) <= set(classes)), None)
        if text in classes:
            alone.append(text)
        elif pair:
            swaps.append(pair)
        else:
            raise ConfigError(f"data.mirror has {text!r}: write CLASS=CLASS or CLASS, of {', '.join(classes[:8])}")
    counts = Counter([*alone, *(name for pair in swaps for name in set(pair))])
    if twice := [name for name, n in counts.items() if n > 1]:
        raise ConfigError(f"data.mirror names {twice[0]} twice; give every class once")
    return Mirroring(swaps=tuple(pair for pair in swaps if pair[0] != pair[1]), alone=tuple(alone))


def mirror_plan(spec: DataSpec, classes: Sequence[str], task: str) -> tuple[DataSpec, Mirroring, str | None]:
    """The options of mirroring as they are carried out, what is to be done about classes, and a line on it."""
    if not spec.flip or not classes or "mirror" not in use_of(spec, task).reads:
        return spec, Mirroring(), None
    if spec.mirror is not None:
        found = mirroring_by(spec.mirror, classes)
        return spec, found, found.line() if found else None
    if numbered(classes):
        way = "data.mirror=[] mirrors all alike, data.mirror=[1=2] swaps two"
        line = f"data.flip is off: numbers do not say which classes a mirror turns into each other ({way})"
        return replace(spec, flip=False), Mirroring(), line
    found = mirroring_of(classes)
    return (replace(spec, mirror=found.as_options()), found, found.line()) if found else (spec, found, None)


def numbered(classes: Sequence[str]) -> bool:
    """Whether the names are numbers, which say nothing."""
    return bool(classes) and all(name.isdecimal() for name in classes)


def _words(name: str) -> tuple[str, ...]:
    """Words in small letters, of `a_b`, `a b`, `aB` and `a1`; `counter clockwise` is one."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_A-Za-z]+", name)
    text = re.sub(r"\b(counter|anti) clockwise\b", "counterclockwise", " ".join(parts).lower())
    return tuple(ONE_NAME.get(word, word) for word in text.split())


def _less_surely(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words whose sides are of a letter or within a word, the other way round; `OTHER_WAY` was seen to."""
    letters = LETTERS | {b: a for a, b in LETTERS.items()}
    parts = PARTS | {b: a for a, b in PARTS.items()}
    either = re.compile("|".join(sorted(parts, key=len, reverse=True)))
    long = len(words) > 1
    return tuple(
        word
        if word in OTHER_WAY
        else letters[word]
        if long and word in letters
        else either.sub(lambda found: parts[found[0]], word)
        for word in words
    )

"""Classes that a mirror turns into each other, such as to swipe left and to swipe right."""

import re
from collections.abc import Sequence

OTHER_WAY = {
    "left": "right",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "lefthand": "righthand",
    "lefthanded": "righthanded",
    "clockwise": "counterclockwise",
    "anticlockwise": "clockwise",
    "cw": "ccw",
}
OTHER_WAY |= {b: a for a, b in OTHER_WAY.items() if b != "clockwise"}


def mirrored(classes: Sequence[str]) -> list[str]:
    """Names of classes whose clips a mirror would make clips of another one, or of none."""
    return [name for name in classes if _words(name) != [OTHER_WAY.get(word, word) for word in _words(name)]]


def numbered(classes: Sequence[str]) -> bool:
    """Whether the names are numbers, which say nothing."""
    return bool(classes) and all(name.isdecimal() for name in classes)


def _words(name: str) -> list[str]:
    """Words in small letters, of `a_b`, `a b` and `aB`; `counter clockwise` is one."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    text = " ".join(part.lower() for part in parts)
    return re.sub(r"\b(counter|anti) clockwise\b", r"\1clockwise", text).split()

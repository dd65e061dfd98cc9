"""Motion capture files: BVH, the hierarchy of joints and their angles over time."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from spikereel.body.rotations import forward_kinematics, from_the_root
from spikereel.errors import DataError
from spikereel.files import whole

_AXES = "XYZ"
_WORD = re.compile(r"\b(ROOT|JOINT)\s+([^\n\r{}]+)|\bEnd\s+Site\b[^\n\r{}]*|[{}]|[^\s{}]+", re.IGNORECASE)
_HEAD = re.compile(r"\s*Frames\s*:\s*(\S+)\s+Frame\s+Time\s*:\s*(\S+)", re.IGNORECASE)
_TURNED = "3 Zrotation Xrotation Yrotation"
_PLACED = "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
END = 0.4
"""Length of a head, hand or foot, in that of the bone before it."""
_TWIST = 1e-6
"""Weight of the turn of the parent, where the turn of the bones has 1."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What a skeleton does over time; lengths in the unit of its file, often centimetres, y up."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """-1 for the root; parents come before their children."""
    offsets: np.ndarray
    """float64 [T, J, 3]: of each joint from its parent, in the parent's frame; that of the root is where it is."""
    rotations: np.ndarray
    """float64 [T, J, 3, 3], each against the parent's."""
    seconds: float
    """Of a frame."""

    def joints(self) -> np.ndarray:
        """Positions of all joints, float64 [T, J, 3]."""
        rotations, offsets = torch.from_numpy(self.rotations), torch.from_numpy(self.offsets)
        return forward_kinematics(rotations, offsets, self.parents)[1].numpy()


def motion_of(joints: np.ndarray, names: Sequence[str], parents: Sequence[int], seconds: float) -> Motion:
    """The motion that puts the joints [T, J, 3] exactly where they are; the pose at rest is that of the first frame.

    A joint turns as the bones to its children have since then, in the least-squares sense, and where those leave a
    twist open as its parent does; what no rotation explains, such as a bone that grows, is in the offsets.
    """
    joints = joints.astype(np.float64)
    turned = np.tile(np.eye(3), (*joints.shape[:2], 1, 1))
    rotations, offsets = turned.copy(), joints.copy()
    for j in from_the_root(parents):
        parent, children = parents[j], [k for k, p in enumerate(parents) if p == j]
        if parent >= 0:
            turned[:, j] = turned[:, parent]
            offsets[:, j] = np.einsum("tba,tb->ta", turned[:, parent], joints[:, j] - joints[:, parent])
        if children:
            bones = joints[:, children] - joints[:, [j]]
            match = np.einsum("tka,kb->tab", bones, bones[0])
            scale = max(np.trace(match[0]), np.finfo(float).tiny)
            u, _, v = np.linalg.svd(match + _TWIST * scale * turned[:, j])
            u[..., 2] *= np.linalg.det(u @ v)[:, None]
            turned[:, j] = u @ v
        rotations[:, j] = turned[:, j] if parent < 0 else turned[:, parent].swapaxes(1, 2) @ turned[:, j]
    return Motion(names=tuple(names), parents=tuple(parents), offsets=offsets, rotations=rotations, seconds=seconds)


def read_bvh(path: str | PathLike) -> Motion:
    """The motion of a BVH file.

    Rotation channels multiply in the order of the file; position channels take the place of the joint's offset. End
    sites are no joints, with a name or without. The name of a joint is all up to its brace or the end of its line,
    spaces inside it and all, as Blender writes it. Keywords are in any case. Text is UTF-8, UTF-16 with its mark, or
    else a byte is a letter of Latin-1: only the names of joints depend on it.
    Raises DataError for a file that is missing, cut short or of other contents.
    """
    path = Path(path)
    try:
        words = _words(_text(path.read_bytes()))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a BVH file ({error}); check the path") from None
    try:
        return _motion(path, words)
    except (StopIteration, ValueError, IndexError) as error:
        raise DataError(f"{path}: is not a whole BVH file ({error or 'it ends too soon'}); copy it again") from None


def write_bvh(path: str | PathLike, motion: Motion, *, positions: bool = False) -> None:
    """Write a motion; the root has three positions and three rotations (z, x, y) a frame. Whole or not at all.

    Other joints turn about their parents at the median of their offsets, so bones keep their length, as programs for
    animation want it; with `positions` they have three positions as well, and are exactly where they were. The end of
    a bone that nothing follows is END of its length on.
    """
    still = np.median(motion.offsets, axis=0) if not positions else motion.offsets[0]
    children: dict[int, list[int]] = {}
    for child, parent in enumerate(motion.parents):
        children.setdefault(parent, []).append(child)
    lines, order = ["HIERARCHY"], []

    def joint(j: int, depth: int) -> None:
        pad = "  " * depth
        order.append(j)
        lines.extend(
            [
                f"{pad}{'JOINT' if depth else 'ROOT'} {motion.names[j]}",
                f"{pad}{{",
                f"{pad}  OFFSET {_numbers(still[j] if depth else motion.offsets[0, j])}",
                f"{pad}  CHANNELS {_PLACED if positions or not depth else _TURNED}",
            ]
        )
        for child in children.get(j, []):
            joint(child, depth + 1)
        if j not in children:
            lines.extend(
                [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET {_numbers(END * still[j])}", f"{pad}  }}"]
            )
        lines.append(f"{pad}}}")

    joint(children[-1][0], 0)
    lines += ["MOTION", f"Frames: {len(motion.offsets)}", f"Frame Time: {motion.seconds:.8g}"]
    rows = np.concatenate([motion.offsets, _zxy_degrees(motion.rotations)], axis=-1)[:, order]
    columns = rows.reshape(len(rows), -1)
    if not positions:
        columns = np.concatenate([rows[:, 0], rows[:, 1:, 3:].reshape(len(rows), -1)], axis=-1)
    lines += [_numbers(row) for row in columns]
    path = Path(path)
    try:
        with whole(path) as part:
            part.write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); check space and permissions") from None


def _text(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _words(text: str) -> Iterator[str]:
    """The words of a file in one spelling, and the names of joints, each as one."""
    begin = re.search(r"^\s*MOTION\b", text, re.IGNORECASE | re.MULTILINE)
    stop = begin.end() if begin else len(text)
    for found in _WORD.finditer(text, 0, stop):
        kind, name = found.groups()
        word = found[0].upper()
        if kind and name.strip():
            yield from (kind.upper(), name.strip())
        elif re.match(r"END\s+SITE", word):
            yield from ("End", "Site")
        else:
            yield word
    if head := _HEAD.match(text, stop):
        yield from ("Frames:", head[1], "Frame", "Time:", head[2])
        stop = head.end()
    yield from text[stop:].split()


def _motion(path: Path, words: Iterator[str]) -> Motion:
    if next(words) != "HIERARCHY":
        raise DataError(f"{path}: does not begin with HIERARCHY; give a BVH file")
    names, parents, rest, channels = _hierarchy(words)
    _expect(words, "Frames:")
    frames = int(next(words))
    _expect(words, "Frame", "Time:")
    seconds = float(next(words))
    values = np.array(list(words), dtype=np.float64)
    width = sum(map(len, channels))
    if frames < 1 or values.size != frames * width or not np.isfinite(values).all():
        raise DataError(
            f"{path}: holds {values.size} numbers for {frames} frames of {width} channels, or some are not finite; "
            "copy it again"
        )
    values = values.reshape(frames, width)
    offsets = np.repeat(np.array(rest)[None], frames, axis=0)
    rotations = np.tile(np.eye(3), (frames, len(names), 1, 1))
    column = 0
    for j, own in enumerate(channels):
        for channel in own:
            axis, value = _AXES.index(channel[0].upper()), values[:, column]
            if channel[1:].lower() == "position":
                offsets[:, j, axis] = value
            else:
                rotations[:, j] = rotations[:, j] @ _about(axis, np.radians(value))
            column += 1
    return Motion(names=tuple(names), parents=tuple(parents), offsets=offsets, rotations=rotations, seconds=seconds)


def _hierarchy(words: Iterator[str]) -> tuple[list[str], list[int], list[list[float]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints, up to and with the word MOTION."""
    names: list[str] = []
    parents: list[int] = []
    rest: list[list[float]] = []
    channels: list[list[str]] = []
    # Joints whose braces are open, None for an end site.
    above: list[int | None] = []
    for word in words:
        if word == "MOTION":
            return names, parents, rest, channels
        if word in ("ROOT", "JOINT"):
            parents.append(next((j for j in reversed(above) if j is not None), -1))
            names.append(next(words))
            rest.append([0.0, 0.0, 0.0])
            channels.append([])
            above.append(len(names) - 1)
            _expect(words, "{")
        elif word == "End":
            _expect(words, "Site", "{")
            above.append(None)
        elif word == "OFFSET":
            offset = [float(next(words)) for _ in range(3)]
            if above[-1] is not None:
                rest[above[-1]] = offset
        elif word == "CHANNELS":
            channels[-1] = [_channel(next(words)) for _ in range(int(next(words)))]
        elif word == "}":
            above.pop()
        else:
            raise ValueError(f"unexpected word {word!r}")
    raise ValueError("it has no MOTION")


def _channel(word: str) -> str:
    if word[:1].upper() not in _AXES or word[1:].lower() not in ("position", "rotation"):
        raise ValueError(f"unknown channel {word!r}")
    return word


def _expect(words: Iterator[str], *expected: str) -> None:
    for one in expected:
        if (word := next(words)) != one:
            raise ValueError(f"{word!r} where {one!r} should be")


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] about one axis."""
    out = np.tile(np.eye(3), (len(angle), 1, 1))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    out[:, a, a] = out[:, b, b] = np.cos(angle)
    out[:, b, a] = np.sin(angle)
    out[:, a, b] = -out[:, b, a]
    return out


def _zxy_degrees(r: np.ndarray) -> np.ndarray:
    """Angles [..., 3] with rotation = Rz Rx Ry, of rotations [..., 3, 3]."""
    x = np.arcsin(r[..., 2, 1].clip(-1, 1))
    y = np.arctan2(-r[..., 2, 0], r[..., 2, 2])
    z = np.arctan2(-r[..., 0, 1], r[..., 1, 1])
    return np.degrees(np.stack([z, x, y], axis=-1))


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{x:.6f}" for x in values)

"""Drawing textured shapes on a torus: the ink of the procedural clips in `motion.py`.

A shape is a signed distance in its own coordinates (u to the front, v to its right-hand side on the screen, both in
units of its radius), so one vectorised evaluation draws it at all T poses, antialiased, with no loop over pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

# Points (u, v) inside every shape of the table: front, right-hand side, back, left-hand side.
KEYPOINTS = np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]], dtype=np.float32)


@dataclass(frozen=True)
class ShapeLook:
    """What a shape looks like, apart from where it is."""

    shape: str
    """Key of SHAPES."""
    bright: np.ndarray
    """[3] rgb of the bright stripes."""
    dark: np.ndarray
    """[3] rgb of the dark stripes."""
    frequency: float
    """Of the stripes, in radians per radius along u."""
    phase: float
    """In radians."""


@dataclass(frozen=True)
class Pose:
    """Where a shape is at T instants: every field is float64 [T]."""

    x: np.ndarray
    """Centre, pixels, modulo the width."""
    y: np.ndarray
    """Centre, pixels, modulo the height."""
    angle: np.ndarray
    """Radians; growing is clockwise on the screen, because y points down."""
    radius: np.ndarray
    """In pixels."""


def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v) - 0.9


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8


def _bar(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u) - 1.0, np.abs(v) - 0.6)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(0.5 * u + 0.8660254 * np.abs(v), -u) - 0.58


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    return (np.maximum(u, v) + 1.5 * np.minimum(u, v) - 1.1) / 1.8


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(u, v) - 1.0, np.minimum(u, v) - 0.36)


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.sqrt(u * u + v * v) - 0.6) - 0.3


def _blob(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    square = u * u + v * v
    lobes = (u * u - 3 * v * v) * u / (square * np.sqrt(square) + 1e-6)
    return np.sqrt(square) - (0.8 + 0.15 * lobes)


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": _disc,
    "square": _square,
    "bar": _bar,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "blob": _blob,
}


def random_look(rng: np.random.Generator) -> ShapeLook:
    """A shape of any kind, striped with a bright and a dark colour so that it shows on every background."""
    colours = rng.random((2, 3), dtype=np.float32)
    return ShapeLook(
        shape=tuple(SHAPES)[rng.integers(len(SHAPES))],
        bright=0.65 + 0.35 * colours[0],
        dark=0.3 * colours[1],
        frequency=rng.uniform(3.0, 5.5),
        phase=rng.uniform(0.0, 2 * np.pi),
    )


def _offset(centre: np.ndarray, size: int) -> np.ndarray:
    """Shortest signed way round the torus from each centre [T] to each pixel: float32 [T, size]."""
    gap = np.arange(size) - centre[:, None]
    return ((gap + size / 2) % size - size / 2).astype(np.float32)


def draw(look: ShapeLook, pose: Pose, *, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cover and texture of one shape: two float32 [T, H, W] in [0, 1].

    Cover is 1 inside the shape, 0 outside, with an edge one pixel wide. Texture mixes dark (0) and bright (1): stripes
    along v, brighter towards the front, so that no rotation but the full turn leaves any shape unchanged.
    """
    dx = _offset(pose.x, width)[:, None, :]
    dy = _offset(pose.y, height)[:, :, None]
    cos = (np.cos(pose.angle) / pose.radius).astype(np.float32)[:, None, None]
    sin = (np.sin(pose.angle) / pose.radius).astype(np.float32)[:, None, None]
    u = cos * dx + sin * dy
    v = cos * dy - sin * dx
    distance = SHAPES[look.shape](u, v)
    distance *= -pose.radius.astype(np.float32)[:, None, None]
    distance += np.float32(0.5)
    cover = np.clip(distance, 0, 1, out=distance)
    texture = np.sin(np.float32(look.frequency) * u + np.float32(look.phase))
    texture *= np.float32(0.35)
    u *= np.float32(0.25)
    texture += u
    texture += np.float32(0.5)
    return cover, np.clip(texture, 0, 1, out=texture)


def paint(canvas: np.ndarray, look: ShapeLook, cover: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """The canvas [3, H, W] or [T, 3, H, W] with the shape [T, H, W] over it: float32 [T, 3, H, W]."""
    ink = texture[:, None] * (look.bright - look.dark)[:, None, None]
    ink += look.dark[:, None, None]
    ink -= canvas
    ink *= cover[:, None]
    ink += canvas
    return ink


def keypoints(pose: Pose, *, height: int, width: int) -> np.ndarray:
    """KEYPOINTS at every pose, wrapped round the torus: float32 [T, K, 2], xy in pixels, pixel centres at integers."""
    cos, sin = (pose.radius * np.cos(pose.angle))[:, None], (pose.radius * np.sin(pose.angle))[:, None]
    u, v = KEYPOINTS[:, 0], KEYPOINTS[:, 1]
    x = pose.x[:, None] + cos * u - sin * v
    y = pose.y[:, None] + sin * u + cos * v
    return np.stack([(x + 0.5) % width - 0.5, (y + 0.5) % height - 0.5], axis=-1).astype(np.float32)


@cache
def _spread(coarse: int, fine: int) -> np.ndarray:
    """Linear interpolation from `coarse` grid points to `fine` pixels: float32 [fine, coarse], rows sum to 1."""
    at = np.linspace(0, coarse - 1, fine)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(coarse)))
    return weights.astype(np.float32)


def background(rng: np.random.Generator, *, height: int, width: int) -> np.ndarray:
    """A smooth colour field with a finer texture on it: float32 [3, H, W] in [0.2, 0.8]."""
    smooth = rng.random((3, 4, 4), dtype=np.float32)
    fine = rng.random((1, 12, 12), dtype=np.float32)
    field = 0.4 * (_spread(4, height) @ smooth @ _spread(4, width).T)
    field += 0.2 * (_spread(12, height) @ fine @ _spread(12, width).T)
    field += np.float32(0.2)
    return field

"""How people are filmed: clothes and light, a camera that looks from somewhere beside, and what is around them."""

import numpy as np
import torch
from torch import Tensor

from spikereel.body.skeletons import KINECT20
from spikereel.data.made.people import JOINTS, RADII, waves

FPS = 12.0
"""Frames a second of the videos."""

_SKIN = frozenset({"head", "left_hand", "right_hand", "left_wrist", "right_wrist"})
_LEGS = frozenset(name for name in JOINTS if name.endswith(("hip", "knee", "ankle", "foot")))


def filmed(rng: np.random.Generator, bodies: list[np.ndarray], size: int, shown: int) -> tuple[Tensor, Tensor]:
    """Grey pictures float32 [N, size, size] of bodies, and where joints are in them [N, shown, 20, 2], in shares.

    bodies: each [N, 20, 3] metres, x to the right, y down from the ground, z away; cameras follow the first `shown`.
    """
    steps = len(bodies[0])
    # cameras look down a little, so that who is farther stands higher in the picture
    pitch = max(rng.uniform(-0.2, 0.45), 0.0)
    upright, back = np.cos(pitch), np.sin(pitch)
    bodies = [np.stack([b[..., 0], upright * b[..., 1] - back * b[..., 2], b[..., 2]], -1) for b in bodies]
    everyone, seen = np.concatenate(bodies, axis=1), np.concatenate(bodies[:shown], axis=1)
    middle = (seen[..., 0].max() + seen[..., 0].min()) / 2
    # what they need and a margin; cameras squeeze, stand farther, or so near that edges cut somebody
    wide = max(seen[..., 0].max() - seen[..., 0].min(), rng.uniform(0.8, 1.4)) * rng.uniform(0.9, 1.4)
    high = 1.75 * rng.uniform(0.75, 1.4)
    feet = rng.uniform(0.9, 1.0) if high > 1.75 else rng.uniform(0.95, 1.7 / high)
    feet -= max(seen[..., 1].max(), 0.0) / high * rng.random()
    shift = rng.normal(0, 0.04, 2) + _tremble(rng, steps)
    across = size * ((everyone[..., 0] - middle) / wide + 0.5 + shift[:, :1])
    down = size * (everyone[..., 1] / high + feet + shift[:, 1:])
    canvas = _background(rng, steps, size, shift)
    spots = torch.from_numpy(np.stack([across, down], -1)).float()
    order = sorted(range(len(bodies)), key=lambda i: -bodies[i][..., 2].mean())
    for i in order:
        own = slice(i * len(JOINTS), (i + 1) * len(JOINTS))
        _draw(rng, canvas, spots[:, own], bodies[i][..., 2], size / wide, size / high)
    if rng.random() < 0.1:
        _post(rng, canvas)
    # a small picture of a large one has little noise
    noise = torch.from_numpy(rng.normal(0, max(rng.uniform(-0.01, 0.01), 0.0), canvas.shape)).float()
    return (canvas + noise).clamp(0, 1), spots.unflatten(1, (len(bodies), -1))[:, :shown] / size


def _post(rng: np.random.Generator, canvas: Tensor) -> None:
    """Something upright, or low, stands in front of everybody."""
    size = canvas.shape[-1]
    tone, wide, at = float(rng.random()), int(rng.uniform(0.05, 0.2) * size), int(rng.random() * size)
    if rng.random() < 0.6:
        canvas[:, :, at : at + wide] = tone
    else:
        canvas[:, size - wide :] = tone


def _tremble(rng: np.random.Generator, steps: int) -> np.ndarray:
    """[steps, 2] shares of the picture: most cameras stand still."""
    if rng.random() < 0.6:
        return np.zeros((steps, 2))
    return rng.uniform(0, 0.01) * np.cumsum(rng.normal(0, 1, (steps, 2)), axis=0).clip(-4, 4)


def _background(rng: np.random.Generator, steps: int, size: int, shift: np.ndarray) -> Tensor:
    """[steps, size, size]: soft spots, edges, and now and then something that moves."""
    grid = (np.arange(size) + 0.5) / size
    x, y = grid[None, None, :] - shift[:, 0, None, None], grid[None, :, None] - shift[:, 1, None, None]
    picture = np.full((steps, size, size), rng.uniform(0.15, 0.85))
    plain = 0.3 if rng.random() < 0.5 else 1.0
    for i in range(5):
        centre, width, weight = rng.random(2), rng.uniform(0.05, 0.4), plain * rng.normal(0, 0.15)
        moves = 0.03 * waves(rng, np.arange(steps) / FPS * 4)[:, None, None] if i == 0 and rng.random() < 0.4 else 0.0
        picture += weight * np.exp(-((x - centre[0] - moves) ** 2 + (y - centre[1]) ** 2) / width**2)
    picture += plain * rng.normal(0, 0.15) * (y > rng.uniform(0.5, 0.95))
    picture += plain * rng.normal(0, 0.08) * np.sin(x * rng.uniform(5, 40) + y * rng.uniform(-20, 20))
    return torch.from_numpy(picture.clip(0, 1)).float()


def _draw(
    rng: np.random.Generator, canvas: Tensor, spots: Tensor, depth: np.ndarray, scale_x: float, scale_y: float
) -> None:
    """Draw the bones of a body on the canvas [N, S, S], as capsules of one brightness, the farthest first."""
    size = canvas.shape[-1]
    shirt, trousers, skin = rng.random(3)
    hair = rng.uniform(0, 0.4) if rng.random() < 0.6 else skin
    sleeves = shirt if rng.random() < 0.5 else skin
    names, grid = tuple(JOINTS), torch.arange(size) + 0.5
    thick, shade = rng.uniform(0.9, 1.6), rng.normal(0, 0.12)
    squeeze = scale_y / scale_x
    for a, b in sorted(KINECT20.bones, key=lambda bone: -depth[:, bone].mean()):
        tone = skin if names[b] in _SKIN else trousers if names[b] in _LEGS else shirt
        tone = hair if names[b] == "head" else sleeves if names[b].endswith("wrist") else tone
        tone = float(np.clip(tone + rng.normal(0, 0.04), 0, 1))
        _capsule(
            canvas,
            grid,
            spots[:, a],
            spots[:, b],
            thick * RADII[a] * scale_x,
            thick * RADII[b] * scale_x,
            squeeze,
            tone,
            shade,
        )


def _capsule(
    canvas: Tensor,
    grid: Tensor,
    start: Tensor,
    end: Tensor,
    wide: float,
    narrow: float,
    squeeze: float,
    tone: float,
    shade: float,
) -> None:
    """One bone, from a joint [N, 2] to the next, whose width is in columns; rows count `squeeze` times as much.

    From one side to the other its brightness goes from `tone` - `shade` to `tone` + `shade`."""
    pad = max(wide, narrow) * max(squeeze, 1.0) + 1
    both = torch.stack([start, end])
    (left, top), (right, low) = both.amin((0, 1)).tolist(), both.amax((0, 1)).tolist()
    x0, x1 = max(int(left - pad), 0), min(int(right + pad) + 1, len(grid))
    y0, y1 = max(int(top - pad), 0), min(int(low + pad) + 1, len(grid))
    if x0 >= x1 or y0 >= y1:
        return
    u = grid[None, None, x0:x1] - start[:, 0, None, None]
    v = (grid[None, y0:y1, None] - start[:, 1, None, None]) / squeeze
    along_u = (end - start)[:, 0, None, None]
    along_v = (end - start)[:, 1, None, None] / squeeze
    share = ((u * along_u + v * along_v) / (along_u**2 + along_v**2).clamp(min=1e-6)).clamp(0, 1)
    away = torch.hypot(u - share * along_u, v - share * along_v)
    cover = (wide + share * (narrow - wide) - away + 0.5).clamp(0, 1)
    part = canvas[:, y0:y1, x0:x1]
    lit = tone + shade * ((u - share * along_u) / max(wide, narrow)).clamp(-1, 1)
    part += cover * (lit - part)

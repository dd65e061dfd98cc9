"""Procedural videos of one or two people who do something: what a network may know of people before it sees any.

Bodies are those of `people`, of other sizes, clothes and light in every clip, drawn as capsules of one brightness; the
camera looks at them from somewhere beside, trembles, and the background may move a little. No recording is in them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikereel.body.rotations import forward_kinematics, matrix_from_axis_angle
from spikereel.body.skeletons import KINECT20
from spikereel.data.made.people import JOINTS, RADII, random_rest, waves

FPS = 12.0
"""Frames a second of the videos."""

SECONDS = (2.0, 4.0)
"""How long they last."""

_SKIN = frozenset({"head", "left_hand", "right_hand", "left_wrist", "right_wrist"})
_LEGS = frozenset(name for name in JOINTS if name.endswith(("hip", "knee", "ankle", "foot")))


@dataclass
class Person:
    """What somebody does: angles of the joints, and where the body is."""

    angles: np.ndarray
    """[N, 20, 3], as `people` has them; who stands in rest looks towards -z, which becomes the other person."""
    ahead: np.ndarray
    """[N] metres towards the other."""
    up: np.ndarray
    """[N] metres off the ground."""

    def arm(self, side: str, raised: np.ndarray, bent: np.ndarray, spread: np.ndarray | float = 0.0) -> None:
        """Raise an arm forward by so many radians, with a bent elbow, away from the body."""
        out = 1.0 if side == "left" else -1.0
        self.angles[:, JOINTS[f"{side}_shoulder"], 0] -= raised
        self.angles[:, JOINTS[f"{side}_shoulder"], 2] += out * spread
        self.angles[:, JOINTS[f"{side}_elbow"], 0] -= bent

    def leg(self, side: str, raised: np.ndarray, bent: np.ndarray) -> None:
        """Raise a leg forward, with a bent knee."""
        self.angles[:, JOINTS[f"{side}_hip"], 0] -= raised
        self.angles[:, JOINTS[f"{side}_knee"], 0] += bent

    def lean(self, forward: np.ndarray) -> None:
        """Bend forward from the spine."""
        self.angles[:, JOINTS["spine"], 0] += forward


Doing = Callable[[np.random.Generator, np.ndarray, Person, Person], None]


def _pulse(t: np.ndarray, start: float, rise: float, hold: float, fall: float) -> np.ndarray:
    """From 0 to 1 and back, smoothly."""
    up = ((t - start) / rise).clip(0, 1)
    down = ((t - start - rise - hold) / fall).clip(0, 1)
    return (np.cos(np.pi * down) - np.cos(np.pi * up)) / 2


def _stride(rng: np.random.Generator, t: np.ndarray, who: Person, speed: np.ndarray) -> None:
    """Legs and arms of somebody who goes at so many metres a second, forward or back; adds the way gone."""
    going = np.minimum(np.abs(speed) / 0.8, 1.0)
    phase = 2 * np.pi * (rng.random() + rng.uniform(0.7, 1.1) * np.cumsum(speed / 1.1) * (t[1] - t[0]))
    for side, shift in (("left", 0.0), ("right", np.pi)):
        swing = going * np.sin(phase + shift)
        who.leg(side, 0.5 * swing, 0.7 * going * np.maximum(np.cos(phase + shift), 0))
        who.arm(side, -0.4 * swing, 0.2 * going)
    who.ahead += np.cumsum(speed) * (t[1] - t[0])


def _side(rng: np.random.Generator) -> str:
    return ("left", "right")[rng.integers(2)]


def _when(rng: np.random.Generator, t: np.ndarray) -> float:
    return float(rng.uniform(0.2, 0.5) * t[-1])


def _meet(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> float:
    """Both come nearer, or stand near already, and part again, or stay; returns when they are near."""
    when = _when(rng, t)
    gap = -(a.ahead[0] + b.ahead[0])
    start, stay = rng.uniform(0.0, 0.5) * when, rng.uniform(0.8, 1.6) if rng.random() < 0.6 else 9.0
    for who in (a, b):
        share = rng.uniform(0.25, 0.5) * max(gap - 0.75, 0.0)
        near = _pulse(t, start, max(when - start, 0.3), stay, 0.8)
        speed = share * np.diff(near, prepend=0.0) / (t[1] - t[0])
        _stride(rng, t, who, speed)
    return when


def _recoil(rng: np.random.Generator, t: np.ndarray, b: Person, when: float, strength: float) -> None:
    """Somebody who is hit leans back and perhaps steps back."""
    b.lean(-strength * rng.uniform(0.3, 0.8) * _pulse(t, when, 0.15, 0.1, 0.6))
    back = strength * rng.uniform(0.0, 0.6) * _pulse(t, when, 0.6, 9.0, 1.0)
    _stride(rng, t, b, -np.diff(back, prepend=0.0) / (t[1] - t[0]))


def _handshake(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when = _meet(rng, t, a, b)
    hold = rng.uniform(0.5, 1.3)
    shake = 0.15 * np.sin(2 * np.pi * rng.uniform(1.0, 2.5) * t)
    for who in (a, b):
        out = _pulse(t, when - 0.3 + rng.uniform(-0.1, 0.1), 0.4, hold, 0.4)
        who.arm("right", out * (0.85 + shake), out * (0.5 - shake))


def _hug(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when, hold = _when(rng, t), rng.uniform(0.5, 1.5)
    gap = -(a.ahead[0] + b.ahead[0])
    near = _pulse(t, max(when - 0.9, 0.0), 0.9, hold, 0.8)
    for who in (a, b):
        _stride(rng, t, who, np.diff(near * (gap - 0.3) / 2, prepend=0.0) / (t[1] - t[0]))
        for side in ("left", "right"):
            who.arm(side, near * rng.uniform(1.0, 1.7), near * rng.uniform(0.3, 1.0), near * rng.uniform(0.0, 0.4))
        who.lean(near * rng.uniform(0.0, 0.25))


def _kick(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when, side = _meet(rng, t, a, b), _side(rng)
    swing = _pulse(t, when, rng.uniform(0.2, 0.4), 0.05, rng.uniform(0.3, 0.5))
    back = _pulse(t, when - 0.25, 0.25, 0.0, 0.25)
    a.leg(
        side, rng.uniform(0.9, 1.6) * swing - 0.4 * back, 0.3 * back + rng.uniform(0.0, 0.6) * swing * (1 - swing) * 4
    )
    a.lean(-rng.uniform(0.0, 0.4) * swing)
    _recoil(rng, t, b, when + 0.25, rng.uniform(0.3, 1.0))


def _punch(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when, side = _meet(rng, t, a, b), _side(rng)
    ready = _pulse(t, when - 0.4, 0.3, 0.3, 0.4)
    out = _pulse(t, when, rng.uniform(0.15, 0.25), 0.05, rng.uniform(0.25, 0.4))
    a.arm(side, ready * 0.6 + out * rng.uniform(0.8, 1.2), ready * 1.8 * (1 - out))
    a.lean(rng.uniform(0.1, 0.35) * out)
    _recoil(rng, t, b, when + 0.15, rng.uniform(0.4, 1.0))


def _push(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when = _meet(rng, t, a, b)
    out = _pulse(t, when, rng.uniform(0.25, 0.45), rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.6))
    for side in ("left", "right"):
        a.arm(side, out * rng.uniform(1.2, 1.5), 1.2 * out * (1 - out) * 2)
    a.lean(rng.uniform(0.1, 0.4) * out)
    _recoil(rng, t, b, when + 0.25, rng.uniform(0.6, 1.2))
    away = rng.uniform(0.3, 0.9) * _pulse(t, when + 0.3, 0.7, 9.0, 1.0)
    _stride(rng, t, b, -np.diff(away, prepend=0.0) / (t[1] - t[0]))


def _point(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    out = _pulse(t, _when(rng, t), rng.uniform(0.3, 0.6), rng.uniform(0.4, 1.5), rng.uniform(0.3, 0.6))
    a.arm(_side(rng), out * rng.uniform(1.2, 1.8), 0.3 * out * (1 - out))


def _wave(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    side, rate = _side(rng), rng.uniform(1.0, 2.5)
    up = _pulse(t, _when(rng, t), 0.4, rng.uniform(0.8, 2.0), 0.4)
    swing = np.sin(2 * np.pi * rate * t)
    a.arm(side, up * rng.uniform(1.8, 2.6), up * (0.6 + 0.5 * swing), up * (0.3 + 0.3 * swing))


def _bow(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when, both = _when(rng, t), rng.random() < 0.5
    for who in (a, b)[: 1 + both]:
        who.lean(rng.uniform(0.5, 1.1) * _pulse(t, when + rng.uniform(0, 0.3), 0.5, rng.uniform(0.1, 0.8), 0.6))


def _jump(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when = _when(rng, t)
    low = _pulse(t, when - 0.3, 0.25, 0.0, 0.15) + 0.7 * _pulse(t, when + 0.45, 0.15, 0.0, 0.3)
    _crouch(a, 0.7 * low)
    air = ((t - when) / 0.5).clip(0, 1)
    a.up += rng.uniform(0.5, 1.2) * air * (1 - air)
    for side in ("left", "right"):
        a.arm(side, rng.uniform(0.0, 2.5) * _pulse(t, when - 0.1, 0.3, 0.2, 0.4), 0.0 * t)


def _squat(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    _crouch(a, rng.uniform(0.7, 1.0) * _pulse(t, _when(rng, t), 0.6, rng.uniform(0.1, 1.0), 0.7))


def _crouch(who: Person, low: np.ndarray) -> None:
    for side in ("left", "right"):
        who.leg(side, 1.5 * low, 2.0 * low)
        who.angles[:, JOINTS[f"{side}_ankle"], 0] -= 0.5 * low
    who.lean(0.4 * low)


def _pass_by(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    for who in (a, b):
        _stride(rng, t, who, np.full(len(t), rng.uniform(0.6, 1.3)))


def _leave(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    go = _pulse(t, _when(rng, t), 0.5, 9.0, 1.0)
    for who in (a, b):
        _stride(rng, t, who, -rng.uniform(0.4, 1.0) * go)


def _approach(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    _meet(rng, t, a, b)


def _idle(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    """Nothing but what all do."""


DOING: dict[str, Doing] = {
    "approach": _approach,
    "bow": _bow,
    "handshake": _handshake,
    "hug": _hug,
    "idle": _idle,
    "jump": _jump,
    "kick": _kick,
    "leave": _leave,
    "pass_by": _pass_by,
    "point": _point,
    "punch": _punch,
    "push": _push,
    "squat": _squat,
    "wave": _wave,
}
"""The classes, and what makes people do it: random numbers, instants in seconds [N], who does it, and the other."""

CLASSES = tuple(DOING)
TOGETHER = frozenset({"approach", "handshake", "hug", "kick", "leave", "pass_by", "punch", "push"})
"""Classes that need two people; of the others the second is often not there."""


def draw_actions(rng: np.random.Generator, label: int, size: int) -> Tensor:
    """A video of somebody who does what the class says: float32 [N, size, size] grey in [0, 1], 12 frames a second."""
    t = np.arange(round(rng.uniform(*SECONDS) * FPS)) / FPS
    name = CLASSES[label]
    gap = rng.uniform(0.9, 2.2)
    people = [Person(np.zeros((len(t), len(JOINTS), 3)), np.full(len(t), -gap / 2), np.zeros(len(t))) for _ in "ab"]
    for who in people:
        _sway(rng, t, who)
    DOING[name](rng, t, *people)
    alone = name not in TOGETHER and rng.random() < 0.4
    turn, mirror = rng.uniform(-0.6, 0.6), rng.random() < 0.5
    bodies = [placed(rng, who, turn, left=bool(i) == mirror) for i, who in enumerate(people[: 1 if alone else 2])]
    return _filmed(rng, bodies, size)


def _sway(rng: np.random.Generator, t: np.ndarray, who: Person) -> None:
    """How somebody stands: arms and trunk never quite still."""
    for side in ("left", "right"):
        who.arm(side, rng.normal(0.05, 0.1) + 0.08 * waves(rng, t), np.full(len(t), rng.uniform(0, 0.4)), 0.08)
        who.leg(side, np.full(len(t), rng.normal(0, 0.05)), np.full(len(t), 0.05))
    who.lean(rng.normal(0.03, 0.05) + 0.04 * waves(rng, t))
    who.angles[:, JOINTS["hip_center"], 1] += rng.normal(0, 0.15) + 0.1 * waves(rng, t)


def placed(rng: np.random.Generator, who: Person, turn: float, *, left: bool) -> np.ndarray:
    """Joints [N, 20, 3] in metres: x to the right, y down from the ground, z away from the camera."""
    facing = -1.0 if left else 1.0
    # in rest one looks towards -z; who stands on the left looks to the right
    who.angles[:, JOINTS["hip_center"], 1] += facing * np.pi / 2 + turn
    rotations = matrix_from_axis_angle(torch.from_numpy(who.angles))
    rest = torch.from_numpy(random_rest(rng)).expand(len(who.angles), -1, -1)
    joints = forward_kinematics(rotations, rest, KINECT20.parents)[1].numpy().copy()
    joints[..., 1] -= joints[:, :, 1].max(1, keepdims=True) + who.up[:, None]
    joints[..., 0] -= facing * np.cos(turn) * who.ahead[:, None]
    joints[..., 2] += facing * np.sin(turn) * who.ahead[:, None] + rng.normal(0, 0.08)
    return joints


def _filmed(rng: np.random.Generator, bodies: list[np.ndarray], size: int) -> Tensor:
    """Grey pictures of bodies, those behind first."""
    steps = len(bodies[0])
    everyone = np.concatenate(bodies, axis=1)
    middle = (everyone[..., 0].max() + everyone[..., 0].min()) / 2
    # the larger of what they need, and a picture's margin; cameras squeeze and stand nearer or farther
    wide = max(everyone[..., 0].max() - everyone[..., 0].min(), 1.2) * rng.uniform(1.02, 1.5)
    high = 1.75 * rng.uniform(1.02, 1.5)
    shift = rng.normal(0, 0.04, 2) + _tremble(rng, steps)
    across = size * ((everyone[..., 0] - middle) / wide + 0.5 + shift[:, :1])
    down = size * (everyone[..., 1] / high + rng.uniform(0.9, 1.0) + shift[:, 1:])
    canvas = _background(rng, steps, size, shift)
    spots = torch.from_numpy(np.stack([across, down], -1)).float()
    order = sorted(range(len(bodies)), key=lambda i: -bodies[i][..., 2].mean())
    for i in order:
        own = slice(i * len(JOINTS), (i + 1) * len(JOINTS))
        _draw(rng, canvas, spots[:, own], bodies[i][..., 2], size / wide, size / high)
    noise = torch.from_numpy(rng.normal(0, rng.uniform(0.0, 0.02), canvas.shape)).float()
    return (canvas + noise).clamp(0, 1)


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
    for i in range(5):
        centre, width, weight = rng.random(2), rng.uniform(0.05, 0.4), rng.normal(0, 0.15)
        moves = 0.03 * waves(rng, np.arange(steps) / FPS * 4)[:, None, None] if i == 0 and rng.random() < 0.4 else 0.0
        picture += weight * np.exp(-((x - centre[0] - moves) ** 2 + (y - centre[1]) ** 2) / width**2)
    picture += rng.normal(0, 0.15) * (y > rng.uniform(0.5, 0.95))
    picture += rng.normal(0, 0.08) * np.sin(x * rng.uniform(5, 40) + y * rng.uniform(-20, 20))
    return torch.from_numpy(picture.clip(0, 1)).float()


def _draw(
    rng: np.random.Generator, canvas: Tensor, spots: Tensor, depth: np.ndarray, scale_x: float, scale_y: float
) -> None:
    """Draw the bones of a body on the canvas [N, S, S], as capsules of one brightness, the farthest first."""
    size = canvas.shape[-1]
    shirt, trousers, skin = rng.random(3)
    names, grid = tuple(JOINTS), torch.arange(size) + 0.5
    thick = rng.uniform(0.9, 1.3)
    squeeze = scale_y / scale_x
    for a, b in sorted(KINECT20.bones, key=lambda bone: -depth[:, bone].mean()):
        tone = skin if names[b] in _SKIN else trousers if names[b] in _LEGS else shirt
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
        )


def _capsule(
    canvas: Tensor, grid: Tensor, start: Tensor, end: Tensor, wide: float, narrow: float, squeeze: float, tone: float
) -> None:
    """One bone, from a joint [N, 2] to the next, whose width is in columns; rows count `squeeze` times as much."""
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
    part += cover * (tone - part)

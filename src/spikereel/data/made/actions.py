"""Procedural videos of one or two people who do something: what a network may know of people before it sees any.

Bodies are those of `people`, of other sizes in every clip; `filmed` shows them. No recording is in them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikereel.body.rotations import forward_kinematics, matrix_from_axis_angle
from spikereel.body.skeletons import KINECT20
from spikereel.data.made.filmed import FPS, filmed
from spikereel.data.made.people import JOINTS, random_rest, waves

SECONDS = (2.0, 5.0)
"""How long they last."""


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

    def twist(self, side: str, turn: np.ndarray) -> None:
        """Turn the trunk so that the shoulder of that side comes to the front."""
        self.angles[:, JOINTS["spine"], 1] += turn if side == "left" else -turn

    def swing(self, side: str, turn: np.ndarray, spread: np.ndarray) -> None:
        """Turn the whole body so that the hip of that side comes to the front, its leg away from the other."""
        out = 1.0 if side == "left" else -1.0
        self.angles[:, JOINTS["hip_center"], 1] += out * turn
        self.angles[:, JOINTS[f"{side}_hip"], 2] += out * spread


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
    # often one of them comes all the way
    mine, near_by = rng.random(), rng.uniform(0.7, 1.0) * max(gap - 0.7, 0.0)
    for who, share in ((a, mine * near_by), (b, (1 - mine) * near_by)):
        near = _pulse(t, start, max(when - start, 0.3), stay, 0.8)
        speed = share * np.diff(near, prepend=0.0) / (t[1] - t[0])
        _stride(rng, t, who, speed)
    return when


def _recoil(rng: np.random.Generator, t: np.ndarray, b: Person, when: float, strength: float, fold: float) -> None:
    """Somebody who is hit doubles up, by the chance `fold`, or leans back, throws up the arms, perhaps steps back."""
    way = 1.0 if rng.random() < fold else -1.0
    hit = _pulse(t, when, 0.15, rng.uniform(0.0, 0.4), rng.uniform(0.4, 0.8))
    b.lean(way * strength * rng.uniform(0.3, 0.9) * hit)
    b.twist(_side(rng), strength * rng.uniform(0.0, 0.8) * hit)
    for side in ("left", "right"):
        b.arm(side, strength * rng.uniform(0.0, 1.0) * hit, strength * rng.uniform(0.0, 1.2) * hit)
    back = strength * rng.uniform(0.0, 0.6) * _pulse(t, when, 0.6, 9.0, 1.0)
    _stride(rng, t, b, -np.diff(back, prepend=0.0) / (t[1] - t[0]))


def _lunge(rng: np.random.Generator, t: np.ndarray, a: Person, when: float) -> None:
    """Somebody steps into what he does with legs apart, and back."""
    far = rng.uniform(0.0, 0.7)
    out = _pulse(t, when - 0.25, rng.uniform(0.3, 0.45), rng.uniform(0.0, 0.6), rng.uniform(0.5, 0.9))
    a.ahead += far * out
    front = _side(rng)
    a.leg(front, 1.1 * far * out, 0.9 * far * out)
    a.leg("left" if front == "right" else "right", -0.9 * far * out, 0.2 * far * out)


def _handshake(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when = _meet(rng, t, a, b)
    hold = rng.uniform(0.5, 2.0)
    shake = 0.15 * np.sin(2 * np.pi * rng.uniform(1.0, 2.5) * t)
    for who in (a, b):
        early = rng.uniform(0.0, 0.5)
        out = _pulse(t, when - 0.3 - early, 0.4, hold + early, 0.4)
        reach = rng.uniform(0.7, 1.1)
        who.arm("right", out * (reach + shake), out * (rng.uniform(0.1, 0.6) - shake))
        who.lean(rng.uniform(0.0, 0.2) * out)


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
    rise = rng.uniform(0.15, 0.4)
    swing = _pulse(t, when, rise, rng.uniform(0.0, 0.15), rng.uniform(0.3, 0.5))
    back = _pulse(t, when - 0.25, 0.25, 0.0, 0.25)
    # the knee first and then the foot, or the whole leg; from the front, or round from the side
    bent = rng.uniform(0.0, 1.6) * _pulse(t, when - 0.1, rise * 0.7, 0.0, rise * 0.6)
    a.leg(side, rng.uniform(0.9, 1.8) * swing - 0.4 * back, 0.4 * back + bent)
    if rng.random() < 0.4:
        a.swing(side, rng.uniform(0.3, 1.2) * swing, rng.uniform(0.0, 0.6) * swing)
    a.lean(-rng.uniform(-0.2, 0.6) * swing)
    for arm in ("left", "right"):
        a.arm(arm, rng.uniform(-0.5, 0.8) * swing, rng.uniform(0.0, 0.8) * swing, rng.uniform(0.0, 0.6) * swing)
    _recoil(rng, t, b, when + 0.8 * rise, rng.uniform(0.2, 1.0), fold=0.6)


def _punch(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when, side = _meet(rng, t, a, b), _side(rng)
    _lunge(rng, t, a, when)
    rise = rng.uniform(0.15, 0.3)
    ready = _pulse(t, when - 0.4, 0.3, 0.3, 0.4)
    out = _pulse(t, when, rise, rng.uniform(0.0, 0.5), rng.uniform(0.3, 0.7))
    raised, height = rng.uniform(-0.4, 0.9), rng.uniform(0.9, 1.6)
    # straight ahead, or round from the side
    round_ = rng.uniform(0.2, 0.9) if rng.random() < 0.4 else 0.1
    a.arm(side, ready * raised + out * height, ready * 1.9 * (1 - out), round_ * (ready + out) * (1.5 - out))
    other = "left" if side == "right" else "right"
    guard = rng.uniform(0.0, 0.8)
    a.arm(other, guard * ready, 1.5 * guard * ready)
    a.twist(side, rng.uniform(0.2, 1.0) * (out - 0.5 * ready))
    a.lean(rng.uniform(0.0, 0.9) * out)
    _recoil(rng, t, b, when + 0.8 * rise, rng.uniform(0.3, 1.0), fold=0.25)


def _push(rng: np.random.Generator, t: np.ndarray, a: Person, b: Person) -> None:
    when = _meet(rng, t, a, b)
    _lunge(rng, t, a, when)
    rise, hold = rng.uniform(0.25, 0.5), rng.uniform(0.05, 0.9)
    ready = rng.uniform(0.2, 1.0) * _pulse(t, when - 0.3, 0.3, rise, 0.3)
    out = _pulse(t, when, rise, hold, rng.uniform(0.3, 0.6))
    raised, bent = rng.uniform(1.0, 1.6), rng.uniform(0.0, 0.5)
    for side in ("left", "right"):
        own = rng.uniform(0.85, 1.15)
        a.arm(side, own * raised * np.maximum(out, 0.5 * ready), 1.5 * ready * (1 - out) + bent * out)
    a.lean(rng.uniform(0.1, 0.7) * out)
    _recoil(rng, t, b, when + 0.6 * rise, rng.uniform(0.4, 1.0), fold=0.1)
    away = rng.uniform(0.2, 1.4) * _pulse(t, when + 0.6 * rise, 0.7, 9.0, 1.0)
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
    return film_actions(rng, label, size)[0]


def film_actions(rng: np.random.Generator, label: int, size: int) -> tuple[Tensor, Tensor]:
    """The video of `draw_actions`, and where joints are in it: float32 [N, people, 20, 2], shares of its width and
    height, first who does it, then the other, if anybody."""
    t = np.arange(round(rng.uniform(*SECONDS) * FPS)) / FPS
    name = CLASSES[label]
    gap = rng.uniform(0.9, 2.6)
    people = [Person(np.zeros((len(t), len(JOINTS), 3)), np.full(len(t), -gap / 2), np.zeros(len(t))) for _ in "ab"]
    for who in people:
        _sway(rng, t, who)
    DOING[name](rng, t, *people)
    alone = name not in TOGETHER and rng.random() < 0.4
    turn, mirror = rng.uniform(-0.6, 0.6), rng.random() < 0.5
    bodies = [placed(rng, who, turn, left=bool(i) == mirror) for i, who in enumerate(people[: 1 if alone else 2])]
    if rng.random() < 0.1:
        bodies.append(_passer_by(rng, t, bodies))
    return filmed(rng, bodies, size, 1 if alone else 2)


def _passer_by(rng: np.random.Generator, t: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """Somebody who goes across behind all others."""
    gap = rng.uniform(1.0, 4.0)
    who = Person(np.zeros((len(t), len(JOINTS), 3)), np.full(len(t), -gap / 2), np.zeros(len(t)))
    _sway(rng, t, who)
    _stride(rng, t, who, np.full(len(t), rng.uniform(0.6, 1.4)))
    joints = placed(rng, who, rng.uniform(-0.3, 0.3), left=rng.random() < 0.5)
    joints[..., 2] += max(body[..., 2].max() for body in others) + 1.0 - joints[..., 2].min()
    return joints


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

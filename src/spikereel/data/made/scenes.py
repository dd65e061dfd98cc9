"""Procedural motion clips: the default data, where the class is in the motion and in nothing else.

One textured shape moves over a static background among static shapes that look like it. Its pose at any one instant -
x and y on a torus, angle, log-radius - is uniform and independent for every class, so a single rgb frame carries no
information on the class, exactly and not just on average: 10 % is the ceiling of any single-frame classifier.
(An event frame is the difference of two instants, so it does show motion.)
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikereel.data.events.simulate import log_intensity
from spikereel.data.made.shapes import Pose, background, draw, keypoints, paint, random_look
from spikereel.errors import ConfigError

CLASSES = ("left", "right", "up", "down", "clockwise", "counterclockwise", "zoom_in", "zoom_out", "shake", "still")

# Part of the fingerprint: raise it whenever the same (seed, index) gives other pixels.
_CONTENT_VERSION = 3
_DIRECTION = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_TURN = {"clockwise": 1, "counterclockwise": -1}
_GROWTH = {"zoom_in": 1, "zoom_out": -1}


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Ranges that each clip draws its own motion from; per frame, so they do not depend on the clip's length."""

    shift: tuple[float, float] = (0.05, 0.12)
    """Share of the short side that a move goes; also the step of a shake."""
    turn: tuple[float, float] = (10.0, 28.0)
    """Degrees of a turn."""
    zoom: tuple[float, float] = (0.06, 0.09)
    """Change of the logarithm of the radius."""
    radius: tuple[float, float] = (0.14, 0.50)
    """Share of the short side; a zoom past one end goes on from the other."""


def draw_pose(
    rng: np.random.Generator, label: int, *, frames: int, height: int, width: int, speeds: Speeds | None = None
) -> Pose:
    """Poses at the instants -1, 0 .. frames - 1 (so T = frames + 1) of a clip of class `label`.

    Every class takes the same draws in the same order: a uniform start on a torus of four dimensions, then a path that
    does not depend on the start. A sum modulo the period of a uniform variable and an independent one is uniform, hence
    the pose at each instant has the same distribution for all classes.
    At 8 frames 47 % of the zooms pass an end of the radius range and jump back once.
    """
    speeds = speeds or Speeds()
    kind, steps, side = CLASSES[label], np.arange(-1, frames), min(height, width)
    start_x, start_y, start_angle, start_radius = rng.random(4)
    shift = rng.uniform(*speeds.shift) * side
    turn = np.radians(rng.uniform(*speeds.turn))
    zoom = rng.uniform(*speeds.zoom)
    # Consecutive jitters point nearly opposite ways, so no run of a shake looks like a translation.
    jitter = np.cumsum(rng.uniform(2 / 3 * np.pi, 4 / 3 * np.pi, frames + 1)) + rng.uniform(0, 2 * np.pi)

    right, down = _DIRECTION.get(kind, (0, 0))
    reach = 0.55 * shift * (kind == "shake")
    low, high = np.log(speeds.radius)
    phase = start_radius + _GROWTH.get(kind, 0) * zoom * steps / (high - low)
    return Pose(
        x=(start_x * width + right * shift * steps + reach * np.cos(jitter)) % width,
        y=(start_y * height + down * shift * steps + reach * np.sin(jitter)) % height,
        angle=(start_angle * 2 * np.pi + _TURN.get(kind, 0) * turn * steps) % (2 * np.pi),
        radius=side * np.exp(low + (high - low) * (phase % 1.0)),
    )


def events_from(video: np.ndarray, *, threshold: float) -> np.ndarray:
    """ON and OFF events between consecutive rgb frames: [T + 1, 3, H, W] in [0, 1] -> float32 [T, 2, H, W] of 0 and 1.

    Channel 0 (ON) is 1 where the log of the luma rose by `threshold` or more, channel 1 (OFF) where it fell so.
    """
    change = np.diff(log_intensity(video), axis=0)
    return np.stack([change >= threshold, change <= -threshold], axis=1).astype(np.float32)


SURFACE_DECAY = 0.6


def time_surface(events: np.ndarray, *, decay: float = SURFACE_DECAY) -> np.ndarray:
    """How recent the last event of each pixel is: [T, 2, H, W] of 0 and 1 -> float32 of the same shape in [0, 1].

    s[t] = max(e[t], decay s[t - 1]): 1 at an event, then fading, so a moving edge draws a tail behind it.
    Source: Lagorce et al. 2017 (HOTS), with the age in frames.
    """
    surface = events.astype(np.float32)
    for t in range(1, len(surface)):
        np.maximum(surface[t], np.float32(decay) * surface[t - 1], out=surface[t])
    return surface


class MotionClips(Dataset):
    """`length` clips of ten motions; item i is `(video, label)` with label i % 10.

    video: float32 [T, 3, H, W] in [0, 1] for "rgb", float32 [T, 2, H, W] of 0 and 1 for "events" (see `events_from`;
    the first frame is compared with an instant before the clip); for "surface", the time surface of those events.
    With `targets=True` items are `(video, label, targets)`, where targets holds for the moving object
        "mask"       bool [T, H, W]
        "keypoints"  float32 [T, 4, 2], xy in pixels: front (the bright end), right-hand side, back, left-hand side
        "visible"    bool [T, 4]: the pixel nearest to the keypoint is in the mask.
    The object moves on a torus: what leaves at one border comes in at the other. In "still" clips nothing but the
    drawing order tells the object from the clutter; use `clutter=0` where that matters.

    A clip depends on (seed, index) and the options only, never on the order, the worker or the process; two seeds share
    no clip. Raises ConfigError for an option out of range, IndexError past the end.
    """

    classes = CLASSES

    def __init__(
        self,
        length: int,
        *,
        seed: int = 0,
        frames: int = 8,
        height: int = 64,
        width: int = 64,
        modality: Literal["rgb", "events", "surface"] = "rgb",
        noise: float = 0.03,
        clutter: int = 3,
        threshold: float = 0.25,
        targets: bool = False,
    ):
        _check("length", length, 0, 2**32)
        # SeedSequence splits larger seeds into words, and then two pairs (seed, index) could meet.
        _check("seed", seed, 0, 2**32 - 1)
        _check("frames", frames, 1)
        _check("height", height, 16)
        _check("width", width, 16)
        _check("noise", noise, 0)
        _check("clutter", clutter, 0)
        _check("threshold", threshold, 1e-6)
        if modality not in ("rgb", "events", "surface"):
            raise ConfigError(f"modality is {modality!r}: choose 'rgb', 'events' or 'surface'")
        self.length, self.seed, self.frames, self.height, self.width = length, seed, frames, height, width
        self.modality, self.threshold = modality, threshold
        self.noise, self.clutter, self.targets = noise, clutter, targets

    @property
    def channels(self) -> int:
        """3 for rgb, 2 for events and their surface."""
        return 3 if self.modality == "rgb" else 2

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if not -self.length <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        index %= self.length
        label = index % len(CLASSES)
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, index]))
        pose = draw_pose(rng, label, frames=self.frames, height=self.height, width=self.width)
        if self.modality == "rgb":
            pose = _without_first(pose)
        video, cover = self._render(rng, pose)
        if self.modality != "rgb":
            video = events_from(video, threshold=self.threshold)
        if self.modality == "surface":
            video = time_surface(video)
        clip = torch.from_numpy(video), label
        return (*clip, self._targets(pose, cover)) if self.targets else clip

    def fingerprint(self) -> str:
        """sha256 (hex) of everything the clips depend on: the data hash of a run."""
        options = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        text = json.dumps({"motion": _CONTENT_VERSION, "classes": CLASSES, **options}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _render(self, rng: np.random.Generator, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Frames [T, 3, H, W] at every instant of the pose, and the object's cover [T, H, W]."""
        size: dict[str, Any] = {"height": self.height, "width": self.width}
        canvas = background(rng, **size)
        for _ in range(self.clutter):
            # One instant of any class has the distribution that the object has at each of its own.
            distractor = draw_pose(rng, CLASSES.index("still"), frames=0, **size)
            look = random_look(rng)
            canvas = paint(canvas, look, *draw(look, distractor, **size))[0]
        look = random_look(rng)
        cover, texture = draw(look, pose, **size)
        video = paint(canvas, look, cover, texture)
        video *= rng.uniform(0.98, 1.02, (len(video), 1, 1, 1)).astype(np.float32)
        if self.noise:
            video += np.float32(self.noise) * rng.standard_normal(video.shape, dtype=np.float32)
        return np.clip(video, 0, 1, out=video), cover

    def _targets(self, pose: Pose, cover: np.ndarray) -> dict[str, Tensor]:
        mask = cover[-self.frames :] > 0.5
        points = keypoints(pose, height=self.height, width=self.width)[-self.frames :]
        x = np.clip(np.rint(points[..., 0]).astype(int), 0, self.width - 1)
        y = np.clip(np.rint(points[..., 1]).astype(int), 0, self.height - 1)
        visible = mask[np.arange(self.frames)[:, None], y, x]
        return {
            "mask": torch.from_numpy(mask),
            "keypoints": torch.from_numpy(points),
            "visible": torch.from_numpy(visible),
        }


def _without_first(pose: Pose) -> Pose:
    return Pose(pose.x[1:], pose.y[1:], pose.angle[1:], pose.radius[1:])


def _check(name: str, value: float, low: float, high: float = float("inf")) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}: it must be from {low} to {high}")

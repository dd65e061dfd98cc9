"""An articulated 3D figure: how it walks, gestures and squats, and how it looks in grey and in depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from spikereel.body.bvh import Motion, read_bvh
from spikereel.body.camera import Camera
from spikereel.body.rotations import forward_kinematics, matrix_from_axis_angle
from spikereel.body.skeletons import KINECT20
from spikereel.errors import DataError

FPS = 30.0

# Metres from the parent in rest, arms hanging, facing the camera (towards -z); x right, y down. Left is at -x, as in
# the mirrored pictures of UTD-MHAD. The other side follows.
_REST = {
    "head": (0.0, -0.22, 0.0),
    "shoulder_center": (0.0, -0.36, 0.0),
    "spine": (0.0, -0.08, 0.0),
    "hip_center": (0.0, 0.0, 0.0),
    "left_shoulder": (-0.17, 0.06, 0.0),
    "left_elbow": (0.0, 0.27, 0.0),
    "left_wrist": (0.0, 0.25, 0.0),
    "left_hand": (0.0, 0.08, 0.0),
    "left_hip": (-0.08, 0.07, 0.0),
    "left_knee": (0.0, 0.43, 0.0),
    "left_ankle": (0.0, 0.39, 0.0),
    "left_foot": (0.0, 0.05, -0.12),
}
_RADIUS = {
    "head": 0.10,
    "shoulder_center": 0.11,
    "spine": 0.13,
    "hip_center": 0.13,
    "shoulder": 0.065,
    "elbow": 0.045,
    "wrist": 0.035,
    "hand": 0.04,
    "hip": 0.09,
    "knee": 0.06,
    "ankle": 0.045,
    "foot": 0.04,
}
JOINTS = {name: j for j, name in enumerate(KINECT20.joints)}
"""Numbers of the joints of KINECT20 by name."""
_PARENTS = KINECT20.parents
RADII = np.array(
    [_RADIUS[name.split("_", 1)[1] if name.startswith(("left_", "right_")) else name] for name in KINECT20.joints]
)
"""Thickness of the figure at every joint of KINECT20, metres."""

_ALIASES = {
    "head": ("head",),
    "shoulder_center": ("neck", "chest", "spine2", "spine1"),
    "spine": ("spine", "lowerback"),
    "hip_center": ("hips", "hip", "pelvis"),
    "shoulder": ("upperarm_x", "xarm", "xshoulder"),
    "elbow": ("lowerarm_x", "xforearm", "xelbow"),
    "wrist": ("hand_x", "xhand", "xwrist"),
    "hip": ("upperleg_x", "xupleg", "xhip"),
    "knee": ("lowerleg_x", "xleg", "xknee"),
    "ankle": ("foot_x", "xfoot", "xankle"),
    "foot": ("toes_x", "xtoebase", "xtoe"),
}
"""Names of the joints in motion files, small; x is the side: l or r at the end, left or right in front."""

_BODY_HEIGHT = 1.45
"""Metres from head to ankle that motions from files are brought to."""


def draw_motion(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Joints of KINECT20, float32 [frames, 20, 3] metres around the root, of a random person that walks, gestures or
    squats at 30 frames a second and looks anywhere within 60 degrees of the camera."""
    t = np.arange(frames) / FPS
    angles = np.zeros((frames, len(_PARENTS), 3))
    doing = _DOING[rng.integers(len(_DOING))]
    doing(rng, t, angles)
    sway = rng.normal(0, 0.08, 3)
    angles[:, JOINTS["spine"]] += sway * waves(rng, t)[:, None]
    angles[:, JOINTS["hip_center"], 1] += rng.uniform(-1.05, 1.05) + rng.normal(0, 0.5) * t
    rotations = matrix_from_axis_angle(torch.from_numpy(angles))
    offsets = torch.from_numpy(random_rest(rng)).expand(frames, -1, -1)
    return forward_kinematics(rotations, offsets, _PARENTS)[1].float().numpy()


def motion_joints(motion: Motion, path: str | PathLike) -> np.ndarray:
    """Joints of KINECT20 out of a motion file, float32 [T, 20, 3] metres around the root, y down, of a usual height.

    Hands, which files end before, go on from the forearm. DataError names a joint that the file does not have.
    """
    names = {name.lower().rsplit(":", 1)[-1]: j for j, name in reversed(list(enumerate(motion.names)))}
    x = motion.joints()
    out = np.zeros((len(x), len(_PARENTS), 3))
    for name, j in JOINTS.items():
        side, _, part = name.partition("_")
        part = part if side in ("left", "right") else name
        if part == "hand":
            continue
        options = [form for alias in _ALIASES[part] for form in _sides(alias, side)]
        found = next((names[option] for option in options if option in names), None)
        if found is None:
            raise DataError(
                f"{path}: has no joint for {name} among {', '.join(motion.names)}; rename one of its joints"
            )
        # y goes down, the person faces the camera, and is mirrored as in the pictures of KINECT20.
        out[:, j] = -x[:, found]
    for side in ("left", "right"):
        elbow, wrist = out[:, JOINTS[f"{side}_elbow"]], out[:, JOINTS[f"{side}_wrist"]]
        out[:, JOINTS[f"{side}_hand"]] = wrist + 0.32 * (wrist - elbow)
    out -= out[:, [KINECT20.root]]
    legs = [JOINTS["left_ankle"], JOINTS["right_ankle"]]
    height = np.median(out[:, legs, 1].mean(1) - out[:, JOINTS["head"], 1])
    if not height > 0:
        raise DataError(f"{path}: nobody stands in it, the head is not above the feet; give a motion with y up")
    return (out * (_BODY_HEIGHT / height)).astype(np.float32)


def read_motions(folder: Path) -> list[np.ndarray]:
    """`motion_joints` of all BVH files of a folder at 30 frames a second, sorted by name. Raises DataError for none."""
    paths = sorted(folder.glob("*.bvh"))
    if not paths:
        raise DataError(f"{folder}: has no .bvh files; give a folder of motion captures")
    motions = []
    for path in paths:
        motion = read_bvh(path)
        joints = motion_joints(motion, path)
        times = np.arange(max(round(len(joints) * motion.seconds * FPS), 1)) / FPS / motion.seconds
        motions.append(joints[times.round().astype(int).clip(0, len(joints) - 1)])
    return motions


@dataclass(frozen=True, kw_only=True)
class PersonLook:
    """How a figure is lit and what is behind it, in a grey picture."""

    light: tuple[float, float, float]
    """Direction the light comes from, of unit length."""
    albedo: float
    background: np.ndarray
    """float32 [S, S] in [0, 1]."""


def draw_look(rng: np.random.Generator, size: int) -> PersonLook:
    """A random light, and a background of a few soft blobs that is darker or lighter than the figure."""
    light = rng.normal(size=3) * (1.0, 1.0, 0.3) + (0.0, -0.6, -1.5)
    albedo = rng.uniform(0.55, 1.0)
    grid = (np.arange(size) + 0.5) / size
    background = np.full((size, size), rng.uniform(0.05, 0.4), dtype=np.float32)
    for _ in range(4):
        x, y, width, weight = rng.random(), rng.random(), rng.uniform(0.1, 0.4), rng.normal(0, 0.12)
        background += weight * np.exp(-((grid - x) ** 2 + (grid[:, None] - y) ** 2) / width**2)
    return PersonLook(light=tuple(light / np.linalg.norm(light)), albedo=albedo, background=background.clip(0, 1))


def render(
    joints: np.ndarray,
    camera: Camera,
    size: int,
    *,
    bones: Sequence[tuple[int, int]] = tuple(KINECT20.bones),
    radii: np.ndarray = RADII,
) -> tuple[np.ndarray, np.ndarray]:
    """Depth float32 [T, S, S] in metres, infinite where nobody is, and normals float32 [T, S, S, 3] of the surface.

    joints [T, J, 3] metres in front of the camera, whose numbers are in shares of the picture. Every bone is a capsule
    whose radius goes from that of one joint to that of the other, drawn as its outline seen from afar: a pixel lies in
    it where its distance from the bone's line in the picture, at the bone's depth, is below the radius there.
    """
    grid = ((np.arange(size) + 0.5) / size).astype(np.float32)
    u, v = grid[None, None, :], grid[None, :, None]
    z = np.maximum(joints[..., 2], 0.1).astype(np.float32)
    seen = np.stack([camera.fx * joints[..., 0] / z + camera.cx, camera.fy * joints[..., 1] / z + camera.cy], -1)
    seen = seen.astype(np.float32)
    depth = np.full((len(joints), size, size), np.inf, dtype=np.float32)
    normals = np.zeros((*depth.shape, 3), dtype=np.float32)
    for a, b in bones:
        (ua, va), (ub, vb) = (seen[:, j].T[:, :, None, None] for j in (a, b))
        along_u, along_v = ub - ua, vb - va
        length = np.maximum(along_u**2 + along_v**2, 1e-8)
        share = (((u - ua) * along_u + (v - va) * along_v) / length).clip(0, 1)
        za, zb = z[:, a, None, None], z[:, b, None, None]
        middle = za + share * (zb - za)
        radius = np.float32(radii[a]) + share * np.float32(radii[b] - radii[a])
        x = (u - ua - share * along_u) * middle / np.float32(camera.fx)
        y = (v - va - share * along_v) * middle / np.float32(camera.fy)
        height = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))
        front = np.where(x**2 + y**2 < radius**2, middle - height, np.inf)
        nearer = front < depth
        depth[nearer] = front[nearer]
        normals[nearer] = (np.stack([x, y, -height], -1) / radius[..., None])[nearer]
    return depth, normals


def shade(depth: np.ndarray, normals: np.ndarray, look: PersonLook) -> np.ndarray:
    """A grey picture float32 [T, S, S] in [0, 1]: light from one side and a little from everywhere."""
    lit = np.maximum(normals @ np.array(look.light, dtype=np.float32), 0)
    figure = np.float32(look.albedo) * (0.25 + 0.75 * lit)
    return np.where(np.isfinite(depth), figure, look.background).clip(0, 1).astype(np.float32)


def random_rest(rng: np.random.Generator) -> np.ndarray:
    """Offsets [20, 3] of a random person: of one size, each limb a little longer or shorter, alike on both sides."""
    size = rng.uniform(0.88, 1.08)
    rest = np.zeros((len(_PARENTS), 3))
    for name, offset in _REST.items():
        own = np.array(offset) * size * rng.uniform(0.94, 1.06)
        rest[JOINTS[name]] = own
        if name.startswith("left_"):
            rest[JOINTS[name.replace("left_", "right_")]] = own * (-1.0, 1.0, 1.0)
    return rest


def _walk(rng: np.random.Generator, t: np.ndarray, angles: np.ndarray) -> None:
    """Gait: legs in opposite phase, knees bent in swing, arms against the legs."""
    phase = 2 * np.pi * (rng.uniform(0.7, 1.3) * t + rng.random())
    step, arms = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.7)
    for side, shift in (("left", 0.0), ("right", np.pi)):
        swing = np.sin(phase + shift)
        angles[:, JOINTS[f"{side}_hip"], 0] = -step * swing
        angles[:, JOINTS[f"{side}_knee"], 0] = 1.6 * step * np.maximum(np.cos(phase + shift), 0) + 0.05
        angles[:, JOINTS[f"{side}_shoulder"], 0] = arms * swing
        angles[:, JOINTS[f"{side}_elbow"], 0] = -0.3 - 0.3 * arms * (1 - swing)
    angles[:, JOINTS["spine"], 1] = 0.1 * np.sin(phase)


def _gesture(rng: np.random.Generator, t: np.ndarray, angles: np.ndarray) -> None:
    """One arm or both go from one random posture to the next."""
    moving = (("left",), ("right",), ("left", "right"))[rng.integers(3)]
    for side in moving:
        out = 1.0 if side == "left" else -1.0
        raised, spread, twist, bent = (
            _postures(rng, t, *ends) for ends in ((-2.6, 0.3), (0.0, 1.8), (-0.8, 0.8), (-2.2, 0.0))
        )
        angles[:, JOINTS[f"{side}_shoulder"]] = np.stack([raised, twist, out * spread], -1)
        angles[:, JOINTS[f"{side}_elbow"], 0] = bent
    angles[:, JOINTS["spine"], 0] = _postures(rng, t, -0.05, 0.25)


def _squat(rng: np.random.Generator, t: np.ndarray, angles: np.ndarray) -> None:
    """Down and up again, leaning forward, the arms in front."""
    low = _postures(rng, t, 0.0, 1.0)
    lean, arms = rng.uniform(0.2, 0.6), rng.uniform(0.0, 1.5)
    for side in ("left", "right"):
        angles[:, JOINTS[f"{side}_hip"], 0] = -1.5 * low
        angles[:, JOINTS[f"{side}_knee"], 0] = 2.0 * low
        angles[:, JOINTS[f"{side}_ankle"], 0] = -0.5 * low
        angles[:, JOINTS[f"{side}_shoulder"], 0] = -arms * low
    # What stands up from the root looks towards -z.
    angles[:, JOINTS["spine"], 0] = lean * low


_DOING: tuple[Callable[[np.random.Generator, np.ndarray, np.ndarray], None], ...] = (_walk, _gesture, _gesture, _squat)


def _postures(rng: np.random.Generator, t: np.ndarray, low: float, high: float) -> np.ndarray:
    """A smooth way between random values, one every 0.3 to 0.9 seconds."""
    times = np.cumsum(rng.uniform(0.3, 0.9, int(t[-1] / 0.3) + 3)) - 0.6
    values = rng.uniform(low, high, len(times))
    i = (np.searchsorted(times, t, side="right") - 1).clip(0, len(times) - 2)
    share = ((t - times[i]) / (times[i + 1] - times[i])).clip(0, 1)
    return values[i] + (values[i + 1] - values[i]) * (1 - np.cos(np.pi * share)) / 2


def waves(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """A slow wave between -1 and 1, of random phase."""
    return np.sin(2 * np.pi * (rng.uniform(0.1, 0.5) * t + rng.random()))


def _sides(alias: str, side: str) -> tuple[str, ...]:
    """Forms of an alias for one side of the body."""
    if "x" not in alias or side not in ("left", "right"):
        return (alias,)
    return tuple(alias.replace("x", form, 1) for form in (side, side[0]))

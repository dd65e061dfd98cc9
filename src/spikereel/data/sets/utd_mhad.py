"""UTD-MHAD (Chen, Jafari, Kehtarnavaz 2015): 27 actions of 8 people before a Kinect; depth video and 3D joints."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from zlib import error as DeflateError

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.data.clips import SeededClips, fingerprint
from spikereel.data.npz import load_arrays
from spikereel.data.pose import check_joints
from spikereel.data.trails import bent, on_off, past
from spikereel.data.turn import Turn
from spikereel.data.video.read import VideoInfo
from spikereel.data.walk import visible
from spikereel.errors import ConfigError, DataError

CLASSES = (
    "swipe_left",
    "swipe_right",
    "wave",
    "clap",
    "throw",
    "arm_cross",
    "basketball_shoot",
    "draw_x",
    "draw_circle_clockwise",
    "draw_circle_counter_clockwise",
    "draw_triangle",
    "bowling",
    "boxing",
    "baseball_swing",
    "tennis_swing",
    "arm_curl",
    "tennis_serve",
    "push",
    "knock",
    "catch",
    "pickup_throw",
    "jog",
    "walk",
    "sit_to_stand",
    "stand_to_sit",
    "lunge",
    "squat",
)
OFFICIAL = {"train": (1, 3, 5, 7), "test": (2, 4, 6, 8)}
"""Subjects of the official protocol."""

RANGE_MM = 1500.0
"""Depth that goes from 0 to 1 in the pictures, half of it before and half behind the middle of the person."""

RATE = 30
"""Frames a second."""

_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_t(?P<trial>\d+)(?:_depth)?")
_FARTHEST = 65535
"""Millimetres; as many as uint16 holds."""
_MARGIN = 1.1
"""Side of the square around the person, over the longer side of the person's box."""
_BACKGROUND = 0.05
"""The smallest value of a person; the background is 0."""
_TRIM = 0.1
"""Share of the clip that training leaves out at either end, at most."""
_BEND = 0.5
"""Share of the speed that training adds at one end and takes from the other, at most."""


@dataclass(frozen=True, kw_only=True)
class DepthReading:
    """How depth videos become clips. Raises ConfigError for numbers out of range."""

    frames: int
    """Frames of a clip, T, spread over the whole video."""
    size: int
    """Side of the picture in pixels."""
    motion: bool = False
    """Three channels: depth, what came closer since the frame before, and what went away."""
    history: float = 0.0
    """Seconds; with motion, depth is compared with the mean of the past, of this time constant, not with one frame."""
    train: bool = False
    """Whether clips are for training: with ends cut off at random, and the changes below."""
    shift: int = 0
    """Pixels of the picture that the person is moved by, at most."""
    rotate: float = 0.0
    """Degrees that the picture is turned by, at most."""
    zoom: float = 0.0
    """The factors of width and height are log-uniform from 1 / (1 + zoom) to 1 + zoom."""
    seed: int = 0

    def __post_init__(self):
        if min(self.frames, self.size) < 1 or min(self.history, self.shift, self.rotate, self.zoom, self.seed) < 0:
            raise ConfigError(f"{self}: frames and size are at least 1, the others not below 0")
        if self.history and not self.motion:
            raise ConfigError(f"a history of {self.history} s is one of motion; give motion=True as well")


class UTDMHAD(SeededClips[int]):
    """Depth clips of some subjects: items `(video, label)`, float32 [T, 1, size, size], or 3 channels with motion.

    `root` holds aA_sS_tT.npz (see `read_depth_and_joints`), or the official folders Depth/ and Skeleton/. A clip shows
    the square around the person in all its frames; the values are those of `picture`. `subjects=None` takes all that
    are there.
    With `reading.train` an item is random, see `SeededClips`. A video is decoded once and kept in memory, frames x size
    x size bytes, with a history three times that.
    Raises DataError for a folder without clips of those subjects, and a broken file when it is reached.
    """

    classes = CLASSES

    def __init__(self, root: str | PathLike, reading: DepthReading, *, subjects: Collection[int] | None = None):
        super().__init__(reading.seed)
        self.root, self.reading = Path(root), reading
        found = [clip for clip in find_clips(self.root) if subjects is None or clip[2] in subjects]
        self.samples = [(path, label) for path, label, _ in found]
        if not self.samples:
            raise DataError(f"{root}: has no clips of subjects {sorted(subjects or ())}; give the folder that has them")
        self.labels = [label for _, label in self.samples]
        self.subjects = [subject for _, _, subject in found]
        self._pictures: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def item(self, index: int) -> tuple[Tensor, int]:
        """A clip and its label."""
        if index not in self._pictures:
            self._pictures[index] = _pictures(read_depth_and_joints(self.samples[index][0])[0], self.reading)
        generator = self.random(index) if self.reading.train else None
        return _clip(self._pictures[index], self.reading, generator)[0], self.labels[index]

    def depth(self, index: int) -> np.ndarray:
        """All frames of a clip: uint16 [T, 120, 160], millimetres, background 0."""
        return read_depth_and_joints(self.samples[index][0])[0]

    def joints(self, index: int) -> np.ndarray:
        """float32 [T, 20, 3], metres in the frame of the camera (x right, y up, z away), at the frames of `depth`."""
        return read_depth_and_joints(self.samples[index][0])[1]

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all clips: the data hash of a run."""
        return fingerprint(self.root, self.samples)


def find_clips(root: Path) -> list[tuple[Path, int, int]]:
    """(depth file, label, subject) of every clip, by name. Raises DataError for none, and a name of another form."""
    folder = root / "Depth" if (root / "Depth").is_dir() else root
    clips = []
    for path in [p for p in visible(folder) if p.suffix.lower() in (".npz", ".mat")] if folder.is_dir() else ():
        name = _NAME.fullmatch(path.stem)
        if name is None or not 1 <= int(name["action"]) <= len(CLASSES):
            raise DataError(f"{path}: is not named aA_sS_tT with A from 1 to {len(CLASSES)}; rename or remove it")
        clips.append((path, int(name["action"]) - 1, int(name["subject"])))
    if not clips:
        raise DataError(f"{root}: has no clips aA_sS_tT.npz, nor a folder Depth/ with aA_sS_tT_depth.mat")
    return clips


def is_clip_name(stem: str) -> bool:
    """Whether a file's name, without its ending, is that of a clip: aA_sS_tT, of depth alone with _depth behind it."""
    return _NAME.fullmatch(stem) is not None


def read_depth_and_joints(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Depth, uint16 [T, 120, 160] mm with background 0, and joints, float32 [T, 20, 3] metres.

    From an NPZ file with `depth` and `joints`; or from Depth/aA_sS_tT_depth.mat, `d_depth` [240, 320, T] of which every
    second row and column is taken, and Skeleton/aA_sS_tT_skeleton.mat, `d_skel` [20, 3, T].
    Depth may be of any integers, in .mat of any whole numbers, from 0 to 65535. Raises DataError for a file that is
    missing or of other contents, depth of other values, and joints that are not finite; ConfigError without scipy for
    .mat.
    """
    if path.suffix == ".mat":
        skeleton = path.parent.with_name("Skeleton") / path.name.replace("_depth", "_skeleton")
        depth = _mat(path, "d_depth")[::2, ::2].transpose(2, 0, 1)
        joints = _mat(skeleton, "d_skel").transpose(2, 0, 1)
    else:
        skeleton = path
        depth, joints = _npz(path)
    if depth.shape[1:] != (120, 160) or joints.shape != (len(depth), 20, 3) or not len(depth):
        raise DataError(
            f"{path}: depth is {list(depth.shape)} and joints {list(joints.shape)}, not [T, 120, 160] and [T, 20, 3]; "
            f"copy it again"
        )
    return _millimetres(path, depth), _metres(skeleton, joints)


def read_depth(path: Path) -> np.ndarray:
    """Depth alone, uint16 [T, H, W] mm with background 0: from an NPZ file with `depth`, an NPY file, or .mat as in
    `read_depth_and_joints`. Raises as `read_depth_and_joints`.
    """
    if path.suffix.lower() == ".mat":
        depth = _mat(path, "d_depth")[::2, ::2].transpose(2, 0, 1)
    else:
        arrays = _arrays(path)
        depth = arrays.get("depth", arrays.get(""))
    if depth is None or depth.ndim != 3 or not depth.size:
        found = "nothing of that name" if depth is None else f"{depth.dtype} {list(depth.shape)}"
        raise DataError(f"{path}: holds {found}; give `depth`, uint16 [T, H, W] in mm, background 0")
    return _millimetres(path, depth)


def depth_info(depth: np.ndarray) -> VideoInfo:
    """What a depth video is: 30 frames a second, and "depth" for a codec."""
    frames, height, width = depth.shape
    return VideoInfo(frames=frames, fps=float(RATE), width=width, height=height, codec="depth", seconds=frames / RATE)


def depth_clip(depth: np.ndarray, reading: DepthReading) -> tuple[Tensor, tuple[int, ...]]:
    """A video as an item of `UTDMHAD` that is not for training: uint16 [N, H, W] mm -> float32 [T, C, size, size], and
    which frames these are."""
    return _clip(_pictures(depth, reading), reading, None)


def _pictures(depth: np.ndarray, how: DepthReading) -> Tensor:
    """All frames, with what a history makes of them: uint8 [N, C, size, size]."""
    pictures = picture(depth, how.size)[:, None]
    if how.motion and how.history:
        pictures = torch.cat([pictures, *on_off(pictures - past(pictures, RATE * how.history))], dim=1)
    return (pictures * 255).round().to(torch.uint8)


def _clip(pictures: Tensor, how: DepthReading, generator: np.random.Generator | None) -> tuple[Tensor, tuple[int, ...]]:
    """Some of all frames as an item, random with a generator, and which."""
    # One frame more, before the first, for its motion.
    times = _times(len(pictures), how.frames + 1, generator)
    video = pictures[times].float() / 255
    if generator is not None:
        turn = Turn(rotate=how.rotate, zoom=how.zoom, shift=how.shift)
        video = turn.at(generator.uniform(-1, 1, 5).tolist(), how.size, beyond="zeros")(video)
    chosen = tuple(times[1:].tolist())
    if not how.motion or how.history:
        return video[1:], chosen
    return torch.cat([video[1:], *on_off(video[1:] - video[:-1])], dim=1), chosen


def picture(depth: np.ndarray, size: int) -> Tensor:
    """The square around the person in all frames: uint16 [T, H, W] mm -> float32 [T, size, size] in [0, 1].

    0 is background; a person is 0.5 + (m - depth) / RANGE_MM, kept within [0.05, 1], with m the median depth of the
    clip's person: closer is brighter. Beyond the frame there is background.
    """
    person = depth > 0
    values = torch.from_numpy(depth_values(depth, person))
    top, left, side = square(person)
    height, width = depth.shape[1:]
    # Negative padding cuts off.
    cut = F.pad(values, (-left, left + side - width, -top, top + side - height))
    return F.interpolate(cut[:, None], (size, size), mode="bilinear", antialias=True, align_corners=False)[:, 0]


def depth_values(depth: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The values of `picture` for a depth [T, H, W] in mm and the mask of the person, before any cutting."""
    values = 0.5 + (np.median(depth[person]) - depth.astype(np.float32)) / RANGE_MM
    return np.where(person, values.clip(_BACKGROUND, 1), 0).astype(np.float32)


def square(person: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of the square around a person in all frames of a mask [T, H, W], in pixels."""
    rows, columns = (np.flatnonzero(person.any(axis=(0, axis))) for axis in (2, 1))
    side = int(np.ceil(_MARGIN * max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1))
    top, left = ((int(line[0] + line[-1]) + 1 - side) // 2 for line in (rows, columns))
    return top, left, side


def _times(total: int, frames: int, generator: np.random.Generator | None) -> Tensor:
    """Which frames of a video make a clip: spread evenly over it; in training without some of its ends, and faster at
    one than at the other."""
    start, stop, bend = (0.0,) * 3 if generator is None else generator.uniform([0, 0, -_BEND], [_TRIM, _TRIM, _BEND])
    return (bent(frames, start, stop, bend) * (total - 1)).round().long()


def _millimetres(path: Path, depth: np.ndarray) -> np.ndarray:
    """Depth as uint16, none of whose values is changed by that."""
    # MATLAB keeps whole numbers as double; anywhere else a float is more likely in metres.
    whole = depth.dtype.kind in "iu" or (path.suffix.lower() == ".mat" and _is_whole(depth))
    if not whole or depth.min() < 0 or depth.max() > _FARTHEST:
        values = f", {depth.min():g} to {depth.max():g}" if depth.dtype.kind in "iuf" else ""
        raise DataError(
            f"{path}: depth is {depth.dtype}{values}; give whole millimetres from 0 to {_FARTHEST}, as uint16"
        )
    if not depth.any():
        raise DataError(f"{path}: shows nobody, its depth is 0 everywhere; copy it again or leave it out")
    return np.ascontiguousarray(depth, np.uint16)


def _is_whole(numbers: np.ndarray) -> bool:
    return numbers.dtype.kind == "f" and bool((np.isfinite(numbers) & (numbers == np.rint(numbers))).all())


def _metres(path: Path, joints: np.ndarray) -> np.ndarray:
    """Joints as float32, all finite."""
    if joints.dtype.kind not in "iuf":
        raise DataError(f"{path}: joints are {joints.dtype}; give metres, as float32")
    with np.errstate(over="ignore"):
        metres = np.ascontiguousarray(joints, np.float32)
    check_joints(metres, path)
    return metres


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = _arrays(path)
    if not {"depth", "joints"} <= arrays.keys():
        raise DataError(f"{path}: has no depth and joints but {', '.join(arrays) or 'nothing'}; copy it again")
    return arrays["depth"], arrays["joints"]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    return load_arrays(path, "copy it again")


def _mat(path: Path, name: str) -> np.ndarray:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise ConfigError(f"{path}: is a MATLAB file, which needs scipy; run pip install 'spikereel[mat]'") from None
    if not path.is_file():
        raise DataError(f"{path}: no such file; copy it from the dataset")
    try:
        array = loadmat(path, variable_names=[name])[name]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        IndexError,
        MemoryError,
        NotImplementedError,
        DeflateError,
        MatReadError,
    ) as error:
        raise DataError(f"{path}: cannot be read as MATLAB's {name} ({error}); copy it again") from error
    if array.ndim != 3:
        raise DataError(f"{path}: {name} is {list(array.shape)}, not of three dimensions; copy it again")
    return array

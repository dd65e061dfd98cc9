"""Who builds clips that are made, and not read."""

from typing import Any

from spikereel.data.made.probes import ProbeClips
from spikereel.data.made.scenes import MotionClips
from spikereel.data.mask_clips import SegmentationClips
from spikereel.data.pose import PoseClips
from spikereel.data.sets.actions import ActionClips, ActionReading
from spikereel.data.sets.figure import FigureClips
from spikereel.data.sets.motion import MotionMasks, MotionVideos
from spikereel.data.sets.probe import ProbeVideos
from spikereel.runs import readings
from spikereel.runs.data import SPLITS, DataSpec
from spikereel.runs.kind import Ask


def motion(spec: DataSpec, ask: Ask) -> MotionVideos:
    """Motions of procedural clips."""
    train = ask.split == "train"
    length = spec.train_length if train else spec.test_length
    clips = _scenes(spec, 2**31 if train else length, spec.seed + SPLITS.index(ask.split), targets=False)
    mean, std = _statistics(spec)
    return MotionVideos(
        clips, length, mean=mean, std=std, focus=spec.focus if train else (), simulated=spec.modality != "rgb"
    )


def motion_masks(spec: DataSpec, ask: Ask) -> SegmentationClips:
    """The same with a mask for every frame."""
    length = spec.train_length if ask.split == "train" else spec.test_length
    clips = _scenes(spec, 2**31, spec.seed + 3 * ask.seed + SPLITS.index(ask.split), targets=True)
    mean, std = _statistics(spec)
    return MotionMasks(clips, length, mean=mean, std=std)


def probe(spec: DataSpec, ask: Ask) -> ProbeVideos:
    """Questions about what lies far apart in time."""
    train = ask.split == "train"
    length = spec.train_length if train else spec.test_length
    modality: Any = spec.modality
    clips = ProbeClips(
        2**31 if train else length,
        probe=spec.probe,
        gap=spec.gap,
        frames=spec.frames,
        size=spec.size,
        modality=modality,
        seed=spec.seed + SPLITS.index(ask.split),
    )
    mean, std = _statistics(spec)
    return ProbeVideos(clips, length, mean=mean, std=std)


def actions(spec: DataSpec, ask: Ask) -> ActionClips:
    """People who do something."""
    train = ask.split == "train"
    reading = ActionReading(
        frames=spec.frames,
        size=spec.size,
        trails=spec.trails,
        time_warp=spec.time_warp if train else 0.0,
        mean=spec.mean,
        std=spec.std,
    )
    seed = spec.seed + SPLITS.index(ask.split)
    return ActionClips(spec.train_length if train else spec.test_length, reading, seed=seed)


def _scenes(spec: DataSpec, clips: int, seed: int, *, targets: bool) -> MotionClips:
    modality: Any = spec.modality
    return MotionClips(
        clips, seed=seed, frames=spec.frames, height=spec.size, width=spec.size, modality=modality, targets=targets
    )


def _statistics(spec: DataSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Normalisation of colours; events stay 0 and 1."""
    return (spec.mean, spec.std) if spec.modality == "rgb" else ((0.0,), (1.0,))


def figure(spec: DataSpec, ask: Ask) -> PoseClips:
    """The articulated figure."""
    length = spec.train_length if ask.split == "train" else spec.test_length
    return FigureClips(length, readings.figure_reading(spec, ask.split, ask.seed), motions=spec.root)

"""Which clips with masks a DataSpec means."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from spikereel.data.made.scenes import MotionClips
from spikereel.data.mask_clips import Colour, MaskReading, SegmentationClips, bit_palette
from spikereel.data.sets import camvid, cityscapes, vspw
from spikereel.data.sets.camvid import CamVid
from spikereel.data.sets.cityscapes import Cityscapes
from spikereel.data.sets.masks import CLASS_LIST as LIST
from spikereel.data.sets.masks import MaskFolder, read_classes
from spikereel.data.sets.motion import MotionMasks
from spikereel.data.sets.vspw import VSPW
from spikereel.errors import ConfigError
from spikereel.runs.config import DataSpec
from spikereel.runs.splits import CHOSEN_BY, HELD_OUT, root_of, split_folder

Split = Literal["train", "val", "test"]

PUBLISHED_STRIDE = 3
"""data.stride where none is given: the offsets -9, -6, -3, 0 of CFFM."""


def build_segmentation_dataset(spec: DataSpec, split: Split, *, seed: int = 0) -> SegmentationClips:
    """The clips of a split, items `(clip float32 [T, C, H, W], masks int64 [T, H, W])`, 255 where nothing is labelled.

    For training, all labelled frames of a clip have their masks; else the frame at offset 0 alone, so that each is
    judged once, with the frames before it. motion: all frames have masks, and each split clips of its own.
    Raises ConfigError for data without masks, and options that such data do not have.
    """
    build = BUILD.get(spec.kind)
    if build is None:
        raise ConfigError(f"data.kind={spec.kind} has no masks; choose one of {', '.join(BUILD)}")
    if spec.modality != "rgb" and spec.kind != "motion":
        raise ConfigError(f"data.modality is {spec.modality}: {spec.kind} has rgb")
    if spec.trails or spec.time_warp:
        raise ConfigError("data.trails and data.time_warp are for actions; masks are of the frames as they are")
    return build(spec, split, seed)


def norm_clips(spec: DataSpec, *, seed: int = 0) -> SegmentationClips:
    """Training clips whole, or in boxes like the windows they are judged in, and not changed: for statistics of norms.

    Those after an attention go with the number of tokens, so that a crop's do not serve a whole frame.
    """
    plain = replace(spec, crop=spec.window, scale=(1.0, 1.0), flip=False, jitter=0.0, gamma=0.0)
    return build_segmentation_dataset(plain, "train", seed=seed)


def offsets_of(spec: DataSpec, stride: int = 1) -> tuple[int, ...]:
    """Offsets of the frames of a clip: `data.offsets`, or `data.frames` of them up to 0, `data.stride` apart.

    stride: where none is given. Raises ConfigError where frames and offsets contradict each other.
    """
    if not spec.offsets:
        step = spec.stride or stride
        return tuple(range(-step * (spec.frames - 1), 1, step))
    if len(spec.offsets) != spec.frames:
        raise ConfigError(
            f"data.offsets has {len(spec.offsets)} numbers, data.frames is {spec.frames}; "
            f"give data.frames={len(spec.offsets)}"
        )
    return spec.offsets


def offset_seconds(spec: DataSpec) -> float | None:
    """Seconds that one step of an offset means in the data of a spec; None where that is not known."""
    if spec.kind == "camvid":
        return 1 / camvid.RATE if spec.offset_unit == "numbers" else 1.0
    return {"cityscapes": 1 / cityscapes.RATE, "vspw": 1 / vspw.RATE}.get(spec.kind)


def palette_of(spec: DataSpec, classes: Sequence[str]) -> list[Colour]:
    """The colours of classes: those of their data, where it is known or at hand, else `bit_palette`."""
    known: Any = {"camvid": camvid.LABELS, "cityscapes": cityscapes.LABEL_IDS, "motion": MotionMasks}.get(spec.kind)
    if spec.kind == "masks" and spec.root and (path := Path(spec.root, LIST)).is_file():
        known = read_classes(path)
    return known.palette if known and tuple(known.classes) == tuple(classes) else bit_palette(len(classes))


def _reading(spec: DataSpec, split: Split, seed: int, *, stride: int = 1) -> MaskReading:
    return MaskReading(
        offsets=offsets_of(spec, stride),
        unit=spec.offset_unit,
        size=spec.size,
        train=split == "train",
        scale=spec.scale,
        crop=spec.crop,
        flip=0.5 if spec.flip else 0.0,
        jitter=spec.jitter,
        gamma=spec.gamma,
        mean=spec.mean,
        std=spec.std,
        seed=seed,
    )


def _camvid(spec: DataSpec, split: Split, seed: int) -> SegmentationClips:
    return CamVid(root_of(spec), _reading(spec, split, seed), split=split, held_out=spec.held_out)


def _motion(spec: DataSpec, split: Split, seed: int) -> SegmentationClips:
    if spec.modality in ("depth", "grey"):
        raise ConfigError(f"data.modality is {spec.modality}: motion has rgb, events and surface")
    length = spec.train_length if split == "train" else spec.test_length
    clips = MotionClips(
        2**31,
        seed=spec.seed + 3 * seed + ("train", "val", "test").index(split),
        frames=spec.frames,
        height=spec.size,
        width=spec.size,
        modality=spec.modality,
        targets=True,
    )
    mean, std = (spec.mean, spec.std) if spec.modality == "rgb" else ((0.0,), (1.0,))
    return MotionMasks(clips, length, mean=mean, std=std)


def _cityscapes(spec: DataSpec, split: Split, seed: int) -> SegmentationClips:
    return _official(spec, split, Cityscapes, _reading(spec, split, seed, stride=PUBLISHED_STRIDE))


def _vspw(spec: DataSpec, split: Split, seed: int) -> SegmentationClips:
    return _official(spec, split, VSPW, _reading(spec, split, seed, stride=PUBLISHED_STRIDE))


def _official(
    spec: DataSpec, split: Split, kind: type[Cityscapes] | type[VSPW], reading: MaskReading
) -> SegmentationClips:
    """Data whose official `val` is for test; every tenth training video is to choose by, or `val` is."""
    if split == "test" or (split == "val" and spec.select_on_test):
        return kind(root_of(spec), reading, split="val")
    clips = kind(root_of(spec), reading, split="train")
    if spec.select_on_test:
        return clips
    return clips.part(lambda i: (i % CHOSEN_BY == 0) == (split == "val"))


def _masks(spec: DataSpec, split: Split, seed: int) -> SegmentationClips:
    root, reading = root_of(spec), _reading(spec, split, seed)
    folder = split_folder(root, split)
    if folder is not None:
        own = folder / LIST
        return MaskFolder(folder, reading, classes=own if own.is_file() else root / LIST)
    clips = MaskFolder(root, reading)
    return clips if split == "test" else clips.part(lambda i: ((i - spec.fold) % HELD_OUT == 0) == (split == "val"))


BUILD: dict[str, Callable[[DataSpec, Split, int], SegmentationClips]] = {
    "motion": _motion,
    "camvid": _camvid,
    "cityscapes": _cityscapes,
    "vspw": _vspw,
    "masks": _masks,
}
"""By `data.kind`."""

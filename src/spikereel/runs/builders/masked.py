"""Who builds clips of frames with masks."""

from pathlib import Path
from typing import Any, Literal

from spikereel.data.mask_clips import SegmentationClips
from spikereel.data.sets import camvid, cityscapes, masks, vspw
from spikereel.runs import readings, splits
from spikereel.runs.data import DataSpec
from spikereel.runs.kind import MASKS, Ask, Build, Kind, Use
from spikereel.runs.splits import own_split, root_of


def one_sequence(spec: DataSpec, ask: Ask) -> SegmentationClips:
    """CamVid without one sequence."""
    reading = readings.mask_reading(spec, ask.split, ask.seed)
    return camvid.CamVid(root_of(spec), reading, split=ask.split, held_out=spec.held_out)


def official_val(cls: type[cityscapes.Cityscapes] | type[vspw.VSPW]) -> Build:
    """Data whose official `val` is for test. Offsets are those of CFFM, 3 frames apart, where none are given."""

    def build(spec: DataSpec, ask: Ask) -> SegmentationClips:
        own: Literal["train", "val"] = "val" if own_split(spec, ask.split) == "test" else "train"
        clips = cls(root_of(spec), readings.mask_reading(spec, ask.split, ask.seed, stride=3), split=own)
        return clips if own == "val" or spec.select_on_test else clips.part(splits.chosen_by(ask.split))

    return build


def own(spec: DataSpec, ask: Ask) -> SegmentationClips:
    """One's own frames and masks."""
    root, reading = root_of(spec), readings.mask_reading(spec, ask.split, ask.seed)
    folder, shared = splits.folder_of(root, ask.split) or (root, True)
    own = folder / masks.CLASS_LIST
    clips = masks.MaskFolder(folder, reading, classes=own if own.is_file() else root / masks.CLASS_LIST)
    whole = ask.split == "test" or not shared
    return clips if whole else clips.part(splits.videos_of(clips, spec, ask.split))


def own_labels(spec: DataSpec) -> Any:
    """The classes and colours that lie beside one's own masks; None without."""
    path = Path(spec.root or ".", masks.CLASS_LIST)
    return masks.read_classes(path) if spec.root and path.is_file() else None


def kind(build: Build, *reads: str, **facts: Any) -> Kind:
    """A kind of frames with masks."""
    return Kind(uses={"segmentation": Use(build=build, reads=MASKS | set(reads))}, keeps_size=True, **facts)

"""The kinds of data: one row each, which says who builds the clips, what they show and which options they read.

Everything that differs from kind to kind stands in this table or in the file of the kind in `spikereel.data.sets`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import KINECT20, SMPL24, Skeleton
from spikereel.data.events.reading import EventReading
from spikereel.data.events.source import Sensor
from spikereel.data.made.scenes import MotionClips
from spikereel.data.mask_clips import Colour, SegmentationClips, bit_palette
from spikereel.data.pose import PoseClips
from spikereel.data.sets import (
    asl_dvs,
    camvid,
    cifar10_dvs,
    cityscapes,
    dailydvs200,
    hardvs,
    masks,
    mmhpsd,
    n_caltech101,
    n_cars,
    nmnist,
    utd_mhad,
    vspw,
)
from spikereel.data.sets.dvs128_gesture import DVS128Gesture
from spikereel.data.sets.dvs128_objects import WINDOW_US, DVS128Objects
from spikereel.data.sets.dvs_gesture_chain import DVSGestureChain
from spikereel.data.sets.events import EventFolder
from spikereel.data.sets.figure import FigureClips
from spikereel.data.sets.folder import VideoFolder
from spikereel.data.sets.hmdb51 import HMDB51
from spikereel.data.sets.jester import Jester
from spikereel.data.sets.kinetics import Kinetics
from spikereel.data.sets.list import VideoList
from spikereel.data.sets.motion import MotionMasks, MotionVideos
from spikereel.data.sets.ntu import NTU60, NTU120
from spikereel.data.sets.shards import PackedClips
from spikereel.data.sets.something_v2 import SomethingV2
from spikereel.data.sets.ucf101 import UCF101
from spikereel.data.sets.ut_interaction import UTInteraction
from spikereel.data.sets.utd_mhad_pose import UTDMHADPose
from spikereel.data.shard_index import INDEX
from spikereel.errors import ConfigError
from spikereel.runs import readings, splits
from spikereel.runs.data import SPLITS, DataSpec, Split
from spikereel.runs.splits import official, own_split, part_of, root_of


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Which clips of a kind are wanted."""

    split: Split
    seed: int = 0
    """Of everything random."""
    classes: tuple[str, ...] | None = None
    """Those of the trained model, so that a folder may lack some."""
    views: bool = False
    """All views of a video, else the middle one."""
    progress: Callable[[int, int], None] | None = None
    """Told how many of how many files were looked at."""


Build = Callable[[DataSpec, Ask], Any]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A kind of data for one task."""

    build: Build
    reads: frozenset[str]
    """Options of `data.*` that change something, beside those of `COMMON`."""
    modalities: tuple[str, ...] = ("rgb",)
    """What can be seen of it. rgb, the default, stands for nothing said where the only choice is another one."""
    recordings: bool = False
    """Whether clips are made of event recordings."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of data."""

    uses: Mapping[str, Use]
    """By task; `task.modality` where a modality has a row of its own."""
    file: str | None = None
    """The file in `spikereel.data.sets`; None where it is called as the kind."""
    depth: bool = False
    """Pictures of one channel, three with motion."""
    event_channels: int = 2
    sensor: Sensor | None = None
    """Width and height, for files that may not state it."""
    keeps_size: bool = False
    """Whether clips may have the size of the frames, `data.size=0`."""
    films_depth: bool = False
    """Whether its pictures are depth, and its events simulated from that."""
    skeleton: Skeleton | None = None
    camera: Camera = STANDARD
    """Of poses: the camera that sees what the network sees."""
    judged_step: int | None = None
    """Of poses: frames of the recording from one frame of a clip to the next in judging; None is data.stride."""
    window_us: int | None = None
    """Microseconds of a recording that make a clip; None takes it whole."""
    step_seconds: Callable[[DataSpec], float] | None = None
    """What one step of an offset means; None where that is not known."""
    labels: Callable[[DataSpec], Any] | None = None
    """Where classes and colours of masks are known: something with `classes` and `palette`, or None."""


VIDEO = frozenset(
    {
        *(
            "root",
            "stride",
            "trails",
            "time_warp",
            "mean",
            "std",
            "antialias",
            "whole",
            "colour",
            "channel_order",
            "aspect",
            "crop_area",
            "flip",
            "mirror",
            "simulate",
        ),
        *("randaugment", "jitter", "erasing", "copies", "clips", "crops", "average", "on_error", "cache"),
    }
)
EVENTS = frozenset(
    {
        *(
            "root",
            "counts",
            "form",
            "by",
            "bin_us",
            "tau_us",
            "flip",
            "mirror",
            "shift",
            "rotate",
            "zoom",
            "drop",
            "polarity_flip",
        ),
        *("jitter_us", "on_error"),
    }
)
MASKS = frozenset(
    {
        *(
            "root",
            "stride",
            "mean",
            "std",
            "flip",
            "mirror",
            "jitter",
            "gamma",
            "offsets",
            "offset_unit",
            "scale",
            "crop",
            "window",
        ),
        "overlap",
    }
)
MADE = frozenset({"train_length", "test_length", "seed", "stride"})
COMMON = frozenset({"kind", "split", "frames", "size", "workers", "modality"})
"""Options that every kind reads."""

REFUSED: dict[str, tuple[str, ...]] = {
    "trails": ("classification", "pose", "segmentation"),
    "simulate": ("classification",),
    "time_warp": ("pose", "segmentation"),
}
"""Options that are an error, and not idle, where a row of these tasks does not read them."""


def use_of(spec: DataSpec, task: str) -> Use:
    """The row of a kind for a task; ConfigError where it has none."""
    uses = KINDS[spec.kind].uses
    use = uses.get(f"{task}.{spec.modality}") or uses.get(task)
    if use is None:
        others = [name for name, row in KINDS.items() if task in row.uses]
        raise ConfigError(f"data.kind={spec.kind} is not for task={task}; choose one of {', '.join(others)}")
    return use


def channels_of(spec: DataSpec) -> int:
    """Channels of the clips."""
    row = KINDS[spec.kind]
    if spec.simulate is not None or sees_recordings(spec):
        return 2
    if spec.modality in ("events", "surface"):
        return row.event_channels
    if row.depth:
        return 3 if spec.depth_motion or spec.trails else 1
    return 3


def sees_recordings(spec: DataSpec) -> bool:
    """Whether the clips are made of event recordings."""
    uses = KINDS[spec.kind].uses
    return any(use.recordings for name, use in uses.items() if "." not in name or name.endswith(f".{spec.modality}"))


def sensor_of(spec: DataSpec) -> Sensor | None:
    """Width and height for recordings that do not state them: those given, or of the camera that the dataset is of."""
    if spec.sensor and (len(spec.sensor) != 2 or min(spec.sensor) < 1):
        raise ConfigError(f"data.sensor is {list(spec.sensor)}: give [width, height] in pixels, such as [128, 128]")
    return (spec.sensor[0], spec.sensor[1]) if spec.sensor else KINDS[spec.kind].sensor


def offset_seconds(spec: DataSpec) -> float | None:
    """Seconds that one step of an offset means in the data of a spec; None where that is not known."""
    step = KINDS[spec.kind].step_seconds
    return None if step is None else step(spec)


def step_of(spec: DataSpec) -> int:
    """Frames of the recording from one frame of a clip of poses to the next, where it is judged."""
    return KINDS[spec.kind].judged_step or spec.stride or readings.POSE_STRIDE


def palette_of(spec: DataSpec, classes: Sequence[str]) -> list[Colour]:
    """The colours of classes: those of their data, where it is known or at hand, else `bit_palette`."""
    labels = KINDS[spec.kind].labels
    known = None if labels is None else labels(spec)
    return known.palette if known and tuple(known.classes) == tuple(classes) else bit_palette(len(classes))


def _videos(load: Callable[[DataSpec, Ask, Any], Any], **changes: Any) -> Kind:
    """A kind of video files; load: makes the clips with a reading."""

    def build(spec: DataSpec, ask: Ask) -> Any:
        reading = readings.video_reading(spec, ask.split, seed=ask.seed, views=ask.views, progress=ask.progress)
        return load(spec, ask, reading)

    reads = VIDEO | changes.pop("reads", frozenset())
    return Kind(uses={"classification": Use(build=build, reads=reads)}, **changes)


def _recordings(load: Callable[[DataSpec, Ask, Any], Any], *reads: str, **changes: Any) -> Kind:
    """A kind of event recordings."""
    return Kind(uses={"classification": _recorded(load, *reads)}, **changes)


def _recorded(load: Callable[[DataSpec, Ask, Any], Any], *reads: str) -> Use:
    def build(spec: DataSpec, ask: Ask) -> Any:
        return load(spec, ask, readings.event_reading(spec, train=ask.split == "train", seed=ask.seed))

    return Use(build=build, reads=EVENTS | set(reads), modalities=("events",), recordings=True)


def _folders(spec: DataSpec, ask: Ask, load: Callable[[Path, tuple[str, ...] | None], Any]) -> Any:
    """The folder of a split with the classes of training, or a part of one folder."""
    root = root_of(spec)
    found = splits.folder_of(root, ask.split)
    if found is None:
        return part_of(load(root, ask.classes), spec, ask.split)
    folder, shared = found
    clips = load(folder, ask.classes or splits.train_classes(root))
    return part_of(clips, spec, ask.split) if shared else clips


def _folder(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    return _folders(spec, ask, lambda root, classes: VideoFolder(root, reading, classes=classes))


def _list(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    return part_of(VideoList(root_of(spec), reading, classes=ask.classes), spec, ask.split)


def _ut_interaction(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    if ask.split == "test":
        return UTInteraction(root_of(spec), reading, split="all")
    return UTInteraction(root_of(spec), reading, split="train" if ask.split == "train" else "test", fold=spec.fold)


def _thirds(cls: type[UCF101] | type[HMDB51]) -> Callable[[DataSpec, Ask, Any], Any]:
    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        if spec.fold not in (1, 2, 3):
            raise ConfigError(f"data.fold is {spec.fold}: {spec.kind} has the official splits 1, 2 and 3")
        fold: Any = spec.fold
        return official(spec, ask.split, lambda own: cls(root_of(spec), reading, split=own, fold=fold))

    return load


def _ntu(cls: type[NTU60] | type[NTU120]) -> Callable[[DataSpec, Ask, Any], Any]:
    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        protocol: Any = spec.protocol
        if protocol == "official":
            raise ConfigError(
                f"data.protocol is official, which {spec.kind} has not: choose one of the cross_... protocols"
            )
        return official(spec, ask.split, lambda own: cls(root_of(spec), reading, split=own, protocol=protocol))

    return load


def _kinetics(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    return Kinetics(root_of(spec), reading, split=ask.split, classes=ask.classes)


def _packed(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """Shards, which may be a URL: those of the split where they are packed apart in a folder, else by a fifth."""
    if spec.on_error == "skip":
        raise ConfigError("data.on_error=skip cannot look into shards; leave bad files out when packing")
    root_of(spec)
    assert spec.root is not None
    options: Any = {"classes": ask.classes}
    if sees_recordings(spec):
        options["sensor"] = sensor_of(spec)
    elif spec.cache is not None:
        raise ConfigError("data.cache is for video files and dvs128_gesture; shards are read as they are")
    folder, shared = splits.folder_of(Path(spec.root), ask.split) or (None, True)
    if folder is not None and (folder / INDEX).is_file():
        clips = PackedClips(folder, reading, **options)
        return part_of(clips, spec, ask.split) if shared else clips
    return part_of(PackedClips(spec.root, reading, **options), spec, ask.split)


def _events(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    options: Any = {"on_error": spec.on_error, "sensor": sensor_of(spec)}
    return _folders(spec, ask, lambda root, classes: EventFolder(root, reading, classes=classes, **options))


def _listed(cls: Callable[..., Any], *options: str) -> Callable[[DataSpec, Ask, Any], Any]:
    """Recordings with a list, or a rule of ours, that says what is for training and what for test."""

    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        own: Any = {name: getattr(spec, name) for name in ("on_error", *options)}
        return official(spec, ask.split, lambda split: cls(root_of(spec), reading, split=split, **own))

    return load


def _nmnist(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    root = root_of(spec)
    if nmnist.has_folders(root):
        return _listed(nmnist.NMNIST)(spec, ask, reading)
    return part_of(nmnist.NMNIST(root, reading, on_error=spec.on_error), spec, ask.split)


def _dvs128_objects(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    part: Any = {"train": "earlier", "val": "later", "test": "all"}[ask.split]
    return DVS128Objects(root_of(spec), reading, part=part, classes=ask.classes, on_error=spec.on_error)


def _dailydvs200(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    return dailydvs200.DailyDVS200(root_of(spec), reading, split=ask.split, on_error=spec.on_error)


def _chains(spec: DataSpec, ask: Ask) -> DVSGestureChain:
    train = ask.split == "train"
    return DVSGestureChain(
        root_of(spec),
        EventReading(bins=spec.frames, values=spec.counts, size=(spec.size, spec.size), train=train, seed=ask.seed),
        split=ask.split,
        length=spec.chain_length,
        gestures=spec.chain_gestures,
        repeat=spec.chain_repeat,
        seed=spec.seed,
        cache=spec.cache,
        on_error=spec.on_error,
    )


def _motion(spec: DataSpec, ask: Ask) -> MotionVideos:
    train = ask.split == "train"
    length = spec.train_length if train else spec.test_length
    clips = _scenes(spec, 2**31 if train else length, spec.seed + SPLITS.index(ask.split), targets=False)
    mean, std = _statistics(spec)
    return MotionVideos(
        clips, length, mean=mean, std=std, focus=spec.focus if train else (), simulated=spec.modality != "rgb"
    )


def _motion_masks(spec: DataSpec, ask: Ask) -> SegmentationClips:
    length = spec.train_length if ask.split == "train" else spec.test_length
    clips = _scenes(spec, 2**31, spec.seed + 3 * ask.seed + SPLITS.index(ask.split), targets=True)
    mean, std = _statistics(spec)
    return MotionMasks(clips, length, mean=mean, std=std)


def _scenes(spec: DataSpec, clips: int, seed: int, *, targets: bool) -> MotionClips:
    modality: Any = spec.modality
    return MotionClips(
        clips, seed=seed, frames=spec.frames, height=spec.size, width=spec.size, modality=modality, targets=targets
    )


def _statistics(spec: DataSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Normalisation of colours; events stay 0 and 1."""
    return (spec.mean, spec.std) if spec.modality == "rgb" else ((0.0,), (1.0,))


def _utd_mhad(spec: DataSpec, ask: Ask) -> Any:
    root, reading = root_of(spec), readings.depth_reading(spec, train=ask.split == "train", seed=ask.seed)
    if spec.protocol == "official":
        load = lambda own: utd_mhad.UTDMHAD(root, reading, subjects=utd_mhad.OFFICIAL[own])  # noqa: E731
        return official(spec, ask.split, load)
    return utd_mhad.UTDMHAD(root, reading, subjects=_subjects(spec, ask.split))


def _utd_mhad_pose(spec: DataSpec, ask: Ask) -> PoseClips:
    root, reading = root_of(spec), readings.window_reading(spec, ask.split, ask.seed)
    if spec.protocol != "official":
        return UTDMHADPose(root, reading, subjects=_subjects(spec, ask.split))
    own = own_split(spec, ask.split)
    # windows of a recording stay together, so that recordings are what is held out
    keep = splits.everything
    if own == "train" and not spec.select_on_test:
        found = [x for x in utd_mhad.find_clips(root) if x[2] in utd_mhad.OFFICIAL[own]]
        keep = splits.recordings_of([path for path, _, _ in found], [label for _, label, _ in found], ask.split)
    return UTDMHADPose(root, reading, subjects=utd_mhad.OFFICIAL[own], keep=keep)


def _subjects(spec: DataSpec, split: Split) -> set[int] | None:
    """Subjects of UTD-MHAD: the one `data.fold` to judge on, all others that are there to train on, all for test."""
    if split == "test":
        return None
    present = {subject for _, _, subject in utd_mhad.find_clips(root_of(spec))}
    if spec.fold not in present:
        raise ConfigError(
            f"data.fold is {spec.fold}: the subjects in {spec.root} are {', '.join(map(str, sorted(present)))}"
        )
    return present - {spec.fold} if split == "train" else {spec.fold}


def _figure(spec: DataSpec, ask: Ask) -> PoseClips:
    length = spec.train_length if ask.split == "train" else spec.test_length
    return FigureClips(length, readings.figure_reading(spec, ask.split, ask.seed), motions=spec.root)


def _mmhpsd(spec: DataSpec, ask: Ask) -> PoseClips:
    root, test = root_of(spec), mmhpsd.TEST_SUBJECTS
    reading = readings.stream_reading(spec, ask.split, ask.seed)
    if spec.depth_motion:
        raise ConfigError("data.depth_motion is for utd_mhad and the figure; of mmhpsd leave it false")
    others = {subject for _, subject in mmhpsd.find_streams(root)} - set(test)
    return mmhpsd.MMHPSD(root, reading, subjects=others if ask.split == "train" else test)


def _camvid(spec: DataSpec, ask: Ask) -> SegmentationClips:
    reading = readings.mask_reading(spec, ask.split, ask.seed)
    return camvid.CamVid(root_of(spec), reading, split=ask.split, held_out=spec.held_out)


def _masked(cls: type[cityscapes.Cityscapes] | type[vspw.VSPW]) -> Build:
    """Data whose official `val` is for test. Offsets are those of CFFM, 3 frames apart, where none are given."""

    def build(spec: DataSpec, ask: Ask) -> SegmentationClips:
        own: Literal["train", "val"] = "val" if own_split(spec, ask.split) == "test" else "train"
        clips = cls(root_of(spec), readings.mask_reading(spec, ask.split, ask.seed, stride=3), split=own)
        return clips if own == "val" or spec.select_on_test else clips.part(splits.chosen_by(ask.split))

    return build


def _masks(spec: DataSpec, ask: Ask) -> SegmentationClips:
    root, reading = root_of(spec), readings.mask_reading(spec, ask.split, ask.seed)
    folder, shared = splits.folder_of(root, ask.split) or (root, True)
    own = folder / masks.CLASS_LIST
    clips = masks.MaskFolder(folder, reading, classes=own if own.is_file() else root / masks.CLASS_LIST)
    whole = ask.split == "test" or not shared
    return clips if whole else clips.part(splits.videos_of(clips, spec, ask.split))


def _own_labels(spec: DataSpec) -> Any:
    path = Path(spec.root or ".", masks.CLASS_LIST)
    return masks.read_classes(path) if spec.root and path.is_file() else None


def _masked_kind(build: Build, *reads: str, **facts: Any) -> Kind:
    return Kind(uses={"segmentation": Use(build=build, reads=MASKS | set(reads))}, keeps_size=True, **facts)


_CHAIN = frozenset({"chain_length", "chain_gestures", "chain_repeat"})
_OFFICIAL = frozenset({"select_on_test"})
_WARPED = frozenset({"shift", "rotate", "zoom"})
_SUBJECTS = frozenset({"root", "fold", "protocol", "select_on_test", "depth_motion"}) | _WARPED

KINDS: dict[str, Kind] = {
    "motion": Kind(
        uses={
            "classification": Use(
                build=_motion,
                reads=MADE | {"mean", "std", "whole", "antialias", "focus", "simulate"},
                modalities=("rgb", "events", "surface"),
            ),
            "segmentation": Use(
                build=_motion_masks,
                reads=MADE | {"mean", "std", "window", "overlap"},
                modalities=("rgb", "events", "surface"),
            ),
        },
        labels=lambda spec: MotionMasks,
    ),
    "folder": _videos(_folder, reads={"fold", "seed"}),
    "list": _videos(_list, reads={"fold", "seed"}),
    "ut_interaction": _videos(_ut_interaction, reads={"fold"}),
    "ucf101": _videos(_thirds(UCF101), reads=_OFFICIAL | {"fold"}),
    "hmdb51": _videos(_thirds(HMDB51), reads=_OFFICIAL | {"fold"}),
    "ntu60": _videos(_ntu(NTU60), reads=_OFFICIAL | {"protocol"}, file="ntu"),
    "ntu120": _videos(_ntu(NTU120), reads=_OFFICIAL | {"protocol"}, file="ntu"),
    "kinetics400": _videos(_kinetics, file="kinetics"),
    "kinetics600": _videos(_kinetics, file="kinetics"),
    "something_v2": _videos(lambda spec, ask, reading: SomethingV2(root_of(spec), reading, split=ask.split)),
    "jester": _videos(lambda spec, ask, reading: Jester(root_of(spec), reading, split=ask.split)),
    "utd_mhad": Kind(
        uses={
            "classification": Use(build=_utd_mhad, reads=_SUBJECTS | {"trails", "simulate"}, modalities=("depth",)),
            "pose": Use(
                build=_utd_mhad_pose, reads=_SUBJECTS | {"stride", "flip", "smpl"}, modalities=("depth", "events")
            ),
        },
        depth=True,
        films_depth=True,
        skeleton=KINECT20,
    ),
    "events": _recordings(_events, "fold", "seed", "sensor"),
    "dvs128_gesture": _recordings(_listed(DVS128Gesture, "cache"), "select_on_test", "cache"),
    "dvs128_objects": _recordings(_dvs128_objects, window_us=WINDOW_US),
    "nmnist": _recordings(_nmnist, "fold", "seed", "select_on_test"),
    "cifar10_dvs": _recordings(
        _listed(cifar10_dvs.CIFAR10DVS, "split_rule", "axes"),
        *("select_on_test", "sensor", "split_rule", "axes"),
        sensor=cifar10_dvs.SENSOR,
    ),
    "hardvs": _recordings(_listed(hardvs.HARDVS), "select_on_test", "sensor", sensor=hardvs.SENSOR),
    "asl_dvs": _recordings(
        _listed(asl_dvs.ASLDVS, "split_rule", "axes"),
        *("select_on_test", "sensor", "split_rule", "axes"),
        sensor=asl_dvs.SENSOR,
    ),
    "n_caltech101": _recordings(
        _listed(n_caltech101.NCaltech101, "split_rule", "axes"),
        *("select_on_test", "sensor", "split_rule", "axes"),
        sensor=n_caltech101.SENSOR,
    ),
    "n_cars": _recordings(_listed(n_cars.NCars), "select_on_test", "sensor", sensor=n_cars.SENSOR),
    "dailydvs200": _recordings(_dailydvs200, "sensor", sensor=dailydvs200.SENSOR),
    "dvs_gesture_chain": Kind(
        uses={
            "classification": Use(
                build=_chains,
                reads=frozenset({"root", "counts", "cache", "on_error", "seed"} | _CHAIN),
                modalities=("events",),
                recordings=True,
            )
        }
    ),
    "figure": Kind(
        uses={
            "pose": Use(
                build=_figure, reads=MADE | {"root", "depth_motion", "smpl"}, modalities=("depth", "grey", "events")
            )
        },
        depth=True,
        skeleton=KINECT20,
    ),
    "mmhpsd": Kind(
        uses={
            "pose": Use(
                build=_mmhpsd,
                reads=_WARPED | {"root", "stride", "flip", "depth_motion", "smpl"},
                modalities=("events", "grey"),
            )
        },
        depth=True,
        event_channels=mmhpsd.SLICES,
        skeleton=SMPL24,
        camera=mmhpsd.CAMERA,
        judged_step=mmhpsd.TEST_GAP,
    ),
    "camvid": _masked_kind(
        _camvid,
        "held_out",
        labels=lambda spec: camvid.LABELS,
        step_seconds=lambda spec: 1 / camvid.RATE if spec.offset_unit == "numbers" else 1.0,
    ),
    "cityscapes": _masked_kind(
        _masked(cityscapes.Cityscapes),
        *_OFFICIAL,
        labels=lambda spec: cityscapes.LABEL_IDS,
        step_seconds=lambda spec: 1 / cityscapes.RATE,
    ),
    "vspw": _masked_kind(_masked(vspw.VSPW), *_OFFICIAL, step_seconds=lambda spec: 1 / vspw.RATE),
    "masks": _masked_kind(_masks, "fold", "seed", labels=_own_labels),
    "shards": Kind(
        uses={
            **_videos(_packed, reads={"fold", "seed"}).uses,
            "classification.events": _recorded(_packed, "fold", "seed", "sensor"),
        }
    ),
}
"""By `data.kind`."""

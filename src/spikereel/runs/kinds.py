"""The kinds of data: one row each, which says who builds the clips, what they show and which options they read.

Everything that differs from kind to kind stands in this table or in the file of the kind in `spikereel.data.sets`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spikereel.body.skeletons import KINECT20, SMPL24
from spikereel.data.events.mat import SUFFIX as MAT
from spikereel.data.events.readers import read_events
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, Told
from spikereel.data.events.text import SUFFIXES as TEXTS
from spikereel.data.mask_clips import Colour, bit_palette
from spikereel.data.sets import (
    asl_dvs,
    bullying10k,
    camvid,
    cifar10_dvs,
    cityscapes,
    dailydvs200,
    dvs128_gesture,
    dvs_lip,
    hardvs,
    mmhpsd,
    n_caltech101,
    n_cars,
    sl_animals,
    thu_e_act_50,
    ucf101_dvs,
    vspw,
)
from spikereel.data.sets.dvs128_gesture import DVS128Gesture
from spikereel.data.sets.dvs128_objects import WINDOW_US
from spikereel.data.sets.hmdb51 import HMDB51
from spikereel.data.sets.jester import Jester
from spikereel.data.sets.motion import MotionMasks
from spikereel.data.sets.ntu import NTU60, NTU120
from spikereel.data.sets.something_v2 import SomethingV2
from spikereel.data.sets.ucf101 import UCF101
from spikereel.errors import ConfigError
from spikereel.runs import readings
from spikereel.runs.builders import made, masked, packed, people, recordings, videos
from spikereel.runs.data import DataSpec
from spikereel.runs.kind import COMMON, EVENTS, MADE, MASKS, REFUSED, VIDEO, Ask, Build, Kind, Use
from spikereel.runs.splits import root_of

__all__ = [
    "COMMON",
    "EVENTS",
    "KINDS",
    "MADE",
    "MASKS",
    "REFUSED",
    "VIDEO",
    "Ask",
    "Build",
    "Kind",
    "Use",
    "channels_of",
    "offset_seconds",
    "palette_of",
    "recording_of",
    "sees_recordings",
    "sensor_of",
    "step_of",
    "told_of",
    "use_of",
]


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
        return 1 if readings.convention_of(spec).channels == "signed" and _arranges(spec) else 2
    if spec.modality in ("events", "surface"):
        return row.event_channels
    if row.depth or spec.modality == "grey":
        return 3 if spec.depth_motion or spec.trails else 1
    return 3


def _arranges(spec: DataSpec) -> bool:
    return spec.simulate is not None or any("event_channels" in use.reads for use in KINDS[spec.kind].uses.values())


def sees_recordings(spec: DataSpec) -> bool:
    """Whether the clips are made of event recordings."""
    uses = KINDS[spec.kind].uses
    return any(use.recordings for name, use in uses.items() if "." not in name or name.endswith(f".{spec.modality}"))


def sensor_of(spec: DataSpec) -> Sensor | None:
    """Width and height for recordings that do not state them: those given, or of the camera that the dataset is of."""
    return readings.given_sensor(spec) or KINDS[spec.kind].sensor


def told_of(spec: DataSpec) -> Told:
    """What is told of recordings that do not say it. Raises ConfigError for what cannot be."""
    given = readings.given_told(spec)
    own = KINDS[spec.kind].told
    return given if given.columns or not own.columns else replace(given, columns=own.columns)


def recording_of(spec: DataSpec, path: Path) -> Events:
    """All events of a file as the data of a spec have them: by its size, columns and axes. Raises as `read_events`."""
    row = KINDS[spec.kind]
    told = told_of(spec)
    # What is told of a data set's own files is not so of files that say it themselves.
    suits = told == readings.given_told(spec) or path.suffix.lower() in row.suffixes
    events = read_events(path, sensor=sensor_of(spec), told=told if suits else readings.given_told(spec))
    return row.turn(events, spec.axes) if row.turn else events


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


_CHAIN = frozenset({"chain_length", "chain_gestures", "chain_repeat"})
_DRAWN = frozenset({"train_length", "test_length", "seed"})
_PLAIN = frozenset({"sensor", "columns", "time_unit", "time_origin"})
_OFFICIAL = frozenset({"select_on_test"})
_WARPED = frozenset({"shift", "rotate", "zoom"})
_FIFTH = frozenset({"fold", "seed", "hold_out"})
_SUBJECTS = frozenset({"root", "fold", "protocol", "select_on_test", "depth_motion"}) | _WARPED

KINDS: dict[str, Kind] = {
    "motion": Kind(
        uses={
            "classification": Use(
                build=made.motion,
                reads=MADE | {"mean", "std", "whole", "antialias", "focus", "simulate"},
                modalities=("rgb", "events", "surface"),
            ),
            "segmentation": Use(
                build=made.motion_masks,
                reads=MADE | {"mean", "std", "window", "overlap"},
                modalities=("rgb", "events", "surface"),
            ),
        },
        labels=lambda spec: MotionMasks,
    ),
    "probe": Kind(
        uses={
            "classification": Use(
                build=made.probe,
                reads=(MADE - {"stride"}) | {"probe", "gap", "mean", "std"},
                modalities=("grey", "events", "rgb"),
            )
        }
    ),
    "actions": Kind(
        uses={
            "classification": Use(
                build=made.actions,
                reads=(MADE - {"stride"}) | {"trails", "time_warp", "mean", "std"},
                modalities=("rgb",),
            )
        }
    ),
    "folder": videos.kind(videos.folder, reads=_FIFTH),
    "list": videos.kind(videos.listed, reads=_FIFTH),
    "ut_interaction": videos.kind(videos.sequences, reads={"fold"}, classes=6),
    "ucf101": videos.kind(videos.thirds(UCF101), reads=_OFFICIAL | {"fold"}, classes=101),
    "hmdb51": videos.kind(videos.thirds(HMDB51), reads=_OFFICIAL | {"fold"}, classes=51),
    "ntu60": videos.kind(videos.cross(NTU60), reads=_OFFICIAL | {"protocol"}, file="ntu", classes=60),
    "ntu120": videos.kind(videos.cross(NTU120), reads=_OFFICIAL | {"protocol"}, file="ntu", classes=120),
    "kinetics400": videos.kind(videos.kinetics, file="kinetics", classes=400),
    "kinetics600": videos.kind(videos.kinetics, file="kinetics", classes=600),
    "something_v2": videos.kind(
        lambda spec, ask, reading: SomethingV2(root_of(spec), reading, split=ask.split), classes=174
    ),
    "jester": videos.kind(lambda spec, ask, reading: Jester(root_of(spec), reading, split=ask.split), classes=27),
    "utd_mhad": Kind(
        uses={
            "classification": Use(
                build=people.actions, reads=_SUBJECTS | {"trails", "simulate"}, modalities=("depth",)
            ),
            "pose": Use(
                build=people.poses, reads=_SUBJECTS | {"stride", "flip", "smpl"}, modalities=("depth", "events")
            ),
        },
        depth=True,
        films_depth=True,
        skeleton=KINECT20,
        classes=27,
    ),
    "events": recordings.kind(recordings.folder, *_FIFTH, *_PLAIN, suffixes=frozenset({MAT}) | TEXTS),
    "dvs128_gesture": recordings.listed(DVS128Gesture, "cache", sensor=dvs128_gesture.SENSOR, classes=11),
    "dvs128_objects": recordings.kind(recordings.objects, window_us=WINDOW_US),
    "nmnist": recordings.kind(recordings.digits, *_FIFTH, "select_on_test", classes=10),
    "cifar10_dvs": recordings.listed(
        cifar10_dvs.CIFAR10DVS, "split_rule", "axes", sensor=cifar10_dvs.SENSOR, turn=cifar10_dvs.turn, classes=10
    ),
    "hardvs": recordings.listed(hardvs.HARDVS, "labels", val_list=hardvs.VAL_LIST, sensor=hardvs.SENSOR, classes=300),
    "asl_dvs": recordings.listed(
        *(asl_dvs.ASLDVS, "split_rule", "axes", "labels"),
        sensor=asl_dvs.SENSOR,
        turn=asl_dvs.turn,
        suffixes=frozenset({MAT}),
        classes=24,
    ),
    "n_caltech101": recordings.listed(
        *(n_caltech101.NCaltech101, "split_rule", "axes", "labels"),
        sensor=n_caltech101.SENSOR,
        turn=n_caltech101.turn,
        classes=101,
    ),
    "n_cars": recordings.listed(n_cars.NCars, "labels", sensor=n_cars.SENSOR, classes=2),
    "dailydvs200": recordings.listed(
        *(dailydvs200.DailyDVS200, "split_rule", "labels"),
        val_list=dailydvs200.VAL_LIST,
        sensor=dailydvs200.SENSOR,
        classes=200,
    ),
    "thu_e_act_50": recordings.listed(
        *(thu_e_act_50.THUEACT50, "split_rule", "labels"),
        sensor=thu_e_act_50.SENSOR,
        told=thu_e_act_50.TOLD,
        suffixes=frozenset({".csv"}),
        classes=50,
    ),
    "thu_e_act_50_chl": recordings.listed(
        *(thu_e_act_50.THUEACT50CHL, "labels"),
        file="thu_e_act_50",
        sensor=thu_e_act_50.CHL_SENSOR,
        told=thu_e_act_50.CHL_TOLD,
        suffixes=frozenset({".npy"}),
        classes=50,
    ),
    "bullying10k": recordings.listed(
        bullying10k.Bullying10K, "split_rule", "labels", sensor=bullying10k.SENSOR, classes=10
    ),
    "sl_animals": recordings.listed(
        *(sl_animals.SLAnimals, "fold", "split_rule", "axes", "cache"),
        sensor=sl_animals.SENSOR,
        turn=sl_animals.turn,
        classes=19,
    ),
    "dvs_lip": recordings.listed(dvs_lip.DVSLip, "axes", sensor=dvs_lip.SENSOR, turn=dvs_lip.turn, classes=100),
    "ucf101_dvs": recordings.listed(
        *(ucf101_dvs.UCF101DVS, "fold", "axes", "sensor"),
        sensor=ucf101_dvs.SENSOR,
        turn=ucf101_dvs.turn,
        suffixes=frozenset({MAT}),
        classes=101,
    ),
    "hmdb51_dvs": recordings.listed(
        *(ucf101_dvs.HMDB51DVS, "fold", "axes", "sensor"),
        file="ucf101_dvs",
        sensor=ucf101_dvs.SENSOR,
        turn=ucf101_dvs.turn,
        suffixes=frozenset({MAT}),
        classes=51,
    ),
    "dvs_gesture_chain": Kind(
        uses={
            "classification": Use(
                build=recordings.chains,
                reads=frozenset({"root", "counts", "cache", "on_error", "seed"} | _CHAIN),
                modalities=("events",),
                recordings=True,
            )
        }
    ),
    "nmnist_chain": Kind(
        uses={
            "classification": Use(
                build=recordings.chains_of_digits,
                reads=EVENTS | _CHAIN | _DRAWN | _FIFTH | {"select_on_test"},
                modalities=("events",),
                recordings=True,
            )
        },
        file="chains",
    ),
    "utd_mhad_chain": Kind(
        uses={
            "classification": Use(
                build=people.chains,
                reads=(_SUBJECTS - {"protocol", "select_on_test"}) | _CHAIN | _DRAWN | {"trails"},
                modalities=("depth",),
            )
        },
        file="chains",
        depth=True,
    ),
    "figure": Kind(
        uses={
            "pose": Use(
                build=made.figure, reads=MADE | {"root", "depth_motion", "smpl"}, modalities=("depth", "grey", "events")
            )
        },
        depth=True,
        skeleton=KINECT20,
    ),
    "mmhpsd": Kind(
        uses={
            "pose": Use(
                build=people.streams,
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
    "camvid": masked.kind(
        masked.one_sequence,
        "held_out",
        labels=lambda spec: camvid.LABELS,
        step_seconds=lambda spec: 1 / camvid.RATE if spec.offset_unit == "numbers" else 1.0,
        classes=11,
    ),
    "cityscapes": masked.kind(
        masked.official_val(cityscapes.Cityscapes),
        *_OFFICIAL,
        labels=lambda spec: cityscapes.LABEL_IDS,
        step_seconds=lambda spec: 1 / cityscapes.RATE,
        classes=19,
    ),
    "vspw": masked.kind(
        masked.official_val(vspw.VSPW), *_OFFICIAL, step_seconds=lambda spec: 1 / vspw.RATE, classes=124
    ),
    "masks": masked.kind(masked.own, "fold", "seed", labels=masked.own_labels),
    "shards": Kind(
        uses={
            **videos.kind(packed.videos, reads=_FIFTH | {"cache_gb"}).uses,
            "classification.events": recordings.use(packed.recordings, *_FIFTH, "cache", "cache_gb", *_PLAIN),
        }
    ),
}
"""By `data.kind`."""

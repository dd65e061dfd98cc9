"""Where clips come from and how they are cut: all `data.*` options, in groups.

Which kind of data reads which option is said by its row in `spikereel.runs.kinds`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, isfinite
from typing import Literal, Self, get_args

from spikereel.config import build, override
from spikereel.data.made.probes import ProbeName
from spikereel.data.video.timeline import MOST_FRAMES
from spikereel.errors import ConfigError
from spikereel.models.base import VideoModel
from spikereel.models.metadata import Metadata

KindName = Literal[
    "motion",
    "probe",
    "actions",
    "folder",
    "list",
    "ut_interaction",
    "ucf101",
    "hmdb51",
    "ntu60",
    "ntu120",
    "kinetics400",
    "kinetics600",
    "something_v2",
    "jester",
    "utd_mhad",
    "events",
    "dvs128_gesture",
    "dvs128_objects",
    "nmnist",
    "cifar10_dvs",
    "hardvs",
    "asl_dvs",
    "n_caltech101",
    "n_cars",
    "dailydvs200",
    "thu_e_act_50",
    "thu_e_act_50_chl",
    "bullying10k",
    "sl_animals",
    "dvs_lip",
    "ucf101_dvs",
    "hmdb51_dvs",
    "dvs_gesture_chain",
    "nmnist_chain",
    "utd_mhad_chain",
    "figure",
    "mmhpsd",
    "camvid",
    "cityscapes",
    "vspw",
    "masks",
    "shards",
]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, kw_only=True)
class Where:
    """Files, and which of them."""

    kind: KindName = "motion"
    root: str | None = None
    """Folder of the videos, or the list file; with sub-folders train/ and val/ (or valid/, validation/) and test/
    each split reads its own. shards: their folder or URL. figure: the folder of motion files (BVH), or none for motions
    of our own."""
    split: Split = "test"
    """What `spikereel evaluate` judges on: test is all of `root` (or fresh clips), val what training held out. Where
    nothing is said and clips of the test were trained on, it is val."""
    fold: int = 1
    """ut_interaction: the sequence (1 to 10) that training leaves out; ucf101, hmdb51 and their events: the official
    split (1 to 3); sl_animals: the quarter of the persons (1 to 4) for test;
    utd_mhad: the subject (1 to 8); folders, lists, shards, masks, nmnist as a list: which fifth of the videos of each
    class, in a seeded order (`seed`)."""
    hold_out: bool = True
    """Folders, lists, shards, nmnist as a list: without, training has all files, and judges what it was trained on."""
    protocol: Literal["cross_subject", "cross_view", "cross_setup", "official"] = "cross_subject"
    """ntu60, ntu120: what the test has and training has not; ntu60 knows no setups and ntu120 no views. utd_mhad:
    official trains on subjects 1, 3, 5, 7 and judges on 2, 4, 6, 8; any other leaves out the subject `fold`."""
    select_on_test: bool = False
    """Data with an official test list: keep the best weights by that list, as the published SVFormer did, and train on
    all training videos; otherwise every 10th training video is held out to choose by."""
    split_rule: (
        Literal[
            "spikingjelly",
            "tebn",
            "last_hundred",
            "lists",
            "persons_once",
            "both_views",
            "view_1",
            "view_2",
            "every_fifth",
            "four_sets",
            "without_s3",
        ]
        | None
    ) = None
    """Event sets without an official split, or with several: which recordings are for test; the page of each says what
    it has. None is its most used one, such as spikingjelly of cifar10_dvs, the last tenth of each class by name in the
    order of text. cifar10_dvs alone: tebn, numbers 0 to 99; last_hundred, 900 to 999."""
    labels: (
        Literal[
            "from_zero",
            "from_one",
            "spikingjelly",
            "tonic",
            "alphabetical",
            "cars_first",
            "with_background",
            "without_background",
        ]
        | None
    ) = None
    """Event sets whose public loaders count the classes differently: how; the page of each says what it has, and None
    is its most used one. Lists: from_one where they give the first class the number 1."""
    held_out: str = "0001TP"
    """camvid: the sequence of the training frames that is for validation; "" trains on all, and validates on val/."""
    on_error: Literal["raise", "skip"] = "raise"
    """A broken file stops the run, or is left out and reported."""
    cache: str | None = None
    """Folder that keeps what is slow to read. Videos: frames decoded once, shrunk so far that the smallest random crop
    still has `size` pixels; augmentation then sees these. The word memory keeps them in each of the `workers`,
    2 GiB of them. dvs128_gesture, sl_animals: what was cut out.
    Shards of another machine: whole shards, `cache_gb` of them."""
    cache_gb: float = 20.0
    """shards: gigabytes (10^9 bytes) that `cache` may hold; what was not used for longest makes room."""
    workers: int = 1
    """Processes that prepare clips; 0 does it in the main one."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which frames of a file make a clip, and what is seen of them."""

    frames: int = 8
    stride: int | None = None
    """Frames between samples in time; None spreads the samples over the whole video."""
    size: int = 64
    """Side of the square that the model sees, in pixels; of masks 0 keeps the size of the frames."""
    modality: Literal["rgb", "events", "surface", "depth", "grey"] = "rgb"
    """motion: colour frames, ON and OFF events, or their time surface. probe: grey, events or rgb.
    shards: rgb for videos, events for event files.
    Pose: depth (figure, utd_mhad), grey (figure, mmhpsd), or events, which the figure's grey and the depth of utd_mhad
    are turned into."""
    depth_motion: bool = False
    """utd_mhad, figure: beside the picture, what came closer (or brighter) and the reverse since the frame before (3
    channels, not 1)."""
    trails: float = 0.0
    """Videos and utd_mhad actions: seconds; beside the picture, which of videos is grey then, where it is brighter (or
    closer) and darker than the mean of its past with this time constant, over all frames of the video (3 channels)."""
    time_warp: float = 0.0
    """Training on videos: up to this share faster at one end of the clip and slower at the other, and up to a tenth of
    it left out at either end."""
    smpl: str | None = None
    """model.body=smpl: the file of the body model, your own copy."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Values of pixels, and random changes of them in training."""

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    """Normalisation of pixel values in [0, 1], one value or one a channel; with neither, `mean=[] std=[]`, each channel
    of each frame has its own: light and white balance go."""
    antialias: bool = True
    """Files: smooth before shrinking; the papers' code does not."""
    colour: Literal["tagged", "bt601"] = "tagged"
    """Videos: YUV becomes RGB by the matrix that the file states, or by BT.601 whatever it states, as OpenCV up to 4.12
    does; see docs/data/videos.md."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Videos: red first, or blue first as frames of OpenCV."""
    aspect: Literal["stored", "shown"] = "stored"
    """Videos: pixels as they are stored, or stretched to the shape that players show."""
    whole: bool = False
    """Videos: all of the frame, squeezed into the square, and not its central box; training boxes are of the frame's
    shape, more or less."""
    crop_area: tuple[float, float] = (0.5, 1.0)
    """Training on files: share of the frame that a random crop keeps."""
    flip: bool = False
    """Training on files: mirror half of the clips; `mirror` says what becomes of their classes."""
    mirror: tuple[str, ...] | None = None
    """Training with `flip`: classes that a mirror turns into each other, such as ["left=right"], and those whose clips
    it would make clips of no class, such as ["left"], which are not mirrored. None takes them by their names and says
    so; classes that are numbers say nothing, and are not mirrored. [] mirrors all alike."""
    randaugment: str | None = None
    """Training on files: a policy such as "m5-n2-mstd0.25"."""
    jitter: float = 0.0
    """Training on files: brightness, contrast and saturation vary by up to this share."""
    gamma: float = 0.0
    """Training on masks: pixel values to a power between 1 / (1 + gamma) and 1 + gamma, as by other light."""
    erasing: float = 0.0
    """Training on files: share of the clips that lose a random box to noise."""
    copies: int = 1
    """Training on files: clips made of each decoded one, with draws of their own."""
    shift: int = 0
    """Training on videos, event files and depth: move clips by up to so many pixels, of event files those of the
    sensor."""
    rotate: float = 0.0
    zoom: float = 0.0
    """Training on videos, event files and depth: turn by up to so many degrees, scale by up to 1 + zoom either way."""


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """How events become frames, and random changes of them in training."""

    counts: Literal["count", "binary"] = "count"
    """Event files: how many events fell on a pixel in a time bin, or whether any did."""
    form: Literal["frames", "voxels", "surface"] = "frames"
    """Event files: events in each bin, shared between two bins, or how recent the last one of each pixel is."""
    representation: Literal["frames", "voxels", "surface"] | None = None
    """Event files: another name of `form`, and instead of it."""
    convention: Literal["formula", "tonic", "spikingjelly"] = "formula"
    """Event files: whose frames, voxel grids and surfaces; what weights of another library saw. The next four change
    it where they are given; see docs/data/events.md."""
    event_channels: Literal["on_off", "off_on", "signed"] | None = None
    """Event files: ON first, OFF first, or one channel of ON minus OFF."""
    bin_edges: Literal["exact", "floor"] | None = None
    """Event files: bins that cut the whole exactly, or each of the whole part of a `frames`-th."""
    rest: Literal["last_bin", "dropped"] | None = None
    """Event files: where events after the last edge go, the very last one among them."""
    voxel_span: Literal["T-1", "T"] | None = None
    """Event files, form=voxels: the time of the last event, in bins."""
    by: Literal["time", "count"] = "time"
    """Event files, form=frames: bins of equal time or of equal numbers of events."""
    bin_us: int | None = None
    """Event files, form=frames by=time: bins of so many microseconds, `frames` of them: a random part of a recording in
    training, else its middle; a shorter one ends in empty bins. None cuts the whole recording into `frames` bins."""
    tau_us: float = 50_000.0
    """Event files, form=surface: time constant in microseconds."""
    drop: float = 0.0
    """Training on event files: leave out a random share of the events, up to this."""
    polarity_flip: float = 0.0
    """Training on event files: probability of ON and OFF exchanged."""
    jitter_us: float = 0.0
    """Training on event files: standard deviation of the noise on times, in microseconds."""
    axes: Literal["spikingjelly", "tonic", "address", "upright", "jaer", "braincog", "whole", "official"] | None = None
    """Event sets whose public loaders have x and y differently: as one of them, or as in the file (address); the page
    of each says what it has, and None is its most used one."""
    chain_length: int = 4
    chain_gestures: int = 3
    chain_repeat: bool = True
    """Chains: gestures, digits or actions of one, of how many kinds (the first of those there are), and whether one may
    follow itself."""
    sensor: tuple[int, ...] = ()
    """Event files that do not state it: width and height of the sensor in pixels, such as [240, 180]."""
    columns: str = ""
    """Event files of one array, CSV and text (.txt): their columns in order, such as x,y,t,p, with - for others; sign
    in place of p leaves out zeros. CSV and text are read where they are named."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Event files of arrays and text: what their times are in; None is what the file states, or microseconds."""
    time_origin: Literal["camera", "first"] = "camera"
    """Event files: times of the camera, or from the first event; clips start at the first event either way."""
    simulate: float | None = None
    """Videos: make simulated events of them, with this threshold of log intensity; the options of event files hold."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """How often a video is seen when it is judged."""

    clips: int = 1
    crops: Literal[1, 3] = 1
    """Evaluation: views a video is seen in, clips in time times crops in space; a single view is judged beside them."""
    mirrored: bool = False
    """Evaluation: every view is seen a second time, mirrored. For classes that a mirror leaves as they are."""
    average: Literal["logits", "softmax"] = "logits"
    """Evaluation: what is averaged over the views."""

    @property
    def views(self) -> int:
        """Of a video, when it is judged."""
        return self.clips * self.crops * (2 if self.mirrored else 1)

    def single(self) -> Self:
        """The same with one view."""
        return replace(self, clips=1, crops=1, mirrored=False)


@dataclass(frozen=True, kw_only=True)
class Made:
    """Clips that are made, not read."""

    train_length: int = 8000
    test_length: int = 1000
    """motion, probe, actions, figure, chains of digits and actions: clips an epoch, and clips to judge on."""
    seed: int = 0
    """motion, probe, actions, figure, chains: training clips have this seed, validation seed + 1, test seed + 2. Where
    a fifth of the videos is held out: the order that it is taken of. dvs_gesture_chain: how long each gesture lasts."""
    focus: tuple[str, ...] = ()
    """motion: classes that every second training clip is of, to learn what comes late."""
    probe: ProbeName = "match"
    gap: int = 8
    """probe: the question, and dark frames between the showings that it is about; see docs/data/probe.md."""


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Frames with the class of every pixel."""

    offsets: tuple[int, ...] = ()
    """Masks: where the frames of a clip are, from the labelled one at 0, such as (-9, -6, -3, 0); none are `frames` of
    them up to 0, `stride` apart (1; cityscapes, vspw: 3). There `size` is the short side of the frames."""
    offset_unit: Literal["frames", "numbers"] = "frames"
    """Masks: offsets count the frames that are there, or the numbers in their names."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Training on masks: frames grow by a factor in this range."""
    crop: tuple[int, ...] = ()
    """Training on masks: height and width of the random box that is cut out after that; none is the whole frame's."""
    window: tuple[int, ...] = ()
    overlap: float = 0.5
    """Judging masks: height and width of windows that slide over the frames and overlap by this share; none sees whole
    frames."""


LEAST = {
    "size": 0,
    "stride": 1,
    "clips": 1,
    "copies": 1,
    "train_length": 1,
    "test_length": 1,
    "workers": 0,
    "seed": 0,
    "gap": 1,
}


MEMORY = "memory"
"""`cache` that is no folder."""
CACHED_IN_FOLDERS = frozenset({"dvs128_gesture", "dvs_gesture_chain", "sl_animals", "shards"})


# the bases stand in reverse: fields are listed from the last one on
@dataclass(frozen=True, kw_only=True)
class DataSpec(Masks, Made, Views, EventOptions, Pixels, Sampling, Where):
    """Where clips come from and how they are cut."""

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"data.{name} must be at least {least}, got {value}")
        if not 1 <= self.frames <= MOST_FRAMES:
            raise ConfigError(f"data.frames must be 1 to {MOST_FRAMES}, got {self.frames}")
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise ConfigError(
                f"data.crop_area must be two shares above 0 and up to 1, the smaller first, got {list(self.crop_area)}"
            )
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (0, 1, 3):
                raise ConfigError(f"data.{name} must be one value, three or none, got {list(getattr(self, name))}")
        if not all(isfinite(value) for value in self.mean):
            raise ConfigError(f"data.mean must be finite, got {list(self.mean)}")
        if self.cache == MEMORY and self.kind in CACHED_IN_FOLDERS:
            raise ConfigError(f"data.cache=memory is for videos, not for {self.kind}: give a folder")
        if self.representation and self.form not in ("frames", self.representation):
            raise ConfigError(f"data.form is {self.form} and data.representation {self.representation}: give one")
        if not all(0 < value < inf for value in self.std):
            raise ConfigError(f"data.std must be above 0, got {list(self.std)}")


_FORMER: dict[str, dict[str, str]] = {"cifar10_dvs": {"split_rule": "last_hundred", "axes": "address"}}
"""By kind: what weights saw that were saved before these options were there."""


def former_reading(metadata: Metadata) -> dict[str, str]:
    """Options that the weights do not state, as they were for all when these were trained."""
    former = _FORMER.get(metadata.preprocess.get("kind", ""), {})
    return {name: value for name, value in former.items() if name not in metadata.preprocess}


def former_note(metadata: Metadata) -> str | None:
    """One line on `former_reading`; None where the weights state all."""
    if not (found := former_reading(metadata)):
        return None
    said = " ".join(f"data.{name}={value}" for name, value in found.items())
    return f"these weights are from before {' and '.join(f'data.{name}' for name in found)}: they saw {said}"


def data_spec_of(metadata: Metadata) -> DataSpec:
    """How the clips of a trained model are made, see `former_reading`; ConfigError where its file does not say."""
    if not metadata.preprocess:
        raise ConfigError(
            "these weights do not say how clips are made: no `preprocess` in their metadata, which training writes; "
            "from Python model(video) takes tensors"
        )
    return _spec_of(json.dumps(former_reading(metadata) | metadata.preprocess, default=str))


@lru_cache(maxsize=64)
def _spec_of(values: str) -> DataSpec:
    # reading so many options takes as long as classifying a clip with a small model
    return build(DataSpec, json.loads(values))


def data_of(model: VideoModel, assignments: Sequence[str]) -> DataSpec:
    """How clips are made: as the weights say, changed by `data.key=value`; ConfigError where neither says.

    Weights that do not say, such as those saved by hand, need data.kind; frames and size are then those of the model
    where it has such.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options:
        data: DataSpec

    if model.metadata.preprocess:
        spec = data_spec_of(model.metadata)
    elif any(x.startswith("data.kind=") for x in assignments):
        c, own = model.config, DataSpec()
        spec = replace(own, frames=getattr(c, "frames", own.frames), size=getattr(c, "image_size", own.size))
    else:
        raise ConfigError(
            "these weights do not say how clips are made; give data.kind=motion, or data.kind and data.root"
        )
    return override(Options(data=spec), assignments).data

"""THU-E-ACT-50 (Gao et al. 2023): 50 actions, 10,500 recordings of a CeleX-V, and CHL, 2,330 of a DAVIS346."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.event_lists import COUNTING, ByName, Form, read_list
from spikereel.data.events.reading import EventReading
from spikereel.data.events.source import Told
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.errors import ConfigError

CLASSES = (
    *("Walking", "Running", "Jump up", "Running in circles", "Falling down", "Waving one hand", "Waving two hands"),
    *("Clap", "Rub hands", "Punch", "Cross arms", "Salute", "Squat down", "Sit down", "Stand up", "Sit and stand"),
    *("Knead face", "Nod head", "Shake head", "Thumb up", "Calling with phone", "Reading", "Tai chi", "Swing objects"),
    *("Throw", "Staggering", "Headache", "Stomachache", "Back pain", "Vomit", "Fan", "Open umbrella"),
    *("Close umbrella", "Put on glasses", "Take off glasses", "Pick up", "Put on bag", "Take off bag"),
    *("Put object into bag", "Take object out of bag", "Check time", "Drink water", "Wipe face", "Long jump"),
    *("Push up", "Sit up", "Shake hands (two-players)", "Fighting (two-players)", "Handing objects (two-players)"),
    "Lifting chairs (two-players)",
)
"""A0 to A49 of the README."""

SENSOR = (1280, 800)
CHL_SENSOR = (346, 260)
TOLD = Told(columns="y,x,-,sign,t")
"""Of the CSV files; an event of polarity 0 changed nothing, and is none."""
CHL_TOLD = Told(columns="x,y,t,p")

RULES = {"both_views": "", "view_1": "_view_1", "view_2": "_view_2"}
"""What the names of the lists end in, by `split_rule`."""

_PREFIX = "DVS-action-data-npy/"
"""Of the paths in the lists of CHL, with whatever is before it: to be cut off."""


class _Listed(EventFiles):
    """The recordings of train.txt or test.txt; see `EventFiles`."""

    classes = CLASSES

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        form: Form,
        *,
        split: str,
        ending: str,
        suffix: str,
        labels: str | None,
        on_error: OnError,
        **options,
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        counting, root = chosen("labels", labels, COUNTING, "THU-E-ACT-50"), Path(root)
        files = ByName(root, {suffix})
        listed = read_list(
            root / f"{split}{ending}.txt",
            form,
            lambda name: files.only(name.rpartition(_PREFIX)[2]),
            labels=counting,
            on_error=on_error,
        )
        super().__init__(
            listed.samples, reading, classes=CLASSES, root=root, on_error=on_error, missing=listed.missing, **options
        )
        self.notes, self.choices = listed.notes, {"labels": counting}


class THUEACT50(_Listed):
    """The recordings of one of the lists train.txt and test.txt, lines `file,label`; see `EventFiles`.

    A recording is CSV without a line of names: row, column, brightness, polarity, time; those of polarity 0 are left
    out. Labels are those of the list, 0 to 49 (or 1 to 50 with `labels="from_one"`), never those of the name.
    `split_rule`: "both_views", or the lists train_view_1.txt .. of one ("view_1", "view_2").
    Raises DataError for a list or a recording that is missing, and a line that makes no sense, with its number;
    ConfigError for a choice that does not exist. With `on_error="skip"` missing recordings stand in `missing`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        split_rule: str | None = None,
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        rule = chosen("split_rule", split_rule, RULES, "THU-E-ACT-50")
        form = Form(of="the lists of THU-E-ACT-50", classes=len(CLASSES), mark=r"\s*,")
        super().__init__(
            root,
            reading,
            form,
            split=split,
            ending=RULES[rule],
            suffix=".csv",
            labels=labels,
            on_error=on_error,
            sensor=SENSOR,
            told=TOLD,
        )
        self.choices = {"split_rule": rule, **self.choices}


class THUEACT50CHL(_Listed):
    """The recordings of one of the lists train.txt and test.txt, lines `path label`; see `EventFiles`.

    A recording is `A0P16C2-2021_11_06_14_00_03.npy`, [N, 4] of x, y, t, p with p 0 for OFF. What a path has up to
    `DVS-action-data-npy/` is cut off. Labels are those of the list, 0 to 49: the names have numbers above 49.
    Raises as `THUEACT50`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        form = Form(of="the lists of THU-E-ACT-50-CHL", classes=len(CLASSES))
        super().__init__(
            root,
            reading,
            form,
            split=split,
            ending="",
            suffix=".npy",
            labels=labels,
            on_error=on_error,
            sensor=CHL_SENSOR,
            told=CHL_TOLD,
        )

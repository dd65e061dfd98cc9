"""No option is passed over in silence: what is called idle is what nothing reads."""

from contextlib import suppress
from dataclasses import fields, replace
from typing import ClassVar, get_args, get_type_hints

import numpy as np
import pytest
from small import DATA, KINDS, small_weights, video_folder

from spikereel.apps.cli import main
from spikereel.errors import SpikereelError
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import MASK_KINDS, DataSpec
from spikereel.runs.event_clips import EVENT_KINDS
from spikereel.runs.idle import GENERATED, READ_BY, VIDEO_KINDS, idle_options, note_of
from spikereel.runs.recipes import RECIPES
from spikereel.runs.segmentation_data import build_segmentation_dataset
from spikereel.train.pose import build_pose_dataset

TASKS = {"classification": build_dataset, "pose": build_pose_dataset, "segmentation": build_segmentation_dataset}

CASES = [
    *(("classification", kind, {}) for kind in sorted(VIDEO_KINDS | EVENT_KINDS)),
    ("classification", "motion", {}),
    ("classification", "motion", {"modality": "events"}),
    ("classification", "folder", {"simulate": 0.2}),
    ("classification", "utd_mhad", {}),
    ("classification", "utd_mhad", {"protocol": "official"}),
    ("classification", "shards", {}),
    ("classification", "shards", {"modality": "events"}),
    ("pose", "figure", {"modality": "depth"}),
    ("pose", "utd_mhad", {"modality": "depth"}),
    ("pose", "utd_mhad", {"modality": "depth", "protocol": "official"}),
    ("pose", "mmhpsd", {"modality": "events"}),
    *(("segmentation", kind, {}) for kind in sorted(MASK_KINDS)),
    ("segmentation", "motion", {}),
]

ELSEWHERE = {
    *("smpl", "average", "window", "overlap"),  # by what judges
    *("stride", "whole", "antialias", "mean", "std"),  # by what shows files to weights of clips we make
    *("fold", "select_on_test", "sensor", "cache", "protocol"),  # once there are files; tests of splits are elsewhere
}

TOGETHER = {"counts", "form", "by", "bin_us", "tau_us"}
"""Read by one reading, whatever its form; which of them matter is for its own tests."""


class Watched(DataSpec):
    """Knows which of its options were read."""

    seen: ClassVar[set[str]] = set()

    def __getattribute__(self, name):
        Watched.seen.add(name)
        return super().__getattribute__(name)


def options_read(task, spec):
    """Names that are read on the way to all splits, in an empty folder at least up to the files."""
    watched = Watched(**{f.name: getattr(spec, f.name) for f in fields(DataSpec)})
    Watched.seen = set()
    for split in ("train", "val", "test"):
        with suppress(SpikereelError):
            TASKS[task](watched, split, **({"views": split == "test"} if task == "classification" else {}))
    return Watched.seen & READ_BY.keys()


def folder_of(kind, root):
    if kind == "folder":
        video_folder(root)
    if kind == "events":
        for name in KINDS:
            (root / name).mkdir()
            for i in range(5):
                one = np.ones(1)
                np.savez(root / name / f"{i}.npz", t=one, x=one, y=one, p=one, width=34, height=34)
    return str(root)


@pytest.mark.parametrize(("task", "kind", "changes"), CASES)
def test_idle_are_those_that_nothing_reads(tmp_path, task, kind, changes):
    spec = DataSpec(kind=kind, root=folder_of(kind, tmp_path) if kind != "motion" else None, workers=0, **changes)
    # copying a spec to simulate events reads all of it, so its two parts are read apart
    read = options_read(task, replace(spec, simulate=None))
    if spec.simulate is not None:
        read |= options_read(task, DataSpec(kind="events", root=str(tmp_path))) - {"sensor"}
        # its clips are made plain
        read -= {"mean", "std"}
    said = {name for name in READ_BY if READ_BY[name](spec, task)}
    assert read - said <= TOGETHER
    assert said - read <= ELSEWHERE


def test_every_option_is_asked_for_or_known_by_all():
    everywhere = {"kind", "split", "frames", "size", "workers", "modality", "trails", "simulate"}
    assert READ_BY.keys() | everywhere == get_type_hints(DataSpec).keys()
    assert set(get_args(get_type_hints(DataSpec)["kind"])) == {
        *VIDEO_KINDS,
        *EVENT_KINDS,
        *MASK_KINDS,
        *GENERATED,
        "shards",
        "utd_mhad",
        "mmhpsd",
    }


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_have_none(name):
    recipe = RECIPES[name]()
    assert note_of(recipe.data, recipe.task) is None


def test_forms_of_events():
    spec = DataSpec(kind="events", tau_us=1.0, bin_us=10)
    assert idle_options(spec, "classification") == ["tau_us"]
    assert idle_options(replace(spec, form="surface", bin_us=None), "classification") == []
    assert idle_options(replace(spec, by="count"), "classification") == ["bin_us", "tau_us"]


def test_train_and_evaluate_say_so(tmp_path, capsys):
    weights = tmp_path / "small.safetensors"
    small_weights(weights, DATA)
    assert main(["evaluate", str(weights), "data.rotate=20", "data.root=somewhere"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "data.root, data.rotate do nothing with data.kind=motion for classification" in out
    assert (
        main(
            [
                "train",
                "motion",
                "data.drop=0.1",
                "data.train_length=32",
                "data.test_length=10",
                "optim.epochs=0.1",
                f"run.out={tmp_path}",
                "run.progress=false",
                "run.silent_epochs=0",
            ]
        )
        == 0
    )
    assert "data.drop does nothing with data.kind=motion" in " ".join(capsys.readouterr().out.split())

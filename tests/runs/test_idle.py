"""No option is passed over in silence: what is called idle is what nothing reads."""

from contextlib import suppress
from dataclasses import fields, replace
from typing import ClassVar, get_args, get_type_hints

import numpy as np
import pytest
from small import DATA, KINDS, small_weights, video_folder

from spikereel.apps.cli import main
from spikereel.errors import SpikereelError
from spikereel.runs.clips import idle_options, note_of, options_of
from spikereel.runs.config import DataSpec
from spikereel.runs.kinds import COMMON, REFUSED, Ask
from spikereel.runs.kinds import KINDS as ROWS
from spikereel.runs.recipes import RECIPES

CASES = [
    *(
        (task, kind, {"modality": row.uses[task].modalities[0]})
        for kind, row in ROWS.items()
        for task in ("classification", "pose", "segmentation")
        if task in row.uses
    ),
    ("classification", "motion", {"modality": "events"}),
    ("classification", "folder", {"simulate": 0.2}),
    ("classification", "utd_mhad", {"protocol": "official"}),
    ("classification", "shards", {"modality": "events"}),
    ("pose", "utd_mhad", {"modality": "depth", "protocol": "official"}),
]

ELSEWHERE = {
    *("smpl", "average", "window", "overlap"),  # by what judges
    *("stride", "whole", "antialias", "mean", "std"),  # by what shows files to weights of clips we make
    *(
        "fold",
        "hold_out",
        "seed",
        "select_on_test",
        "sensor",
        "cache",
        "cache_gb",
        "protocol",
    ),  # once there are files; tests of splits are elsewhere
}

CHOICES = get_type_hints(DataSpec).keys() - COMMON - REFUSED.keys()

TOGETHER = {"counts", "form", "by", "bin_us", "tau_us", "voxel_span"}
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
    seen = set()
    for split in ("train", "val", "test"):
        with suppress(SpikereelError):
            row = ROWS[spec.kind].uses
            use = row.get(f"{task}.{spec.modality}") or row[task]
            Watched.seen = set()
            use.build(watched, Ask(split=split, views=split == "test"))
        seen |= Watched.seen
    return seen & CHOICES


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
        read |= options_read("classification", DataSpec(kind="events", root=str(tmp_path))) - {
            *("sensor", "columns", "time_unit", "time_origin")
        }
        # its clips are made plain
        read -= {"mean", "std"}
    said = options_of(spec, task) & CHOICES
    assert read - said <= TOGETHER
    assert said - read <= ELSEWHERE


def test_every_option_is_some_kinds_or_common():
    reads = set().union(*(use.reads for row in ROWS.values() for use in row.uses.values()))
    options = get_type_hints(DataSpec).keys()
    assert reads | COMMON == options
    assert REFUSED.keys() <= options
    assert set(get_args(get_type_hints(DataSpec)["kind"])) == ROWS.keys()


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

"""The recipes of event sets, each for one step on a small set in the layout as published."""

from dataclasses import replace

import event_sets
import pytest

from spikereel.apps.cli import main
from spikereel.hub import create_model, save_model
from spikereel.runs.recipes import get_recipe

KINDS = {
    "cifar10_dvs": "cifar10_dvs",
    "dvs_gesture": "dvs128_gesture",
    "dvs_gesture_chain": "dvs_gesture_chain",
    "hardvs": "hardvs",
    "dailydvs200": "dailydvs200",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_one_step(tmp_path, name, kind, capsys):
    assert get_recipe(name).data.kind == kind
    event_sets.WRITERS[kind](tmp_path / "set")
    changes = [f"data.root={tmp_path / 'set'}", f"run.out={tmp_path}", "run.progress=false", "run.threads=1"]
    changes += ["data.frames=4" if name != "dvs_gesture_chain" else "data.frames=8", "data.size=16", "data.workers=0"]
    changes += ["model.widths=[8,16,16,24]", "model.depths=[1,1]", "model.heads=4", "model.threshold=0.2"]
    changes += ["optim.epochs=0.01", "optim.batch=4", "run.silent_epochs=0"]
    assert main(["train", name, "--no-report", *changes]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "training data:" in out
    assert "do nothing" not in out
    assert "does nothing" not in out
    assert "data.flip is off" not in out


def test_evaluating_older_weights_says_what_they_saw(tmp_path, capsys):
    event_sets.cifar10(tmp_path / "set")
    small = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "in_channels": 2}
    model = create_model("spikevideoformer_ti", num_classes=10, **small)
    seen = {"kind": "cifar10_dvs", "root": str(tmp_path / "set"), "frames": 4, "size": 16}
    for given, note in (({}, True), ({"split_rule": "tebn", "axes": "tonic"}, False)):
        model.metadata = replace(model.metadata, preprocess=seen | given)
        save_model(model, tmp_path / "a.safetensors")
        assert main(["evaluate", str(tmp_path / "a.safetensors"), "--engine", "reference"]) == 0
        out = " ".join(capsys.readouterr().out.split())
        said = "these weights are from before data.split_rule and data.axes: they saw data.split_rule=last_hundred"
        assert (said in out) is note
        assert ("split_rule=last_hundred, axes=address" in out) is note

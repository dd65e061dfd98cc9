"""Checkpoints of the authors through the command line, and norms that take the statistics of clips."""

import json
import os
import pickle
import re
from argparse import Namespace
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from authors_files import authors_state
from small import DATA, small_weights

from spikereel.apps.cli import main
from spikereel.errors import ConfigError, WeightsError
from spikereel.hub import Metadata, create_model, load_model, save_model, weights_hash
from spikereel.inference.authors import read_import
from spikereel.inference.calibrate import recalibrate
from spikereel.layers.calibrate import calibrate
from spikereel.models.svformer import SVFormer, SVFormerConfig
from spikereel.runs.clips import build_dataset, build_loader
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.data import data_of
from spikereel.runs.recipes import dvs128_gesture_svformer

CONFIG = SVFormerConfig(num_classes=3, frames=4, image_size=32, widths=(8, 16, 32, 32), head_dim=8)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def small() -> SVFormer:
    torch.manual_seed(5)
    return SVFormer(CONFIG)


def checkpoint(path, model, **more):
    torch.save({**authors_state(model), "epoch": 3, "optimizer_state": {"state": {}}, "cfg": "TN: 16", **more}, path)
    return path


def pin(path="pin.safetensors", **fields):
    """Weights whose configuration an import has to keep."""
    save_model(SVFormer(replace(CONFIG, **fields)), path, Metadata(name="svformer_ti", classes=("a", "b", "c")))
    return path


def refused(capsys, *arguments) -> str:
    assert main([str(x) for x in arguments]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    return stderr


def imported(*arguments) -> int:
    return main(["import", *map(str, arguments)])


def same(one, two) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def test_shapes_complete_the_named_model(tmp_path, capsys):
    torch.manual_seed(0)
    model = create_model("svformer_ti", num_classes=7, in_channels=2, frames=24, image_size=128)
    path = checkpoint(tmp_path / "run.pyth", model)
    assert imported(path, "--as", "svformer_ti", "--out", "new/folder/w.safetensors", "--json", "report.json") == 0
    assert "num_classes 7, in_channels 2, frames 24, image_size 128" in " ".join(capsys.readouterr().out.split())
    loaded = load_model("new/folder/w.safetensors")
    assert loaded.config == model.config
    assert same(loaded, model)
    digest, entries = sha256(path.read_bytes()).hexdigest(), len(model.state_dict())
    clips = replace(dvs128_gesture_svformer().data, kind="events", frames=24, workers=1)
    assert data_spec_of(loaded.metadata) == clips
    assert loaded.metadata == Metadata(
        name="svformer_ti",
        preprocess=loaded.metadata.preprocess,
        training={
            "origin": "run.pyth",
            "sha256": digest,
            "imported_as": "svformer_ti",
            "matched": entries,
            "missing": 0,
            "unexpected": 0,
            "misshapen": 0,
        },
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["matched"] == sorted(model.state_dict())
    assert (report["missing"], report["unexpected"], report["misshapen"]) == ([], [], [])
    assert (report["config"]["frames"], report["sha256"], report["out"]) == (24, digest, "new/folder/w.safetensors")


def test_imported_weights_classify_a_video(tmp_path, capsys):
    model = create_model("svformer_ti", num_classes=3)
    assert imported(checkpoint(tmp_path / "run.pyth", model), "--as", "svformer_ti", "--out", "w.safetensors") == 0
    capsys.readouterr()
    np.save("clip.npy", np.random.default_rng(0).random((40, 3, 72, 90), dtype=np.float32))
    assert main(["predict", "clip.npy", "--model", "w.safetensors", "--views", "2", "--json", "p.json"]) == 0
    spec = data_spec_of(load_model("w.safetensors").metadata)
    assert (spec.frames, spec.size, spec.stride, spec.mean, spec.std) == (8, 64, 4, (0.45,), (0.225,))
    assert json.loads(Path("p.json").read_text())["views"] == 2


@pytest.mark.parametrize("name", ["spikevideoformer_ti", "svformer_ti"])
def test_the_form_that_a_distributed_run_saves(name, tmp_path):
    model = create_model(name, num_classes=4)
    (wrapper, weights), *_ = authors_state(model).items()
    content = {wrapper: {f"module.{k}": x for k, x in weights.items()}, "args": Namespace(lr=1e-3, name="x")}
    torch.save(content, tmp_path / "ddp.pth")
    assert imported("ddp.pth", "--as", name) == 0
    assert same(load_model("ddp.spikereel.safetensors"), model)


def image_start(path):
    """A Spike-driven Transformer V2, which has no norm after the attention."""
    torch.manual_seed(1)
    model = create_model("spikevideoformer_ti", num_classes=6, attention="spatial", similarity="dot")
    return checkpoint(path, model), model


def test_an_image_start_is_partial_and_asks_for_calibration(tmp_path, capsys):
    path, image = image_start(tmp_path / "image.pth")
    arguments = ["import", path, "--as", "spikevideoformer_ti", "--out", "w.safetensors", "--json", "r.json"]
    message = refused(capsys, *arguments)
    assert "image.pth does not fit spikevideoformer_ti: 15 missing: block3.0.attn.attn_bn.bias, " in message
    assert "--partial" in message
    assert sorted(os.listdir()) == ["image.pth"]
    assert imported(*arguments[1:], "--partial") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "missing 15" in shown
    said = "3 batch norms have no statistics; train, or run: spikereel calibrate w.safetensors data.root=FOLDER"
    assert said in shown
    loaded = load_model("w.safetensors")
    given = image.state_dict()
    own = loaded.state_dict()
    missing = own.keys() - given.keys()
    assert [k for k in given if not torch.equal(own[k], given[k])] == []
    assert {k.rsplit("attn_bn.", 1)[1] for k in missing} == {
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    fresh = create_model("spikevideoformer_ti", num_classes=6, norms="published").state_dict()
    assert all(torch.equal(own[k], fresh[k]) for k in missing)
    assert set(json.loads((tmp_path / "r.json").read_text())["missing"]) == missing
    assert loaded.metadata.training["missing"] == 15


def test_a_file_of_another_size_is_no_start(tmp_path, capsys):
    """Its counters and the bias of its head fit, and no weight does."""
    path, _ = image_start(tmp_path / "image.pth")
    message = refused(capsys, "import", path, "--as", "spikevideoformer_s", "--partial")
    assert re.search(
        r"image.pth has \d+ of the 14,\d{3},\d{3} parameters of spikevideoformer_s, the rest would", message
    )
    assert "another --as" in message
    assert os.listdir() == ["image.pth"]


def test_partial_drops_what_is_foreign_and_keeps_fresh_values_the_same_each_time(tmp_path, capsys):
    weights = authors_state(small())["model_state"]
    torch.save({**weights, "lpPWConv.weight": torch.zeros(3, 3), "extra": torch.zeros(2)}, "odd.pth")
    pin()
    message = refused(capsys, "import", "odd.pth", "--as", "pin.safetensors")
    assert "1 unexpected: extra; 1 wrong in shape: lpPWConv.weight [3, 3] (model: [32, 32, 1, 1])" in message
    for out in ("one.safetensors", "two.safetensors"):
        assert imported("odd.pth", "--as", "pin.safetensors", "--partial", "--out", out, "--json", "r.json") == 0
    assert "calibrate" not in capsys.readouterr().out
    one, two = load_model("one.safetensors"), load_model("two.safetensors")
    assert same(one, two)
    own = one.state_dict()
    assert [k for k in own if not torch.equal(own[k], weights[k])] == ["lpPWConv.weight"]
    assert not torch.equal(own["lpPWConv.weight"], load_model("pin.safetensors").state_dict()["lpPWConv.weight"])
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["unexpected"] == ["extra"]
    assert report["misshapen"] == [{"name": "lpPWConv.weight", "file": [3, 3], "model": [32, 32, 1, 1]}]


def test_named_weights_keep_their_configuration_and_their_classes(tmp_path):
    model = small()
    checkpoint("run.pyth", model)
    pin()
    assert imported("run.pyth", "--as", "pin.safetensors", "--out", "w.safetensors") == 0
    loaded = load_model("w.safetensors")
    assert same(loaded, model)
    assert (loaded.metadata.name, loaded.metadata.classes) == ("svformer_ti", ("a", "b", "c"))


class Hostile:
    """Unpickled, it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def hostile(path):
    torch.save({**authors_state(small()), "hook": Hostile()}, path)


def bare_hostile(path):
    path.write_bytes(pickle.dumps({"model": Hostile()}))


def truncated(path):
    checkpoint(path, small())
    path.write_bytes(path.read_bytes()[:5000])


BAD = {
    "hostile.pth": (hostile, {}, "could run code"),
    "bare.pth": (bare_hostile, {}, "could run code"),
    "cut.pth": (truncated, {}, "not a whole PyTorch checkpoint"),
    "text.pth": (lambda path: path.write_text("import this\n"), {}, "no PyTorch checkpoint (it begins with b'impo')"),
    "empty.pth": (lambda path: path.write_bytes(b""), {}, "is no PyTorch checkpoint"),
    "list.pth": (lambda path: torch.save([1], path), {}, "holds a list"),
    "absent.pth": (lambda path: None, {}, "no checkpoint at"),
    "folder.pth": (lambda path: path.mkdir(), {}, "no checkpoint at"),
    "frames.pth": (lambda path: checkpoint(path, small()), {"frames": 6}, "shape: blocks1.0.mlp.norm1.bias [64]"),
    "classes.pth": (lambda path: checkpoint(path, small()), {"num_classes": 9}, "head.weight [3, 64] (model: [9, 64])"),
    "foreign.pth": (lambda path: torch.save({"a": torch.zeros(1)}, path), {}, "has no entry in common"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_line_and_nothing_is_written(name, tmp_path, capsys):
    make, fields, words = BAD[name]
    make(tmp_path / name)
    pin(**fields)
    before = sorted(os.listdir())
    message = refused(capsys, "import", name, "--as", "pin.safetensors", "--out", "w.safetensors", "--json", "r.json")
    assert name in message
    assert words in message
    assert sorted(os.listdir()) == before


def test_the_hostile_files_would_have_run():
    torch.save({"hook": Hostile()}, "hostile.pth")
    torch.load("hostile.pth", weights_only=False)
    assert os.path.isdir("ran")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("svformr", "unknown model 'svformr'; did you mean 'svformer'?"),
        ("spikevideoformer_ti.motoin", "did you mean 'spikevideoformer_ti.motion'?"),
        ("no/such.safetensors", "no weights at no/such.safetensors"),
        ("text.safetensors", "text.safetensors is not a whole"),
    ],
)
def test_names_that_do_not_exist(name, words, tmp_path, capsys):
    checkpoint("run.pyth", small())
    (tmp_path / "text.safetensors").write_text("hello")
    assert words in refused(capsys, "import", "run.pyth", "--as", name)
    assert sorted(os.listdir()) == ["run.pyth", "text.safetensors"]


def test_shapes_that_no_configuration_allows(capsys):
    torch.save({"head.weight": torch.zeros(0, 4), "patch_embed1.proj.weight": torch.zeros(8, 3, 6, 6)}, "zero.pth")
    assert "zero.pth has no entry in common with svformer_ti" in refused(
        capsys, "import", "zero.pth", "--as", "svformer_ti"
    )


def test_existing_weights_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    checkpoint("run.pyth", small())
    pin()
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"before")
    with monkeypatch.context() as patch:

        def full(self, target):
            raise OSError(28, "No space left on device")

        patch.setattr("pathlib.Path.replace", full)
        message = refused(capsys, "import", "run.pyth", "--as", "pin.safetensors", "--out", out)
    assert "cannot write" in message
    assert "No space left on device" in message
    assert out.read_bytes() == b"before"
    assert sorted(os.listdir()) == ["pin.safetensors", "run.pyth", "w.safetensors"]
    assert imported("run.pyth", "--as", "pin.safetensors", "--out", out) == 0
    assert same(load_model(out), small())


def test_an_out_that_cannot_be_is_refused_before_anything_is_read(tmp_path, capsys):
    for option in ("--out", "--json"):
        assert "cannot write" in refused(capsys, "import", "absent.pth", "--as", "svformer_ti", option, tmp_path)


# calibration


@pytest.fixture
def weights(tmp_path):
    return small_weights(tmp_path / "small.safetensors")


def norms(model):
    return {k: x.clone() for k, x in model.state_dict().items() if "running" in k}


def test_calibrate_moves_statistics_and_nothing_else(weights, capsys):
    assert main(["calibrate", "small.safetensors", "--clips", "16", "--out", "deep/w.safetensors"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "16 training clips of data.kind=motion; written: deep/w.safetensors" in shown
    assert f"median of {len(norms(weights)) // 2}" in shown
    after = load_model("deep/w.safetensors")
    one, two = weights.state_dict(), after.state_dict()
    changed = {k for k in one if not torch.equal(one[k], two[k])}
    assert changed <= {k for k in one if "running" in k or "tracked" in k}
    assert norms(weights).keys() <= changed
    meta = after.metadata
    assert (meta.classes, meta.preprocess["frames"]) == (weights.metadata.classes or meta.classes, 4)
    assert meta.training["before"] == {}
    assert (
        meta.training["calibrated"].items()
        >= {"clips": 16, "data": "motion", "weights_hash": weights_hash(weights)}.items()
    )
    assert main(["calibrate", "deep/w.safetensors", "--clips", "16", "--out", "again.safetensors"]) == 0
    once, again = norms(after), norms(load_model("again.safetensors"))
    assert again.keys() == once.keys()
    assert all(torch.equal(x, again[k]) for k, x in once.items())


def test_statistics_are_those_of_the_clips(weights):
    model, spec = load_model("small.safetensors"), replace(DATA, mean=(0.25,))
    seen, moves = recalibrate(model, spec, 20)
    assert seen == 24
    assert moves == sorted(moves, key=lambda x: -x.mean)
    assert moves[0].mean > 0.01
    assert model.metadata.preprocess == asdict(spec)
    loader = build_loader(build_dataset(spec, "train"), spec, batch=8, shuffle=True)
    clips = [videos for (videos, _), _ in zip(loader, range(3), strict=False)]
    stem = model.downsample1_1
    with torch.no_grad():
        mean = stem.encode_conv(torch.cat(clips).flatten(0, 1)).mean((0, 2, 3))
    torch.testing.assert_close(stem.encode_bn.running_mean, mean)
    calibrate(weights, [x.transpose(0, 1) for x in clips])
    assert all(torch.equal(x, norms(weights)[k]) for k, x in norms(model).items())


def test_no_more_clips_than_there_are(weights):
    model = load_model("small.safetensors")
    assert recalibrate(model, replace(DATA, train_length=10), 100)[0] == 8
    assert recalibrate(model, replace(DATA, train_length=5), 100)[0] == 5
    assert recalibrate(model, DATA, 3)[0] == 3
    with pytest.raises(ConfigError, match="--clips must be at least 2, got 1"):
        recalibrate(model, DATA, 1)


def test_weights_that_do_not_say_how_clips_are_made(capsys):
    model = small()
    save_model(model, "bare.safetensors")
    assert "give data.kind=motion" in refused(capsys, "calibrate", "bare.safetensors", "data.size=32")
    assert sorted(os.listdir()) == ["bare.safetensors"]
    spec = data_of(model, ["data.kind=motion", "data.workers=0"])
    assert (spec.kind, spec.frames, spec.size) == ("motion", 4, 32)
    arguments = ["bare.safetensors", "data.kind=motion", "data.workers=0", "--clips", "4"]
    assert main(["calibrate", *arguments]) == 0
    assert load_model("bare.calibrated.safetensors").metadata.preprocess["size"] == 32


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["small.safetensors", "--clips", "1"], "--clips"),
        (["small.safetensors", "data.sise=3"], "data.size"),
        (["small.safetensors", "data.kind=folder"], "data.root"),
        (["small.safetensors", "data.modality=events"], "C=3"),
        (["absent.safetensors"], "no weights at absent.safetensors"),
        (["small.safetensors", "--out", "."], "cannot write"),
    ],
)
def test_calibrations_that_cannot_be(weights, arguments, words, capsys):
    assert words in refused(capsys, "calibrate", *arguments)
    assert os.listdir() == ["small.safetensors"]


def test_statistics_that_are_not_finite_are_not_written(weights):
    model = load_model("small.safetensors")
    torch.nn.init.constant_(model.downsample1_1.encode_conv.bias, torch.nan)
    with pytest.raises(WeightsError, match=r"statistics of downsample1_1\.encode_bn are not finite"):
        recalibrate(model, DATA, 4)


def test_reading_writes_nothing():
    found = read_import(checkpoint("run.pyth", small()), pin())
    assert found.found.whole
    assert sorted(os.listdir()) == ["pin.safetensors", "run.pyth"]


@pytest.mark.parametrize(
    ("task", "data", "options"),
    [
        (
            "pose",
            DataSpec(kind="figure", modality="depth", frames=2, size=32, train_length=9, workers=0),
            {"joints": 20},
        ),
        ("segmentation", replace(DATA, modality="rgb", size=32, train_length=9), {"num_classes": 2, "width": 8}),
    ],
)
def test_calibrate_serves_every_task(task, data, options):
    channels = 1 if task == "pose" else 3
    model = create_model(
        "spikevideoformer_ti", task=task, in_channels=channels, widths=(8, 8, 8, 8), heads=2, **options
    )
    before = model.downsample1_1.encode_bn.running_mean.clone()
    seen, moves = recalibrate(model, data, 8)
    assert seen == 8
    assert moves[0].mean > 0
    assert not torch.equal(model.downsample1_1.encode_bn.running_mean, before)


@pytest.fixture
def sets(tmp_path):
    """A checkpoint as training scripts write it: two sets of weights, numbers of numpy, an optimiser."""
    torch.manual_seed(0)
    own = create_model("svformer_ti").state_dict()
    scaled = {name: 0.5 * x if x.is_floating_point() else x for name, x in own.items()}
    path = tmp_path / "run.pth"
    numbers = {"best": np.float64(83.1), "epoch": np.int64(3), "lr": np.float32(0.1), "done": np.bool_(True)}
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3, 3), "step": torch.ones(3)}}, "param_groups": []}
    torch.save({"model": own, "ema": {"state_dict": scaled}, "optimizer": optimizer, **numbers}, path)
    return path, own, scaled


def test_every_set_of_weights_is_named_and_the_one_asked_for_taken(sets, tmp_path, capsys):
    path, own, scaled = sets
    out = tmp_path / "w.safetensors"
    for more, wanted, others in (([], own, ["ema.state_dict"]), (["--weights", "ema.state_dict"], scaled, ["model"])):
        line = [
            "import",
            str(path),
            "--as",
            "svformer_ti",
            "--out",
            str(out),
            "--json",
            str(tmp_path / "r.json"),
            *more,
        ]
        assert main(line) == 0
        assert f"other weights too: {others[0]}" in " ".join(capsys.readouterr().out.split())
        assert json.loads((tmp_path / "r.json").read_text())["other_weights"] == others
        taken = load_model(out).state_dict()
        assert all(torch.equal(taken[name], x) for name, x in wanted.items())
    assert main(["import", str(path), "--as", "svformer_ti", "--out", str(out), "--weights", "nothing"]) == 2
    assert "has no weights 'nothing'; it has 'model', 'ema.state_dict'" in capsys.readouterr().err


def test_several_unusual_sets_are_asked_about(sets, tmp_path):
    _, own, scaled = sets
    torch.save({"student": own, "teacher": scaled}, tmp_path / "two.pth")
    with pytest.raises(WeightsError, match="several weights: student, teacher; say which"):
        read_import(tmp_path / "two.pth", "svformer_ti")
    torch.save({"student": own}, tmp_path / "one.pth")
    assert read_import(tmp_path / "one.pth", "svformer_ti").found.whole


class Settings:
    """Of a training script."""


def test_what_is_refused_is_named_by_key_and_type(sets, tmp_path):
    torch.save({"model": sets[1], "settings": Settings()}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"holds more than tensors \(settings: .*\.Settings\)"):
        read_import(tmp_path / "x.pth", "svformer_ti")

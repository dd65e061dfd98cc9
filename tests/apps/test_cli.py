"""The command line: what it prints and writes, and that every mistake is one line and leaves nothing behind."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from authors_files import authors_state
from small import DATA, KINDS, cut_short, small_weights, video_file, video_folder

from spikereel.apps.cli import main
from spikereel.hub import create_model, list_models, weights_hash

COMMANDS = ("demo", "train", "evaluate", "predict", "energy", "export", "import", "calibrate", "data", "list", "doctor")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    small_weights(path)
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def refused(capsys, *arguments: object) -> str:
    """The one line that these arguments earn."""
    assert main([str(x) for x in arguments]) == 2
    return one_line(*capsys.readouterr())


def one_line(stdout: str, stderr: str) -> str:
    assert stderr.startswith("error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    assert "Traceback" not in stdout
    return stderr


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def save_nan(path: Path) -> None:
    np.save(path, np.full((4, 3, 32, 32), np.nan, dtype=np.float32))


BROKEN = {
    "missing.mp4": (lambda path: None, "no such file"),
    "empty.mp4": (lambda path: path.write_bytes(b""), "empty"),
    "text.mp4": (lambda path: path.write_text("not a video\n" * 100), "cannot be read as video"),
    "cut.mp4": (lambda path: cut_short(video_file(path)), "cut short"),
    "folder.mp4": (lambda path: path.mkdir(), "folder"),
    "nan.npy": (save_nan, "NaN"),
    "wide.npy": (lambda path: np.save(path, np.zeros((4, 5, 32, 32), np.float32)), "5 channels"),
    "flat.npy": (lambda path: np.save(path, np.zeros((4, 32), np.float32)), "shape"),
    "text.npy": (lambda path: path.write_text("1 2 3"), "npy"),
    "objects.npy": (lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True), "npy"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_line_and_nothing_is_written(name, tmp_path, out, weights, capsys):
    make, words = BROKEN[name]
    make(tmp_path / name)
    good = video_file(tmp_path / "good.mp4")
    message = refused(capsys, "predict", tmp_path / name, "--model", weights, "--out", out)
    assert name in message
    assert words in message
    assert not out.exists()
    results = tmp_path / "r.json"
    arguments = [good, tmp_path / name, good, "--model", weights, "--out", out, "--no-video", "--json", results]
    assert main(["predict", *map(str, arguments)]) == 1
    assert one_line(*capsys.readouterr()) == message
    one, broken, other = json.loads(results.read_text())
    assert words in broken["error"]
    assert one["top5"] == other["top5"]
    results.unlink()
    assert main(["predict", *map(str, arguments), "--on-error", "stop"]) == 1
    assert one_line(*capsys.readouterr()) == message
    assert len(json.loads(results.read_text())) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "motion", "optim.epoch=3"], "optim.epochs"),
        (["train", "motion", "optim.epochs=many"], "epochs"),
        (["train", "motion", "optim.epochs"], "key=value"),
        (["train", "motoin"], "'motion'"),
        (["train"], "name a recipe"),
        (["train", "video_folder"], "data.root"),
        (["evaluate", "spikevideoformer_ti.nothing"], "no weights"),
        (["energy", "spikevideoformer_tiny"], "no weights"),
        (["energy", "spikevideoforme_ti"], "did you mean the network spikevideoformer_ti?"),
        (["energy", "CLIP"], "is a video, where weights are asked for"),
        (["trace", "CLIP", "spikevideoformer_ti.motion"], "is a video, where weights are asked for"),
        (["evaluate", "STILL"], "is a picture, where weights are asked for"),
        (["predict", "spikevideoformer_ti.motion_spatial", "CLIP"], "--model spikevideoformer_ti.motion_spatial"),
        (["stream", "0"], "such as /dev/video0"),
        (["data", "check", "CLIP"], "data inspect"),
        (["energy", "spikevideoformer_ti", "--size", "8"], "--size"),
        (["energy", "spikevideoformer_ti", "--video", "x.mp4"], "no trained weights"),
    ],
)
def test_wrong_names_and_values(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    there = {"CLIP": "clip.mp4", "STILL": "still.jpg"}
    given = [there[x] for x in arguments if x in there]
    for name in given:
        video_file(tmp_path / name) if name.endswith("mp4") else (tmp_path / name).write_bytes(b"\xff\xd8")
    assert words in refused(capsys, *(there.get(x, x) for x in arguments))
    assert [path.name for path in files(tmp_path)] == given


@pytest.mark.parametrize(
    ("arguments", "whose"),
    [
        (["predcit"], ""),
        (["energy"], "energy "),
        (["energy", "x", "--size", "big"], "energy "),
        (["list", "--all"], "list "),
        (["train", "x", "--fast"], "train "),
        (["import", "x.pth"], "import "),
        (["data", "check", "x", "--kind", "y"], "data check "),
    ],
)
def test_mistakes_that_the_parser_finds(arguments, whose, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert f"see spikereel {whose}--help" in one_line(*capsys.readouterr())


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["predict", "a.mp4", "--modle", "b"], "; did you mean --model?"),
        (["predict", "a.mp4", "--modle=b"], "; did you mean --model?"),
        (["train", "x", "--data.root=videos"], "; write data.root=videos, without dashes"),
        (["train", "x", "--data.root", "videos"], "; write data.root=..., without dashes"),
        (["train", "x", "--what"], ""),
        (["list", "models"], ""),
    ],
)
def test_an_unknown_option_names_the_nearest(arguments, meant, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"{arguments[-1]}{meant}; see spikereel {arguments[0]} --help" in one_line(*capsys.readouterr())


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


def test_a_hostile_pickle_is_not_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"model": Hostile()}))
    video = video_file(tmp_path / "clip.mp4")
    for arguments in (["predict", video, "--model", path], ["evaluate", path], ["energy", path]):
        assert "weights.pth" in refused(capsys, *arguments)
    assert {p.name for p in files(tmp_path)} == {"weights.pth", "clip.mp4"}


def test_json_that_cannot_be_written(tmp_path, out, weights, capsys):
    (tmp_path / "file").write_text("mine")
    target = tmp_path / "file" / "result.json"
    video = video_file(tmp_path / "clip.mp4")
    for arguments in (
        ["predict", video, "--model", weights, "--out", out],
        ["evaluate", weights],
        ["energy", "spikevideoformer_ti", "--size", "32", "--frames", "1"],
    ):
        assert "result.json" in refused(capsys, *arguments, "--json", target)
    assert "cannot write" in refused(capsys, "evaluate", weights, "--json", tmp_path)
    assert "cannot write" in refused(capsys, "predict", video, "--model", weights, "--out", tmp_path / "file")
    assert not out.exists()
    assert (tmp_path / "file").read_text() == "mine"


def test_training_that_cannot_write(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    options = ["data.train_length=8", "data.test_length=8", "data.frames=2", "run.progress=false"]
    assert "run.out" in refused(capsys, "train", "motion", f"run.out={tmp_path / 'file'}", *options)


@pytest.mark.parametrize("frames", [1, 8])
def test_predict_writes_a_video_and_json(frames, tmp_path, out, weights, capsys):
    video = video_file(tmp_path / "clip.mp4", frames=frames)
    assert main(["predict", str(video), "--model", str(weights), "--out", str(out), "--json", str(out / "r.json")]) == 0
    assert "clip.mp4" in capsys.readouterr().out.replace("\n", "")
    assert {p.name for p in files(out)} == {"clip.mp4", "clip.json", "r.json"}
    result = json.loads((out / "r.json").read_text())
    assert len(result["top5"]) == 5
    assert result["video"]["frames"] == frames
    assert result["energy"]["energy_mj"]


def test_videos_of_the_same_name_do_not_overwrite_each_other(tmp_path, out, weights, capsys):
    videos = [str(video_file(tmp_path / folder / "clip.mp4", seed=i)) for i, folder in enumerate("ab")]
    results = tmp_path / "r.json"
    arguments = ["--model", str(weights), "--out", str(out), "--no-video", "--json", str(results)]
    assert main(["predict", *videos, *arguments]) == 0
    capsys.readouterr()
    assert {p.name for p in files(out)} == {"clip_0.json", "clip_1.json", "predictions.csv"}
    assert [x["path"] for x in json.loads(results.read_text())] == videos


def test_evaluate_says_what_was_judged(tmp_path, weights, capsys):
    path = tmp_path / "r.json"
    assert main(["evaluate", str(weights), "data.test_length=12", "--json", str(path)]) == 0
    assert "%" in capsys.readouterr().out
    result = json.loads(path.read_text())
    assert {"top1", "top5", "clips", "views", "weights_hash", "data_hash", "versions", "command"} <= result.keys()
    assert (result["clips"], result["views"], result["data"]["test_length"]) == (12, 1, 12)
    assert len(result["weights_hash"]) == len(result["data_hash"]) == 64


def test_evaluate_a_folder_in_views_and_without_its_broken_file(tmp_path, capsys):
    root = video_folder(tmp_path / "videos")
    bad = cut_short(root / KINDS[1] / "2.mp4")
    model = small_weights(tmp_path / "w.safetensors", replace(DATA, kind="folder", root=str(root)), KINDS)
    arguments = [
        "evaluate",
        str(tmp_path / "w.safetensors"),
        "data.stride=1",
        "data.clips=2",
        "data.crops=3",
        "--batch",
        "2",
    ]
    assert str(bad) in refused(capsys, *arguments)
    assert main([*arguments, "--json", str(tmp_path / "r.json"), "data.on_error=skip"]) == 0
    assert "skipped" in capsys.readouterr().out
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["clips"], result["views"], result["weights_hash"]) == (5, 6, weights_hash(model))
    assert [path for path, _ in result["skipped"]] == [str(bad)]


def test_energy_of_an_architecture(tmp_path, capsys):
    path = tmp_path / "r.json"
    assert main(["energy", "spikevideoformer_ti", "--size", "32", "--frames", "2", "--json", str(path)]) == 0
    assert "untrained" in " ".join(capsys.readouterr().out.split())
    assert json.loads(path.read_text())["model"] == "spikevideoformer_ti"


def test_energy_of_weights(weights, capsys):
    assert main(["energy", str(weights)]) == 0
    assert "10 fresh procedural clips" in " ".join(capsys.readouterr().out.split())


def test_train_writes_weights(tmp_path, capsys):
    options = [
        "optim.epochs=1",
        "optim.batch=4",
        "data.train_length=8",
        "data.test_length=8",
        "data.frames=2",
        "model.widths=[8,16,16,24]",
        "model.depths=[1,1]",
        "run.progress=false",
        f"run.out={tmp_path}",
    ]
    assert main(["train", "motion", *options]) == 0
    out, err = capsys.readouterr()
    assert "best.safetensors" in "".join(out.split())
    # a path has a line of its own, so that all else fits a terminal
    assert any(line.startswith("weights: ") for line in out.splitlines())
    assert err == ""
    assert main(["train", "--resume", "motion", *options, "optim.epochs=2"]) == 0


def test_train_names_the_files_it_left_out(tmp_path, capsys):
    root = video_folder(tmp_path / "videos")
    bad = cut_short(root / KINDS[1] / "2.mp4")
    options = [
        "optim.epochs=1",
        "optim.batch=2",
        f"data.root={root}",
        "data.on_error=skip",
        "data.frames=2",
        "data.size=32",
        "data.workers=0",
        "model.widths=[8,16,16,24]",
        "model.depths=[1,1]",
        "run.progress=false",
        "run.silent_epochs=0",
        f"run.out={tmp_path}",
    ]
    assert main(["train", "video_folder", *options]) == 0
    assert "".join(f"skipped {bad}: ".split()) in "".join(capsys.readouterr().out.split())


def test_train_lists_and_shows(capsys):
    assert main(["train", "--list"]) == 0
    assert "kinetics400" in capsys.readouterr().out
    for arguments in (["motion", "--show", "optim.lr=0.5"], ["motion", "optim.lr=0.5", "--show"]):
        assert main(["train", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["optim"]["lr"] == 0.5


@pytest.mark.parametrize(("command", "word"), [("list", "meta_spikeformer_b"), ("doctor", "torch")])
def test_list_and_doctor(command, word, capsys):
    assert main([command]) == 0
    assert word in capsys.readouterr().out


def test_list_writes_every_model_with_its_twin(tmp_path, capsys):
    path = tmp_path / "deep" / "models.json"
    assert main(["list", "--json", str(path)]) == 0
    capsys.readouterr()
    models = json.loads(path.read_text())
    assert models.keys() == list_models().keys()
    assert "svformer.ann" in models
    assert models["svformer"]["published"][0]["figure"].startswith("UCF101")
    assert models["svformer"]["config"]["frames"] == models["svformer"]["clip"][0] == 16
    assert "cannot write" in refused(capsys, "list", "--json", tmp_path)


def test_imported_weights_are_judged_once_the_data_is_named(tmp_path, capsys):
    model = create_model("svformer_ti", num_classes=10, frames=4, image_size=32)
    torch.save(authors_state(model), tmp_path / "run.pyth")
    path = tmp_path / "w.safetensors"
    assert main(["import", str(tmp_path / "run.pyth"), "--as", "svformer_ti", "--out", str(path)]) == 0
    assert "data.root=FOLDER" in refused(capsys, "evaluate", path)
    data = ["data.kind=motion", "data.test_length=12"]
    assert main(["evaluate", str(path), *data, "--json", str(tmp_path / "r.json")]) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["clips"], result["data"]["frames"], result["data"]["size"]) == (12, 4, 32)


@pytest.mark.parametrize("arguments", [[], *([x] for x in COMMANDS)], ids=["spikereel", *COMMANDS])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    assert "usage: spikereel" in capsys.readouterr().out


def test_in_a_process_of_its_own(tmp_path):
    run = [sys.executable, "-W", "error", "-m", "spikereel.apps.cli"]
    done = subprocess.run([*run, "train", "nothing"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    one_line(done.stdout, done.stderr)
    done = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("spikereel ")


def test_the_package_is_the_command_line():
    command = [sys.executable, "-m", "spikereel", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("spikereel ")

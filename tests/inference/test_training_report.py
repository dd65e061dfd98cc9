"""The report of a training: what it says of chance and of baselines, and what stands in its page."""

import dataclasses
import json
import re
from types import SimpleNamespace

import pytest
import torch
from small import KINDS, small_recipe, small_weights

from spikereel.apps.cli import main
from spikereel.data.video.write import write_video
from spikereel.inference.training_report import TrainingReport, at_least, training_report
from spikereel.runs.baselines import Baselines, baselines, motion_energy, ridge
from spikereel.runs.data import DataSpec
from spikereel.show.training import write_report
from spikereel.train.keep import KeepWeights
from spikereel.train.watch import Watch, in_words

SIMPLE = Baselines(ridge=80.0, majority=50.0, majority_class="a", train_clips=40, clips=10, moving=0.1)


def _report(**fields):
    values = {
        "name": "small",
        "classes": ("a", "b"),
        "confusion": [[5, 0], [0, 5]],
        "top1": 100.0,
        "trained": 100.0,
        "beside": SIMPLE,
        "losses": [1.0, 0.5],
        "history": [{"step": 2, "val_top1": 100.0, "firing": 0.1}],
        "firing": {"one": 0.1, "two": 0.2},
        "energy": {"snn": 0.1, "ann": 0.2},
        "seconds": 3.0,
        "skipped": (),
        "settings": (),
        "notes": (),
        "worst": (),
        "best": (),
    }
    return TrainingReport(**{**values, **fields})


def test_the_tail_of_a_binomial():
    assert at_least(0, 5, 0.3) == pytest.approx(1.0)
    assert at_least(2, 2, 0.5) == pytest.approx(0.25)
    assert at_least(1, 3, 0.5) == pytest.approx(7 / 8)


def test_better_than_chance_and_than_the_baseline():
    said = " ".join(_report().verdict())
    assert "10 of 10" in said
    assert "better than chance" in said
    assert "2 clips better than that baseline, which is within" in said


def test_shuffled_labels_are_called_chance_and_learnt_by_heart():
    report = _report(confusion=[[3, 2], [2, 3]], top1=60.0, history=[{"step": 1, "firing": 0.1}] * 10)
    assert "may be chance" in " ".join(report.verdict())
    assert any("by heart" in line and "labels" in line for line in report.advice())
    half = dataclasses.replace(report, trained=62.0)
    assert any("not fully learnt" in line and "labels" in line for line in half.advice())
    # where the learning rate is far from the rule's, it is named and not the labels
    for lr, word in ((0.3, "too large"), (1e-5, "too small")):
        (line,) = (x for x in dataclasses.replace(half, rates=(lr, 3e-3)).advice() if "learnt" in x)
        assert f"optim.lr={lr:g} is {word}, give 0.003" in line
        assert "labels" not in line
    assert dataclasses.replace(half, rates=(2e-3, 3e-3)).advice() == half.advice()


def test_too_few_clips_are_no_reason_to_call_the_labels_wrong():
    report = _report(confusion=[[2, 0], [0, 2]], history=[{"step": 1, "firing": 0.1}] * 10)
    assert report.chance > 0.05
    assert [line for line in report.advice() if "labels" in line] == []
    assert "4 held-out clips say little" in report.advice()[-1]


def test_the_best_of_many_validations_is_easier_to_reach_by_chance():
    once = _report(confusion=[[4, 1], [1, 4]], top1=80.0)
    often = dataclasses.replace(once, history=once.history * 10)
    assert once.chance == pytest.approx(at_least(8, 10, 0.5))
    assert often.chance == pytest.approx(1 - (1 - once.chance) ** 10)


def test_clips_that_chose_nothing_are_counted_once_and_do_not_flatter():
    last = _report(confusion=[[4, 1], [1, 4]], top1=80.0, history=[{"step": 1, "firing": 0.1}] * 10, chosen=False)
    assert last.chance == pytest.approx(at_least(8, 10, 0.5))
    assert "best of 10" in " ".join(dataclasses.replace(last, chosen=True).verdict())
    assert "best of" not in " ".join(last.verdict())
    sure = _report(chosen=False)
    assert "flatters" not in " ".join(sure.verdict())
    assert "flatters" in " ".join(_report().verdict())


def test_a_second_training_and_a_better_baseline_are_said():
    assert "trained anew on all 48 clips" in " ".join(_report(refitted=48).verdict())
    assert "trained anew" not in " ".join(_report().verdict())
    worse = _report(confusion=[[3, 2], [2, 3]], top1=60.0)
    assert any("Do not trust the network" in line for line in worse.advice())
    assert not any("Do not trust the network" in line for line in _report().advice())
    # trails do not go with jitter, so that a network which sees them is not told to try it
    known = dataclasses.replace(worse, confusion=[[38, 12], [12, 38]], top1=76.0)
    tips = [
        " ".join(dataclasses.replace(x, trailed=trailed).advice()) for trailed in (False, True) for x in (worse, known)
    ]
    assert ["data.trails=0.33" in tip for tip in tips] == [True, True, False, False]
    assert ["data.jitter" in tip for tip in tips] == [False, True, False, False]


def test_silent_layers_and_stills_are_said_first():
    report = _report(firing={"one": 0.1, "two": 0.0}, beside=dataclasses.replace(SIMPLE, moving=0.0))
    assert report.silent == ["two"]
    report = dataclasses.replace(report, confusion=[[3, 2], [2, 3]], top1=60.0)
    stills, silent, *rest = report.advice()
    assert "stills" in stills
    assert "learnt" not in " ".join(rest)
    assert "two" in silent
    assert "model.threshold" in silent


def _moving(path, right, seed):
    """A bright bar that goes right, or left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video = torch.randint(90, 110, (12, 3, 48, 48), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    for t in range(12):
        at = 4 + 3 * t if right else 40 - 3 * t
        video[t, :, 8:40, at : at + 5] = 230
    write_video(path, video, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("moving")
    for i in range(6):
        for name in ("left", "right"):
            _moving(root / name / f"{i}.mp4", name == "right", i)
    return root


def _spec(root):
    return DataSpec(kind="folder", root=str(root), frames=4, size=32, workers=0)


def test_the_ridge_sees_where_and_when_something_moves(folder):
    found = baselines(_spec(folder))
    assert found.ridge == 100.0
    assert found.majority == 50.0
    assert not found.still


def test_stills_are_found(tmp_path):
    for i in range(12):
        path = tmp_path / KINDS[i % 2] / f"{i}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_video(path, torch.full((6, 3, 48, 48), 20 * i, dtype=torch.uint8), 10)
    assert baselines(_spec(tmp_path)).still


def test_motion_energy_by_hand():
    video = torch.zeros(4, 1, 8, 8)
    video[1:, :, 0, 0] = 1.0
    energy = motion_energy(video).view(3, 8, 8)
    assert energy[0, 0, 0] == 1.0
    assert energy.sum() == 1.0


def test_ridge_of_features_that_never_vary_is_the_share_of_classes():
    scores = ridge(torch.ones(4, 3), torch.tensor([0, 0, 0, 1]), torch.ones(2, 3), classes=2)
    assert torch.allclose(scores, torch.tensor([[0.75, 0.25]]).expand(2, 2))


def test_a_report_of_weights_is_one_page_with_all_in_it(folder, tmp_path):
    spec = _spec(folder)
    small_weights(tmp_path / "w.safetensors", spec, ("left", "right"))
    recipe = dataclasses.replace(small_recipe(tmp_path), data=spec)
    report = training_report(recipe, tmp_path / "w.safetensors", losses=[1.0], settings=["optim.lr=1: so"])
    assert report.clips == 2
    assert {x.truth for x in (*report.worst, *report.best)} == {"left", "right"}
    assert all(x.strip.dtype == torch.uint8 for x in report.worst)
    page, picture = write_report(report, tmp_path)
    text = page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "optim.lr=1: so" in text
    assert report.verdict()[0] in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert json.loads(json.dumps(report.to_json()))["top1"] == report.top1


def test_train_leaves_a_report_and_compare_reads_it(folder, tmp_path, capsys):
    options = [
        f"data.root={folder}",
        "optim.epochs=1",
        "optim.batch=4",
        "data.frames=2",
        "data.size=32",
        "data.workers=0",
        "model.widths=[8,16,16,24]",
        "model.depths=[1,1]",
        "run.progress=false",
        "run.silent_epochs=0",
    ]
    for name in ("one", "two"):
        lr = "0.001" if name == "one" else "0.002"
        assert main(["train", "video_folder", *options, f"run.out={tmp_path / name}", f"optim.lr={lr}"]) == 0
    out = capsys.readouterr().out
    assert "optim.lr=0.001: as given" in out
    assert "held-out clips" in out
    runs = [str(tmp_path / name / "video_folder") for name in ("one", "two")]
    assert (tmp_path / "one" / "video_folder" / "report.html").is_file()
    assert main(["compare", *runs]) == 0
    out = capsys.readouterr().out
    assert "optim.lr" in out
    assert "0.002" in out
    assert "accuracy" in out
    assert main(["compare", runs[0], str(tmp_path)]) == 2
    assert "report.json" in capsys.readouterr().err


def test_weights_with_silent_layers_are_best_only_until_there_are_others(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr("spikereel.train.keep.save_model", lambda model, path, metadata: kept.append(path.name))
    data = SimpleNamespace(classes=("a", "b"))
    monkeypatch.setattr("spikereel.train.keep.data_passport", lambda data: SIMPLE)
    monkeypatch.setattr("spikereel.train.keep.identities", lambda data: None)
    monkeypatch.setattr("spikereel.train.keep.metadata_of", lambda *args, **figures: None)
    monkeypatch.setattr(Baselines, "hash", "0", raising=False)
    keep = KeepWeights(small_recipe(tmp_path), tmp_path, data)
    objective = SimpleNamespace(monitor="val_top1", higher_is_better=True)
    best = []
    for value, silent in ((90.0, ["deep"]), (95.0, ["deep"]), (50.0, []), (99.0, ["deep"]), (60.0, [])):
        module = SimpleNamespace(objective=objective, dead=False, silent=silent, model=None)
        metrics = {"val_top1": torch.tensor(value)}
        trainer = SimpleNamespace(
            sanity_checking=False, is_global_zero=True, global_step=1, callback_metrics=metrics, strategy=None
        )
        keep.on_validation_end(trainer, module)
        best.append(keep.best)
    assert best == [90.0, 95.0, 50.0, 50.0, 60.0]


def test_the_time_that_is_left_is_said_once():
    said, now = [], iter([0.0, 1.0, 3.0, 7.0, 9.0, 11.0])
    watch = Watch(said.append, clock=lambda: next(now))
    trainer = SimpleNamespace(num_training_batches=10, max_epochs=10)
    for _ in range(6):
        watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(1.0)}, None, 0)
    # 6 s for the two steps after the second
    assert said == ["100 steps of 3 s: about 5 min left, validations not counted"]
    assert len(watch.losses) == 6
    assert (in_words(40), in_words(7200)) == ("40 s", "2.0 h")

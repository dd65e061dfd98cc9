"""Judging: views, files left out, what the result says."""

import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from small import DATA, KINDS, cut_short, small_weights, video_folder

from spikereel.data.made.scenes import CLASSES
from spikereel.errors import DataError
from spikereel.runs.clips import build_dataset
from spikereel.runs.evaluate import evaluate, protocols
from spikereel.show.evaluation import evaluation_table


def test_accuracy_is_that_of_the_logits(tmp_path):
    model, clips = small_weights(tmp_path / "w.safetensors"), build_dataset(DATA, "test")
    with torch.inference_mode():
        rows = torch.stack([model(clips[i][0][:, None])[0][0] for i in range(20)])
    labels = torch.tensor([clips[i][1] for i in range(20)])
    seen = []
    outcome = evaluate(model, clips, DATA, batch=7, progress=lambda done, total: seen.append((done, total)))
    assert outcome.score.top1 == pytest.approx(100 * float((rows.argmax(1) == labels).float().mean()))
    top5 = (rows.topk(5).indices == labels[:, None]).any(1).float().mean()
    assert outcome.score.top5 == pytest.approx(100 * float(top5))
    assert seen == [(7, 20), (14, 20), (20, 20)]


def test_result_in_plain_types(tmp_path):
    clips = build_dataset(DATA, "test")
    outcome = evaluate(small_weights(tmp_path / "w.safetensors"), clips, DATA)
    result = json.loads(json.dumps(outcome.to_json()))
    assert (result["clips"], result["views"], result["averaged"]) == (20, 1, "logits")
    assert 0 <= result["top1"] <= result["top5"] <= 100
    assert result["data_hash"] == clips.fingerprint()
    passport = {"clips": 20, "missing": 0, "skipped": 0, "hash": clips.fingerprint(), "simulated": False}
    assert result["data_passport"] == passport | {"choices": {}, "left_out": 0, "left_out_first": []}
    assert list(result["per_class"]) == list(CLASSES)
    assert sum(map(sum, result["confusion"])) == 20
    assert result["skipped"] == []
    assert result["simulated"] is False
    assert any(result["firing"].values())


def test_simulated_events_are_called_so(tmp_path):
    spec = replace(DATA, simulate=0.25, test_length=4)
    outcome = evaluate(small_weights(tmp_path / "w.safetensors", spec), build_dataset(spec, "test"), spec)
    assert outcome.to_json()["simulated"] is True
    console = Console(file=io.StringIO(), width=200)
    console.print(evaluation_table([outcome], "0" * 64))
    assert "simulated events" in console.file.getvalue()


def test_views_are_averaged_and_bad_files_reported(tmp_path):
    bad = cut_short(video_folder(tmp_path / "videos") / KINDS[0] / "1.mp4")
    spec = replace(DATA, kind="folder", root=str(tmp_path / "videos"), stride=1, clips=2, crops=3, on_error="skip")
    model = small_weights(tmp_path / "w.safetensors", spec, KINDS)
    clips = build_dataset(spec, "test", classes=KINDS, views=True)
    outcome = evaluate(model, clips, spec, batch=2)
    assert (outcome.score.clips, outcome.views) == (5, 6)
    ((path, reason),) = outcome.skipped
    assert path == str(bad)
    assert "cut short" in reason
    with torch.inference_mode():
        best = [int(model(clips[i][0].transpose(0, 1))[0].mean(0).argmax()) for i in range(5)]
    assert outcome.score.confusion.sum(0).tolist() == [best.count(0), best.count(1)]


def test_a_single_view_is_judged_beside_several():
    spec = replace(DATA, clips=5, crops=3)
    assert [(x.clips, x.crops) for x in protocols(spec)] == [(5, 3), (1, 1)]
    assert protocols(DATA) == [DATA]


def test_probabilities_or_logits_are_averaged(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path / "videos")), crops=3, average="softmax")
    model = small_weights(tmp_path / "w.safetensors", spec, KINDS)
    outcome = evaluate(model, build_dataset(spec, "test", views=True), spec)
    assert (outcome.views, outcome.to_json()["averaged"]) == (3, "softmax")


def test_classes_that_are_not_the_models(tmp_path):
    model = small_weights(tmp_path / "w.safetensors", classes=KINDS)
    with pytest.raises(DataError, match="10 classes, the model 2"):
        evaluate(model, build_dataset(DATA, "test"), DATA)

"""Judging segmentation: every labelled frame once, consistency in the order of the video, windows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikereel.data.mask_clips import IGNORE
from spikereel.errors import ConfigError, DataError
from spikereel.hub import create_model
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_segmentation_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.evaluate import evaluate
from spikereel.tasks.segmentation import VideoConsistency
from tests.masks import blocks, write_camvid, write_pair

SPEC = DataSpec(kind="camvid", frames=2, size=32, workers=0)


def model_of(classes=11):
    torch.manual_seed(0)
    small = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=classes, width=16, **small)
    calibrate(model, [torch.randn(2, 2, 3, 32, 48)])
    return model.eval()


def test_figures_are_those_of_the_clips_one_by_one(tmp_path):
    write_camvid(tmp_path)
    rng = np.random.default_rng(0)
    one, other = blocks(rng, 11), blocks(rng, 11)
    for i, frame in enumerate(sorted((tmp_path / "val").iterdir())):
        labels = one.copy()
        labels[:, i:] = other[:, i:]
        write_pair(frame, tmp_path / "valannot" / f"{frame.stem}.png", labels)
    spec, model = replace(SPEC, root=str(tmp_path)), model_of()
    data = build_segmentation_dataset(spec, "test")
    seen = []
    found = evaluate(model, data, spec, batch=3, progress=lambda *x: seen.append(x))
    assert seen[-1] == (20, 20)
    confusion, consistency = torch.zeros(11, 11), VideoConsistency()
    for clip, masks in data:
        with torch.inference_mode():
            labels = model(clip[:, None])[0][-1, 0].argmax(0)
        known = masks[-1] != IGNORE
        for true, own in zip(masks[-1][known].tolist(), labels[known].tolist(), strict=True):
            confusion[true, own] += 1
        consistency.add("v", labels, masks[-1])
    assert torch.equal(found.score.confusion, confusion.long())
    json = found.to_json()
    assert (json["frames"], json["clips"]) == (20, 20)
    assert json["vc8"] is not None
    assert 0 < json["vc8_steady"] < 100
    assert {name: json[name] for name in consistency.to_json()} == consistency.to_json()
    assert json["data_passport"]["clips"] == 20
    assert json["firing"]


def test_windows_and_mistakes(tmp_path):
    write_camvid(tmp_path)
    spec = replace(SPEC, root=str(tmp_path), held_out="A")
    data = build_segmentation_dataset(spec, "val")
    whole, windows = (evaluate(model_of(), data, replace(spec, window=w)).score for w in ((), (32, 16)))
    assert whole.confusion.sum() == windows.confusion.sum()
    assert not torch.equal(whole.confusion, windows.confusion)
    assert whole.to_json()["vc8"] is None, "a frame a second is no video"
    with pytest.raises(DataError, match="the data has 11 classes, the model 3"):
        evaluate(model_of(3), data, spec)
    with pytest.raises(ConfigError, match="window"):
        evaluate(model_of(), data, replace(spec, window=(3,)))

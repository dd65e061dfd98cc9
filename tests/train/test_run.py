"""Whole runs of a few steps: what they leave behind, going on, coming out the same."""

import json
import logging
import logging.handlers
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from small import DATA, KINDS, SMALL, cut_short, small_recipe, small_weights, video_folder

from spikereel.config import build
from spikereel.data.made.scenes import CLASSES
from spikereel.errors import ConfigError, WeightsError
from spikereel.hub import create_model, load_model
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_dataset, build_loader
from spikereel.runs.config import Recipe, data_spec_of
from spikereel.runs.start import start_from
from spikereel.train.run import KeepWeights, train


class Losses(Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(float(outputs["loss"]))


def test_a_run_leaves_weights_checkpoint_and_recipe(tmp_path):
    recipe, losses = small_recipe(tmp_path), Losses()
    result = train(recipe, callbacks=(losses,))
    assert result.folder == tmp_path / "small"
    assert {p.name for p in result.folder.iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "last.ckpt",
        "recipe.json",
        "plan.json",
        "log",
    }
    assert len(losses.values) == 3
    assert build(Recipe, json.loads((result.folder / "recipe.json").read_text())) == recipe
    assert [(x["epoch"], x["step"]) for x in result.history] == [(0, 3)]
    assert result.top1 == result.history[0]["val_top1"]
    model = load_model(result.last)
    assert model.metadata.classes == CLASSES
    assert data_spec_of(model.metadata) == recipe.data
    assert model.metadata.training["data_hash"] == build_dataset(recipe.data, "train").fingerprint()
    assert model.metadata.training["steps"] == 3
    assert model(build_dataset(recipe.data, "test")[0][0][:, None])[0].shape == (1, 10)


def test_weights_do_not_remember_where_frames_were_kept(tmp_path):
    root, cache = video_folder(tmp_path / "videos", each=5), tmp_path / "frames"
    recipe = small_recipe(tmp_path, kind="folder", root=str(root), cache=str(cache), batch=2)
    spec = data_spec_of(load_model(train(recipe).last).metadata)
    assert any(cache.iterdir())
    assert spec == replace(recipe.data, cache=None)


def test_seeded_runs_are_the_same_and_seeds_differ(tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        losses = Losses()
        train(small_recipe(tmp_path / name, seed=seed, mixup=0.5, drop_path=0.2), callbacks=(losses,))
        runs.append(losses.values)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_run_in_little_memory_learns_the_same_and_says_so(tmp_path):
    plain, lean = (train(small_recipe(tmp_path / memory, memory=memory)) for memory in ("plain", "lean"))
    for own, other in zip(plain.history, lean.history, strict=True):
        assert other == pytest.approx(own, rel=1e-3)
    said = [line for line in lean.notes if line.startswith("memory: lean; kernels of training: ")]
    assert len(said) == 1
    assert not any(line.startswith("memory:") for line in plain.notes)


@pytest.mark.parametrize(
    ("changes", "words"), [({"checkpointing": True}, "give one of them"), ({"sync_norms": True}, "norms of one device")]
)
def test_what_little_memory_does_not_go_with(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        small_recipe(tmp_path, memory="lean", **changes)


def test_resume_goes_on_from_the_last_step(tmp_path):
    first = train(small_recipe(tmp_path, epochs=1))
    weights = load_model(first.last).state_dict()

    class Look(Callback):
        def on_train_start(self, trainer, pl_module):
            self.step, self.same = (
                trainer.global_step,
                all(torch.equal(x, weights[name]) for name, x in pl_module.model.state_dict().items()),
            )

    look, losses = Look(), Losses()
    again = train(small_recipe(tmp_path, epochs=2, resume=True), callbacks=(look, losses))
    assert (look.step, look.same) == (6, True)
    assert len(losses.values) == 6
    assert [(x["epoch"], x["step"]) for x in again.history] == [(1, 12)]
    assert again.top1 >= first.top1


def test_the_last_epoch_is_always_judged_and_kept(tmp_path):
    result = train(small_recipe(tmp_path, epochs=3, validate_every=2))
    assert [x["epoch"] for x in result.history] == [1, 2]
    assert load_model(result.last).metadata.training["steps"] == 18


@pytest.mark.parametrize("clips", [0, 16])
def test_kept_norms_are_those_of_training_clips(tmp_path, clips):
    recipe = small_recipe(tmp_path, precise_norms=clips)
    kept = load_model(train(recipe).last)
    anew = load_model(tmp_path / "small" / "last.safetensors")
    for layer in anew.modules():
        if isinstance(layer, torch.nn.Conv2d):
            # the order of sums, too, is that of training
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    loader = build_loader(build_dataset(recipe.data, "train"), recipe.data, batch=8, shuffle=True)
    calibrate(anew, [videos.transpose(0, 1) for videos, _ in islice(loader, 2)])
    pairs = zip(kept.state_dict().values(), anew.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) == (clips == 16)


def test_precise_norms_see_every_copy(tmp_path):
    root = video_folder(tmp_path / "videos")
    data = replace(DATA, kind="folder", root=str(root), copies=2, frames=2)
    result = train(replace(small_recipe(tmp_path, batch=2, epochs=1, precise_norms=2), data=data))
    counts = [x for name, x in load_model(result.last).state_dict().items() if name.endswith("num_batches_tracked")]
    assert {int(x) for x in counts} == {1}


def test_resumed_data_is_that_of_the_next_epoch(tmp_path):
    data = build_dataset(DATA, "train")
    KeepWeights(small_recipe(tmp_path), tmp_path, data).load_state_dict(
        {"best": 1.0, "epoch": 5, "done": 0, "random": None}
    )
    fresh = build_dataset(DATA, "train")
    fresh.set_epoch(5)
    assert torch.equal(data[0][0], fresh[0][0])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_sees_the_batches_of_one_that_was_not_interrupted(tmp_path, workers):
    class Batches(Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.seen.append(batch[0].clone())

    videos = tmp_path / "videos"
    data = replace(DATA, kind="folder", root=str(video_folder(videos, each=5)), workers=workers, flip=True)

    def run(name, epochs, resume=False):
        batches = Batches()
        recipe = small_recipe(tmp_path / name, batch=2, epochs=epochs, resume=resume)
        train(replace(recipe, data=data), callbacks=(batches,))
        return batches.seen

    whole = run("whole", 3)
    parts = run("parts", 1) + run("parts", 3, resume=True)
    assert len(whole) == len(parts) == 12
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert not torch.equal(torch.stack(whole[4:8]), torch.stack(whole[8:]))


def test_nothing_to_resume(tmp_path):
    with pytest.raises(ConfigError, match=r"last\.ckpt"):
        train(small_recipe(tmp_path, resume=True))


def test_resume_with_another_model_or_a_broken_checkpoint(tmp_path):
    train(small_recipe(tmp_path))
    with pytest.raises(ConfigError, match=r"last\.ckpt is of another model"):
        train(small_recipe(tmp_path, resume=True, depths=(2, 1)))
    (tmp_path / "small" / "last.ckpt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"last\.ckpt"):
        train(small_recipe(tmp_path, resume=True))


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"run\.out"):
        train(small_recipe(tmp_path / "file"))


def test_accumulation_counts_steps_not_batches(tmp_path):
    assert train(small_recipe(tmp_path, epochs=1, accumulate=3)).history[0]["step"] == 2


def test_lightning_is_quiet_and_left_as_it_was(tmp_path, capfd):
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    before = [logger.level for logger in loggers], list(warnings.filters)
    notices = logging.handlers.BufferingHandler(1000)
    for logger in loggers:
        logger.addHandler(notices)
    try:
        train(small_recipe(tmp_path))
    finally:
        for logger in loggers:
            logger.removeHandler(notices)
    assert [record.getMessage() for record in notices.buffer] == []
    assert capfd.readouterr() == ("", "")
    assert ([logger.level for logger in loggers], warnings.filters) == before


def test_start_from_copies_all_but_another_head(tmp_path):
    source = small_weights(tmp_path / "w.safetensors")
    model = create_model("spikevideoformer_ti", num_classes=3, **SMALL)
    head = model.head.weight.clone()
    assert start_from(model, str(tmp_path / "w.safetensors")) == ["head.bias", "head.weight"]
    assert torch.equal(model.head.weight, head)
    have = source.state_dict()
    assert all(torch.equal(x, have[name]) for name, x in model.state_dict().items() if not name.startswith("head."))


def test_start_from_the_same_head_is_the_same_model(tmp_path):
    source = small_weights(tmp_path / "w.safetensors")
    model = create_model("spikevideoformer_ti", num_classes=10, **SMALL)
    assert start_from(model, str(tmp_path / "w.safetensors")) == []
    assert torch.equal(model.head.weight, source.head.weight)


def test_start_from_another_architecture_is_refused(tmp_path):
    small_weights(tmp_path / "w.safetensors")
    model = create_model("spikevideoformer_ti", num_classes=10, **(SMALL | {"widths": (8, 16, 16, 32)}))
    with pytest.raises(WeightsError, match="cannot start this model"):
        start_from(model, str(tmp_path / "w.safetensors"))


def test_a_folder_of_videos_trains(tmp_path: Path):
    root = video_folder(tmp_path / "videos")
    data = replace(DATA, kind="folder", root=str(root), flip=True)
    recipe = replace(small_recipe(tmp_path, batch=5, epochs=1), data=data)
    result = train(recipe)
    assert [x["step"] for x in result.history] == [1]
    assert load_model(result.best).metadata.classes == KINDS


@pytest.mark.parametrize("shown", [True, False])
def test_files_left_out_are_named_and_their_search_is_seen(tmp_path, monkeypatch, shown):
    from spikereel.train import run

    root = video_folder(tmp_path / "videos")
    bad = cut_short(root / KINDS[1] / "2.mp4")
    data = replace(DATA, kind="folder", root=str(root), on_error="skip")
    recipe = replace(small_recipe(tmp_path, batch=2, epochs=1, progress=shown), data=data)
    seen, update = [], run.Progress.update
    monkeypatch.setattr(run.Progress, "update", lambda self, task, **to: seen.append(to) or update(self, task, **to))
    result = train(recipe)
    assert [path for path, _ in result.skipped] == [str(bad)]
    assert "cut short" in result.skipped[0][1]
    looked = [to for to in seen if to.get("total") == 6]
    assert len(looked) == (12 if shown else 0)  # for the training clips and for those held out

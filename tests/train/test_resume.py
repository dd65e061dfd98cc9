"""Runs that are stopped and go on: at any step, with everything that draws; and what may be changed on the way."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import Callback
from small import DATA, small_recipe, video_folder

from spikereel.errors import ConfigError, Interrupted
from spikereel.hub import load_model
from spikereel.train.run import train

DRAWS = {"mixup": 0.8, "cutmix": 1.0, "drop_path": 0.2, "batch": 2}


@pytest.fixture(scope="module")
def drawing(tmp_path_factory):
    root = video_folder(tmp_path_factory.mktemp("videos"), each=6)
    changes = {"jitter": 0.4, "flip": True, "mirror": ("dark=light",), "randaugment": "m5-n2-mstd0.25", "erasing": 0.5}
    return replace(DATA, kind="folder", root=str(root), frames=2, time_warp=0.5, copies=2, **changes)


class Signal(Callback):
    """Sends a signal in a step."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number, self.seen = step, number, 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen += 1
        if self.seen == self.step:
            os.kill(os.getpid(), self.number)


def weights(folder):
    return load_model(folder / "small" / "last.safetensors").state_dict()


def judged(folder):
    """What the last validation found, and after how many steps."""
    figures = load_model(folder / "small" / "last.safetensors").metadata.training
    return {name: x for name, x in figures.items() if isinstance(x, int | float)}


def differing(one, other):
    """Names of entries that are not the same."""
    return [name for name, x in one.items() if not torch.equal(x, other[name])]


@pytest.fixture(scope="module")
def whole(drawing, tmp_path_factory):
    """Folders of runs of two epochs of five batches that nothing stopped."""
    found = {}
    for accumulate in (1, 2):
        found[accumulate] = tmp_path_factory.mktemp("whole")
        recipe = small_recipe(found[accumulate], epochs=2, accumulate=accumulate, **DRAWS)
        train(replace(recipe, data=drawing))
    return found


@settings(max_examples=6)
@given(step=st.integers(1, 10), accumulate=st.sampled_from([1, 2]), workers=st.sampled_from([0, 0, 2]))
def test_resumed_at_any_step_is_as_without_a_stop(drawing, whole, tmp_path_factory, step, accumulate, workers):
    out, data = tmp_path_factory.mktemp("cut"), replace(drawing, workers=workers)
    recipe = replace(small_recipe(out, epochs=2, accumulate=accumulate, **DRAWS), data=data)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=r"interrupted: .*last\.ckpt is written; go on with --resume") as stop:
        train(recipe, callbacks=(Signal(step),))
    assert stop.value.code == 130
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    train(replace(recipe, run=replace(recipe.run, resume=True)))
    assert differing(weights(out), weights(whole[accumulate])) == []


def test_a_run_stopped_inside_its_last_epoch_is_judged_at_its_end(drawing, tmp_path):
    recipe = replace(small_recipe(tmp_path, epochs=3, batch=2), data=drawing)
    recipe = replace(recipe, run=replace(recipe.run, validate_every=2))
    with pytest.raises(Interrupted):
        train(recipe, callbacks=(Signal(13),))
    result = train(replace(recipe, run=replace(recipe.run, resume=True)))
    assert [row["step"] for row in result.history] == [15]
    assert load_model(result.last).metadata.training["steps"] == 15


def test_sigterm_writes_a_checkpoint_too(drawing, tmp_path):
    recipe = replace(small_recipe(tmp_path, epochs=2, batch=2), data=drawing)
    with pytest.raises(Interrupted) as stop:
        train(recipe, callbacks=(Signal(2, signal.SIGTERM),))
    assert stop.value.code == 143
    assert (tmp_path / "small" / "last.ckpt").is_file()


class SignalInValidation(Callback):
    """Sends a signal in a batch of the validation of an epoch."""

    def __init__(self, epoch, number):
        self.epoch, self.number, self.seen = epoch, number, 0

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if trainer.current_epoch == self.epoch:
            self.seen += 1
            if self.seen == 1:
                os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("epoch", "number"), [(0, signal.SIGTERM), (1, signal.SIGINT)])
def test_a_validation_is_broken_off_and_made_anew(drawing, whole, tmp_path, epoch, number):
    """At the first of its batches, and the figures of the epoch are those of a run that nothing stopped."""
    recipe = replace(small_recipe(tmp_path, epochs=2, **DRAWS), data=drawing)
    sender = SignalInValidation(epoch, number)
    with pytest.raises(Interrupted, match="is written; go on with --resume") as stop:
        train(recipe, callbacks=(sender,))
    assert stop.value.code == 128 + number
    assert sender.seen == 1
    train(replace(recipe, run=replace(recipe.run, resume=True)))
    assert differing(weights(tmp_path), weights(whole[1])) == []
    assert judged(tmp_path) == judged(whole[1])


class Rates(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append([(g["lr"], g["weight_decay"], g["betas"]) for g in trainer.optimizers[0].param_groups])


def test_what_is_asked_for_is_what_runs(drawing, tmp_path):
    train(replace(small_recipe(tmp_path, epochs=1, batch=2, weight_decay=0.05), data=drawing))
    rates = Rates()
    asked = {"lr": 1e-4, "weight_decay": 0.0, "betas": (0.8, 0.9), "head_lr": 0.5}
    train(replace(small_recipe(tmp_path, epochs=2, batch=2, resume=True, **asked), data=drawing), callbacks=(rates,))
    assert len(rates.seen) == 5
    assert max(lr for step in rates.seen for lr, _, _ in step) <= 1e-4
    assert {(decay, betas) for step in rates.seen for _, decay, betas in step} == {(0.0, (0.8, 0.9))}


def test_another_schedule_runs(drawing, tmp_path):
    train(replace(small_recipe(tmp_path, epochs=1, batch=2, warmup=0.0), data=drawing))
    rates, asked = Rates(), {"schedule": "linear", "lr": 1e-2, "min_lr": 0.0, "warmup": 0.0}
    train(replace(small_recipe(tmp_path, epochs=2, batch=2, resume=True, **asked), data=drawing), callbacks=(rates,))
    # steps 6 to 10 of ten; a rate is read when its step is done
    seen = [max(lr for lr, _, _ in step) for step in rates.seen]
    assert seen == pytest.approx([1e-2 * (1 - done / 10) for done in range(5, 10)]) or seen == pytest.approx(
        [1e-2 * (1 - done / 10) for done in range(6, 11)]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixup": 0.4}, r"another optim\.mixup \(0\.0 -> 0\.4\)"),
        ({"cutmix": 1.0}, r"another optim\.cutmix"),
        ({"accumulate": 2}, r"another optim\.accumulate \(1 -> 2\)"),
        ({"smoothing": 0.3}, r"another optim\.smoothing \(0\.1 -> 0\.3\); what may change: optim\.lr, .*data\.workers"),
        ({"batch": 3}, r"another optim\.batch \(2 -> 3\)"),
        ({"seed": 4}, r"another .*run\.seed"),
        ({"size": 64}, r"another data\.size \(32 -> 64\)"),
    ],
)
def test_settings_that_must_stay_are_named(tmp_path, changes, message):
    train(small_recipe(tmp_path, batch=2, train_length=8))
    changed = small_recipe(tmp_path, **({"batch": 2, "train_length": 8, "resume": True} | changes))
    if "seed" in changes:
        changed = replace(changed, data=DATA, run=replace(changed.run, seed=4))
        changed = replace(changed, data=replace(DATA, train_length=8))
    with pytest.raises(ConfigError, match=message):
        train(changed)


def test_a_run_of_python_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    recipe = small_recipe(tmp_path, batch=2, train_length=4)
    result = train(replace(recipe, run=replace(recipe.run, out="~/runs")))
    assert result.folder == tmp_path / "home" / "runs" / "small"
    assert not (tmp_path / "~").exists()


def test_other_clips_and_classes_are_refused(tmp_path):
    data = replace(DATA, kind="folder", root=str(video_folder(tmp_path / "a", each=3)), frames=2)
    train(replace(small_recipe(tmp_path, batch=2), data=data))
    (tmp_path / "a").rename(tmp_path / "moved")
    moved = replace(data, root=str(tmp_path / "moved"))
    train(replace(small_recipe(tmp_path, batch=2, epochs=1, resume=True), data=moved))
    (tmp_path / "moved" / "dark" / "0.mp4").unlink()
    with pytest.raises(ConfigError, match=r"last\.ckpt is of other training data"):
        train(replace(small_recipe(tmp_path, batch=2, epochs=1, resume=True), data=moved))
    (tmp_path / "moved" / "dark").rename(tmp_path / "moved" / "night")
    with pytest.raises(ConfigError, match=r"last\.ckpt is of other classes \(dark, light\)"):
        train(replace(small_recipe(tmp_path, batch=2, epochs=1, resume=True), data=moved))
    (tmp_path / "moved" / "night").rename(tmp_path / "moved" / "dark")
    video_folder(tmp_path / "more", each=2)
    (tmp_path / "more" / "dark").rename(tmp_path / "moved" / "more")
    with pytest.raises(ConfigError, match=r"of other classes \(dark, light\), now there are dark, light, more"):
        train(replace(small_recipe(tmp_path, batch=2, epochs=1, resume=True), data=moved))

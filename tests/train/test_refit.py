"""Which weights a run keeps: the last ones, and those of a second training on all clips."""

import dataclasses

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from small import DATA, small_recipe, video_folder

from spikereel.hub import load_model
from spikereel.runs.classification import ClassificationObjective
from spikereel.runs.evaluate import split_to_judge
from spikereel.runs.origins import trained_on
from spikereel.train.run import train
from spikereel.train.watch import Watch


@pytest.mark.parametrize(("keep", "same"), [("last", True), ("best", False)])
def test_the_last_weights_are_kept_where_asked(tmp_path, monkeypatch, keep, same):
    found = iter([80.0, 20.0])
    monkeypatch.setattr(ClassificationObjective, "figures", lambda self: {"val_top1": next(found)})
    result = train(small_recipe(tmp_path, epochs=2, keep=keep))
    best, last = (load_model(path).state_dict() for path in (result.best, result.last))
    assert all(torch.equal(x, last[name]) for name, x in best.items()) == same
    assert result.value == (20.0 if same else 80.0)


def _recipe(tmp_path, each=5, **changes):
    data = dataclasses.replace(DATA, kind="folder", root=str(video_folder(tmp_path / "videos", each=each)))
    return dataclasses.replace(small_recipe(tmp_path, batch=2, refit=True, keep="last", **changes), data=data)


def test_a_second_training_has_all_clips_and_the_figures_stay_those_of_the_first(tmp_path, monkeypatch):
    said, found = [], iter([75.0, 100.0])
    monkeypatch.setattr(ClassificationObjective, "figures", lambda self: {"val_top1": next(found)})
    watch = Watch(said.append)
    recipe = _recipe(tmp_path)
    result = train(recipe, callbacks=(watch,))
    first, kept = load_model(result.judged), load_model(result.best)
    assert [len(trained_on(x.metadata.training)) for x in (first, kept)] == [8, 10]
    assert result.passport.clips == 10
    assert kept.metadata.training["val_top1"] == result.value == first.metadata.training["val_top1"] == 75.0
    assert any("all 10 clips" in line for line in result.notes)
    assert any("second training" in line for line in said)
    assert len(watch.losses) == 2
    # nothing is left to judge these on in the folder; the first have their own
    assert split_to_judge(kept, dataclasses.replace(recipe.data, hold_out=False))[1] is None
    assert split_to_judge(first, recipe.data)[0].split == "val"


def test_it_is_that_of_a_run_on_all_clips(tmp_path):
    recipe = _recipe(tmp_path)
    kept = load_model(train(recipe).best).state_dict()
    plain = dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, hold_out=False),
        run=dataclasses.replace(recipe.run, refit=False, out=str(tmp_path / "plain")),
    )
    own = load_model(train(plain).best).state_dict()
    assert all(torch.equal(x, own[name]) for name, x in kept.items())


def test_a_resumed_run_keeps_the_weights_of_both(tmp_path):
    recipe = _recipe(tmp_path)
    once = train(recipe)
    before = {path: load_model(path).state_dict() for path in (once.best, once.judged)}
    train(dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, resume=True)))
    for path, weights in before.items():
        assert all(torch.equal(x, weights[name]) for name, x in load_model(path).state_dict().items())


def test_there_is_no_second_training_where_validation_has_a_folder_of_its_own(tmp_path):
    root = tmp_path / "parts"
    for part in ("train", "val"):
        video_folder(root / part)
    recipe = _recipe(tmp_path)
    result = train(dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, root=str(root))))
    assert result.judged is None
    assert not (result.folder / "all").exists()


def test_a_callback_sees_the_training_that_is_judged(tmp_path):
    class Steps(Callback):
        seen = 0

        def on_before_optimizer_step(self, trainer, module, optimizer):
            self.seen += 1

    class Both(Steps):
        both = True

    one, two = Steps(), Both()
    result = train(_recipe(tmp_path), callbacks=(one, two))
    assert result.judged is not None
    assert 0 < one.seen < two.seen

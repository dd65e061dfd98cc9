"""What a run leaves behind: nothing of an earlier one is lost, and what says nothing is never the best."""

import errno
from dataclasses import replace

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from small import DATA, KINDS, small_recipe, video_folder

from spikereel.errors import ConfigError, TrainingError
from spikereel.hub import load_model
from spikereel.runs.evaluate import split_to_judge
from spikereel.runs.origins import trained_on
from spikereel.train import checkpoint
from spikereel.train.folder import run_folder
from spikereel.train.run import Announce, train


def test_a_second_run_keeps_the_first_and_has_its_place(tmp_path):
    first = load_model(train(small_recipe(tmp_path)).last).state_dict()
    lines = []
    second = train(small_recipe(tmp_path, seed=1), callbacks=(Announce(lines.append),))
    assert lines == [f"the run before is kept in {tmp_path / 'small.1'}"]
    assert second.folder == tmp_path / "small"
    kept = load_model(tmp_path / "small.1" / "last.safetensors").state_dict()
    assert all(torch.equal(x, first[name]) for name, x in kept.items())
    train(small_recipe(tmp_path, seed=2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small", "small.1", "small.2"]
    assert not list(tmp_path.glob("*/.writing"))


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    with (
        run_folder(tmp_path / "a", resume=False),
        pytest.raises(ConfigError, match="another run is writing to"),
        run_folder(tmp_path / "a", resume=False),
    ):
        pass


def test_runs_are_numbered_behind_the_last_one_that_is_kept(tmp_path):
    for name in ("a", "a.1", "a.3", "a.10b", "ab.20"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.4").symlink_to(tmp_path / "gone")
    (tmp_path / "a" / "last.safetensors").touch()
    with run_folder(tmp_path / "a", resume=False) as kept:
        assert kept == tmp_path / "a.5"
    assert (kept / "last.safetensors").exists()
    (tmp_path / "b").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="is a link to nothing"), run_folder(tmp_path / "b", resume=False):
        pass


class Silence(Callback):
    """Makes what validation hears always the same, or no number."""

    def __init__(self, value):
        self.value, self.hook = value, None

    def on_validation_start(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.model.head.weight.zero_()
            pl_module.model.head.bias.fill_(self.value)


def test_a_network_that_says_the_same_of_every_clip_is_never_the_best(tmp_path):
    result = train(small_recipe(tmp_path), callbacks=(Silence(0.5),))
    assert (result.best, result.value) == (None, None)
    assert not (result.folder / "best.safetensors").exists()
    assert result.last.is_file()


def test_validation_that_is_not_finite_is_refused_by_its_layer(tmp_path):
    with pytest.raises(TrainingError, match=r"the output of validation is not finite at step 3; .* layer is head"):
        train(small_recipe(tmp_path), callbacks=(Silence(float("nan")),))


def test_a_figure_that_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    from spikereel.runs.classification import ClassificationObjective

    monkeypatch.setattr(ClassificationObjective, "figures", lambda self: {"val_top1": float("nan")})
    result = train(small_recipe(tmp_path))
    assert result.best is None
    assert load_model(result.last).metadata.training["val_top1"] is None


def test_a_full_disk_is_one_line_and_the_checkpoint_before_is_whole(tmp_path, monkeypatch):
    train(small_recipe(tmp_path))
    before = (tmp_path / "small" / "last.ckpt").read_bytes()

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.raises(TrainingError, match=r"cannot write .*last\.ckpt: No space left on device"):
        train(small_recipe(tmp_path, epochs=2, resume=True))
    assert (tmp_path / "small" / "last.ckpt").read_bytes() == before


def test_weights_say_what_they_were_trained_on_and_what_they_started_from(tmp_path):
    one = replace(DATA, kind="folder", root=str(video_folder(tmp_path / "a", each=3)), frames=2)
    first = train(replace(small_recipe(tmp_path, batch=2), data=one))
    seen = trained_on(load_model(first.last).metadata.training)
    assert len(seen) == 4
    assert split_to_judge(load_model(first.last), one)[0].split == "val"
    more = video_folder(tmp_path / "b", each=2)
    for kind in KINDS:
        path = more / kind / "0.mp4"
        path.write_bytes(path.read_bytes() + b"other")
        (more / kind / "1.mp4").write_bytes((more / kind / "1.mp4").read_bytes() + b"more")
    second = small_recipe(tmp_path / "c", batch=2, start=str(first.last))
    result = train(replace(second, data=replace(one, root=str(more))))
    assert trained_on(load_model(result.last).metadata.training) > seen


def test_what_a_mirror_makes_of_classes_is_said_and_kept(tmp_path):
    root = video_folder(tmp_path / "a", each=3)
    for kind, name in zip(KINDS, ("swipe_left", "swipe_right"), strict=True):
        (root / kind).rename(root / name)
    data = replace(DATA, kind="folder", root=str(root), frames=2, flip=True)
    lines = []
    recipe = replace(small_recipe(tmp_path, batch=2), data=data)
    result = train(recipe, callbacks=(Announce(lines.append),))
    assert lines == [
        "data.flip: a mirrored clip changes its class: swipe_left <-> swipe_right "
        "(data.mirror sets other pairs, data.flip=false mirrors nothing)"
    ]
    kept = load_model(result.last).metadata.preprocess
    assert (kept["flip"], kept["mirror"]) == (True, ["swipe_left=swipe_right"])
    more = replace(recipe, run=replace(recipe.run, resume=True), optim=replace(recipe.optim, epochs=1))
    train(more)
    with pytest.raises(ConfigError, match=r"another data\.mirror \(.* -> \[\]\)"):
        train(replace(more, data=replace(data, mirror=())))


class Gradients(Callback):
    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.seen.append([p.grad.clone() for p in module.model.parameters() if p.grad is not None])


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 5), (2, 3), (3, 2), (7, 1)])
def test_a_step_is_the_mean_of_the_batches_it_holds(tmp_path, accumulate, steps):
    rates = {"lr": 1e-9, "min_lr": 1e-10, "weight_decay": 0.0, "clip_norm": 0.0, "train_length": 20, "batch": 4}
    alone, together = Gradients(), Gradients()
    train(small_recipe(tmp_path / "a", epochs=1, **rates), callbacks=(alone,))
    train(small_recipe(tmp_path / "b", epochs=1, accumulate=accumulate, **rates), callbacks=(together,))
    assert (len(alone.seen), len(together.seen)) == (5, steps)
    for i, step in enumerate(together.seen):
        held = alone.seen[i * accumulate : (i + 1) * accumulate]
        for j, gradient in enumerate(step):
            mean = sum(x[j] for x in held) / len(held)
            assert torch.allclose(gradient, mean, rtol=2e-2, atol=1e-5)

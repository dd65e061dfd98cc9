"""Plans: lines through dry steps, options that fit, and what a run says of itself afterwards."""

import dataclasses
import json

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from small import SMALL, small_recipe

from spikereel.apps.cli import main
from spikereel.errors import ConfigError
from spikereel.runs.recipes import RECIPES, get_recipe
from spikereel.train import plan as planning
from spikereel.train.dry import dry_steps, stand_in
from spikereel.train.meter import Kept, kept_for_backward
from spikereel.train.plan import bytes_of, lines_of, plan
from spikereel.train.run import train

GIB = 2**30


def _point(clips, peak, seconds):
    return {"clips": clips, "peak": peak * GIB, "kept": clips * 1.0, "seconds": seconds, "cpu_seconds": seconds}


def _found(points, clips=100):
    common = {"before": 1.0 * GIB, "parameters": 10**6, "macs": 10**9, "judged": 10, "item_seconds": 0.5, "said": []}
    return {"points": points, "clips": clips, **common}


def test_lines_by_hand():
    lines = lines_of([_point(1, 9.0, 9.0), _point(2, 2.0, 1.0), _point(4, 3.0, 1.5)], before=1.0 * GIB)
    assert lines.peak(4) == 3 * GIB
    assert lines.peak(16) == 9 * GIB
    assert lines.seconds(8) == 2.5
    assert lines.most(5.2 * GIB) == 8
    assert lines.most(0.9 * GIB) == 0
    # one point alone: from what there was before
    assert lines_of([_point(2, 2.0, 1.0)], before=1.0 * GIB).peak(6) == 4 * GIB


@pytest.mark.parametrize(
    ("memory", "chosen"),
    [
        # all fit: the fastest; the fast mode does not: the plain one; neither whole: the one that keeps less
        (40.0, ("fast", 8, 1)),
        (10.0, ("plain", 8, 1)),
        (6.5, ("lean", 8, 1)),
        (3.4, ("lean", 4, 2)),
        (1.2, None),
    ],
)
def test_the_largest_batch_that_fits_and_of_these_the_fastest(memory, chosen, monkeypatch, tmp_path):
    costs = {"plain": (1.0, 1.0), "fast": (1.5, 0.5), "lean": (0.5, 2.0)}

    def dry(recipe, mode, **_):
        each, seconds = costs[mode]
        return _found([_point(n, 1.0 + each * n, seconds * n) for n in (1, 2)])

    monkeypatch.setattr(planning, "dry", dry)
    found = plan(small_recipe(tmp_path, batch=8, epochs=3), memory=memory * GIB)
    if chosen is None:
        assert found.chosen is None
        assert "nothing fits" in found.notes[-1]
        return
    option = found.options[found.chosen]
    assert (option.memory, option.batch, option.accumulate) == chosen
    assert option.fits
    assert found.batches == 100 // option.batch * 3
    assert found.run_seconds == pytest.approx(found.batches * (option.seconds + 0.5 * option.batch))
    assert ("batch norms see 4" in " ".join(found.notes)) == (option.batch == 4)
    values = found.to_json()["options"][found.chosen]["assignments"]
    assert values["run.memory"] == option.memory
    assert values["optim.accumulate"] == option.accumulate


@pytest.mark.parametrize(("text", "size"), [("24GB", 24e9), ("16 GiB", 16 * GIB), ("512m", 512e6), ("1.5T", 1.5e12)])
def test_sizes_of_memory(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-3GB", "24 apples", "0", "nan", "1e400GB"])
def test_no_size_of_memory(text):
    with pytest.raises(ConfigError, match="24GB"):
        bytes_of(text)


def test_what_is_kept_counts_each_memory_once_and_no_weight():
    w = torch.ones(100, requires_grad=True)
    x = torch.ones(50, requires_grad=True)
    kept = Kept([w])
    held = [kept.add(w), kept.add(x), kept.add(x[:10])]
    assert (kept.now, kept.most) == (200, 200)
    del held
    assert (kept.now, kept.most) == (0, 200)
    with kept_for_backward([w]) as kept:
        (w[:50] * x).exp().sum().backward()
    assert (kept.now, kept.most) == (0, 400)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_clip_that_stands_in(name):
    recipe = get_recipe(name)
    cheap = (
        {} if recipe.model.name.startswith("svformer") else {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4}
    )
    model = dataclasses.replace(recipe.model, name=recipe.model.name if not cheap else "spikevideoformer_ti", **cheap)
    parts = stand_in(dataclasses.replace(recipe, model=model))
    clip, target = parts.module.objective.prepare(parts.collate([parts.item] * 2))
    assert clip.shape[0] == recipe.data.frames
    assert clip.shape[1] == 2 * max(recipe.data.copies, 1)
    assert clip.shape[2] == parts.module.model.config.in_channels
    assert target is not None


def test_dry_steps_stop_at_time_and_memory_and_change_nothing(tmp_path):
    parts = stand_in(small_recipe(tmp_path))
    before = {name: x.clone() for name, x in parts.module.model.state_dict().items()}
    torch.manual_seed(3)
    points = list(dry_steps(parts, most=6, seconds=60.0))
    assert [point.clips for point in points] == [1, 4, 6]
    assert points[2].kept > points[0].kept > 0
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(3)))
    assert all(torch.equal(x, before[name]) for name, x in parts.module.model.state_dict().items())
    assert [p.clips for p in dry_steps(parts, most=6, seconds=0.0)] == [1, 4]
    assert [p.clips for p in dry_steps(parts, most=6, seconds=60.0, memory=1.0)] == [1]


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(float(outputs["loss"]))


def test_a_run_says_what_was_foreseen_and_is_the_run_without(tmp_path, monkeypatch):
    runs = []
    for least in (8, 999):
        monkeypatch.setattr("spikereel.train.forecast.LEAST", least)
        losses = Losses()
        # mixtures and drop path draw from the generator
        recipe = small_recipe(tmp_path / str(least), batch=6, epochs=1, mixup=0.8, drop_path=0.3)
        runs.append((train(recipe, callbacks=(losses,)), losses.seen))
    (foreseen, one), (alone, two) = runs
    assert len(one) == 8
    assert one == two
    assert alone.forecast["predicted"] is None
    found = json.loads((foreseen.folder / "plan.json").read_text())
    assert found == json.loads(json.dumps(foreseen.forecast))
    assert found["predicted"]["of_clips"] == 6
    assert 0.5 < found["predicted"]["peak"] / found["measured"]["peak"] < 1.5
    assert found["measured"]["batches"] == 8


def test_the_command(tmp_path, capsys):
    widths = [f"model.{name}={list(value) if isinstance(value, tuple) else value}" for name, value in SMALL.items()]
    changes = ["data.size=32", "data.frames=2", "optim.batch=2", "optim.energy_weight=0.1", *widths]
    path = tmp_path / "plan.json"
    assert main(["plan", "motion", *changes, "--memory", "2GB", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert "run it with: optim.batch=2 optim.accumulate=1 run.memory=plain" in " ".join(out.split())
    found = json.loads(path.read_text())
    assert found["schema"] == "spikereel.plan/1"
    assert found["options"][found["chosen"]]["fits"]


@pytest.mark.parametrize(
    ("arguments", "wish"),
    [
        (["nonsense"], "unknown recipe"),
        (["motion", "optim.bach=3"], "optim.batch"),
        (["motion", "--memory", "lots"], "24GB"),
        (["motion", "--device", "cuda"], "give its memory"),
        (["motion", "model.heads=7", "optim.energy_weight=1"], "7 heads"),
    ],
)
def test_mistakes_are_one_sentence(arguments, wish, capsys):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["plan", *arguments]) == 2
    said = capsys.readouterr().err
    assert wish in said
    assert len(said.splitlines()) == 1

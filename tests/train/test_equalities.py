"""What must not matter: a clip's neighbours, the size of batches, workers, a stop, and how a step is put together."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from masks import blocks, write_pair
from pytorch_lightning.callbacks import Callback
from small import DATA, SMALL, small_recipe
from test_module import module_of
from test_resume import Signal, differing, weights

from spikereel.data.clips import Part, WrappedClips
from spikereel.errors import Interrupted
from spikereel.hub import create_model
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_dataset, build_loader, channels_of
from spikereel.runs.config import ModelSpec, PoseSpec, SegmentationSpec
from spikereel.runs.evaluate import evaluate
from spikereel.runs.tasks import TASKS
from spikereel.tasks.pose import PoseWeights
from spikereel.train.run import train
from tests.people import write_clip

SIZES = ((36, 48), (36, 60), (48, 36), (36, 48), (36, 60), (36, 48))
MASKS = {"flip": True, "jitter": 0.4, "gamma": 0.5, "scale": (0.8, 1.5), "mirror": ("car=road",)}
PEOPLE = {"rotate": 10.0, "zoom": 0.2, "shift": 2, "flip": True, "depth_motion": True, "modality": "depth"}


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Clips of every task, those of masks of unequal size."""
    masks, people = tmp_path_factory.mktemp("masks"), tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    for v, (height, width) in enumerate(SIZES):
        for i in range(3):
            pair = (masks / kind / f"v{v}" / f"{i}.png" for kind in ("frames", "masks"))
            write_pair(*pair, blocks(rng, 3, height, width))
    (masks / "classes.txt").write_text("road 128 64 128\ncar 250 170 30\nsky 70 130 180\n")
    for trial in range(6):
        write_clip(people / f"a1_s{1 + trial // 4}_t{trial}.npz", frames=9 + trial, seed=trial)
    small = replace(DATA, frames=2, train_length=10, test_length=10)
    return {
        "classification": small,
        "pose": replace(small, kind="utd_mhad", root=str(people), fold=2, **PEOPLE),
        "segmentation": replace(small, kind="masks", root=str(masks), size=36, **MASKS),
    }


class Doubled(WrappedClips):
    """Clips in float64, in which the order of sums changes no spike."""

    def __init__(self, clips):
        super().__init__(clips)
        self.collate = getattr(clips, "collate", None)

    def item(self, index):
        clip, target = self.clips[index]
        return clip.double(), target

    def fingerprint(self):
        return self.clips.fingerprint()

    def __getattr__(self, name):
        return getattr(self.clips, name)


@pytest.fixture(scope="module")
def judged(specs):
    """{task: (network, clips, what it says of each alone)}."""
    found = {}
    for task, spec in specs.items():
        clips = Doubled(build_dataset(replace(spec, flip=False), "test", task=task))
        torch.manual_seed(0)
        facts = TASKS[task].model_fields(clips)
        model = create_model("spikevideoformer_ti", in_channels=channels_of(spec), **{"task": task, **SMALL, **facts})
        torch.nn.init.normal_(next(p for name, p in model.named_parameters() if "head" in name and p.ndim > 1))
        model = model.double()
        model.order_known = True
        calibrate(model, [clips[i][0][:, None] for i in range(4)])
        model.eval()
        with torch.no_grad():
            alone = [said(model(clips[i][0][:, None])[0]) for i in range(len(clips))]
        assert max(float((x - y).abs().max()) for x, y in pairwise(alone) if x.shape == y.shape) > 0
        found[task] = model, clips, alone
    return found


def said(output):
    """An output with clips first."""
    if isinstance(output, torch.Tensor):
        return output if output.ndim == 2 else output.transpose(0, 1)
    return output.joints.transpose(0, 1)


@settings(max_examples=15)
@given(data=st.data(), task=st.sampled_from(sorted(TASKS)), batch=st.integers(1, 8))
def test_neighbours_do_not_matter(specs, judged, data, task, batch):
    model, clips, alone = judged[task]
    order = data.draw(st.lists(st.integers(0, len(clips) - 1), min_size=1, max_size=8))
    part = Part(clips, order)
    part.collate = clips.collate
    done = 0
    with torch.no_grad():
        for videos, _ in build_loader(part, specs[task], batch=batch, shuffle=False):
            for x in said(model(videos.transpose(0, 1))[0]):
                torch.testing.assert_close(x[None], alone[order[done]], rtol=0, atol=1e-9)
                done += 1
    assert done == len(order)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_neither_batch_nor_workers_change_a_figure(specs, judged, task):
    model, clips, _ = judged[task]
    spec = replace(specs[task], flip=False)
    figures = [evaluate(model, clips, replace(spec, workers=n), batch=b).figures for b, n in ((1, 0), (8, 0), (8, 2))]
    if task == "pose":
        # sums of millimetres, in another order
        figures = [{name: x for name, x in found.items() if isinstance(x, int | float)} for found in figures]
        assert figures[0] == pytest.approx(figures[1], rel=1e-5)
    else:
        assert figures[0] == figures[1]
    assert figures[1] == figures[2]


def recipe_of(out, task, spec, **changes):
    """Two epochs of a few steps, with all that draws."""
    draws = {"classification": {"mixup": 0.8, "cutmix": 1.0}, "segmentation": {"cutmix": 1.0}}.get(task, {})
    recipe = small_recipe(out, epochs=2, batch=2, **draws, **changes)
    more = {"width": 8} if task == "segmentation" else {}
    return replace(
        recipe,
        task=task,
        data=spec,
        model=ModelSpec(**SMALL, drop_path=0.2, **more),
        pose=PoseSpec(weights=PoseWeights(joints=10.0, translation=1.0)),
        segmentation=SegmentationSpec(balance=0.5),
    )


@pytest.fixture(scope="module")
def whole(specs, tmp_path_factory):
    """Folders of runs that nothing stopped, with two batches a step."""
    found = {}
    for task, spec in specs.items():
        found[task] = tmp_path_factory.mktemp("whole")
        train(recipe_of(found[task], task, spec, accumulate=2))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(TASKS))
def test_workers_do_not_change_weights(specs, whole, tmp_path, task):
    train(recipe_of(tmp_path, task, replace(specs[task], workers=2), accumulate=2))
    assert differing(weights(tmp_path), weights(whole[task])) == []


@pytest.mark.slow
@settings(max_examples=6)
@given(step=st.integers(1, 4), task=st.sampled_from(sorted(TASKS)))
def test_a_stop_does_not_change_weights(specs, whole, tmp_path_factory, step, task):
    out = tmp_path_factory.mktemp("cut")
    recipe = recipe_of(out, task, specs[task], accumulate=2)
    with pytest.raises(Interrupted):
        train(recipe, callbacks=(Signal(step),))
    train(replace(recipe, run=replace(recipe.run, resume=True)))
    assert differing(weights(out), weights(whole[task])) == []


class Steps:
    """What a training module asks of its trainer."""

    global_step = 0
    world_size = 1

    def __init__(self, accumulate, batches):
        self.accumulate_grad_batches, self.num_training_batches = accumulate, batches


def gradients(parts, accumulate, batch):
    """The gradient of every step, as Lightning takes them, of a network whose norms are frozen."""
    module, found = module_of(accumulate=accumulate, batch=batch), []
    module.model.double().eval()
    module._trainer = Steps(accumulate, len(parts))
    for i, (videos, labels) in enumerate(parts):
        (module.training_step((videos, labels), i) / accumulate).backward()
        module.on_after_backward()
        if (i + 1) % accumulate == 0 or i + 1 == len(parts):
            grads = [p.grad.clone() for p in module.model.parameters() if p.grad is not None]
            found.append(torch.cat([g.flatten() for g in grads]))
            module.model.zero_grad()
    return found


@settings(max_examples=5)
@given(sizes=st.lists(st.integers(1, 3), min_size=2, max_size=4), accumulate=st.integers(2, 3))
def test_a_step_is_the_mean_over_its_clips(sizes, accumulate):
    generator = torch.Generator().manual_seed(0)
    videos = torch.rand(sum(sizes), 2, 3, 32, 32, generator=generator, dtype=torch.float64)
    labels = torch.arange(sum(sizes)) % 10
    parts = list(zip(videos.split(sizes), labels.split(sizes), strict=True))
    for number, step in enumerate(gradients(parts, accumulate, batch=3)):
        held = parts[number * accumulate : (number + 1) * accumulate]
        (at_once,) = gradients([tuple(torch.cat(x) for x in zip(*held, strict=True))], 1, batch=3)
        # the loss itself is taken in float32
        torch.testing.assert_close(step, at_once, rtol=1e-5, atol=1e-6)
        assert at_once.abs().max() > 0


class Gradients(Callback):
    def __init__(self):
        self.seen, self.clips = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.clips.append(len(batch[0]))

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.seen.append(torch.cat([p.grad.flatten() for p in module.model.parameters() if p.grad is not None]))


@pytest.mark.slow
def test_clips_of_unequal_size_weigh_alike(specs, tmp_path):
    rates = {"lr": 1e-9, "min_lr": 1e-10, "weight_decay": 0.0, "clip_norm": 0.0}
    seen = {}
    for accumulate in (1, 3):
        seen[accumulate] = Gradients()
        recipe = recipe_of(tmp_path / f"{accumulate}", "segmentation", replace(specs["segmentation"], jitter=0.0))
        own = replace(recipe.optim, accumulate=accumulate, cutmix=0.0, epochs=1, **rates)
        recipe = replace(recipe, optim=own, model=replace(recipe.model, drop_path=0.0))
        train(recipe, callbacks=(seen[accumulate],))
    sizes, alone = seen[1].clips, seen[1].seen
    assert len(set(sizes)) > 1
    for number, step in enumerate(seen[3].seen):
        own = slice(3 * number, 3 * number + 3)
        mean = sum(n * g for n, g in zip(sizes[own], alone[own], strict=True)) / sum(sizes[own])
        torch.testing.assert_close(step, mean, rtol=2e-2, atol=1e-4)

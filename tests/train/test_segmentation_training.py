"""Training segmentation: the loss by hand, weights of classes, a run of a few steps, its weights judged."""

import dataclasses
import json
from itertools import islice

import pytest
import torch
from torch.nn import functional as F

from spikereel.apps.cli import main
from spikereel.errors import ConfigError, DataError
from spikereel.hub import create_model, load_model, save_model
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_loader, build_segmentation_dataset
from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec, SegmentationSpec
from spikereel.runs.evaluate import evaluate
from spikereel.runs.segmentation import SegmentationObjective, class_weights, segmentation_loss
from spikereel.runs.tasks import norm_clips
from spikereel.tasks.segmentation import IGNORE, SegmentationScore
from spikereel.train.module import TrainingModule, warmup_decay
from spikereel.train.run import train, training_parts
from tests.masks import write_folder

SMALL = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
MOTION = DataSpec(kind="motion", size=32, frames=2, train_length=24, test_length=6, workers=0)


def recipe(folder, data=MOTION, optim=None, **model):
    return Recipe(
        name="small",
        task="segmentation",
        model=ModelSpec(**SMALL, width=8, **model),
        data=data,
        optim=optim or OptimSpec(batch=8, epochs=1, lr=1e-3, smoothing=0.0),
        segmentation=SegmentationSpec(balance=0.5),
        run=RunSpec(out=str(folder), progress=False, silent_epochs=0),
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return train(recipe(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def lively(result, tmp_path_factory):
    """Weights whose predictions differ from pixel to pixel."""
    model, clips = load_model(result.best), build_segmentation_dataset(MOTION, "train")
    torch.manual_seed(0)
    calibrate(model, [torch.stack([clips[i][0] for i in range(8)], 1)])
    torch.nn.init.normal_(model.head.classify.conv.weight)
    path = tmp_path_factory.mktemp("weights") / "lively.safetensors"
    save_model(model, path)
    return path


def test_cutmix_mixes_training_and_not_what_is_judged(tmp_path):
    module = training_parts(recipe(tmp_path, optim=OptimSpec(batch=8, cutmix=1.0)))[2]
    torch.manual_seed(1)
    masks = torch.arange(4)[:, None, None, None].expand(4, 2, 16, 16).contiguous()
    batch = (torch.zeros(4, 2, 3, 16, 16), masks)
    judged = module.eval().objective.prepare(batch)[1]
    assert torch.equal(judged, masks.transpose(0, 1))
    mixed = [len(module.train().objective.prepare(batch)[1][:, 0].unique()) for _ in range(9)]
    assert max(mixed) == 2
    with pytest.raises(ConfigError, match=r"optim\.mixup is not for task=segmentation; leave it at 0"):
        training_parts(recipe(tmp_path, optim=OptimSpec(batch=8, mixup=1.0)))


def test_kept_norms_are_those_of_whole_frames(tmp_path):
    write_folder(tmp_path / "data", videos=3)
    data = DataSpec(
        kind="masks",
        root=str(tmp_path / "data"),
        size=36,
        frames=2,
        crop=(16, 16),
        flip=True,
        mean=(),
        std=(),
        workers=0,
    )
    optim = OptimSpec(batch=2, epochs=1, lr=1e-3, smoothing=0.0, precise_norms=4)
    kept = load_model(train(recipe(tmp_path, data=data, optim=optim)).last)
    anew = load_model(tmp_path / "small" / "last.safetensors")
    for layer in anew.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    clips = build_loader(norm_clips("segmentation", data), data, batch=2, shuffle=True)
    calibrate(anew, [videos.transpose(0, 1) for videos, _ in islice(clips, 2)])
    assert all(torch.equal(a, b) for a, b in zip(kept.state_dict().values(), anew.state_dict().values(), strict=True))


def maps_and_masks():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 2, 4, 5, 6, dtype=torch.float64, generator=generator)
    return maps, torch.randint(0, 4, (3, 2, 5, 6), generator=generator)


def test_the_loss_by_hand():
    maps, masks = maps_and_masks()
    masks[:, :, :2] = IGNORE
    masks[1, 0] = IGNORE
    each = -F.log_softmax(maps, 2).gather(2, masks.where(masks != IGNORE, 0)[:, :, None])[:, :, 0]
    known = masks != IGNORE
    wanted = each[-1][known[-1]].mean() + 0.5 * each[known].mean()
    torch.testing.assert_close(segmentation_loss(maps, masks), wanted)
    assert segmentation_loss(maps, masks, all_frames=0.0) == F.cross_entropy(maps[-1], masks[-1], ignore_index=IGNORE)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    weighed = (each * weights[masks.where(known, 0)])[-1][known[-1]].sum() / weights[masks[-1][known[-1]]].sum()
    torch.testing.assert_close(segmentation_loss(maps, masks, all_frames=0.0, weights=weights), weighed)


@pytest.mark.parametrize("frames", [slice(0, 3), slice(2, 3), slice(0, 2)])
def test_unlabelled_frames_teach_nothing(frames):
    maps, masks = maps_and_masks()
    masks[frames] = IGNORE
    maps.requires_grad_()
    loss = segmentation_loss(maps, masks)
    loss.backward()
    assert torch.isfinite(loss)
    assert not maps.grad[frames].any()
    assert maps.grad.any() == (frames != slice(0, 3))


def test_rare_classes_weigh_more():
    class Clips:
        classes = ("a", "b", "c", "never")

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return torch.zeros(1), torch.tensor([0] * 16 + [1] * 4 + [2] + [IGNORE] * 9)

    assert class_weights(Clips(), 1.0).tolist() == [0.25, 1.0, 4.0, 1.0]
    assert class_weights(Clips(), 0.5).tolist() == [0.5, 1.0, 2.0, 1.0]
    assert class_weights(Clips(), 0.0) is None


def test_a_straight_fall_of_the_learning_rate():
    values = [warmup_decay(step, 100, 0.1, 0.2, "linear") for step in range(101)]
    assert values[0] == pytest.approx(0.2)
    assert values[10] == pytest.approx(1.0)
    assert values[55] == pytest.approx(0.6)
    assert values[100] == pytest.approx(0.2)


def test_the_head_learns_at_a_rate_of_its_own(tmp_path):
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=2, **SMALL)
    objective = SegmentationObjective(OptimSpec(lr=1e-3, head_lr=10.0), SegmentationSpec(), classes=("a", "b"))
    module = TrainingModule(model, objective)
    module._trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()
    groups = module.configure_optimizers()["optimizer"].param_groups
    rates = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, p in model.named_parameters():
        assert rates[id(p)] == pytest.approx(1e-2 if name.startswith("head.") else 1e-3), name
        assert (decays[id(p)] > 0) == (p.ndim > 1), name


def test_a_run_leaves_weights_that_know_what_they_are(result):
    assert result.monitor == "val_miou"
    assert result.value == pytest.approx(result.history[0]["val_miou"])
    assert {"val_pixel_accuracy", "firing"} <= result.history[0].keys()
    model = load_model(result.best)
    assert (model.task, model.config.num_classes, model.config.segmentation.width) == ("segmentation", 2, 8)
    assert model.metadata.classes == ("background", "moving")
    assert json.loads((result.folder / "recipe.json").read_text())["segmentation"]["balance"] == 0.5


def test_weights_are_judged_as_by_hand(lively, tmp_path):
    assert main(["evaluate", str(lively), "data.frames=9", "--batch", "4", "--json", str(tmp_path / "x.json")]) == 0
    found = json.loads((tmp_path / "x.json").read_text())
    model, spec = load_model(lively), dataclasses.replace(MOTION, frames=9)
    clips = build_segmentation_dataset(spec, "test")
    score = SegmentationScore(("background", "moving"))
    with torch.no_grad():
        for i in range(len(clips)):
            video, masks = clips[i]
            score.add_clip(model(video[:, None])[0][:, 0].argmax(1), masks, f"{i}")
    wanted = score.to_json()
    assert min(score.confusion.flatten().tolist()) > 0
    assert found["clips"] == 6
    assert found["frames"] == 54
    for name in ("miou", "pixel_accuracy", "vc8", "vc8_steady"):
        assert found[name] == pytest.approx(wanted[name]), name
    assert found["vc16"] is None
    assert found["per_class"] == pytest.approx(wanted["per_class_iou"])
    assert found["confusion"] == wanted["confusion"]
    assert (found["task"], found["split"]) == ("segmentation", "test")
    assert "head.fuse.lif" in found["firing"]


def test_frames_may_be_seen_in_windows(lively):
    model, spec = load_model(lively), dataclasses.replace(MOTION, window=(16, 16))
    outcome = evaluate(model, build_segmentation_dataset(spec, "test"), spec, batch=6)
    whole = evaluate(model, build_segmentation_dataset(MOTION, "test"), MOTION, batch=6)
    assert outcome.score.confusion.sum() == whole.score.confusion.sum() == 6 * 2 * 32 * 32
    assert not torch.equal(outcome.score.confusion, whole.score.confusion)


def test_data_of_other_classes():
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=11, width=8, **SMALL)
    with pytest.raises(DataError, match="2 classes, the model 11"):
        evaluate(model, build_segmentation_dataset(MOTION, "test"), MOTION)


def test_energy_of_weights(result, tmp_path, capsys):
    assert main(["energy", str(result.best), "--json", str(tmp_path / "x.json")]) == 0
    passport = json.loads((tmp_path / "x.json").read_text())
    assert passport["clip"] == [2, 3, 32, 32]
    assert passport["spiking"]
    assert {"head.levels.0.conv", "head.fuse.conv", "head.classify.conv"} <= {x["name"] for x in passport["layers"]}
    assert passport["energy_mj"]["paper"]["ann"] > passport["energy_mj"]["paper"]["total"] > 0
    assert main(["energy", str(result.best), "--video", "x.mp4"]) == 2
    assert "leave --video out" in capsys.readouterr().err


@pytest.mark.parametrize("neuron", ["lif", "plif"])
def test_weights_of_classes_start_class_maps(tmp_path, neuron):
    classes = create_model("spikevideoformer_ti", neuron=neuron, **SMALL)
    save_model(classes, tmp_path / "classes.safetensors")
    spec = recipe(tmp_path, neuron=neuron, start=str(tmp_path / "classes.safetensors"))
    _, _, module = training_parts(spec)
    assert torch.equal(module.model.downsample2.encode_conv.weight, classes.downsample2.encode_conv.weight)


def test_integer_neurons_are_options_of_a_recipe(tmp_path):
    spec = recipe(tmp_path, neuron="ilif", levels=6, top=3, ilif_decay=0.5, normalise=True, head="fpn", neck=4)
    _, _, module = training_parts(spec)
    neuron = module.model.config.neuron
    assert (neuron.kind, neuron.levels, neuron.top, neuron.ilif_decay, neuron.normalise) == ("ilif", 6, 3, 0.5, True)
    assert (module.model.config.segmentation.head, module.model.config.segmentation.neck) == ("fpn", 4)


def test_a_network_learns_one_clip():
    """20 steps on two clips bring the loss far below that of the first guess."""
    torch.manual_seed(0)
    train_set, _, module = training_parts(recipe("nowhere"))
    videos, masks = (torch.stack(x) for x in zip(train_set[0], train_set[1], strict=True))
    optimiser = torch.optim.AdamW(module.model.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        clip, target = module.objective.prepare((videos, masks))
        loss, _ = module.objective.loss(module.model.train()(clip)[0], target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.65 * losses[0]


def test_values_out_of_range():
    for wrong in ({"balance": -1}, {"all_frames": -0.5}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SegmentationSpec(**wrong)
    with pytest.raises(ConfigError, match="head_lr"):
        OptimSpec(head_lr=0)

"""Windows of a clip: the gradient of the whole where one covers it, cut states and flat memory where it does not."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from small import small_recipe
from tiny import BATCH_NORMS, clip, tiny_model, tiny_svformer

from spikereel.apps.cli import main
from spikereel.body.camera import STANDARD
from spikereel.body.skeletons import KINECT20
from spikereel.errors import ConfigError
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.state import State
from spikereel.layers.time import DropPath
from spikereel.models.pose_head import PoseConfig
from spikereel.models.segmentation_head import SegmentationConfig
from spikereel.runs.classification import ClassificationObjective
from spikereel.runs.config import OptimSpec, PoseSpec, SegmentationSpec
from spikereel.runs.pose import PoseObjective
from spikereel.runs.segmentation import SegmentationObjective
from spikereel.runs.windows import windows_of
from spikereel.tasks.segmentation import IGNORE
from spikereel.train.keep import PreciseNorms
from spikereel.train.module import SETTLING_STEPS, TrainingModule
from spikereel.train.run import train
from spikereel.train.truncated import windowed_loss

POSE = {"task": "pose", "pose": PoseConfig(joints=20)}
MASKS = {"task": "segmentation", "segmentation": SegmentationConfig(width=8)}
MODELS = {
    "joint": tiny_model,
    "causal": lambda: tiny_model(attention="causal"),
    "factorised-contrast": lambda: tiny_model(attention="factorised", contrast="beside"),
    "ilif": lambda: tiny_model(attention="spatial", neuron=NeuronConfig(kind="ilif")),
    "svformer": lambda: tiny_svformer(head="mean"),
    "svformer-shared": lambda: tiny_svformer(head="mean", time_norm=False),
    "pose": lambda: tiny_model(attention="causal", **POSE),
    "masks": lambda: tiny_model(attention="causal", **MASKS),
}


def _asked(model, frames=4, batch=2, **optim):
    """What is asked of a model, and a target for its clips."""
    g = torch.Generator().manual_seed(1)

    def rand(*shape):
        return torch.rand(frames, batch, *shape, dtype=torch.float64, generator=g)

    spec = OptimSpec(smoothing=0.0, **optim)
    if model.task == "pose":
        target = {"joints": rand(20, 3), "translation": rand(3) + 3.0, "points": rand(20, 2)}
        return PoseObjective(spec, PoseSpec(), skeleton=KINECT20, camera=STANDARD), target
    if model.task == "segmentation":
        names = tuple("abcde")
        masks = torch.randint(0, 5, (frames, batch, 64, 64), generator=g)
        masks[0, 0], masks[-1, 1, :9] = IGNORE, IGNORE
        weights = torch.linspace(0.5, 1.5, 5, dtype=torch.float64)
        return SegmentationObjective(spec, SegmentationSpec(), classes=names, weights=weights), masks
    return ClassificationObjective(spec, classes=5), torch.arange(batch)


def _step(model, size, video, *, training=True, **optim):
    """The loss of a step, and all that it leaves behind."""
    objective, target = _asked(model, len(video), video.shape[1], truncate=size, **optim)
    model = copy.deepcopy(model).train(training)
    # dropout would draw other numbers for other frames
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    module = TrainingModule(model, objective)
    torch.manual_seed(0)
    loss, figures = module.clip_loss(video, target)
    loss.backward()
    return loss.detach(), figures, {name: p.grad for name, p in model.named_parameters()}, dict(model.named_buffers())


@pytest.mark.parametrize("name", MODELS)
def test_one_window_has_the_gradient_of_the_clip(name, monkeypatch):
    model, video = MODELS[name](), clip(seed=3)
    energy = {"energy_weight": 0.7} if name in ("causal", "svformer") else {}
    whole, _, wanted, statistics = _step(model, 0, video, **energy)
    # a step passes windows by where one has all frames: here it goes through them
    monkeypatch.setattr(
        "spikereel.train.module.windowed_loss", lambda m, x, _size, judge: windowed_loss(m, x, 4, judge)
    )
    loss, _, found, after = _step(model, 3, video, **energy)
    assert torch.equal(loss, whole)
    assert any(x is not None and x.abs().max() > 1e-6 for x in wanted.values())
    for key, x in wanted.items():
        assert (x is None and found[key] is None) or torch.equal(found[key], x), key
    assert all(torch.equal(after[key], x) for key, x in statistics.items())


@pytest.mark.parametrize("name", ["pose", "masks"])
def test_losses_of_windows_add_up_to_that_of_the_clip(name):
    """With norms that do not look at the window; the share of operations is a mean over frames, in float32."""
    model, video = MODELS[name](), clip(5, seed=3)
    for weight, near in ((0.0, 1e-12), (0.7, 1e-6)):
        whole, shown, _, _ = _step(model, 0, video, training=False, energy_weight=weight)
        parts, mean, _, _ = _step(model, 2, video, training=False, energy_weight=weight)
        torch.testing.assert_close(parts, whole, rtol=near, atol=0)
    torch.testing.assert_close(mean["operations"], shown["operations"].detach(), rtol=1e-6, atol=0, check_dtype=False)


def test_every_frame_of_a_classified_clip_weighs_the_same():
    x = torch.rand(7, dtype=torch.float64, requires_grad=True)
    total, before = 0.0, 0.0
    for window in windows_of(7, 3):
        so_far = before + x[window.frames].sum()
        total = total + window.share_so_far * so_far / window.end
        before = so_far.detach()
    total.backward()
    assert torch.allclose(x.grad, x.grad[:1].expand(7), rtol=1e-12)
    assert sum(w.share_so_far for w in windows_of(7, 3)) == pytest.approx(1.0)
    assert sum(w.share for w in windows_of(7, 3)) == pytest.approx(1.0)
    assert windows_of(4, 9) == windows_of(4, 4)
    assert windows_of(4, 4)[0].share_so_far == 1.0


@pytest.mark.parametrize("name", ["joint", "causal", "svformer", "pose", "masks"])
def test_gradients_are_those_of_a_graph_that_is_cut_at_windows(name):
    frames = 4 if name == "svformer" else 5
    model, video, training = MODELS[name](), clip(frames, seed=3), name == "joint"
    _, _, found, _ = _step(model, 2, video, training=training)
    objective, target = _asked(model, frames)
    reference = copy.deepcopy(model).train(training)
    reference.windowed = True
    for module in reference.modules():
        if isinstance(module, BATCH_NORMS):
            module.momentum = 1 - 0.9 ** (1 / 3)
    total, state = 0.0, State()
    for window in windows_of(len(video), 2):
        output, state = reference(video[window.frames], state)
        total, state = total + objective.window_loss(output, target, window)[0], state.detach()
    total.backward()
    wanted = {key: p.grad for key, p in reference.named_parameters()}
    assert any(x is not None and x.abs().max() > 1e-6 for x in wanted.values())
    for key, x in wanted.items():
        if x is None:
            assert found[key] is None
        else:
            torch.testing.assert_close(found[key], x, rtol=1e-10, atol=1e-14, msg=lambda m, key=key: f"{key}: {m}")


class _Alive:
    """Bytes kept for backward passes, now and at most; each tensor counts until autograd lets go of it."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, x):
        return _Kept(x, self)


class _Kept:
    def __init__(self, x, alive):
        self.x, self.alive, self.bytes = x, alive, x.numel() * x.element_size()
        alive.now += self.bytes
        alive.most = max(alive.most, alive.now)

    def __del__(self):
        self.alive.now -= self.bytes


@pytest.mark.parametrize("name", ["joint", "svformer-shared"])
def test_memory_does_not_grow_with_the_clip(name):
    model = MODELS[name]()

    def most(frames, size):
        alive = _Alive()
        with torch.autograd.graph.saved_tensors_hooks(alive.pack, lambda kept: kept.x):
            _step(model, size, clip(frames, 1, seed=1))
        return alive.most

    assert most(12, 2) == most(6, 2) < 0.5 * most(6, 0)
    assert most(12, 0) > 1.9 * most(6, 0)


def test_running_statistics_move_as_far_as_without_windows():
    model, still = MODELS["joint"](), clip(1, seed=3).expand(6, -1, -1, -1, -1)
    name = "downsample1_1.encode_bn.running_mean"
    _, _, _, whole = _step(model, 0, still)
    _, _, _, parts = _step(model, 2, still)
    assert not torch.equal(whole[name], dict(model.named_buffers())[name])
    torch.testing.assert_close(parts[name], whole[name], rtol=1e-12, atol=1e-14)


def test_a_branch_is_dropped_in_all_windows_or_in_none():
    model, dropped = tiny_model(attention="causal", drop_path=0.5), []
    paths = [m for m in model.modules() if isinstance(m, DropPath) and m.rate]
    for path in paths:
        path.register_forward_hook(lambda _m, _x, y: dropped.append([bool(x.any()) for x in y.unbind(1)]))
    _step(model, 2, clip(6, 4, seed=3))
    after = torch.rand(1)
    each = len(dropped) // 3
    assert each == 2 * len(paths)
    assert dropped[:each] == dropped[each : 2 * each] == dropped[2 * each :]
    assert any(not x for row in dropped for x in row)
    _step(model, 0, clip(6, 4, seed=3))
    assert torch.equal(torch.rand(1), after)


def test_a_run_says_what_windows_mean_and_goes_on_with_others(tmp_path):
    result = train(small_recipe(tmp_path, truncate=3, epochs=1, precision="bf16"))
    text = " ".join(result.notes)
    assert "clips of 4 frames are learnt from in 2 windows of 3" in text
    assert "attention=joint is not causal" in text
    assert json.loads((result.folder / "recipe.json").read_text())["optim"]["truncate"] == 3
    again = train(small_recipe(tmp_path, truncate=2, epochs=2, resume=True))
    assert again.history[-1]["epoch"] == 1
    assert "in 2 windows of 2" in " ".join(again.notes)


@pytest.mark.parametrize(("attention", "truncate", "taken"), [("joint", 2, 1), ("joint", 4, 0), ("causal", 2, 0)])
def test_norms_after_attention_over_windows_are_taken_of_whole_clips(attention, truncate, taken, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("spikereel.train.keep.calibrate", lambda *_: calls.append(1))
    norms = PreciseNorms(small_recipe(tmp_path, truncate=truncate), range(9))
    norms._loader = []
    model = tiny_model(attention=attention)
    late = SimpleNamespace(sanity_checking=False, global_step=SETTLING_STEPS)
    norms.on_validation_start(late, SimpleNamespace(model=model, clip_of=None))
    assert len(calls) == taken


@pytest.mark.parametrize(
    ("changes", "wish"),
    [
        ({"truncate": -1}, "optim.truncate must not be negative"),
        ({"truncate": 2, "precision": "16"}, "bf16"),
        ({"truncate": 2, "strategy": "fsdp"}, "one for a step: ddp"),
        ({"truncate": 2, "name": "svformer_ti", **dict.fromkeys(("widths", "depths", "heads"))}, "model.head=mean"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(tmp_path, changes, wish):
    with pytest.raises(ConfigError, match=wish):
        train(small_recipe(tmp_path, **changes))


def test_masks_of_the_last_frame_alone_are_refused(capsys):
    changes = ["data.frames=4", "optim.truncate=2", "segmentation.all_frames=0"]
    assert main(["train", "synthetic_vss", *changes]) == 2
    assert "looks at the last frame alone" in capsys.readouterr().err

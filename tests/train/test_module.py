"""One step: schedule, weight decay, mixup, and the guards."""

import math

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from small import SMALL, small_recipe
from torch import nn

from spikereel.errors import TrainingError
from spikereel.hub import create_model
from spikereel.runs.classification import ClassificationObjective
from spikereel.runs.config import OptimSpec
from spikereel.tasks.classification import classification_loss
from spikereel.train.module import TrainingModule, first_non_finite, warmup_decay
from spikereel.train.run import train


class AtStart(Callback):
    """Does something to the model before the first step."""

    def __init__(self, change):
        self.change = change

    def on_train_start(self, trainer, pl_module):
        with torch.no_grad():
            self.change(pl_module.model)


class Steps:
    global_step, estimated_stepping_batches = 7, 10


def module_of(**optim) -> TrainingModule:
    torch.manual_seed(0)
    model = create_model("spikevideoformer_ti", num_classes=10, **SMALL)
    module = TrainingModule(model, ClassificationObjective(OptimSpec(**optim), classes=10))
    module.log = lambda *_args, **_kwargs: None
    return module


def batch(size: int = 4):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(size, 4, 3, 32, 32, generator=generator), torch.arange(size)


def test_warmup_and_cosine_by_hand():
    values = [warmup_decay(step, 100, 0.1, 0.2) for step in range(101)]
    assert values[0] == pytest.approx(0.2)
    assert values[5] == pytest.approx(0.6)
    assert values[10] == 1.0
    assert values[55] == pytest.approx(0.6)
    assert values[100] == pytest.approx(0.2)
    assert values[:11] == sorted(values[:11])
    assert values[10:] == sorted(values[10:], reverse=True)
    assert warmup_decay(0, 1, 0.0) == 1.0
    assert warmup_decay(5, 4, 0.5) == pytest.approx(0.0)
    assert warmup_decay(1, 3, 0.0) == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))


def test_weight_decay_spares_biases_norms_and_time_constants(tmp_path):
    seen = []
    watch = AtStart(lambda _model: None)
    watch.on_train_end = lambda trainer, pl_module: seen.extend((trainer.optimizers[0], pl_module.model))
    train(small_recipe(tmp_path, neuron="plif", weight_decay=0.3), callbacks=(watch,))
    optimizer, model = seen
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        name: 0.3 if p.ndim > 1 else 0.0 for name, p in model.named_parameters()
    }
    assert any(p.ndim == 0 for p in model.parameters())


def test_weight_decay_of_time_constants_when_asked():
    module = module_of(decay_time_constants=True)
    module.model.tau = nn.Parameter(torch.zeros(()))
    module._trainer = Steps()
    optimizer = module.configure_optimizers()["optimizer"]
    decay = {p.ndim: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay[0] == decay[4] == module.optim.weight_decay > 0
    assert decay[1] == 0.0


def test_copies_of_a_clip_share_its_label():
    module, (videos, labels) = module_of(), batch()
    module.model.eval()
    loss = module.training_step((torch.stack([videos, videos.flip(1)], dim=1), labels), 0)
    copies = [module.training_step((v, labels), 0) for v in (videos, videos.flip(1))]
    torch.testing.assert_close(loss, sum(copies) / 2)


def test_loss_of_a_step_is_smoothed_cross_entropy():
    module, (videos, labels) = module_of(smoothing=0.1), batch()
    module.model.eval()
    expected = classification_loss(module.model(videos.transpose(0, 1))[0], labels, smoothing=0.1)
    assert torch.equal(module.training_step((videos, labels), 0), expected)


@pytest.mark.parametrize("fields", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_mixup_blends_and_trains(fields):
    module = module_of(**fields)
    plain = module_of().training_step(batch(), 0)
    torch.manual_seed(1)
    loss = module.training_step(batch(), 0)
    assert torch.isfinite(loss)
    assert loss != plain
    loss.backward()
    assert module.model.head.weight.grad.any()


def test_non_finite_loss_names_the_layer_and_stops(tmp_path):
    def break_weight(model):
        model.get_parameter("block3.0.mlp.fc1_conv.weight").view(-1)[0] = math.nan

    with pytest.raises(TrainingError, match=r"not finite at step 0, .*not finite: block3\.0\.mlp\.fc1_conv\."):
        train(small_recipe(tmp_path), callbacks=(AtStart(break_weight),))


def test_non_finite_input_of_the_loss_stops_too():
    module, (videos, labels) = module_of(), batch()
    with torch.no_grad():
        module.model.head.bias[0] = math.nan
    module._trainer = Steps()
    with pytest.raises(TrainingError, match=r"loss is nan at step 7; .*not finite: head\."):
        module.training_step((videos, labels), 0)


def test_finite_model_has_no_layer_to_name():
    module, (videos, _) = module_of(), batch()
    assert "overflowed" in first_non_finite(module.model, videos.transpose(0, 1))


def test_dead_layer_stops_the_run_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("spikereel.train.module.SETTLING_STEPS", 1)

    def silence(model):
        model.get_parameter("block3.0.mlp.fc1_bn.bias").fill_(-100.0)

    recipe = small_recipe(tmp_path, epochs=2, silent_epochs=2, train_length=8, threshold=0.02)
    with pytest.raises(TrainingError, match=r"dead network: .*2 validations: .*block3\.0\.mlp\.fc2_lif"):
        train(recipe, callbacks=(AtStart(silence),))


def test_first_steps_are_not_judged(tmp_path):
    def silence(model):
        model.get_parameter("block3.0.mlp.fc1_bn.bias").fill_(-100.0)

    recipe = small_recipe(tmp_path, epochs=2, silent_epochs=1, train_length=8, threshold=0.02)
    assert len(train(recipe, callbacks=(AtStart(silence),)).history) == 2


def test_layers_that_wake_up_are_forgiven():
    module = module_of()
    module._guard(["a", "b"])
    module._guard([])
    module._guard(["a"])
    with pytest.raises(TrainingError, match=r"1 layer.*: a"):
        module._guard(["a"])
    module.silent_epochs = 0
    module._guard(["a"])

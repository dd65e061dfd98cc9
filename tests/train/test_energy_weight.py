"""Training for energy: the term is what the passport counts, has gradients, and makes fewer spikes."""

import pytest
import torch
from small import small_recipe
from tiny import clip, tiny_model, tiny_svformer

from spikereel.energy import measure
from spikereel.errors import ConfigError
from spikereel.layers.observe import spike_operations
from spikereel.runs.classification import ClassificationObjective
from spikereel.runs.config import OptimSpec
from spikereel.runs.recipes import RECIPES
from spikereel.train.module import TrainingModule
from spikereel.train.run import train


@pytest.mark.parametrize("make", [tiny_model, tiny_svformer])
def test_the_term_is_the_share_that_the_passport_counts(make):
    model, video = make(), clip()
    with spike_operations(model) as spent, torch.no_grad():
        model(video)
    layers = [x for x in measure(model, video).layers if x.operand == "binary" and x.kind != "attention"]
    # spikes averaged over time reach the head, not those of a neuron
    layers = [x for x in layers if x.name != "head"]
    done, dense = sum(x.macs * sum(x.rate) / 4 for x in layers), sum(x.macs for x in layers)
    assert float(spent.share) == pytest.approx(done / dense, rel=1e-6)
    assert not any(m._forward_hooks for m in model.modules())


def test_its_gradient_reaches_the_first_layer():
    model = tiny_model()
    with spike_operations(model) as spent:
        model(clip())
    spent.share.backward()
    assert model.downsample1_1.encode_conv.weight.grad.abs().sum() > 0
    assert model.head.weight.grad is None


def test_following_it_makes_fewer_spikes():
    model, shares = tiny_model().train(), []
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(4):
        with spike_operations(model) as spent:
            model(clip())
        optimiser.zero_grad()
        spent.share.backward()
        optimiser.step()
        shares.append(float(spent.share.detach()))
    assert shares[-1] < 0.8 * shares[0]


def test_it_is_added_to_the_loss():
    videos, labels = clip().transpose(0, 1), torch.tensor([0, 1])
    losses = []
    for weight in (0.0, 2.0):
        model = tiny_model()
        objective = ClassificationObjective(OptimSpec(energy_weight=weight), classes=model.config.num_classes)
        module = TrainingModule(model, objective)
        logged = {}
        module.log = lambda name, value, logged=logged, **_: logged.__setitem__(
            name, float(torch.as_tensor(value).detach())
        )
        module.eval()
        losses.append(float(module.training_step((videos, labels), 0).detach()))
    assert 0.1 < float(logged["operations"]) < 0.9
    assert losses[1] == pytest.approx(losses[0] + 2.0 * float(logged["operations"]), rel=1e-6)


def test_every_recipe_takes_it():
    assert all(make().optim.energy_weight == 0.0 for make in RECIPES.values())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "spikevideoformer_ti.ann", "threshold": None}, "no spikes"),
        ({"checkpointing": True}, "checkpointing"),
        ({"memory": "fast"}, "run.memory=plain"),
    ],
)
def test_what_it_does_not_go_with(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        train(small_recipe(tmp_path, energy_weight=1.0, **changes))


def test_it_is_not_negative():
    with pytest.raises(ConfigError, match="energy_weight"):
        OptimSpec(energy_weight=-1.0)

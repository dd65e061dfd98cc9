"""Models that nobody has trained: they fire, or their passport says that they do not before any figure."""

import json
import math

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.energy import COSTS, Passport, estimate, measure
from spikereel.energy.page import html
from spikereel.energy.report import latex, markdown
from spikereel.errors import ConfigError, DataError
from spikereel.hub import create_model
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.observe import firing_rates

FRESH = [
    ("spikevideoformer_ti", {}),
    ("spikevideoformer_ti", {"attention": "causal", "neuron": "ilif"}),
    ("spikevideoformer_ti", {"task": "segmentation", "width": 16}),
    ("spikevideoformer_ti", {"task": "pose"}),
    ("svformer_ti", {}),
    ("svformer_ti", {"head": "mean"}),
]


@pytest.mark.parametrize(("name", "fields"), FRESH, ids=str)
def test_fresh_models_fire(name, fields):
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, **fields).eval()
    video = torch.rand(8, 1, 3, 64, 64)
    with torch.no_grad(), firing_rates(model) as rates:
        output = model(video)[0]
    assert rates.silent() == []
    assert (output if isinstance(output, torch.Tensor) else output[0]).abs().max() > 0


def test_the_published_initialisation_can_be_had_and_weights_are_the_same():
    models = []
    for norms in ("published", "firing"):
        torch.manual_seed(0)
        models.append((create_model("spikevideoformer_ti", num_classes=5, norms=norms), torch.rand(1)))
    (published, after), (firing, also_after) = models
    assert torch.equal(after, also_after)
    own = dict(firing.named_parameters())
    assert all(torch.equal(x, own[name]) for name, x in published.named_parameters())
    norms = [m for m in published.modules() if isinstance(m, _BatchNorm)]
    assert all(not m.running_mean.any() and (m.running_var == 1).all() for m in norms)
    with pytest.raises(ConfigError, match="choose firing or published"):
        create_model("spikevideoformer_ti", norms="none")


@pytest.fixture(scope="module")
def dead():
    torch.manual_seed(0)
    model = create_model("spikevideoformer_ti", num_classes=5, norms="published").eval()
    return measure(model, torch.rand(4, 1, 3, 32, 32), notes=("a note of mine",))


def test_no_ratio_for_a_network_with_silent_neurons(dead):
    assert len(dead.silent) == len(dead.firing)
    assert all(math.isnan(dead.parts_mj(cost)["ann_over_snn"]) for cost in COSTS)
    content = json.loads(json.dumps(dead.to_json(), allow_nan=False))
    assert content["energy_mj"]["paper"]["ann_over_snn"] is None
    assert Passport.from_json(content).silent == dead.silent


@pytest.mark.parametrize(
    "form", [html, markdown, latex, lambda p, c: json.dumps(p["m"].to_json(c)), lambda p, _: repr(p["m"])]
)
def test_every_form_begins_with_what_has_to_be_known(dead, form):
    text = form({"m": dead}, dict(COSTS))
    assert "42 of 42 neurons never fire, so no ratio is given (train it)" in text
    if not text.startswith("Passport("):
        assert "a note of mine" in text
    assert "times as much" not in text.replace("costs 0 times as much", "")


def test_forms_from_the_passport_itself(dead):
    assert dead.to_html().startswith("<!doctype html>")
    assert r"\caption" in dead.to_latex()
    assert "| cost model |" in dead.to_markdown()
    assert len(repr(dead)) < 250


def test_saturated_neurons_are_named():
    model = create_model("spikevideoformer_ti", num_classes=5).eval()
    passport = estimate(model, 1.0, clip=(4, 3, 32, 32))
    assert passport.warnings[0].startswith("42 of 42 neurons always fire")


@pytest.mark.parametrize(
    "fields", [{"tau": 0.5}, {"threshold": -1.0}, {"threshold": 0.0}, {"v_reset": 2.0}, {"alpha": 0.0}, {"levels": 0}]
)
def test_impossible_constants_are_refused_at_once(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        NeuronConfig(**fields)
    with pytest.raises(ConfigError, match=next(iter(fields))):
        create_model("spikevideoformer_ti", **fields)


def test_text_for_a_number_is_refused():
    with pytest.raises(ConfigError, match="num_classes is the text '10'"):
        create_model("spikevideoformer_ti", num_classes="10")


def test_clips_of_another_kind_get_a_sentence():
    model = create_model("spikevideoformer_ti", num_classes=5).eval()
    video = torch.rand(2, 1, 3, 32, 32)
    with pytest.raises(DataError, match="come with labels"):
        measure(model, [(video, torch.tensor([0]))])
    with pytest.raises(DataError, match="a clip is a ndarray"):
        measure(model, [video.numpy()])
    with pytest.raises(DataError, match="float64, the model"):
        measure(model, video.double())

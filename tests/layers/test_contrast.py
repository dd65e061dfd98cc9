"""The contrast front: by hand, causal, from a state as from the start, in both families, and what it costs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import clip, tiny_config, tiny_model, tiny_svformer_config

from spikereel.energy import COSTS, measure
from spikereel.errors import ConfigError, StateError
from spikereel.hub import create_model, load_model, save_model
from spikereel.layers.contrast import FULL, Contrast, ContrastConfig
from spikereel.layers.observe import count_macs
from spikereel.layers.state import State
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer

FRONTS = [
    {"contrast": "beside"},
    {"contrast": "instead", "contrast_tau": 0.5},
    {"contrast": "beside", "contrast_form": "on_off"},
    {"contrast": "instead", "contrast_form": "on_off", "contrast_tau": 4.0},
    {"contrast": "beside", "contrast_more": (8.0,), "contrast_learnt": True},
    {"contrast": "beside", "contrast_form": "on_off", "contrast_more": (1.0, 6.0), "contrast_surround": 2},
]


def test_the_signed_change_by_hand():
    front = Contrast(ContrastConfig(contrast="instead", contrast_tau=1.0 / math.log(2.0)))
    x = torch.tensor([0.0, 0.8, 0.4, 0.4], dtype=torch.float64).view(4, 1, 1, 1, 1)
    change, mean = front(x)
    # half of the past is forgotten from frame to frame: means 0, 0, 0.4, 0.4, then 0.4
    assert change.flatten().tolist() == pytest.approx([0.0, 0.8 / FULL, 0.0, 0.0], abs=1e-12)
    assert mean.item() == pytest.approx(0.4)


def test_on_and_off_by_hand():
    front = Contrast(ContrastConfig(contrast="beside", contrast_form="on_off", contrast_tau=1.0 / math.log(2.0)))
    grey = torch.tensor([0.5, 0.55, 0.2, 0.2], dtype=torch.float64).view(4, 1, 1, 1, 1)
    y, _ = front(grey + torch.tensor([-0.1, 0.1]).view(2, 1, 1))
    assert y.shape == (4, 1, 4, 1, 1)
    # means 0.5, 0.5, 0.525, 0.3625
    assert y[:, 0, 2].flatten().tolist() == pytest.approx([0.0, 0.5, 0.0, 0.0])
    assert y[:, 0, 3].flatten().tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0])


def test_each_time_constant_has_channels_of_its_own():
    x = clip(6)
    both = ContrastConfig(contrast="beside", contrast_form="on_off", contrast_tau=1.0, contrast_more=(4.0,))
    y, means = Contrast(both)(x)
    for i, tau in enumerate((1.0, 4.0)):
        alone, mean = Contrast(ContrastConfig(contrast="instead", contrast_form="on_off", contrast_tau=tau))(x)
        assert torch.equal(y[:, :, 3 + 2 * i : 5 + 2 * i], alone)
        assert torch.equal(means[:, i : i + 1], mean)
    assert both.channels(3) == y.shape[2] == 7


def test_a_surround_by_hand():
    front = Contrast(ContrastConfig(contrast="instead", contrast_surround=1))
    x = torch.zeros(2, 1, 1, 3, 4)
    x[1, 0, 0, 0, 0] = 0.6
    change = FULL * front(x)[0][1, 0, 0]
    # the corner has four pixels around it, its neighbours on the border six, the one across nine
    assert change[:2, :2].flatten().tolist() == pytest.approx([0.6 - 0.15, -0.1, -0.1, -0.6 / 9])
    assert not change[2].any()
    assert not change[:, 2:].any()


def test_light_that_changes_everywhere_has_no_contrast_with_a_surround():
    x = torch.linspace(0, 1, 6).view(6, 1, 1, 1, 1).expand(6, 1, 3, 8, 8)
    assert Contrast(ContrastConfig(contrast="instead"))(x)[0].abs().max() > 1
    assert Contrast(ContrastConfig(contrast="instead", contrast_surround=3))(x)[0].abs().max() < 1e-5


def test_time_constants_are_learnt():
    front = Contrast(ContrastConfig(contrast="instead", contrast_tau=2.0, contrast_more=(5.0,), contrast_learnt=True))
    fixed = Contrast(ContrastConfig(contrast="instead", contrast_tau=2.0, contrast_more=(5.0,)))
    x = clip(6).double()
    front.double()
    assert torch.allclose(front(x)[0], fixed(x)[0], atol=1e-5)
    assert torch.autograd.gradcheck(lambda log_tau: _with(front, log_tau, x), front.log_tau.detach().requires_grad_())


def _with(front: Contrast, log_tau: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(front, {"log_tau": log_tau}, (x,))[0].square().mean()


def test_a_still_clip_has_no_contrast():
    front = Contrast(ContrastConfig(contrast="instead"))
    change, mean = front(torch.full((6, 2, 3, 4, 4), 0.3))
    assert not change.any()
    assert torch.equal(mean, torch.full((2, 3, 4, 4), 0.3))


@pytest.mark.parametrize("fields", FRONTS)
def test_the_future_changes_nothing(fields):
    front, x = Contrast(ContrastConfig(**fields)), clip(6)
    y, _ = front(x)
    later = x.clone()
    later[4:] = 0.0
    assert torch.equal(front(later)[0][:4], y[:4])


@pytest.mark.parametrize("fields", FRONTS)
@given(cuts=st.lists(st.integers(1, 5), max_size=4, unique=True))
@settings(deadline=None, max_examples=8)
def test_streaming_equals_the_clip(fields, cuts):
    video = clip(6, size=32)
    model = _calibrated(tuple(fields.items()))
    with torch.no_grad():
        whole, end = model(video)
        state, parts = None, video.tensor_split(sorted(cuts))
        for part in parts:
            logits, state = model(part, state)
    assert torch.equal(logits, whole)
    assert all(torch.equal(x, end.flat()[name]) for name, x in state.flat().items())
    assert "contrast" in state.flat()


@pytest.mark.parametrize("fields", FRONTS)
def test_svformer_streams_too(fields):
    torch.manual_seed(0)
    model = SVFormer(tiny_svformer_config(**fields)).double()
    video = clip(4)
    model.train()(video)
    model.eval()
    with torch.no_grad():
        whole, _ = model(video, State())
        state = State()
        for part in video.split(1):
            logits, state = model(part, state)
    assert torch.equal(logits, whole)


_MODELS: dict[tuple, SpikeVideoFormer] = {}


def _calibrated(fields: tuple) -> SpikeVideoFormer:
    if fields not in _MODELS:
        _MODELS[fields] = tiny_model(clip(6, size=32), attention="causal", **dict(fields))
    return _MODELS[fields]


def test_the_front_is_off_unless_asked_for():
    plain = SpikeVideoFormer(tiny_config())
    assert plain.contrast is None
    assert SpikeVideoFormer(tiny_config(contrast="beside")).state_dict().keys() == plain.state_dict().keys()


def test_the_front_is_saved_with_the_weights(tmp_path):
    model = create_model("spikevideoformer_ti", num_classes=3, contrast="beside", contrast_tau=3.0)
    save_model(model, tmp_path / "a.safetensors")
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.config == model.config
    video = torch.rand(3, 1, 3, 32, 32)
    assert torch.equal(loaded(video)[0], model.eval()(video)[0])


def test_a_state_of_other_clips_is_refused():
    front = Contrast(ContrastConfig(contrast="beside"))
    _, past = front(torch.rand(2, 1, 3, 4, 4))
    with pytest.raises(StateError, match="start again with state=None"):
        front(torch.rand(2, 2, 3, 4, 4), past)


@pytest.mark.parametrize(
    "fields",
    [
        {"contrast": "over"},
        {"contrast_form": "both"},
        {"contrast_tau": 0.0},
        {"contrast_tau": math.inf},
        {"contrast_more": (3.0, -1.0)},
        {"contrast_surround": -1},
    ],
)
def test_values_that_make_no_sense_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        create_model("spikevideoformer_ti", **fields)


@pytest.mark.parametrize("family", ["spikevideoformer", "svformer"])
def test_its_energy_stands_in_the_passport(family):
    build = {
        "spikevideoformer": lambda **fields: SpikeVideoFormer(tiny_config(**fields)),
        "svformer": lambda **fields: SVFormer(tiny_svformer_config(**fields)),
    }[family]
    model, video = build(contrast="beside"), torch.rand(4, 1, 3, 64, 64)
    passport = measure(model, video)
    row = next(x for x in passport.layers if x.kind == "contrast")
    assert row.macs == 3 * video.numel()
    assert row.intermediates == video.numel()
    assert row.analog
    assert count_macs(model, video) == 3 * video.numel() + count_macs(build(in_channels=6), video.repeat(1, 1, 2, 1, 1))
    for cost in COSTS.values():
        assert sum(cost.snn_pj(row)["mac"]) == pytest.approx(cost.mac_pj * row.macs)

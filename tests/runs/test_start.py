"""Start weights: which ship and fit, how their first layer meets other channels, and what is said where none can."""

import pytest
import torch
from small import SMALL

from spikereel.errors import WeightsError
from spikereel.hub import create_model, load_model, save_model
from spikereel.runs.model import ModelSpec, build_model
from spikereel.runs.start import chosen_start, start_from

STEM = "downsample1_1.encode_conv.weight"
MOTION = {"name": "spikevideoformer_ti", "threshold": 0.5}


def _model(**fields):
    return create_model("spikevideoformer_ti", num_classes=3, **{**SMALL, **fields})


def _built(**fields):
    settled = {"in_channels": fields.pop("in_channels", 3), "num_classes": 3}
    settled["preprocess"] = fields.pop("preprocess", None)
    return build_model(ModelSpec(**MOTION, **fields), frames=8, size=32, **settled)


def test_auto_puts_the_shipped_motion_weights_behind_a_contrast_front():
    torch.manual_seed(0)
    model, shipped = (
        _built(contrast="beside", contrast_form="on_off", start="auto"),
        load_model("spikevideoformer_ti.motion"),
    )
    stem = model.state_dict()[STEM]
    assert not stem[:, :3].any()
    assert torch.equal(stem[:, 3:], shipped.state_dict()[STEM])
    same = "block3.0.attn.q_conv.0.body.0.weight"
    assert torch.equal(model.state_dict()[same], shipped.state_dict()[same])
    assert model.config.num_classes == 3


def test_trails_of_a_video_are_on_and_off_and_those_of_depth_are_not():
    seen = {"kind": "folder", "trails": 0.33}
    model = _built(preprocess=seen, start="spikevideoformer_ti.motion")
    shipped = load_model("spikevideoformer_ti.motion").state_dict()[STEM]
    assert torch.equal(model.state_dict()[STEM][:, 1:], shipped)
    assert not model.state_dict()[STEM][:, :1].any()
    # and those of people know grey as well
    assert chosen_start(_built(preprocess=seen)) == "spikevideoformer_ti.actions"
    model = _built(preprocess=seen, start="auto")
    assert torch.equal(model.state_dict()[STEM], load_model("spikevideoformer_ti.actions").state_dict()[STEM])
    assert chosen_start(_built(preprocess={**seen, "trails": 0.0})) is None
    assert chosen_start(_built(preprocess={**seen, "kind": "utd_mhad"})) is None


def test_auto_takes_the_weights_of_the_attention():
    fields = {"contrast": "instead", "contrast_form": "on_off"}
    assert chosen_start(_built(**fields)) == "spikevideoformer_ti.motion"
    assert chosen_start(_built(**fields, attention="spatial")) == "spikevideoformer_ti.motion_spatial"
    assert chosen_start(_built(**fields, attention="causal")) == "spikevideoformer_ti.motion_causal"
    assert chosen_start(_built(**fields, attention="hierarchical")) == "spikevideoformer_ti.motion_spatial"


@pytest.mark.parametrize("fields", [{}, {"contrast": "beside"}, {"contrast": "beside", "widths": (8, 16, 16, 24)}])
def test_auto_starts_fresh_where_nothing_fits(fields):
    assert chosen_start(_built(**fields)) is None
    torch.manual_seed(0)
    fresh = _built(**fields).state_dict()
    torch.manual_seed(0)
    started = _built(**fields, start="auto").state_dict()
    assert all(torch.equal(x, fresh[name]) for name, x in started.items())


def test_grey_takes_the_sum_of_colours_and_colours_their_share(tmp_path):
    colour, grey = _model(in_channels=3), _model(in_channels=1)
    save_model(colour, tmp_path / "colour.safetensors")
    save_model(grey, tmp_path / "grey.safetensors")
    picture = torch.rand(2, 2, 1, 32, 32)
    target = _model(in_channels=1)
    assert start_from(target, str(tmp_path / "colour.safetensors")) == []
    wide = colour.eval()(picture.expand(-1, -1, 3, -1, -1))[0]
    assert torch.allclose(target.eval()(picture)[0], wide, atol=1e-5)
    target = _model(in_channels=3)
    start_from(target, str(tmp_path / "grey.safetensors"))
    assert torch.allclose(target.state_dict()[STEM].sum(1, keepdim=True), grey.state_dict()[STEM], atol=1e-6)


def test_a_front_added_to_weights_begins_at_nothing(tmp_path):
    plain = _model(in_channels=3)
    save_model(plain, tmp_path / "plain.safetensors")
    model = _model(in_channels=3, contrast="beside")
    start_from(model, str(tmp_path / "plain.safetensors"))
    video = torch.rand(3, 2, 3, 32, 32)
    assert torch.equal(model.eval()(video)[0], plain.eval()(video)[0])


def test_channels_that_share_nothing_are_refused_with_the_option_to_change():
    with pytest.raises(WeightsError, match=r"sees on, off, this one red, green, blue; change model\.contrast"):
        _built(start="spikevideoformer_ti.motion")


def test_other_widths_are_refused_with_the_option_to_change():
    with pytest.raises(
        WeightsError, match=r"the weights have model\.widths=\[16, 32, 96, 160\] \(here \[8, 16, 16, 24"
    ):
        _built(start="spikevideoformer_ti.motion", widths=(8, 16, 16, 24), in_channels=2)

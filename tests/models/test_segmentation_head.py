"""The third task of SpikeVideoFormer: sizes, class maps of every frame, streaming, files."""

import pytest
import torch
from torch.nn import functional as F

from spikereel.errors import ConfigError, StateError
from spikereel.hub import create_model, load_model, save_model
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.observe import firing_rates
from spikereel.models.segmentation_head import SegmentationConfig
from tests.tiny import clip, tiny_model

HEADS = [{"head": "mlp", "width": 12}, {"head": "fpn", "width": 8, "neck": 6}]


def segmentation_model(video=None, **fields):
    segmentation = SegmentationConfig(**(fields.pop("segmentation", None) or HEADS[0]))
    return tiny_model(video, task="segmentation", segmentation=segmentation, **fields)


def parameters(name="spikevideoformer_s", classes=19, **options):
    with torch.device("meta"):
        model = create_model(name, task="segmentation", num_classes=classes, **options)
    return sum(p.numel() for p in model.parameters())


def test_published_sizes():
    # spec section 9: backbone 14,755,720 and a head of about 3.0 or 1.7 million
    assert parameters() == 17_757_851
    assert parameters(classes=124) == 17_838_596
    assert parameters(head="fpn") == 16_458_779
    assert parameters(head="fpn", neck=96, width=256) == 17_807_771
    assert parameters(segmentation=SegmentationConfig(head="fpn")) == parameters(head="fpn")


@pytest.mark.parametrize("segmentation", HEADS)
@pytest.mark.parametrize("kind", ["lif", "plif", "ilif", "relu"])
def test_a_class_for_every_pixel(segmentation, kind):
    model, video = segmentation_model(segmentation=segmentation, neuron=NeuronConfig(kind=kind)), clip()
    maps, state = model(video)
    assert maps.shape == (4, 2, 5, 64, 64)
    assert not torch.equal(maps[0], maps[1]), "frames differ"
    assert not torch.equal(maps[:, 0], maps[:, 1]), "clips differ"
    assert set(state.flat()) == set(type(state).from_flat(state.flat()).flat())


@pytest.mark.parametrize("segmentation", HEADS)
@pytest.mark.parametrize("attention", ["spatial", "causal"])
def test_frame_by_frame_is_the_clip(segmentation, attention):
    model, video = segmentation_model(segmentation=segmentation, attention=attention), clip()
    whole, _ = model(video)
    state, parts = None, []
    for frame in video:
        maps, state = model(frame[None], state)
        parts.append(maps)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)


def test_another_batch_does_not_go_on(as_user):
    model, video = segmentation_model(attention="causal"), clip()
    with pytest.raises(StateError, match="batch size and resolution"):
        model(video[:, :1], model(video)[1])


def test_joint_attention_goes_on_from_no_state():
    model, video = segmentation_model(), clip()
    with pytest.raises(StateError, match="whole clip"):
        model(video, model(video)[1])


@pytest.mark.parametrize("segmentation", HEADS)
def test_other_sizes_are_continued_to_the_stride_and_cut(segmentation):
    model, video = segmentation_model(segmentation=segmentation), clip()[..., :41, :55]
    continued = torch.stack([F.pad(x, (0, 9, 0, 7), mode="replicate") for x in video])
    torch.testing.assert_close(model(video)[0], model(continued)[0][..., :41, :55], rtol=0, atol=0)
    assert model(video[..., :1, :1])[0].shape == (4, 2, 5, 1, 1)


def test_levels_are_the_outputs_of_the_named_parts():
    model, video = segmentation_model(), clip()
    taps = ("ConvBlock1_1", "ConvBlock1_2", "ConvBlock2_2", "block3", "block4")
    levels, _ = model.pyramid(video, taps)
    assert [tuple(x.shape[2:]) for x in levels] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (16, 4, 4), (24, 4, 4)]
    assert torch.equal(levels[-1], model.features(video)[0])


def test_a_mixed_level_by_hand():
    """The mlp head on constant levels is a network of single pixels."""
    head = segmentation_model().head
    levels = [torch.full((1, 1, c, n, n), v, dtype=torch.float64) for c, n, v in ((8, 4, 2.5), (16, 2, 3), (16, 1, 4))]
    levels.append(torch.zeros(1, 1, 24, 1, 1, dtype=torch.float64))

    def unit(layer, spikes):
        y = torch.einsum("oi,i->o", layer.conv.weight[:, :, 0, 0], spikes)
        if layer.conv.bias is not None:
            return y + layer.conv.bias
        norm = layer.norm
        return norm.weight * (y - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) + norm.bias

    fires = [torch.ones(c, dtype=torch.float64) for c in (8, 16, 16)] + [torch.zeros(24, dtype=torch.float64)]
    joined = torch.cat([unit(layer, s) for layer, s in zip(head.levels, fires, strict=True)])
    mixed = unit(head.fuse, (joined >= 2).double())
    wanted = unit(head.classify, (mixed >= 2).double())
    maps, _ = head(levels)
    torch.testing.assert_close(maps[0, 0], wanted[:, None, None].expand(5, 4, 4), rtol=0, atol=1e-12)


@pytest.mark.parametrize("segmentation", HEADS)
def test_every_parameter_learns_and_every_neuron_fires(segmentation):
    model, video = segmentation_model(segmentation=segmentation).train(), clip()
    with firing_rates(model) as rates:
        model(video)[0].square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert rates.silent() == []


@pytest.mark.parametrize("segmentation", HEADS)
def test_checkpointing_keeps_the_gradients(segmentation):
    plain, saving = (segmentation_model(segmentation=segmentation).train() for _ in range(2))
    saving.checkpointing = True
    for model in (plain, saving):
        model(clip())[0].square().sum().backward()
    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad), name


def test_the_configuration_travels_in_the_file(tmp_path):
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=7, **HEADS[1])
    save_model(model, tmp_path / "maps.safetensors")
    again = load_model(tmp_path / "maps.safetensors")
    assert again.config == model.config
    assert (again.task, again.config.segmentation) == ("segmentation", SegmentationConfig(**HEADS[1]))


def test_mistakes_are_named(as_user):
    with pytest.raises(ConfigError, match="'head' belongs to task='segmentation'"):
        create_model("spikevideoformer_ti", head="fpn")
    with pytest.raises(ConfigError, match="svformer is for classification alone"):
        create_model("svformer", task="segmentation")
    with pytest.raises(ConfigError, match="head"):
        create_model("spikevideoformer_ti", task="segmentation", head="conv")
    for wrong in ({"head": "unet"}, {"width": 0}, {"neck": 8}, {"head": "fpn", "neck": 0}):
        with pytest.raises(ConfigError, match=list(wrong)[-1]):
            SegmentationConfig(**wrong)

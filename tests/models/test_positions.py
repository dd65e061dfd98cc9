"""Positions in time: what is added, what joint attention can tell with them, and where they are refused."""

import dataclasses

import pytest
import torch
from tiny import clip, tiny_config, tiny_model

import spikereel
from spikereel.energy import measure
from spikereel.engine.choose import engine_for
from spikereel.errors import ConfigError, StateError
from spikereel.exporting.part import last_without_attention
from spikereel.hub import load_model, save_model
from spikereel.layers.fused import set_memory
from spikereel.layers.positions import TimePositions, waves
from spikereel.models.spikevideoformer import SpikeVideoFormer


def positioned(attention="joint", **fields):
    """Tiny, with positions that say something, and the same weights without."""
    plain = tiny_model(attention=attention, **fields)
    told = SpikeVideoFormer(dataclasses.replace(plain.config, positions="time")).double().eval()
    told.load_state_dict(told.state_dict() | plain.state_dict())
    return told, plain


def drawn(model):
    with torch.no_grad():
        model.positions.map.weight.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.5)
    return model


def test_a_fresh_one_is_the_model_without():
    told, plain = positioned()
    with torch.no_grad():
        assert torch.equal(told(clip())[0], plain(clip())[0])


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_waves_tell_every_frame_apart_at_any_length(frames):
    found = waves(frames)
    assert torch.equal(found, waves(300)[:frames])
    apart = torch.cdist(waves(300), waves(300)) + 9 * torch.eye(300)
    assert apart.min() > 0.02


def test_what_is_added_is_the_same_for_all_tokens_of_a_frame():
    module = TimePositions(5)
    torch.nn.init.normal_(module.map.weight)
    x = torch.randn(3, 2, 5, 2, 4)
    out, state = module(x)
    assert state == {}
    terms = waves(3).float() @ module.map.weight.T
    assert torch.allclose(out - x, terms[:, None, :, None, None].expand_as(x), atol=1e-6)


def test_joint_attention_tells_the_order_of_frames_with_them_alone():
    """Of neurons without memory: those of a tiny threshold fire of the present alone, and the sum has no order."""
    told, plain = positioned(neuron=dataclasses.replace(tiny_config().neuron, tau=1.0))
    drawn(told)
    video = clip()
    with torch.no_grad():
        for model, tells in ((plain, False), (told, True)):
            forward, turned = (model.features(x)[0] for x in (video, video.flip(0)))
            assert torch.equal(forward, turned.flip(0)) != tells


@pytest.mark.parametrize("attention", ["joint", "hierarchical", "factorised"])
def test_every_way_of_memory_and_the_passport_know_them(attention):
    told = drawn(positioned(attention)[0])
    video = clip()
    wanted = told(video)[0]
    wanted.square().sum().backward()
    gradient = told.positions.map.weight.grad.clone()
    assert gradient.abs().max() > 0
    assert measure(told, video).energy_mj() > 0
    for memory in ("fast", "lean"):
        set_memory(told, memory)
        told.zero_grad()
        found = told(video)[0]
        found.square().sum().backward()
        assert torch.allclose(found, wanted)
        assert torch.allclose(told.positions.map.weight.grad, gradient, rtol=1e-9)


def test_they_are_saved_and_loaded(tmp_path):
    told = drawn(positioned()[0])
    save_model(told, tmp_path / "a.safetensors")
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.config.positions == "time"
    with torch.no_grad():
        assert torch.equal(loaded.double()(clip())[0], told(clip())[0])


def test_a_stream_gives_chunks_as_clips_and_refuses_windows():
    told = drawn(positioned()[0]).float()
    video = clip(8, 1).float()
    session = spikereel.stream(told, mode="chunk", window=4)
    given = session.push(video[:, 0]).output
    with torch.no_grad():
        assert torch.allclose(given[-1], told(video[4:])[0][0], atol=1e-5)
    with pytest.raises(ConfigError, match="sliding window has none"):
        spikereel.stream(told, mode="window", window=4)


def test_another_word_is_named(as_user):
    with pytest.raises(ConfigError, match="positions='space' does not exist; choose one of none, time"):
        tiny_config(positions="space")


def test_where_they_cannot_be_they_are_refused_by_name():
    for attention in ("causal", "spatial"):
        with pytest.raises(ConfigError, match=f"attention='{attention}' goes on"):
            tiny_config(attention=attention, positions="time")
    told = positioned()[0].float().eval()
    with pytest.raises(ConfigError, match="positions in time"):
        engine_for(told, "native")
    assert "positions" in engine_for(told, "auto").why
    assert last_without_attention(told) == "downsample3"
    told.train().windowed = True
    _, state = told(clip().float())
    with pytest.raises(StateError, match=r"optim\.truncate=0"):
        told(clip().float(), state)

"""Sums of attention held against a stated clip: what they are there, and at every other length and size."""

import copy
import dataclasses

import pytest
import torch
from tiny import clip, tiny_config, tiny_model, tiny_svformer

import spikereel
from spikereel.engine.engine import Engine, compile
from spikereel.engine.loaded import available
from spikereel.engine.verify import verify
from spikereel.errors import ConfigError
from spikereel.hub import Metadata, load_model, save_model
from spikereel.layers.attention import SCHEMES, SpikeAttention, summed_tokens
from spikereel.layers.fused import set_memory
from spikereel.models.spikevideoformer import SpikeVideoFormer, at_any_size
from spikereel.runs.start import chosen_start, start_from
from spikereel.streaming.fronts import windowed

HELD = (4, 64, 64)


def twins(**fields):
    """A model without and with the field, of the same weights."""
    plain = tiny_model(**fields)
    held = SpikeVideoFormer(dataclasses.replace(plain.config, attention_clip=HELD)).double()
    held.load_state_dict(plain.state_dict())
    return plain, held.train(plain.training)


def attended(model, video):
    """What enters the first neuron behind attention, before its norm."""
    seen = {}
    module = next(m for m in model.modules() if isinstance(m, SpikeAttention))
    whole = SpikeAttention._attend

    def noted(*args):
        seen.setdefault(args[3], whole(module, *args))
        return seen[args[3]]

    module.__dict__["_attend"] = noted
    with torch.no_grad():
        model(video)
    del module.__dict__["_attend"]
    return seen


@pytest.mark.parametrize("similarity", ["hamming", "dot"])
@pytest.mark.parametrize("attention", SCHEMES)
def test_on_the_stated_clip_every_number_is_that_without(attention, similarity):
    plain, held = twins(attention=attention, similarity=similarity)
    outputs, grads = [], []
    for model in (plain, held):
        model.train()
        outputs.append(model(clip())[0])
        outputs[-1].square().sum().backward()
        grads.append({name: p.grad for name, p in model.named_parameters()})
    assert torch.equal(*outputs)
    assert all(torch.equal(grads[0][name], grads[1][name]) for name in grads[0])


@pytest.mark.parametrize("attention", SCHEMES)
def test_elsewhere_sums_are_divided_by_their_tokens_over_those_stated(attention):
    plain, held = twins(attention=attention)
    video = clip(3, 2, 96)
    # a frame of 96 pixels has 36 tokens, one of 64 has 16
    shares = {"frame": 36 / 16, "past": 36 / 16, "pixel": 3 / 4, "clip": 3 * 36 / (4 * 16)}
    without, own = attended(plain, video), attended(held, video)
    assert set(own) == {grouping for groupings in SCHEMES[attention][:1] for grouping in groupings}
    for grouping, a in own.items():
        torch.testing.assert_close(a * shares[grouping], without[grouping], rtol=1e-12, atol=1e-12)
        assert not torch.equal(a, without[grouping])


def test_tokens_of_each_grouping():
    assert [summed_tokens(g, 5, 7) for g in ("frame", "past", "pixel", "clip", "recent")] == [7, 7, 5, 35, 35]


def test_sides_that_16_does_not_divide_count_as_the_network_sees_them():
    assert tiny_config(attention_clip=(8, 33, 100)).reference == (8, 3 * 7)
    assert tiny_config().reference is None
    with pytest.raises(ConfigError, match=r"attention_clip must be frames, height and width, .* got \(8, 0, 32\)"):
        tiny_config(attention_clip=(8, 0, 32))


@pytest.mark.parametrize("similarity", ["hamming", "dot"])
def test_a_window_of_any_length_attends_as_a_clip_of_it(similarity):
    _, held = twins(similarity=similarity)
    window = windowed(held, 3)
    video = clip(3)
    assert window.config.attention_clip == HELD
    whole, last = attended(held, video)["clip"], attended(window, video)["recent"]
    torch.testing.assert_close(last[-1], whole[-1], rtol=1e-12, atol=1e-12)


def test_it_is_kept_with_the_weights(tmp_path):
    _, held = twins()
    path = tmp_path / "held.safetensors"
    save_model(held.float(), path)
    loaded = load_model(path)
    assert loaded.config.attention_clip == HELD
    with torch.no_grad():
        assert torch.equal(loaded(clip(2).float())[0], held(clip(2).float())[0])


def test_weights_that_are_there_take_it_at_once():
    model = load_model("spikevideoformer_ti.motion")
    held = at_any_size(model)
    assert held.config == dataclasses.replace(model.config, attention_clip=(8, 32, 32))
    assert held.metadata is model.metadata
    assert not held.training
    video = torch.rand(8, 2, 2, 32, 32)
    with torch.no_grad():
        assert torch.equal(held(video)[0], model(video)[0])
        assert not torch.equal(held(video[:2])[0], model(video[:2])[0])
    assert at_any_size(model, (2, 64, 32)).config.attention_clip == (2, 64, 32)
    model.metadata = Metadata()
    with pytest.raises(ConfigError, match="do not say what clips they were trained on"):
        at_any_size(model)
    with pytest.raises(ConfigError, match="for SpikeVideoFormer, this is a SVFormer"):
        at_any_size(tiny_svformer())
    with pytest.raises(ConfigError, match="attention_clip"):
        spikereel.create_model("svformer_ti", attention_clip=(8, 64, 64))


def test_a_training_with_it_starts_from_weights_without():
    fields = {"num_classes": 10, "in_channels": 2, "threshold": 0.5, "attention_clip": (16, 64, 64)}
    model = spikereel.create_model("spikevideoformer_ti", **fields)
    assert chosen_start(model) == "spikevideoformer_ti.motion"
    assert start_from(model, "auto") == []


@pytest.mark.parametrize("memory", ["fast", "lean"])
def test_training_with_little_memory_has_the_same_gradients(memory):
    _, held = twins(attention="factorised")
    found = []
    for name in ("plain", memory):
        model = copy.deepcopy(held).train()
        set_memory(model, name)
        model(clip(3, 2, 96))[0].square().sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
    for name, grad in found[0].items():
        torch.testing.assert_close(found[1][name], grad, rtol=1e-7, atol=1e-9)


@pytest.mark.skipif(not available(), reason="this installation has no native engine")
@pytest.mark.parametrize("attention", SCHEMES)
def test_the_engine_holds_them_too(attention):
    _, held = twins(attention=attention)
    engine, video = compile(copy.deepcopy(held).float()), clip(3, 2, 96)
    with torch.no_grad():
        for part in (video, clip()):
            torch.testing.assert_close(engine(part.float())[0].double(), held(part)[0], rtol=1e-4, atol=1e-4)
    if attention != "causal":
        assert all(row.farthest < 1e-5 for row in verify(engine, video[:, :1].float()))


@pytest.mark.skipif(not available(), reason="this installation has no native engine")
def test_a_saved_engine_and_a_window_hold_them(tmp_path):
    _, held = twins()
    held = held.float()
    own = compile(held)
    own.tune(clip(2, 1, 32).float())
    own.save(tmp_path / "net.engine")
    engine, video = Engine.load(tmp_path / "net.engine"), clip(5, 1, 96).float()
    window = windowed(held, 3)
    with torch.no_grad():
        torch.testing.assert_close(engine(video)[0], held(video)[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(compile(window)(video)[0], window(video)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suffix", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_file_of_any_size_holds_them(suffix, tmp_path):
    if suffix == "onnx":
        pytest.importorskip("onnxruntime")
    _, held = twins(attention="causal")
    held = held.float()
    held.metadata = dataclasses.replace(held.metadata, preprocess={"size": 64, "frames": 2})
    path = tmp_path / f"net.{suffix}"
    spikereel.export(held, path, size="any", clips=[clip(4).float()], grid=False)
    exported = spikereel.open_export(path)
    for height, width in ((96, 160), (32, 64)):
        video = torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.no_grad():
            torch.testing.assert_close(exported(video)[0], held(video)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["spatial", "causal"])
def test_the_c_library_holds_them(attention, tmp_path):
    _, held = twins(attention=attention)
    held, video, path = held.float(), clip(3, 1, 96).float(), tmp_path / "net.spkc"
    certificate = spikereel.export(held, path, clips=[video], size=(96, 96), grid=False)
    assert certificate.faithful
    with torch.no_grad():
        torch.testing.assert_close(spikereel.open_export(path)(video)[0], held(video)[0], rtol=1e-4, atol=1e-5)

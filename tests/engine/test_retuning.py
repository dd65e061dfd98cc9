"""Kernels that are chosen anew while a stream goes on."""

import copy
import itertools

import pytest
import torch
from tiny import clip, tiny_model

from spikereel.engine import tune
from spikereel.engine.engine import Engine, compile
from spikereel.engine.loaded import available
from spikereel.engine.plan import SpikeConv

pytestmark = pytest.mark.skipif(not available(), reason="this installation has no native engine")


def stream(engine, video, calls, state=None):
    outputs = []
    for i in range(calls):
        output, state = engine(video[i % len(video)][None], state)
        outputs.append(output)
    return outputs, state


def dim_and_bright():
    """A stream in which nearly nothing fires, and one in which much does."""
    video = clip(8, 1).float()
    return torch.zeros_like(video), video


def test_rates_that_move_settle_layers_anew_and_change_no_bit(monkeypatch):
    monkeypatch.setattr(tune, "EVERY", 2)
    monkeypatch.setattr(tune, "SOON", 2)
    model = tiny_model(attention="causal").float()
    dim, bright = dim_and_bright()
    engine, still = compile(model), compile(copy.deepcopy(model))
    for each in (engine, still):
        each.tune(dim)
    monkeypatch.setattr(still._retuner, "due", lambda: None)
    before = dict(engine._retuner.settled)
    layers = [layer for layer in engine.program.layers if isinstance(layer, SpikeConv)]
    assert before.keys() == {layer.name for layer in layers}
    got, state = stream(engine, bright, 3 * len(layers))
    wanted, other = stream(still, bright, 3 * len(layers))
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert all(torch.equal(x, other.flat()[name]) for name, x in state.flat().items())
    after = engine._retuner.settled
    # a frame a call where there were eight: all of them, one at a look
    assert all(frames == 1 for _, frames in after.values())
    assert any(rate > tune.MOVED * before[name][0] for name, (rate, _) in after.items())


def test_one_layer_at_a_look(monkeypatch):
    monkeypatch.setattr(tune, "SOON", 4)
    settled, own = [], tune.settle
    monkeypatch.setattr(
        tune, "settle", lambda layer, *args, **more: settled.append(layer.name) or own(layer, *args, **more)
    )
    dim, bright = dim_and_bright()
    engine = compile(tiny_model(attention="causal").float())
    engine.tune(dim)
    settled.clear()
    _, state = stream(engine, bright, 3)
    assert settled == []
    for looks in (1, 2):
        _, state = stream(engine, bright, 4, state)
        assert len(settled) == looks
    assert len(set(settled)) == 2


def test_a_layer_of_restless_rates_is_settled_ever_more_rarely(monkeypatch):
    monkeypatch.setattr(tune, "moved", lambda *_: True)
    own, settled, now = tune.settle, {}, [0]

    def noted(layer, *args, **more):
        settled.setdefault(layer.name, []).append(now[0])
        return own(layer, *args, **more)

    dim, bright = dim_and_bright()
    engine, state = compile(tiny_model(attention="causal").float()), None
    engine.tune(dim)
    monkeypatch.setattr(tune, "settle", noted)
    for now[0] in range(8 * tune.EVERY):
        _, state = engine(bright[now[0] % 8][None], state)
    for calls in settled.values():
        waits = [b - a for a, b in itertools.pairwise(calls)]
        assert all(wait >= tune.EVERY * 2**i for i, wait in enumerate(waits))
    assert max(len(calls) for calls in settled.values()) == 4  # calls 4, 36, 100 and 228


def test_looks_are_rare_while_nothing_moves():
    _, bright = dim_and_bright()
    engine = compile(tiny_model(attention="causal").float())
    engine.tune(bright[:1])
    retuner = engine._retuner
    retuner.settled = dict.fromkeys(retuner.settled, None)
    looks, state = [], None
    for call in range(2 * tune.EVERY):
        _, state = engine(bright[call % 8][None], state)
        if retuner.next > call + 1 + tune.EVERY - 1:
            looks.append(call + 1)
    assert looks == [tune.SOON, tune.SOON + tune.EVERY]


@pytest.mark.parametrize(
    ("rate", "frames", "wanted"),
    [
        (0.10, 8, False),
        (0.12, 8, False),
        (0.14, 8, True),
        (0.07, 8, True),
        (0.10, 3, False),
        (0.10, 2, True),
        (0.10, 25, True),
    ],
)
def test_what_counts_as_moved(rate, frames, wanted):
    assert tune.moved((0.10, 8), rate, frames) is wanted
    # next to nothing is not ten times next to nothing
    assert not tune.moved((0.0001, 8), 0.004, 8)
    assert not tune.moved(None, rate, frames)


def test_engines_of_files_keep_their_kernels(monkeypatch, tmp_path):
    monkeypatch.setattr(tune, "SOON", 1)
    dim, bright = dim_and_bright()
    engine = compile(tiny_model(attention="causal").float())
    engine.tune(dim)
    engine.save(tmp_path / "a.engine")
    loaded = Engine.load(tmp_path / "a.engine")
    kept = [layer.choice for layer in loaded.program.layers if isinstance(layer, SpikeConv)]
    stream(loaded, bright, 5)
    assert kept == [layer.choice for layer in loaded.program.layers if isinstance(layer, SpikeConv)]

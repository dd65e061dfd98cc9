"""Memory of membranes that calls share: what somebody holds is never written, and what he changed is read."""

import copy

import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer

from spikereel.engine.engine import compile
from spikereel.engine.loaded import available
from spikereel.layers.state import State

pytestmark = pytest.mark.skipif(not available(), reason="this installation has no native engine")


def engine_of(**changes):
    model = tiny_model(**changes).float()
    engine = compile(model)
    engine(clip().float())
    return engine


def equal(a, b):
    return a.flat().keys() == b.flat().keys() and all(torch.equal(x, b.flat()[name]) for name, x in a.flat().items())


@pytest.mark.parametrize("changes", [{"attention": "causal"}, {"attention": "spatial"}])
def test_states_that_are_held_stay_as_they_are(changes):
    engine, video = engine_of(**changes), clip().float()
    held, copies, outputs, state = [], [], [], None
    for i in range(len(video)):
        output, state = engine(video[i : i + 1], state)
        held.append(state)
        copies.append(state.clone())
        outputs.append(output)
    assert all(equal(a, b) for a, b in zip(held, copies, strict=True))
    # from any of them, and from a copy of it, the rest of the clip comes out the same
    for start in (held, copies):
        for i in range(len(video) - 1):
            output, after = engine(video[i + 1 : i + 2], start[i])
            assert torch.equal(output, outputs[i + 1])
            assert equal(after, copies[i + 1])
    whole, after = engine(video)
    assert torch.equal(whole, outputs[-1])
    assert equal(after, copies[-1])


@pytest.mark.parametrize("inference", [False, True])
def test_a_stream_needs_two_blocks(inference):
    engine, video, state = engine_of(attention="causal"), clip().float(), None
    with torch.inference_mode(inference):
        for i in range(20):
            _, state = engine(video[i % len(video)][None], state)
        assert len(engine._rooms.all) == 2
        # whoever holds more has more, and when they go, so do the blocks
        many = [engine(video[:1])[1] for _ in range(5)]
        assert len(engine._rooms.all) >= 6
        del many
        for i in range(3):
            _, state = engine(video[i][None], state)
        assert len(engine._rooms.all) == 2
        (layout,) = engine._layouts.values()
        assert {n for key in layout.targets for n in key[:2] if n} == {room.number for room in engine._rooms.all}


def test_numbers_that_the_caller_writes_into_a_state_are_read():
    engine, video = engine_of(attention="causal"), clip().float()
    _, state = engine(video[:2])
    name = next(name for name, x in state.flat().items() if x.ndim == 4 and x.abs().sum() > 0)
    changed = state.clone()
    state.flat()[name].zero_()
    changed.flat()[name].zero_()
    assert equal(engine(video[2:], state)[1], engine(video[2:], changed)[1])
    # another tensor in place of one of them
    flat = state.flat()
    flat[name] = torch.ones_like(flat[name])
    changed.flat()[name].fill_(1)
    assert equal(engine(video[2:], State.from_flat(flat))[1], engine(video[2:], changed)[1])


def test_clips_of_a_batch_have_blocks_together():
    engine, video = engine_of(attention="causal"), torch.cat([clip(batch=1), clip(batch=1).flip(0)], 1).float()
    _, state = engine(video[:2])
    both, after = engine(video[2:], state)
    for i in range(2):
        _, own = engine(video[:2, i : i + 1])
        output, own = engine(video[2:, i : i + 1], own)
        torch.testing.assert_close(both[i : i + 1], output)
        # the head is PyTorch's, whose sums depend on the batch
        names = [layer.neuron.name for layer in engine.program.neurons()]
        assert all(torch.equal(after.flat()[name][i : i + 1], own.flat()[name]) for name in names)


def test_another_size_comes_in_between():
    engine, video = engine_of(attention="causal"), clip().float()
    wanted = engine(video[2:], engine(video[:2])[1])
    _, state = engine(video[:2])
    engine(clip(size=64).float())
    got = engine(video[2:], state)
    assert torch.equal(got[0], wanted[0])
    assert equal(got[1], wanted[1])


def test_kernels_chosen_anew_go_on():
    engine, video = engine_of(attention="causal"), clip().float()
    _, state = engine(video[:2])
    wanted = engine(video[2:], state)
    engine.tune(video)
    # norms of rounded weights go with the kernel that was chosen
    assert not any(layout.targets for layout in engine._layouts.values())
    got = engine(video[2:], state)
    assert torch.equal(got[0], wanted[0])
    assert equal(got[1], wanted[1])


def test_time_dependent_norms_move_on():
    model = tiny_svformer().float()
    engine, video = compile(model), clip().float()
    whole, _ = engine(video)
    again, _ = engine(video)
    assert torch.equal(whole, again)
    copied = compile(copy.deepcopy(model))
    assert torch.equal(copied(video)[0], whole)

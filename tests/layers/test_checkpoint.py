"""Checkpointing changes what is kept, and no number."""

import copy

import pytest
import torch
from tiny import BATCH_NORMS, clip, tiny_model, tiny_svformer
from torch import nn

from spikereel.layers.checkpoint import checkpointed
from spikereel.layers.state import State

MODELS = {
    "svformer": tiny_svformer,
    "spikevideoformer": tiny_model,
    "svformer-shared-mean": lambda **fields: tiny_svformer(time_norm=False, head="mean", **fields),
    "spikevideoformer-causal": lambda **fields: tiny_model(attention="causal", **fields),
}
BLOCKS = {"svformer": 8, "spikevideoformer": 10}


def _step(model, *, parts=(4,), seed=0, on):
    """Everything that one training step leaves behind, and the numbers kept for the backward pass."""
    model = copy.deepcopy(model).train()
    model.checkpointing = on
    video, state, kept = clip(batch=3, seed=3).requires_grad_(), State() if len(parts) > 1 else None, []
    torch.manual_seed(seed)

    def pack(x):
        kept.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = 0.0
        for part in video.split(parts):
            logits, state = model(part, state)
            loss = loss + (logits * torch.arange(1.0, 6.0)).square().sum()
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return {"logits": logits.detach(), "video": video.grad} | gradients | dict(model.named_buffers()), kept


def _assert_equal(one, two):
    assert one.keys() == two.keys()
    for name, x in one.items():
        torch.testing.assert_close(two[name], x, rtol=0, atol=0, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_same_logits_gradients_and_statistics(name, drop_path):
    model = MODELS[name](drop_path=drop_path)
    plain, kept = _step(model, on=False)
    saved, kept_less = _step(model, on=True)
    _assert_equal(plain, saved)
    assert all(x.grad_fn is None for x in saved.values())
    assert plain["video"].abs().max() > 1e-3
    counts = {name: int(x) for name, x in saved.items() if name.endswith("num_batches_tracked")}
    # one for calibration, one for the step
    assert set(counts.values()) == {2}
    assert len(counts) == sum(isinstance(m, BATCH_NORMS) for m in model.modules())
    assert sum(kept_less) < 0.3 * sum(kept)
    if drop_path:
        other, _ = _step(model, on=True, seed=1)
        assert not torch.equal(other["logits"], saved["logits"])


@pytest.mark.parametrize("name", ["svformer", "svformer-shared-mean", "spikevideoformer-causal"])
def test_same_gradients_through_a_carried_state(name):
    model = MODELS[name]()
    plain, _ = _step(model, parts=(1, 2, 1), on=False)
    saved, _ = _step(model, parts=(1, 2, 1), on=True)
    _assert_equal(plain, saved)


def test_cumulative_statistics_count_a_batch_once():
    model = tiny_svformer()
    for m in model.modules():
        if isinstance(m, BATCH_NORMS):
            m.momentum = None
    _assert_equal(_step(model, on=False)[0], _step(model, on=True)[0])


def test_momentum_is_back_after_the_step():
    norm = nn.BatchNorm1d(2, momentum=0.25)
    x = torch.rand(4, 2, requires_grad=True)
    y = checkpointed(norm, x)
    y.sum().backward()
    assert norm.momentum == 0.25
    wanted = nn.BatchNorm1d(2, momentum=0.25)
    wanted(x)
    assert torch.equal(norm.running_mean, wanted.running_mean)
    assert torch.equal(norm.running_var, wanted.running_var)
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("family", BLOCKS)
def test_only_where_gradients_are_wanted(family, monkeypatch):
    calls = []
    monkeypatch.setattr("spikereel.models.base.checkpointed", lambda block, *rest: calls.append(block) or block(*rest))
    model = MODELS[family]()
    assert not model.checkpointing
    model.train()(clip())
    model.checkpointing = True
    model.eval()(clip())
    with torch.no_grad():
        model.train()(clip())
    assert calls == []
    model(clip())
    assert len(set(calls)) == len(calls) == BLOCKS[family] + (family == "spikevideoformer")

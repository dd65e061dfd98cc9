"""Norms of single time steps against PyTorch's own norm of channels laid out as t C + c."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikereel.errors import StateError
from spikereel.layers.calibrate import calibrate
from spikereel.layers.norm import ClipNorm

T, C = 5, 3


def _input(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    # a level and a spread of its own for every step and channel, so that mixed-up statistics show
    level, spread = (torch.randn(T, 1, C, *[1] * len(size), generator=generator).double() for _ in range(2))
    return level + (1 + spread.abs()) * torch.randn(T, 4, C, *size, generator=generator).double()


def _pair(plain=nn.BatchNorm2d):
    """A norm and PyTorch's, with the same random affine and statistics."""
    torch.manual_seed(1)
    norm, wanted = ClipNorm(C, T).double(), plain(T * C).double()
    for x in (wanted.weight.data, wanted.bias.data, wanted.running_mean):
        x.normal_()
    wanted.running_var.uniform_(0.5, 2.0)
    norm.load_state_dict(wanted.state_dict())
    return norm, wanted


def _laid_out(x):
    """[T, B, C, ...] as [B, T C, ...] with feature t C + c."""
    return torch.cat(list(x), dim=1)


def _back(y):
    return torch.stack(y.chunk(T, dim=1))


@pytest.mark.parametrize(("size", "plain"), [((4, 6), nn.BatchNorm2d), ((7,), nn.BatchNorm1d)])
@pytest.mark.parametrize("training", [True, False])
def test_is_batch_norm_over_step_and_channel(size, plain, training):
    norm, wanted = (m.train(training) for m in _pair(plain))
    x = _input(*size).requires_grad_()
    other = x.detach().clone().requires_grad_()
    weights = torch.randn(x.shape, dtype=torch.float64)
    for _ in range(2):
        y, z = norm(x), _back(wanted(_laid_out(other)))
        torch.testing.assert_close(y, z, rtol=0, atol=1e-13)
        (y * weights).sum().backward()
        (z * weights).sum().backward()
    torch.testing.assert_close(x.grad, other.grad, rtol=0, atol=1e-12)
    for name, p in norm.named_parameters():
        torch.testing.assert_close(p.grad, wanted.get_parameter(name).grad, rtol=0, atol=1e-11)
    assert norm.num_batches_tracked == (2 if training else 0)
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value, rtol=0, atol=1e-13)


def test_names_and_lengths_are_those_of_batch_norm():
    norm, wanted = ClipNorm(C, T), nn.BatchNorm2d(T * C)
    assert {n: x.shape for n, x in norm.state_dict().items()} == {n: x.shape for n, x in wanted.state_dict().items()}
    assert (norm.eps, norm.momentum) == (wanted.eps, wanted.momentum)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=T).filter(lambda parts: sum(parts) == T))
def test_any_split_of_time_is_the_whole(parts):
    norm, _ = _pair()
    x, first, out = _input(4, 6), 0, []
    for part in x.split(parts):
        out.append(norm.eval()(part, first))
        first += len(part)
    assert torch.equal(torch.cat(out), norm(x))


@pytest.mark.parametrize("training", [True, False])
def test_without_steps_it_is_batch_norm_of_all_frames(training):
    norm, wanted = ClipNorm(C, None).double().train(training), nn.BatchNorm2d(C).double().train(training)
    torch.nn.init.normal_(wanted.weight)
    wanted.running_mean += 0.5
    norm.load_state_dict(wanted.state_dict())
    x = _input(4, 6)
    # frames have no number here
    y, z = norm(x, 100), wanted(x.flatten(0, 1)).view(x.shape)
    torch.testing.assert_close(y, z, rtol=0, atol=1e-13)
    assert all(torch.equal(v, wanted.state_dict()[name]) for name, v in norm.state_dict().items())
    assert norm.num_batches_tracked == int(training)


@pytest.mark.parametrize(("frames", "first", "named"), [(5, 1, "1 to 5"), (1, 5, "5 to 5"), (2, 4, "4 to 5")])
def test_past_the_last_step(frames, first, named):
    norm = ClipNorm(C, T).double()
    with pytest.raises(StateError, match=rf"know 5 time steps, got steps {named}"):
        norm(_input(2, 2)[:frames], first)
    assert norm.num_batches_tracked == 0


def test_a_part_changes_the_statistics_of_its_own_steps_only():
    norm, _ = _pair()
    before = norm.running_mean.clone()
    norm.train()(_input(4, 6)[1:3], 1)
    changed = (norm.running_mean != before).view(T, C).all(1)
    assert changed.tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("steps", [T, None])
def test_cumulative_statistics_are_means_over_batches(steps):
    norm, seen = ClipNorm(C, steps).double(), [_input(4, 6, seed=seed) for seed in range(3)]
    norm.momentum = None
    for x in seen:
        norm.train()(x)
    axes = (1, 3, 4) if steps else (0, 1, 3, 4)
    for name, statistic in (("running_mean", torch.mean), ("running_var", torch.var)):
        wanted = torch.stack([statistic(x, dim=axes).flatten() for x in seen]).mean(0)
        torch.testing.assert_close(getattr(norm, name), wanted, rtol=0, atol=1e-13)
    mean, count = norm.running_mean.clone(), int(norm.num_batches_tracked)
    norm.eval()(seen[0])
    assert torch.equal(norm.running_mean, mean)
    assert count == norm.num_batches_tracked == 3


def test_a_channel_that_is_the_same_everywhere_has_no_spread_to_divide_by():
    """Norms in a row behind neurons that were silent took a single spike to millions."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    ).eval()
    silent, seen = torch.zeros(6, 3, 5, 5), torch.randn(6, 3, 5, 5)
    calibrate(model, [silent])
    with torch.no_grad():
        assert model(silent + 1).abs().max() < 100
        torch.testing.assert_close(model(silent), model.train()(silent), rtol=1e-4, atol=1e-5)
    calibrate(model.eval(), [seen])
    with torch.no_grad():
        # one that is not keeps its own, unbiased
        torch.testing.assert_close(model(seen), model.train()(seen), rtol=0.02, atol=0.02)

"""Convolution and batch norm as single operations for `torch.compile`, which would write out each norm as loops.

Nearly all norms of a network differ in size, and each would be C++ of its own: a small one took a minute to compile. In
a compiled model they run as outside of one, with the same numbers.
"""

import torch
from torch import Tensor

aten = torch.ops.aten


@torch.library.custom_op("spikereel::convolution", mutates_args=())
def compiled_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """As `torch.conv1d` and `torch.conv2d`, in a graph."""
    return _convolution(x, weight, bias, stride, padding, dilation, groups)


@compiled_convolution.register_fake
def _convolution(x, weight, bias, stride, padding, dilation, groups):
    return torch.convolution(x, weight, bias, stride, padding, dilation, False, [0] * len(stride), groups)


def _keep_convolution(ctx, inputs, output):
    x, weight, bias, *ctx.rest, ctx.groups = inputs
    ctx.save_for_backward(x, weight)
    ctx.biases = None if bias is None else [len(bias)]


def _through_convolution(ctx, grad):
    x, weight = ctx.saved_tensors
    wanted = [*ctx.needs_input_grad[:2], ctx.biases is not None and ctx.needs_input_grad[2]]
    no_padding = [0] * len(ctx.rest[0])
    grads = aten.convolution_backward(grad, x, weight, ctx.biases, *ctx.rest, False, no_padding, ctx.groups, wanted)
    return *grads, None, None, None, None


compiled_convolution.register_autograd(_through_convolution, setup_context=_keep_convolution)


def compiled_norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, *, training: bool, momentum: float, eps: float
) -> Tensor:
    """As `torch.nn.functional.batch_norm`, in a graph."""
    y, _, _, after_mean, after_var = _norm(x, mean, var, weight, bias, training, momentum, eps)
    if training:
        mean.copy_(after_mean)
        var.copy_(after_var)
    return y


@torch.library.custom_op("spikereel::batch_norm", mutates_args=())
def _norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, training: bool, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The result, mean and 1 / std of x, and the running statistics after it; these four are empty but in training."""
    if not training:
        y = torch.batch_norm(x, weight, bias, mean, var, False, momentum, eps, False)
        return y, x.new_empty(0), x.new_empty(0), x.new_empty(0), x.new_empty(0)
    after = mean.clone(), var.clone()
    return *torch.native_batch_norm(x, weight, bias, *after, True, momentum, eps), *after


@_norm.register_fake
def _(x, mean, var, weight, bias, training, momentum, eps):
    like = mean if training else x.new_empty(0)
    return _like(x), *(torch.empty_like(like) for _ in range(4))


@torch.library.custom_op("spikereel::batch_norm_backward", mutates_args=())
def _norm_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    var: Tensor,
    own_mean: Tensor,
    own_scale: Tensor,
    training: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    wanted = [True, True, True]
    return aten.native_batch_norm_backward(grad, x, weight, mean, var, own_mean, own_scale, training, eps, wanted)


@_norm_backward.register_fake
def _(grad, x, weight, *_):
    return _like(x), torch.empty_like(weight), torch.empty_like(weight)


def _keep_norm(ctx, inputs, output):
    x, mean, var, weight, _, ctx.training, _, ctx.eps = inputs
    # in training the running statistics go on after this, and the gradient is without them
    ctx.save_for_backward(x, weight, *(output[3:] if ctx.training else (mean, var)), *output[1:3])
    ctx.mark_non_differentiable(*output[1:])


def _through_norm(ctx, grad, *_):
    x, weight, mean, var, own_mean, own_scale = ctx.saved_tensors
    to_x, to_weight, to_bias = _norm_backward(grad, x, weight, mean, var, own_mean, own_scale, ctx.training, ctx.eps)
    return to_x, None, None, to_weight, to_bias, None, None, None


_norm.register_autograd(_through_norm, setup_context=_keep_norm)


def _like(x: Tensor) -> Tensor:
    """What a norm gives for x, without values: in the order in memory of x where that is one of the two usual ones."""
    turned = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.empty_like(x, memory_format=torch.channels_last if turned else torch.contiguous_format)

"""Convolutions and batch norms as single operations for `torch.compile` on a CPU.

There, Inductor lays out every convolution anew and writes each norm as C++ of its own: a hundred files, which take
minutes to compile. Both are calls of a library, and with these operations they stay such calls.
"""

import torch
from torch import Tensor


def whole(x: Tensor, weight: Tensor | None) -> bool:
    """Whether a layer with this weight is compiled, on a CPU and with one type of number: then it stays a call."""
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    plain = weight is not None and x.device.type == "cpu" and x.dtype == weight.dtype
    return plain and not torch.is_autocast_enabled("cpu")


@torch.library.custom_op("spikereel::conv", mutates_args=())
def whole_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    zeros = [0] * len(stride)
    y = torch.ops.aten.convolution(x, weight, bias, stride, padding, dilation, False, zeros, groups)
    return y.contiguous()


@torch.library.custom_op("spikereel::conv_backward", mutates_args=())
def _conv_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    zeros = [0] * len(stride)
    grads = torch.ops.aten.convolution_backward(
        grad, x, weight, [len(weight)], stride, padding, dilation, False, zeros, groups, wanted
    )
    return tuple(x.new_empty(0) if g is None else g.contiguous() for g in grads)  # ty: ignore[invalid-explicit-return]


@torch.library.custom_op("spikereel::norm", mutates_args=())
def whole_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The norm, mean and 1 / deviation of the batch, and the running statistics after it; all but the first are empty
    where not training."""
    mean, var = (s if s is None or not training else s.clone() for s in (running_mean, running_var))
    y, *batch = torch.native_batch_norm(x.contiguous(), weight, bias, mean, var, training, momentum, eps)
    empty = x.new_empty(0)
    if not training:
        return y, empty, empty.clone(), empty.clone(), empty.clone()
    return y, *batch, *(empty.clone() if s is None else s for s in (mean, var))  # ty: ignore[invalid-explicit-return]


@torch.library.custom_op("spikereel::norm_backward", mutates_args=())
def _norm_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    batch_mean: Tensor,
    batch_deviation: Tensor,
    training: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    known = (running_mean, running_var, batch_mean, batch_deviation)
    return torch.ops.aten.native_batch_norm_backward(
        grad.contiguous(), x.contiguous(), weight, *known, training, eps, [True] * 3
    )


@whole_conv.register_fake
def _(x, weight, bias, stride, padding, dilation, groups):
    zeros = [0] * len(stride)
    y = torch.ops.aten.convolution(x, weight, bias, stride, padding, dilation, False, zeros, groups)
    return x.new_empty(y.shape)


@_conv_backward.register_fake
def _(grad, x, weight, stride, padding, dilation, groups, wanted):
    shapes = x.shape, weight.shape, (len(weight),)
    return tuple(x.new_empty(shape if asked else (0,)) for shape, asked in zip(shapes, wanted, strict=True))


@whole_norm.register_fake
def _(x, weight, bias, running_mean, running_var, training, momentum, eps):
    kept = len(weight) if training else 0
    running = kept if running_mean is not None else 0
    return x.new_empty(x.shape), *(x.new_empty(n) for n in (kept, kept, running, running))


@_norm_backward.register_fake
def _(grad, x, weight, *_):
    return x.new_empty(x.shape), torch.empty_like(weight), torch.empty_like(weight)


def _keep_conv(ctx, inputs, output):
    x, weight, bias, *ctx.how = inputs
    ctx.biased = bias is not None
    ctx.save_for_backward(x, weight)


def _through_conv(ctx, grad):
    x, weight = ctx.saved_tensors
    wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.biased and ctx.needs_input_grad[2]]
    grads = _conv_backward(grad, x, weight, *ctx.how, wanted)
    return *(g if asked else None for g, asked in zip(grads, wanted, strict=True)), *[None] * 4


def _keep_norm(ctx, inputs, output):
    x, weight, _, mean, var, ctx.training, _, ctx.eps = inputs
    # the running statistics may change before the backward pass, which in training has no need of them
    ctx.save_for_backward(x, weight, *((None, None) if ctx.training else (mean, var)), output[1], output[2])


def _through_norm(ctx, grad, *_):
    return *_norm_backward(grad, *ctx.saved_tensors, ctx.training, ctx.eps), *[None] * 5


whole_conv.register_autograd(_through_conv, setup_context=_keep_conv)
whole_norm.register_autograd(_through_norm, setup_context=_keep_norm)

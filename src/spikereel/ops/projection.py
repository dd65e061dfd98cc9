"""What makes q, k, v and the output of an attention, forward and backward by hand: a body of `spikereel.ops.blocks`.

1x1, norm with a border of what it makes of zero, depthwise 3x3, 1x1, norm. Only the first convolution sees spikes. In
the backward pass all of it is computed again, from the spikes and the statistics of the same batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikereel.ops.blocks import Convolution, Input, Norm, frames_of, normalising, rows_of
from spikereel.ops.training import Affine, kernels_for

_MIX = Convolution()
"""1x1."""


class _Normed(NamedTuple):
    """A norm that was passed, and what its gradient needs."""

    rows: Tensor
    """What came in, [1, N, C]."""
    affine: Affine
    inverse: Tensor
    """1 / std, [1, C]."""


@dataclass(kw_only=True)
class Projected:
    """The projection as a body. Weights: of the 1x1 [D, D, 1, 1], weight and bias of the first norm [D], of the
    depthwise [D, 1, 3, 3], of the other 1x1, weight and bias of the last norm.
    """

    inner: Norm
    """The norm with the border."""
    last: Norm
    _border: Tensor = field(default_factory=lambda: torch.empty(0))

    def first(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor, Any]:
        """The first time: running statistics are brought up to date."""
        y, _ = self._forward(inputs[0], weights, update=True)
        return y, None

    def run(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor, Any]:
        """[T, B, D, H, W] of such spikes, and what `back` needs."""
        return self._forward(inputs[0], weights, update=False)

    def back(self, tape: Any, to_y: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Gradients of the input and of the weights."""
        x, (point, gamma, _, depth, mix, last_gamma, _), inner, padded, deep, last = tape
        to_mixed, to_last = _back(last, to_y, last_gamma)
        to_deep, to_mix = _MIX.gradients(to_mixed, deep, mix, to_input=True)
        assert to_deep is not None
        to_padded, to_depth = _deep(depth).gradients(to_deep, padded, depth, to_input=True)
        assert to_padded is not None
        # what the border is made of counts as constant, as published
        to_point_y, to_inner = _back(inner, to_padded[..., 1:-1, 1:-1], gamma)
        to_x, to_point = _MIX.gradients(to_point_y, x, point, to_input=to_input)
        return [to_x, to_point, *to_inner, to_depth, to_mix, *to_last]

    def _forward(self, x: Input, weights: Sequence[Tensor], *, update: bool) -> tuple[Tensor, Any]:
        point, gamma, beta, depth, mix, *affine = weights
        y, inner = _through(self.inner, _MIX(x, point, None), gamma, beta, update=update)
        if update:
            n = self.inner
            self._border = (beta - n.mean[0] * gamma / torch.sqrt(n.var[0] + n.eps)).to(y.dtype)
        padded = _bordered(y, self._border)
        deep = _deep(depth)(padded, depth, None)
        y, last = _through(self.last, _MIX(deep, mix, None), *affine, update=update)
        return y, (x, weights, inner, padded, deep, last)


def _deep(weight: Tensor) -> Convolution:
    return Convolution(groups=len(weight))


def _through(norm: Norm, y: Tensor, gamma: Tensor, beta: Tensor, *, update: bool) -> tuple[Tensor, _Normed]:
    """A norm of all frames [T, B, C, H, W]."""
    rows = rows_of(y).view(1, -1, y.shape[2])
    kernels = kernels_for(rows)
    affine, inverse = normalising(norm, rows, gamma[None], beta[None], kernels, update=update)
    z = kernels.affine(rows, affine.scale, affine.shift)
    return frames_of(z, y.shape), _Normed(rows, affine, inverse)


def _back(normed: _Normed, to_z: Tensor, gamma: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the norm's input, and of its weight and bias."""
    rows, affine, inverse = normed
    grads = rows_of(to_z).to(rows.dtype).view(rows.shape)
    kernels = kernels_for(rows)
    sums = kernels.sums(grads, rows, affine.mean)
    to_rows, to_gamma, to_beta = kernels.through_norm(grads, rows, affine, gamma[None], inverse, sums)
    return frames_of(to_rows, to_z.shape), [to_gamma[0], to_beta[0]]


def _bordered(x: Tensor, border: Tensor) -> Tensor:
    """[T, B, C, H, W] in a border of one pixel, channels last in memory."""
    t, b, c, h, w = x.shape
    out = x.new_empty(t, b, h + 2, w + 2, c)
    out[:, :, :: h + 1] = border
    out[:, :, 1:-1, :: w + 1] = border
    out[:, :, 1:-1, 1:-1] = x.movedim(2, -1)
    return out.movedim(-1, 2)

"""The products of an attention, counted from what its neurons gave."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.energy.contents import Contents, Figures
from spikereel.energy.layer import wider
from spikereel.energy.sums import WHOLE, Sums
from spikereel.layers.attention import TOKENS, ProductAttention


class Attended(Sums):
    """Products of q, k and v, whose neurons leave what they gave in `outputs`."""

    outputs: dict[nn.Module, tuple[Tensor, Contents]]

    def _attention(self, name: str):
        def hook(module: ProductAttention, inputs: Any, _kwargs: Any, _output: Any) -> None:
            x = inputs[0]
            macs = float(x.numel() * module.head_dim)
            for i, suffix in enumerate(module.suffixes):
                parts = [self.outputs.pop(getattr(module, f"{part}_lif{suffix}")) for part in "qkv"]
                groups = getattr(module, "groupings", ("frame",))[i]
                self._products(f"{name}.{{}}{suffix}", module, parts, macs, _matrices(groups, x))

        return hook

    def _products(
        self, name: str, module: ProductAttention, parts: list[tuple[Tensor, Contents]], macs: float, matrices: int
    ) -> None:
        (q, q_seen), (k, k_seen), (v, v_seen) = parts
        always = np.ones(self.steps)
        real = q_seen.real or k_seen.real or v_seen.real
        if real:
            rates = counts = (always, always)
        elif module.product == "hamming":
            rates = self._rate(v_seen), always
            counts = self._sums(v_seen) * module.head_dim, always * macs / self.steps
        else:
            rates = np.minimum(self._rate(k_seen), self._rate(v_seen)), self._rate(q_seen)
            counts = self.coincidences(k, v, module.head_dim), self._sums(q_seen) * module.head_dim
        for i, (part, operands) in enumerate((("k^T v", (k_seen, v_seen)), ("q (k^T v)", (q_seen,)))):
            tally = self.tally(name.format(part), "attention")
            tally.add(macs, macs, (1.0, 1.0))
            tally.inputs += len(operands) * q.numel()
            for seen in operands:
                tally.see(seen)
            if i and not real:
                tally.operand = wider(tally.operand, "integer")
            tally.analog, tally.counted = tally.analog or real, tally.counted and not real
            tally.intermediates += 0 if i else matrices * q.shape[2] * module.head_dim
            tally.rate.add(WHOLE, rates[i], self.batch)
            tally.synops += counts[i]

    def _sums(self, seen: Contents) -> Figures:
        return np.zeros(self.steps) if seen.sums is None else seen.first_axis(self.steps)

    def _rate(self, seen: Contents) -> Figures:
        if seen.rate is not None:
            return seen.rate
        return self._sums(seen) * self.steps / (seen.each * seen.spikes.size)

    def coincidences(self, k: Tensor, v: Tensor, head_dim: int) -> Figures:
        """k^T v of spikes: one operation wherever a spike of k meets one of v in a token and head, float64 [T]."""
        k, v = (s.unflatten(2, (-1, head_dim)).sum(3, dtype=torch.float32) for s in (k, v))
        return (k * v).flatten(1).sum(1, dtype=torch.float64).cpu().numpy()


def _matrices(grouping: str, x: Tensor) -> int:
    """Matrices k^T v of a head that x [T, B, D, H, W] makes: one for each group of tokens."""
    sizes = dict(zip("TBDHW", x.shape, strict=True))
    groups, _ = TOKENS[grouping].split(" m ")
    return math.prod(sizes[axis] for axis in groups if axis in sizes)

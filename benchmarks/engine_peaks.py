"""What a core can do at most: multiply-adds in float32, and sums of tabulated weights of spikes."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from engine_ops import FRAMES, Into

from spikereel.engine import packing
from spikereel.engine.loaded import native

SIDE, CHANNELS, OUTPUTS, PLACES = 1024, 256, 1024, 14
UNIT = 2.0**-8


def peaks(rounds: int) -> list[dict[str, Any]]:
    """Rows {what, gmacs, seconds}, one thread, the least processor time of the rounds; sums are checked first."""
    torch.set_num_threads(1)
    native().set_threads(1)
    a, b = torch.rand(2, SIDE, SIDE)
    spikes = (np.random.default_rng(0).random((FRAMES, CHANNELS, PLACES, PLACES)) < 0.45).astype(np.float32)
    weight = np.random.default_rng(1).integers(-64, 65, (OUTPUTS, CHANNELS, 1, 1)).astype(np.int32)
    into = Into(OUTPUTS, PLACES**2, spikes=False, norm=False, unit=UNIT)
    shape = {"channels": CHANNELS, "height": PLACES, "width": PLACES, "kernel": 1, "padding": 0, "target": into.target}
    bits, rows = packing.pack_spikes(spikes), packing.event_rows(weight, 1)

    def tables() -> None:
        native().cached(bits, stride=1, weights=rows, **shape)

    tables()
    wanted = np.einsum("oc,tchw->thwo", weight[..., 0, 0], spikes).reshape(FRAMES, PLACES**2, OUTPUTS)
    if into.value is None or not np.array_equal(into.value[..., :OUTPUTS], UNIT * wanted):
        raise AssertionError("tables give other sums than the weights")
    found = [
        _row("float32, torch.mm of 1024 x 1024", lambda: torch.mm(a, b), SIDE**3, rounds),
        _row("cached tables, 256 to 1024 channels", tables, FRAMES * PLACES**2 * CHANNELS * OUTPUTS, rounds),
    ]
    for row in found:
        print(f"{row['what']:40} {row['gmacs']:6.1f} GMAC/s", flush=True)
    return found


def _row(what: str, run: Callable[[], object], macs: int, rounds: int) -> dict[str, Any]:
    seconds = float("inf")
    for _ in range(10 * rounds):
        began = time.thread_time()
        run()
        seconds = min(seconds, time.thread_time() - began)
    return {"what": what, "seconds": seconds, "gmacs": macs / seconds / 1e9}

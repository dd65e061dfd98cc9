#!/usr/bin/env bash
# ExecuTorch 1.5.1 (torch 2.13.0, portable kernels): sums of int32, int64 and float64 along an axis are done in float32.
# Guessed: a sum of whole numbers is exact, and one of float64 is as PyTorch has it; `cumsum`, `amax`, `add` and a sum of
# all elements are, in the same runtime and on the same numbers.
# Seen: a sum along an axis of one element, which has nothing to add, turns 16777217 into 16777216; 2^40 + 3 loses the 3.
# A counter of spikes, or a time in microseconds (16.8 seconds are enough), stands still or jumps, without a word.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 executorch==1.5.1
env/bin/python - <<'P' 2>/dev/null
import warnings
from importlib.metadata import version

import torch

warnings.simplefilter("ignore")
from executorch.exir import to_edge
from executorch.runtime import Runtime


class Made(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def run(function, x):
    program = to_edge(torch.export.export(Made(function), (x,))).to_executorch()
    loaded = Runtime.get().load_program(bytes(program.buffer))
    return loaded.load_method("forward").execute((x,))[0].tolist()


print("ExecuTorch", version("executorch"), "torch", torch.__version__)
numbers = [[2**24 + 1, 2**24 + 3, 1, 1]]
seen, exact = {}, {}
for kind in (torch.int32, torch.int64, torch.float64):
    x = torch.tensor(numbers, dtype=kind)
    for name, function in {
        "sum along 4": lambda x: x.sum(1, dtype=x.dtype),
        "sum along 1": lambda x: x.sum(0, dtype=x.dtype),
        "cumsum": lambda x: x.cumsum(1, dtype=x.dtype),
        "amax": lambda x: x.amax(1),
    }.items():
        found = run(function, x)
        (seen if name.startswith("sum") else exact)[name, kind] = found == function(x).tolist()
        print(f"{kind}, {name}: torch {function(x).tolist()}, ExecuTorch {found}")
if any(seen.values()) or not all(exact.values()):
    raise SystemExit(f"changed: {seen} {exact}")
P

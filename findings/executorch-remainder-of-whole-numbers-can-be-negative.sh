#!/usr/bin/env bash
# ExecuTorch 1.5.1 (torch 2.13.0, portable kernels): torch.remainder, which is `%`, of int32 and int64 gives numbers below
# zero: -1 % 3 is -1. Of float32 it is right (2.0), and so is floor division, so that (x // 3) * 3 + x % 3 is not x.
# Guessed: the sign is that of the divisor, as in PyTorch and Python, for every type: -1 % 3 is 2.
# Seen: whole numbers take the sign of what is divided, as in C. The place of a spike in a ring of delays, (t - delay) %
# length, is then before the beginning of the ring in the first steps.
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


class Ring(torch.nn.Module):
    def forward(self, x):
        return x % 3, x // 3


print("ExecuTorch", version("executorch"), "torch", torch.__version__)
seen = {}
for kind in (torch.int32, torch.int64, torch.float32):
    x = torch.tensor([-7, -3, -1, 7], dtype=kind)
    program = to_edge(torch.export.export(Ring(), (x,))).to_executorch()
    loaded = Runtime.get().load_program(bytes(program.buffer))
    found = [y.tolist() for y in loaded.load_method("forward").execute((x,))]
    own = [y.tolist() for y in Ring()(x)]
    print(f"{kind} {x.tolist()}: % torch {own[0]}, ExecuTorch {found[0]}; // torch {own[1]}, ExecuTorch {found[1]}")
    seen[kind] = found[0]
    if found[1] != own[1]:
        raise SystemExit("changed: floor division differs too")
if [seen[torch.int32], seen[torch.int64], seen[torch.float32]] != [[-1, 0, -1, 1]] * 2 + [[2.0, 0.0, 2.0, 1.0]]:
    raise SystemExit(f"changed: {seen}")
P

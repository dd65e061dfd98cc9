#!/usr/bin/env bash
# triton 3.6.0: TRITON_INTERPRET=1, which is how kernels are tested without a GPU, and a loop over an integer argument.
# Guessed: `for t in range(n)` works in the interpreter as it does on a GPU, with any numpy that pip takes beside it
# (triton asks for no version).
# Seen: with numpy 2.3.5 it works, and numpy warns of a conversion. With numpy 2.4.6 every such loop is refused
# (InterpreterError from a TypeError): the interpreter keeps a number as an array of one element, which stopped being
# one for int(). Kernels of recurrent neurons, which loop over time, cannot be tested so; pin numpy below 2.4.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
cat > kernel.py <<'P'
import warnings
from importlib.metadata import version

import torch
import triton
import triton.language as tl

warnings.simplefilter("ignore")


@triton.jit
def leak(x, y, n, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    v = tl.zeros([SIZE], dtype=tl.float32)
    for t in range(n):
        v = 0.5 * v + tl.load(x + t * SIZE + at)
        tl.store(y + t * SIZE + at, v)


x = torch.ones(3, 4)
y = torch.zeros(3, 4)
print("triton", version("triton"), "numpy", version("numpy"), end=": ")
try:
    leak[(1,)](x, y, 3, SIZE=4)
    print("computed", y[:, 0].tolist())
except Exception as error:
    print("refused", type(error).__name__, str(error)[:90])
P
python3 -m venv env
env/bin/pip install -q torch==2.13.0 triton==3.6.0 numpy==2.3.5
TRITON_INTERPRET=1 env/bin/python kernel.py | tee old
env/bin/pip install -q numpy==2.4.6
TRITON_INTERPRET=1 env/bin/python kernel.py | tee new
grep -q "computed \[1.0, 1.5, 1.75\]" old || { echo "changed: numpy 2.3.5 no longer works"; exit 1; }
grep -q "refused InterpreterError" new || { echo "changed: numpy 2.4.6 works"; exit 1; }

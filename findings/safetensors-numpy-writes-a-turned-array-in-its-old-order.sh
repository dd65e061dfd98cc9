#!/usr/bin/env bash
# safetensors 0.8.0: weights of a NumPy model that were turned once (x.T, or Fortran order as MATLAB and LAPACK give it)
# come back as other weights.
# Guessed: as safetensors.torch does, the array is refused, or it is copied in its order; np.array_equal after a round.
# Seen: shape and type come back, the values in the order in which they lay in memory. Nothing is said. 0.7.0 wrote them
# right; safetensors.torch 0.8.0 refuses. Upstream: issue 825. Write np.ascontiguousarray(x).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env
cat > turned.py <<'P'
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

weight = np.arange(12, dtype=np.float32).reshape(3, 4)
cases = {"as made": weight, "x.T": weight.T, "Fortran": np.asfortranarray(weight), "made whole": np.ascontiguousarray(weight.T)}
for name, x in cases.items():
    back = load(save({"x": x}))["x"]
    print(version("safetensors"), name, back.shape == x.shape, np.array_equal(back, x))
P
seen=""
for release in 0.7.0 0.8.0; do
    env/bin/pip install -q "safetensors==$release" numpy==2.4.6
    seen+=$(env/bin/python turned.py)$'\n'
done
echo "$seen"
wanted="0.7.0 as made True True
0.7.0 x.T True True
0.7.0 Fortran True True
0.7.0 made whole True True
0.8.0 as made True True
0.8.0 x.T True False
0.8.0 Fortran True False
0.8.0 made whole True True
"
[ "$seen" = "$wanted" ] || { echo "changed"; exit 1; }

#!/usr/bin/env bash
# torch.onnx.export of torch 2.13.0 (onnxscript 0.7.2), run by onnxruntime 1.32.0: avg_pool2d and avg_pool3d with
# divisor_override=1, the way to add up the spikes of a window, come out as their mean.
# Guessed: the sum, or a refusal: the exporter before this one refused by name (PyTorch issue 105349).
# Seen: the divisor is left out of the file. A sum over 2 x 2 is a quarter of what it was in training, so neurons behind
# it fall silent; nothing is said. Write avg_pool2d(x, k) * k * k, or a convolution with ones.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P' 2>/dev/null
import onnxruntime
import onnxscript
import torch
from torch import nn

found = {}
for pool, axes in ((nn.AvgPool2d(2, divisor_override=1), 2), (nn.AvgPool3d(2, divisor_override=1), 3)):
    spikes = torch.ones(1, 1, *[4] * axes)
    program = torch.onnx.export(pool.eval(), (spikes,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    answer = session.run(None, {session.get_inputs()[0].name: spikes.numpy()})[0]
    found[axes] = float(pool(spikes).max()), float(answer.max())
    said = f"{axes} axes: torch {found[axes][0]}, file {found[axes][1]}"
    print("torch", torch.__version__, "onnxscript", onnxscript.__version__, said)
if found != {2: (4.0, 1.0), 3: (8.0, 1.0)}:
    raise SystemExit("changed")
P

#!/usr/bin/env bash
# tonic 1.7.0, transforms.UniformNoise: where polarities are bool, every event of noise is ON.
# Guessed: half of them are ON, as its page says (spread uniformly over the sensor, its third size being polarities).
# Seen: a number between 0 and 2 is drawn and put into the type of the polarity: as a bool it is true, as an integer it
# is 0 or 1. Bool is the type of tonic's own default and of its DVS128-Gesture, CIFAR10-DVS, DSEC and DVS-Lip; N-MNIST and
# N-Caltech101 have integers. The same augmentation is another one by data set. Upstream: pull request 322, open.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q numpy==2.4.6 scipy==1.17.1 h5py==3.16.0 tqdm requests importRosbag
env/bin/pip install -q typing-extensions && env/bin/pip install -q --no-deps tonic==1.7.0
env/bin/python - <<'P'
import numpy as np
import tonic
from tonic.datasets import DVSGesture, NMNIST
from tonic.transforms import UniformNoise

np.random.seed(0)
on = {}
for data in (DVSGesture, NMNIST):
    events = np.zeros(100, dtype=data.dtype)
    events["t"] = np.arange(100)
    noisy = UniformNoise(data.sensor_size, n=1000)(events)
    on[data.__name__] = int(noisy["p"].sum())
    kind = f"the type of {data.__name__} ({data.dtype['p']})"
    print(f"tonic {tonic.__version__}: of 1000 events of noise {on[data.__name__]} are ON in {kind}")
if on["DVSGesture"] != 1000 or not 400 < on["NMNIST"] < 600:
    raise SystemExit("changed")
P

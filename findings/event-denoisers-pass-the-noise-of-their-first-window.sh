#!/usr/bin/env bash
# tonic 1.7.0 (transforms.Denoise) and dv-processing 2.0.4 (noise.BackgroundActivityNoiseFilter): two filters that keep an
# event where a neighbouring pixel had one within the last 10 ms. With times from 0 on, both keep all noise of the first
# 10 ms.
# Guessed: an event without any neighbour is dropped, wherever in the recording it is.
# Seen: the memory of each pixel begins as if there had been an event at 0. Lone events at 0 to 9 ms all pass, at 10 ms and
# later none does. Recordings and clips whose times begin at 0 are the rule in data sets, and a clip of 10 to 50 ms is then
# filtered in part or not at all; with times since 1970 the same events are dropped. Of the pair at the end, which is no
# noise, the first event is dropped too: only what came before counts.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q numpy==2.4.6 scipy==1.17.1 h5py==3.16.0 tqdm requests importRosbag
env/bin/pip install -q typing-extensions dv-processing==2.0.4 && env/bin/pip install -q --no-deps tonic==1.7.0
env/bin/python - <<'P'
from datetime import timedelta

import dv_processing
import tonic
from tonic.io import make_structured_array
from tonic.transforms import Denoise

LONE = [(3 * i, 5, 1000 * i) for i in range(20)]
PAIR = [(10, 20, 50_000), (11, 20, 50_001)]
x, y, t = (list(column) for column in zip(*LONE, *PAIR, strict=True))


def by_tonic(start):
    kept = Denoise(filter_time=10_000)(make_structured_array(x, y, [start + time for time in t], [True] * len(t)))
    return [int(time) - start for time in kept["t"]]


def by_dv(start):
    store = dv_processing.EventStore()
    for column, row, time in zip(x, y, t, strict=True):
        store.push_back(start + time, column, row, True)
    filtered = dv_processing.noise.BackgroundActivityNoiseFilter((64, 64), timedelta(milliseconds=10))
    filtered.accept(store)
    return [int(event.timestamp()) - start for event in filtered.generateEvents()]


first = [1000 * i for i in range(10)]
filters = {"tonic": by_tonic, "dv-processing": by_dv}
found = {(name, start): keep(start) for name, keep in filters.items() for start in (0, 10**15)}
for (name, start), kept in found.items():
    print(f"{name}: lone events at 0 to 19 ms and a pair at 50 ms, times from {start} on; kept: {kept}")
if any(kept != (first if start == 0 else []) + [50_001] for (_, start), kept in found.items()):
    raise SystemExit("changed")
P

#!/usr/bin/env bash
# imageio 2.38.1 with PyAV 18.1.0: imageio.v3.imread(FILE, plugin="pyav", index=i) gives another frame than the i-th that
# imiter gives, wherever the first frame is not at time 0: an MP4 whose sound begins a second before its pictures, and
# any MPEG-TS.
# Guessed: the i-th frame, as its page says (the index of the frame to load), since the rate is constant; its maker calls
# the seek exact to the frame (issue 1050).
# Seen: the index is turned into a time that counts from 0. In the MP4 frame 29 is frame 4, and frames 2 to 25 are all the
# first; in MPEG-TS frames are too late, and the last ones end in StopIteration. No error and no warning in between, and
# the shape is right. With constant_framerate=False, which decodes from the beginning, each index is right.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q imageio==2.38.1 av==18.1.0 numpy==2.4.6 pillow==12.3.0
env/bin/python - <<'P'
from fractions import Fraction

import av
import imageio
import imageio.v3
import numpy as np

FRAMES = 60


def written(name, start):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "g": "12", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * number + 8, np.uint8), "rgb24")
            frame.pts, frame.time_base = start * 25 + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return name


def number(picture):
    return round((float(picture.mean()) - 8) / 4)


def by_index(name, index, **options):
    try:
        return number(imageio.v3.imread(name, plugin="pyav", index=index, **options))
    except StopIteration:
        return "StopIteration"


asked, found = (0, 5, 29, 45, 59), {}
for name, start in (("at_0.mp4", 0), ("at_1.mp4", 1), ("at_0.ts", 0)):
    written(name, start)
    in_turn = [number(picture) for picture in imageio.v3.imiter(name, plugin="pyav")]
    found[name] = [by_index(name, i) for i in asked], [by_index(name, i, constant_framerate=False) for i in asked]
    by, slow = found[name]
    print(f"imageio {imageio.__version__} {name}: frames {asked} by index {by}, from the beginning {slow}")
    if in_turn != list(range(FRAMES)) or found[name][1] != list(asked):
        raise SystemExit("changed")
late = found["at_0.ts"][0]
forgets = found["at_1.mp4"][0] == [0, 0, 4, 20, 34] and late[1:3] != [5, 29] and late[4] != 59
if found["at_0.mp4"][0] != list(asked) or not forgets:
    raise SystemExit("changed")
P

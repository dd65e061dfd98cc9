#!/usr/bin/env bash
# pims 0.7 with PyAV 18.1.0: pims.Video, its reader of MP4, ends one frame early in two of three videos at 30 or 120
# frames a second, and in a third or a half of those at 24000/1001 and 30000/1001.
# Guessed: len(video) is the number of frames, as its page has it, since the rate is constant.
# Seen: the length is duration times rate, cut off, not rounded. FFmpeg writes the duration of an MP4 with B-frames in
# whole milliseconds (its edit list), so that 62 frames at 30 are 2.066 s and 61.98 frames: 61. video[-1] is the last but
# one, and neither it nor the loop says so. 25 and 50 are right. PyAVReaderIndexed has all. Upstream: issue 440, open.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q pims==0.7 av==18.1.0 numpy==2.4.6
env/bin/python -W ignore - <<'P'
from fractions import Fraction

import av
import numpy as np
import pims


def written(name, rate, count):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"bf": "2", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 3 * number + 8, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(name) as container:
        return sum(1 for _ in container.decode(video=0))


def number(picture):
    return round((float(np.asarray(picture).mean()) - 8) / 3)


found = {}
for rate in (Fraction(25), Fraction(50), Fraction(30), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(120)):
    for count in (60, 61, 62, 63, 64, 65):
        assert written("a.mp4", rate, count) == count
        video, indexed = pims.Video("a.mp4"), pims.PyAVReaderIndexed("a.mp4")
        assert isinstance(video, pims.PyAVReaderTimed) and [number(x) for x in indexed] == list(range(count))
        assert [number(x) for x in video] == list(range(len(video)))
        found[str(rate), count] = lost = count - len(video)
        print("pims", pims.__version__, f"{count} frames at {float(rate):.3f}: {lost} lost, video[-1] is {number(video[-1])}")
losing = {rate: [n for (each, n), lost in found.items() if lost and each == rate] for rate, _ in found}
wanted = {"25": [], "50": [], "30": [61, 62, 64, 65], "120": [61, 62, 64, 65]}
if losing != wanted | {"24000/1001": [61, 65], "30000/1001": [61, 63, 64]} or max(found.values()) != 1:
    raise SystemExit(f"changed: {losing}")
P

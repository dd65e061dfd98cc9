#!/usr/bin/env bash
# moviepy 2.2.1 (imageio-ffmpeg 0.8.1): VideoFileClip.iter_frames loses the last frame of most videos of 24000/1001 and of
# some of 30000/1001 and 30 frames a second.
# Guessed: as many frames as the video has, since its rate is constant.
# Seen: the duration is read from a line of text with two decimals, and frames are counted from it: 2.0 s at 29.97 are 59
# frames of 60. n_frames says 59 as well, so nothing looks wrong. 25 and 50 are right. Upstream: issue 818, closed.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q moviepy==2.2.1 imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6
env/bin/python - <<'P'
from fractions import Fraction
from importlib.metadata import version

import av
import numpy as np
from moviepy import VideoFileClip


def written(name, rate, count):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 3 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(name) as container:
        return sum(1 for _ in container.decode(video=0))


found = {}
for rate in (Fraction(25), Fraction(50), Fraction(30), Fraction(24000, 1001), Fraction(30000, 1001)):
    for count in (60, 61, 47):
        assert written("a.mp4", rate, count) == count
        clip = VideoFileClip("a.mp4", audio=False)
        found[str(rate), count] = lost = count - sum(1 for _ in clip.iter_frames())
        print("moviepy", version("moviepy"), f"{count} frames at {float(rate):.3f}: {lost} lost, n_frames {clip.n_frames}")
        clip.close()
losing = {("30", 61), ("24000/1001", 60), ("24000/1001", 61), ("24000/1001", 47), ("30000/1001", 60)}
if found != {case: int(case in losing) for case in found}:
    raise SystemExit("changed")
P

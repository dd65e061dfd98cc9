#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): MP4 and MOV of variable rate with B-frames. `container.duration` and `stream.duration` end
# before the last frames are shown (3.88 s of a video whose last frame comes at 4.36 s), and `average_rate` is too high.
# Guessed: the duration reaches to the end of the last frame, as it does for the same frames without B-frames (4.4 s).
# The track counts steps between frames in the order of decoding, which lags behind; who reads frames up to the stated
# duration, or turns seconds into frames by the stated rate, loses the end.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q av==18.1.0 numpy==2.4.6
env/bin/python - <<'P'
from fractions import Fraction

import av
import numpy as np

TIMES = [40 * i for i in range(20)] + [760 + 300 * i for i in range(1, 13)]


def written(name, b_frames):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": str(b_frames), "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(TIMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(name) as container:
        stream = container.streams.video[0]
        last = [float(frame.pts * frame.time_base) for frame in container.decode(stream)][-1]
        return container.duration / 1e6, float(stream.duration * stream.time_base), last, stream.average_rate


found = {(name, b): written(name, b) for name in ("a.mp4", "a.mov") for b in (0, 3)}
for (name, b), (whole, track, last, rate) in found.items():
    print("PyAV", av.__version__, name, f"{b} B-frames: lasts {whole} s ({track} s), last frame at {last} s, rate {rate}")
short = all(found[name, 3][0] == found[name, 3][1] == 3.88 and found[name, 3][2] == 4.36 for name in ("a.mp4", "a.mov"))
right = all(found[name, 0][0] == found[name, 0][1] == 4.4 for name in ("a.mp4", "a.mov"))
if not (short and right):
    raise SystemExit("changed")
P

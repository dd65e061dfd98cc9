#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): a seek into H.264 with periodic intra refresh (one IDR, then recovery points, which MP4 lists
# as key frames) gives frames that are torn, with `is_corrupt` false.
# Guessed: what comes after a seek to a key frame by the index is whole, or marked. Seen: up to 255 levels off. The first
# frame that comes tells: its `key_frame` is false, where after a true key frame it is true.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q av==18.1.0 numpy==2.4.6
env/bin/python - <<'P'
import av
import numpy as np

base = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)
with av.open("a.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
    stream.options = {"threads": "1", "crf": "20", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}
    for k in range(120):
        picture = base.copy()
        picture[20:60, (3 * k) % 90 : (3 * k) % 90 + 30] = (250, 200, 20)
        picture = np.ascontiguousarray(np.roll(picture, (k // 2, k), (0, 1)))
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    container.mux(stream.encode(None))
with av.open("a.mp4") as container:
    true = {frame.pts: frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)}
torn = marked = keys = 0
for time in true:
    with av.open("a.mp4") as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        container.seek(time, stream=stream)
        first = None
        for frame in container.decode(stream):
            first = first or frame
            if frame.pts >= time:
                break
        if frame.pts == time and np.abs(frame.to_ndarray(format="rgb24") - true[time]).max() > 0:
            torn, marked, keys = torn + 1, marked + frame.is_corrupt, keys + bool(first.key_frame)
print("PyAV", av.__version__, "torn frames", torn, "of", len(true), "marked corrupt", marked, "after a key frame", keys)
if not torn or marked or keys:
    raise SystemExit("changed")
P

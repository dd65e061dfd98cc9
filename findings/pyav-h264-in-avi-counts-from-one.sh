#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): H.264 without B-frames in AVI. The index and the packets count frames from 0, the decoded
# frames from 1, and `has_b_frames` is false: a reader that tells frames by the times of the index gets the one before.
# Guessed: pts of a frame is that of its packet where nothing is reordered, as for MPEG-4 in AVI (0, 1, 2 ...).
# It is so for periodic intra refresh, where the stream does not promise that nothing is reordered.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q av==18.1.0 numpy==2.4.6
env/bin/python - <<'P'
import av
import numpy as np


def times(codec, options):
    with av.open("a.avi", "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(24):
            picture = np.full((96, 128, 3), 20 + 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    with av.open("a.avi") as container:
        stream = container.streams.video[0]
        entries = [entry.timestamp for entry in stream.index_entries][:3]
        return entries, [frame.pts for frame in container.decode(stream)][:3], bool(stream.codec_context.has_b_frames)


options = {"threads": "1", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}
h264, mpeg4 = times("libx264", options), times("mpeg4", {"bf": "0"})
print("PyAV", av.__version__, "index, frames, has_b_frames: H.264", h264, "MPEG-4", mpeg4)
if h264[:2] != ([0, 1, 2], [1, 2, 3]) or mpeg4[:2] != ([0, 1, 2], [0, 1, 2]):
    raise SystemExit("changed")
P

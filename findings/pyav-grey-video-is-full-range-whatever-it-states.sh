#!/usr/bin/env bash
# PyAV 18.1.0 (libswscale 9.5): grey video that states limited range is turned into RGB as if it stated full range.
# Guessed: black at 16 and white at 235 become 0 and 255, as the luma of limited YUV does in the very same call.
# Seen: 16 stays 16 and 235 stays 235, in 8, 10 and 16 bits. A camera that writes limited grey looks washed out, and the
# same picture stored as yuv420p has other pixels than stored as gray.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q av==18.1.0 numpy==2.4.6
env/bin/python - <<'P'
import av
import numpy as np

LIMITED = 1
levels = np.repeat(np.array([[16, 126, 235]], np.uint8), 16, axis=1).repeat(32, axis=0)  # [32, 48]
seen = {}
for name in ("gray", "gray10le", "gray16le", "yuv420p"):
    with av.open("a.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, name
        stream.codec_context.color_range = LIMITED
        if name == "yuv420p":
            planes = np.concatenate([levels, np.full((16, 48), 128, np.uint8)])
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        else:
            bits = {"gray": 8, "gray10le": 10, "gray16le": 16}[name]
            values = levels if bits == 8 else (levels.astype(np.uint16) << (bits - 8))
            frame = av.VideoFrame.from_ndarray(values, format=name)
        frame.color_range = LIMITED
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    with av.open("a.mkv") as container:
        frame = next(container.decode(video=0))
        rgb = frame.to_ndarray(format="rgb24")[0, [0, 20, 40], 0].tolist()
        stated = "limited" if frame.color_range == LIMITED else "not stated as limited"
    seen[name] = rgb
    print("PyAV", av.__version__, f"{name}, {stated}: 16, 126, 235 become", rgb)
kept = all(abs(a - b) <= 1 for name in ("gray", "gray10le", "gray16le") for a, b in zip(seen[name], (16, 126, 235)))
if not kept or seen["yuv420p"][0] > 1 or seen["yuv420p"][2] < 254:
    raise SystemExit(f"changed: {seen}")
P

#!/usr/bin/env bash
# imageio 2.38.1 with imageio-ffmpeg 0.8.1: a loop over an MP4 of variable rate, 40 frames long, gives 143 frames, where
# count_frames() says 40 and the rate is stated as 14.93.
# Guessed: the 40 frames in turn, as count_frames says; or else as many as the stated rate makes of 2.68 s, which are 40.
# Seen: FFmpeg behind it repeats frames up to its guess of the finest rate (50), which is stated nowhere. Frame i is not
# frame i, and i divided by the stated rate is 9.5 s at the end of a video of 2.86 s. In MKV 70 frames come out. A video
# of constant rate is right. With output_params=["-fps_mode", "passthrough"] all 40 come, each once.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q imageio==2.38.1 imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.4.6 pillow==12.3.0
env/bin/python -W ignore - <<'P'
from fractions import Fraction
from importlib.metadata import version

import av
import imageio.v2
import numpy as np

EVEN = [40 * number for number in range(40)]
SLOWER = EVEN[:20] + [760 + 100 * number for number in range(1, 21)]


def written(name, times):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "g": "12", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 3 * number + 8, np.uint8), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(name) as container:
        assert [round(1000 * frame.time) for frame in container.decode(video=0)] == times


def read(name, **options):
    reader = imageio.v2.get_reader(name, "ffmpeg", **options)
    stated = reader.get_meta_data()
    shown = [round((float(picture.mean()) - 8) / 3) for picture in reader]
    return shown, reader.count_frames(), stated["fps"], stated["duration"]


found = {}
for name, times in (("even.mp4", EVEN), ("slower.mp4", SLOWER), ("slower.mkv", SLOWER)):
    written(name, times)
    for output in ([], ["-fps_mode", "passthrough"]):
        shown, counted, rate, duration = read(name, output_params=output)
        found[name, bool(output)] = len(shown), shown == list(range(40)), counted, rate
        said = f"{len(shown)} frames, count_frames {counted}, {rate} a second, {duration} s; frame 30 is {shown[30]}"
        print("imageio-ffmpeg", version("imageio-ffmpeg"), name, *output, said)
right = [found["even.mp4", False][:3], *(found[name, True][:3] for name in ("even.mp4", "slower.mp4", "slower.mkv"))]
if right != [(40, True, 40)] * 4:
    raise SystemExit(f"changed: {found}")
if found["slower.mp4", False] != (143, False, 40, 14.93) or found["slower.mkv", False] != (70, False, 40, 25.0):
    raise SystemExit(f"changed: {found}")
P

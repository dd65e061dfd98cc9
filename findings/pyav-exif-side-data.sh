#!/usr/bin/env bash
# PyAV 18.1.0: `frame.side_data` raises ValueError for any JPEG frame that carries EXIF, as every camera writes.
# Guessed: side data of a kind that PyAV does not know is left out, and the display matrix beside it can be read.
# Seen: "31 is not a valid Type"; `frame.rotation` works, but cannot tell a mirror from a turn (2 and 3 both say -180).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q av==18.1.0 numpy==2.4.6 pillow==12.3.0
env/bin/python - <<'P'
import av
import numpy as np
from PIL import Image

rotations = []
for orientation in (2, 3):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save("a.jpg", exif=exif)
    with av.open("a.jpg") as container:
        frame = next(container.decode(video=0))
        rotations.append(frame.rotation)
        try:
            frame.side_data
            raise SystemExit("changed: side_data can be read")
        except ValueError as error:
            print("PyAV", av.__version__, "EXIF orientation", orientation, "rotation", frame.rotation, "side_data:", error)
if rotations[0] != rotations[1]:
    raise SystemExit("changed: a mirror has another rotation than half a turn")
P

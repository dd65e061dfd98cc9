#!/usr/bin/env bash
# Pillow 12.3.0: a PNG of 16-bit grey with alpha opens as 8-bit RGBA, by its high bytes: a mask of class 1 is all 0.
# Guessed: a mode of 16 bits, as for 16-bit grey without alpha ("I;16", exact), or an error. Seen: mode RGBA, no warning.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q numpy==2.4.6 pillow==12.3.0
env/bin/python - <<'P'
import struct
import zlib

import numpy as np
import PIL
from PIL import Image


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(kind, row):
    head = struct.pack(">IIBBBBB", 4, 3, 16, kind, 0, 0, 0)
    data = zlib.compress(3 * (b"\0" + struct.pack(f">{len(row)}H", *row)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


open("grey.png", "wb").write(png(0, [1, 300] * 2))
open("alpha.png", "wb").write(png(4, [1, 65535, 300, 65535] * 2))
grey, alpha = Image.open("grey.png"), Image.open("alpha.png")
print("Pillow", PIL.__version__, grey.mode, np.array(grey)[0].tolist(), "-", alpha.mode, np.array(alpha)[0].tolist())
if np.array(grey)[0].tolist() != [1, 300, 1, 300]:
    raise SystemExit("changed: 16-bit grey is not exact")
if alpha.mode != "RGBA" or np.array(alpha)[0, 0].tolist() != [0, 0, 0, 255]:
    raise SystemExit("changed: 16-bit grey with alpha is read otherwise")
P

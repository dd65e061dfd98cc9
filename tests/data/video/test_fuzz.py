"""Files with bytes flipped, cut, moved or swapped: never a crash, a hang, a flood of memory or a silent short read."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spikereel.data.video.read import probe, read_frames, timeline
from spikereel.errors import DataError

FORMATS = {
    "a.mp4": "libx264",
    "b.mp4": "mpeg4",
    "a.mov": "mjpeg",
    "a.avi": "mpeg4",
    "a.mkv": "libx264",
    "a.webm": "libvpx",
    "a.ts": "mpeg2video",
}
FRAMES = 30
TOLERATED = 2 + FRAMES // 10
SECONDS = 5.0
MEMORY = 512 << 20


def mutated(content: bytes, others: list[bytes], rng: np.random.Generator) -> tuple[str, bytes]:
    """(what was done, the file afterwards)."""
    data = bytearray(content)
    kind = rng.choice(["flip", "flip in head", "cut", "swap head", "zeros", "repeat", "drop"])
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 400))
    if kind.startswith("flip"):
        reach = 600 if kind == "flip in head" else len(data)
        for place in rng.integers(min(reach, len(data)), size=int(rng.integers(1, 12))):
            data[place] = int(rng.integers(256))
    elif kind == "cut":
        del data[at:]
    elif kind == "swap head":
        head = int(rng.integers(4, 200))
        data[:head] = others[int(rng.integers(len(others)))][:head]
    elif kind == "zeros":
        data[at : at + length] = bytes(min(length, len(data) - at))
    elif kind == "repeat":
        data[at:at] = data[at : at + length]
    else:
        del data[at : at + length]
    return kind, bytes(data)


def read_all(path: Path) -> int | str:
    """Frames of a file that is taken for good, else the reason why it is not."""
    try:
        known = timeline(path)
        read_frames(path, [0, len(known) // 2], known)
        return probe(path).frames
    except DataError as error:
        return str(error)


def fuzz(folder: Path, count: int, seed: int) -> dict:
    """What became of `count` mutated files, and the silent short reads among them."""
    sources = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    rng, outcome = np.random.default_rng(seed), {"refused": 0, "good": 0, "short": [], "slowest": 0.0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        name = list(sources)[number % len(sources)]
        kind, content = mutated(sources[name], list(sources.values()), rng)
        path = folder.parent / f"mutated_{name}"
        path.write_bytes(content)
        started = time.process_time()
        found = read_all(path)
        outcome["slowest"] = max(outcome["slowest"], time.process_time() - started)
        outcome["refused" if isinstance(found, str) else "good"] += 1
        if isinstance(found, int) and found < FRAMES - TOLERATED:
            outcome["short"].append([name, kind, number, found])
    outcome["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return outcome


@pytest.fixture
def outcome(make_video, request) -> dict:
    """Of a process of its own, which may crash without taking the tests along."""
    for name, codec in FORMATS.items():
        pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = make_video(f"sources/{name}", codec=codec, frames=FRAMES, pix_fmt=pix_fmt, height=64, width=96)
    command = [sys.executable, __file__, str(path.parent), str(request.param), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("outcome", [70, pytest.param(2000, marks=pytest.mark.slow)], indirect=True)
def test_mutated_files(outcome):
    assert outcome["slowest"] < SECONDS
    assert outcome["memory"] < MEMORY
    assert outcome["refused"] > outcome["good"] > 0
    assert outcome["short"] == []


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fuzz(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))

"""The pictures of docs/studio.md: procedural films, shipped weights, a small run.

Needs playwright and Debian's chromium.

python benchmarks/studio_pictures.py [FOLDER]         (docs)
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import torch
from studio import WEIGHTS, frames, page, studio
from torch import Tensor

from spikereel.data.video.write import write_video
from spikereel.energy import measure
from spikereel.hub import load_model, save_model

TRAIN = ("data.workers=0", "optim.epochs=6", "run.validate_every=2", "run.out=runs", "run.progress=false")
MOST = 1560
"""Pixels down to which a page is shown."""
LAYER = "block3.0.attn.q_lif"


def small(count: int) -> Iterator[Tensor]:
    """The film of `studio.py` at 96 x 128 pixels."""
    return (x[:, ::2, ::2] for x in frames(count, 192, 256))


def sliding(count: int, seed: int) -> Iterator[Tensor]:
    """A bright bar that slides over a slanted ground."""
    rng = np.random.default_rng(seed)
    ground = next(small(1)).numpy()
    top, speed = int(rng.integers(8, 56)), int(rng.integers(2, 5))
    for number in range(count):
        picture = ground.copy()
        left = number * speed % 100
        picture[:, top : top + 28, left : left + 20] = 230
        yield torch.from_numpy(picture)


def files(folder: Path) -> None:
    """Films, two weights that differ in one layer, and a run with its passport."""
    write_video(folder / "round.mp4", frames(120), 30)
    write_video(folder / "bar.mp4", sliding(60, 0), 30)
    for i in range(8):
        for name, film in (("round", small(24 + i)), ("slides", sliding(24, i))):
            (folder / "videos" / name).mkdir(parents=True, exist_ok=True)
            write_video(folder / "videos" / name / f"{i}.mp4", film, 12)
    model = load_model(WEIGHTS)
    save_model(model, folder / "a.safetensors", model.metadata)
    with torch.no_grad():
        model.get_parameter("block3.0.mlp.fc1_conv.weight").mul_(1.15)
    save_model(model, folder / "b.safetensors", model.metadata)
    command = [sys.executable, "-m", "spikereel.apps.cli", "train", "video_folder", *TRAIN]
    # the studio starts elsewhere
    command.append(f"data.root={folder / 'videos'}")
    subprocess.run(command, check=True, cwd=folder)
    run = folder / "runs" / "video_folder"
    trained = load_model(run / "best.safetensors")
    channels = trained.config.in_channels
    found = measure(trained, torch.rand(8, 1, channels, 48, 48)).to_json()
    (run / "passport.json").write_text(json.dumps({**found, "model": run.name}))


def shot(found: Any, path: Path, link: str, ready: str, *, width: int = 1280, height: int = 900, dark: bool) -> None:
    """A picture of a view, after a condition of the page holds."""
    found.set_viewport_size({"width": width, "height": height})
    found.emulate_media(color_scheme="dark" if dark else "light")
    found.goto("about:blank")
    found.goto(link)
    found.wait_for_function(ready)
    found.wait_for_timeout(800)
    height = min(found.evaluate("document.documentElement.scrollHeight"), MOST)
    found.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    print(path)


def main(folder: Path) -> None:
    """Write them all."""
    with tempfile.TemporaryDirectory() as given:
        work = Path(given) / "films"
        work.mkdir()
        files(work)
        with studio(work) as address, page(address) as found:
            watch = {"place": "films:round.mp4", "weights": WEIGHTS, "frame": 70, "layer": LAYER, "token": "1,1"}
            link = f"{address}#{urlencode({**watch, 'shown': 'attention block3.1.attn'})}"
            some = "() => Number(document.documentElement.dataset.computed) >= 4"
            whole = "() => document.getElementById('progress').textContent.includes('all computed')"
            shot(found, folder / "studio.png", link, some, dark=False)
            shot(found, folder / "studio-narrow.png", link, whole, width=390, height=844, dark=True)
            both = {"view": "compare", "weights": "films:a.safetensors", "other": "films:b.safetensors"}
            link = f"{address}#{urlencode({**both, 'clips': 'films:round.mp4|films:bar.mp4'})}"
            shot(
                found, folder / "studio-compare.png", link, "() => document.documentElement.dataset.compared", dark=True
            )
            counts = np.array(json.loads((work / "runs/video_folder/report.json").read_text())["confusion"])
            cell = ",".join(map(str, np.unravel_index(counts.argmax(), counts.shape)))
            link = f"{address}#{urlencode({'view': 'runs', 'run': 'films:runs/video_folder', 'cell': cell})}"
            shot(found, folder / "studio-runs.png", link, "() => document.documentElement.dataset.cell", dark=False)


if __name__ == "__main__":
    assert shutil.which("chromium"), "install Debian's chromium"
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))

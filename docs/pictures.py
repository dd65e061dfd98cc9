"""Draw pictures of these pages: `python docs/pictures.py attention` or `studio RUN`, with a folder that `train` left.

Those of the studio are taken in Debian's chromium. The gallery names the commands of all others.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
FRAMES, PLACES = 3, 4


def attention() -> None:
    """Which token sees which, for each scheme; tokens in the order of frames."""
    frame, place = (x.ravel() for x in np.mgrid[:FRAMES, :PLACES])
    same_frame, same_place = frame[:, None] == frame, place[:, None] == place
    schemes = {
        "spatial": same_frame,
        "joint": np.ones_like(same_frame),
        "causal": frame[:, None] >= frame,
        "hierarchical:\nfirst, then": (same_frame, same_place),
        "factorised:\nboth halves": (same_frame, same_place),
    }
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, len(schemes))
    for column, (name, sees) in enumerate(schemes.items()):
        parts = sees if isinstance(sees, tuple) else (sees,)
        for row, part in enumerate(parts):
            axes = figure.add_subplot(grid[:, column] if len(parts) == 1 else grid[row, column])
            axes.imshow(part, cmap="GnBu", vmin=-0.2, vmax=1.3)
            for edge in range(PLACES, FRAMES * PLACES, PLACES):
                axes.axhline(edge - 0.5, color="white", linewidth=2)
                axes.axvline(edge - 0.5, color="white", linewidth=2)
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(name, fontsize=12)
            if column == 0:
                axes.set_ylabel("query: token of a frame")
    figure.supxlabel(f"key: {FRAMES} frames of {PLACES} tokens, side by side", fontsize=11)
    figure.savefig(HERE / "concepts" / "attention.png", dpi=80)


def studio(run: str) -> None:
    """Watch at 1280 and, dark, at 390 pixels; compare; a run and the clip behind its confusion matrix."""
    from playwright.sync_api import sync_playwright

    joint, spatial = "spikevideoformer_ti.motion", "spikevideoformer_ti.motion_spatial"
    watch = f"view=watch&place=films:zoom.mp4&weights={joint}&frame=12&layer=block3.1.attn.q_lif"
    compare = f"view=compare&weights={joint}&other={spatial}&clips=films:zoom.mp4"
    computed = "document.getElementById('progress').textContent.includes('all computed')"
    views = (
        ("studio", 1280, "light", watch, computed),
        ("studio-narrow", 390, "dark", watch, computed),
        ("studio-compare", 1280, "light", compare, "document.documentElement.dataset.compared === '1'"),
        ("studio-runs", 1280, "light", f"view=runs&run=runs:{Path(run).name}&cell=0,0", "document.images.length >= 0"),
    )
    with _studio(Path(run)) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        for name, width, scheme, view, ready in views:
            page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(f"{address}#{view}")
            page.wait_for_function(f"() => {ready}", timeout=120_000)
            page.wait_for_timeout(3000)
            page.screenshot(path=HERE / f"{name}.png", full_page=True)
            page.close()


@contextmanager
def _studio(run: Path) -> Iterator[str]:
    """A studio that knows a film and the run."""
    from spikereel.data.video.write import write_video
    from spikereel.runs.clips import build_dataset
    from spikereel.runs.data import DataSpec

    clips = build_dataset(DataSpec(kind="motion", modality="rgb", frames=32, size=96, test_length=8), "test")
    with tempfile.TemporaryDirectory() as folder:
        frames = clips[3][0].clamp(0, 1).mul(255).byte()
        write_video(Path(folder) / "zoom.mp4", frames, 8)
        command = [
            sys.executable,
            "-m",
            "spikereel",
            "studio",
            str(run.parent),
            "--port",
            "0",
            "--root",
            f"films={folder}",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().split()[1]
            finally:
                process.terminate()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["attention"]:
            attention()
        case ["studio", run]:
            studio(run)
        case _:
            sys.exit(__doc__)

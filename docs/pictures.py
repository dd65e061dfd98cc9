"""Draw the pictures of these pages: `python docs/pictures.py`."""

from pathlib import Path

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


if __name__ == "__main__":
    attention()

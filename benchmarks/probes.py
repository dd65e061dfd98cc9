"""What attention, similarity and neuron can relate over a gap: `python benchmarks/probes.py --probes match order`.

Each cell (probe, scheme, gap) is trained for every seed with equal work. Its learning rate is the best of `--rates` on
validation clips, with a seed of its own (`SEARCH`) that no figure comes from; figures are of fresh clips. A run that is
done stands in `--out` and is not repeated. `--draw FILE` makes curves of accuracy over the gap from a JSON.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from compare import all_rows
from run import save

from spikereel.data.made.probes import PROBES, bag_share, frame_share, least_frames
from spikereel.show.claims.verdicts import interval

SCHEMES = {
    "spatial": ["model.attention=spatial"],
    "joint": ["model.attention=joint"],
    "joint, dot": ["model.attention=joint", "model.similarity=dot"],
    "hierarchical": ["model.attention=hierarchical"],
    "factorised": ["model.attention=factorised"],
    "causal": ["model.attention=causal"],
    "spatial, PLIF": ["model.attention=spatial", "model.neuron=plif"],
    "joint, Integer-LIF": ["model.attention=joint", "model.neuron=ilif"],
    "spatial, ANN twin": ["model.attention=spatial", "model.neuron=relu"],
    "joint, ANN twin": ["model.attention=joint", "model.neuron=relu"],
    "causal, ANN twin": ["model.attention=causal", "model.neuron=relu"],
}
SEARCH = 1000
"""Seed of the runs that choose learning rates."""


def cells(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a cell: chosen learning rate, accuracy of each seed, their mean and 95 % interval."""
    wanted = [(probe, scheme, gap) for probe in options.probes for scheme in options.schemes for gap in options.gaps]
    search = {
        (*cell, f"lr{rate:g}"): ("probe", _assignments(cell, options, SEARCH, rate))
        for cell in wanted
        for rate in options.rates
        if len(options.rates) > 1
    }
    chosen = dict.fromkeys(wanted, options.rates[0])
    for cell in wanted:
        rows = [key for key in search if key[:3] == cell]
        if rows:
            figures = all_rows({key: search[key] for key in rows}, options)
            chosen[cell] = options.rates[max(range(len(rows)), key=lambda i: figures[i]["val_top1"])]
    runs = {
        (*cell, seed): ("probe", _assignments(cell, options, seed, chosen[cell]))
        for cell in wanted
        for seed in options.seeds
    }
    figures = dict(zip(runs, all_rows(runs, options), strict=True))
    return [_cell(cell, chosen[cell], [figures[*cell, seed] for seed in options.seeds], options) for cell in wanted]


def _cell(cell: tuple, rate: float, rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    probe, scheme, gap = cell
    values = [row["top1"] for row in rows]
    mean, half = interval(values)
    frames = _frames(probe, gap, options)
    row = {
        "probe": probe,
        "scheme": scheme,
        "gap": gap,
        "frames": frames,
        "lr": rate,
        "top1": values,
        "mean": mean,
        "half_interval_95": half if len(values) > 1 else None,
        "chance": 100 / len(PROBES[probe].classes),
        "single_frames": 100 * float(frame_share(probe, gap, frames)),
        "bag_of_frames": 100 * float(bag_share(probe, gap, frames)),
        "judged_on": rows[0]["judged_on"],
        "mean_rate": statistics.fmean(row["mean_rate"] for row in rows),
        "energy_mj": statistics.fmean(row["energy_mj"] for row in rows),
        "train_seconds": [row["train_seconds"] for row in rows],
    }
    within = f" +- {half:4.1f}" if len(values) > 1 else ""
    print(f"{probe:9} gap {gap:2}  {scheme:20} {row['mean']:5.1f}{within} %  of chance {row['chance']:.0f}", flush=True)
    return row


def _frames(probe: Any, gap: int, options: argparse.Namespace) -> int:
    return options.frames or least_frames(probe, gap) + 2


def _assignments(cell: tuple, options: argparse.Namespace, seed: int, rate: float) -> list[str]:
    probe, scheme, gap = cell
    return [
        *(f"data.probe={probe}", f"data.gap={gap}", f"data.frames={_frames(probe, gap, options)}"),
        *SCHEMES[scheme],
        *(f"run.seed={seed}", f"data.seed={100 * seed}", f"optim.lr={rate:g}"),
        *options.set,
    ]


def draw(source: Path, target: Path) -> None:
    """Accuracy over the gap, a panel for each probe and a line for each scheme, bars from the lowest to the highest."""
    import matplotlib.pyplot as plt

    rows = json.loads(source.read_text())["rows"]
    probes = list(dict.fromkeys(row["probe"] for row in rows))
    figure, panels = plt.subplots(1, len(probes), figsize=(3.4 * len(probes), 3.4), sharey=True, squeeze=False)
    for panel, probe in zip(panels[0], probes, strict=True):
        for k, scheme in enumerate(dict.fromkeys(row["scheme"] for row in rows)):
            own = sorted((row for row in rows if (row["probe"], row["scheme"]) == (probe, scheme)), key=_gap)
            if own:
                mean = [row["mean"] for row in own]
                spread = [
                    [row["mean"] - min(row["top1"]) for row in own],
                    [max(row["top1"]) - row["mean"] for row in own],
                ]
                panel.errorbar(
                    [_gap(row) for row in own], mean, spread, label=scheme, marker="osd^v<>p*hX"[k], capsize=2
                )
        panel.axhline(next(row["chance"] for row in rows if row["probe"] == probe), ls=":", c="grey")
        panel.set(title=f"{probe}: {PROBES[probe].asks}", xlabel="dark frames between")
        panel.title.set_fontsize(8)
    panels[0][0].set_ylabel("right, %")
    panels[0][-1].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(target, dpi=120)


def _gap(row: dict[str, Any]) -> int:
    return row["gap"]


def main() -> None:
    """Parse the command line and run the cells, or draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", nargs="+", default=["match", "order", "control"], choices=PROBES)
    parser.add_argument("--schemes", nargs="+", default=["spatial", "joint", "joint, dot", "causal"], choices=SCHEMES)
    parser.add_argument("--gaps", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--frames", type=int, help="of a clip; what the gap needs and 2 more by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3, 1e-2])
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/probes"))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the recipe probe")
    parser.add_argument("--draw", type=Path, nargs=2, metavar=("JSON", "PNG"))
    options = parser.parse_args()
    if options.draw:
        draw(*options.draw)
        return
    save("probes", {"recipe": "probe", "changes": options.set, "rows": cells(options)}, script="probes.py")


if __name__ == "__main__":
    main()

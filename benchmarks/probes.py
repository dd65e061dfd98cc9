"""What attention, similarity and neuron can relate over a gap: `python benchmarks/probes.py --probes match order`.

Each cell (probe, scheme, gap) is trained for every seed with equal work: the same clips, steps and network. A helper
that is thrown away afterwards learns from each frame alone which shape it shows; without it no network got away from
chance in 600 steps, whatever its attention. With several `--rates` the learning rate of a cell is that of the best run
with a seed of its own (`SEARCH`) that no figure comes from. Figures are of fresh clips. A run that is done stands in
`--out` and is not repeated. `--draw JSON PNG` makes curves of accuracy over the gap.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from run import save
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.data.made.probes import PROBES, SHAPES, ProbeClips, bag_share, frame_share, least_frames
from spikereel.energy import measure
from spikereel.files import write_json
from spikereel.hub import create_model
from spikereel.layers.calibrate import calibrate
from spikereel.show.claims.verdicts import interval
from spikereel.train.module import warmup_decay

NETWORK = {"widths": (8, 16, 48, 64), "depths": (1, 1), "threshold": 0.5, "in_channels": 1}
SCHEMES = {
    "spatial": {"attention": "spatial"},
    "joint": {"attention": "joint"},
    "joint, dot": {"attention": "joint", "similarity": "dot"},
    "joint, positions": {"attention": "joint", "positions": "time"},
    "hierarchical": {"attention": "hierarchical"},
    "factorised": {"attention": "factorised"},
    "causal": {"attention": "causal"},
    "spatial, PLIF": {"attention": "spatial", "neuron": "plif"},
    "spatial, PLIF of channels": {"attention": "spatial", "neuron": "plif", "tau_spread": (2.0, 2.0)},
    "spatial, taus 2 to 16": {"attention": "spatial", "tau_spread": (2.0, 16.0)},
    "spatial, PLIF 2 to 16": {"attention": "spatial", "neuron": "plif", "tau_spread": (2.0, 16.0)},
    "joint, taus 2 to 16": {"attention": "joint", "tau_spread": (2.0, 16.0)},
    "causal, taus 2 to 16": {"attention": "causal", "tau_spread": (2.0, 16.0)},
    "joint, Integer-LIF": {"attention": "joint", "neuron": "ilif"},
    "spatial, ANN twin": {"attention": "spatial", "neuron": "relu"},
    "joint, ANN twin": {"attention": "joint", "neuron": "relu"},
    "causal, ANN twin": {"attention": "causal", "neuron": "relu"},
}
SIZE, BATCH, CLIPS, JUDGED = 32, 32, 3000, 500
SEARCH = 1000
"""Seed of the runs that choose learning rates."""
FRESH = 10**6
"""Added to the seed of training clips for those that are judged."""


def cells(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a cell: chosen learning rate, accuracy of each seed, their mean and 95 % interval."""
    rows = []
    for probe in options.probes:
        for gap in options.gaps:
            for scheme in options.schemes:
                cell = (probe, scheme, gap)
                rate = options.rates[0]
                if len(options.rates) > 1:
                    rate = max(options.rates, key=lambda rate, cell=cell: run(cell, SEARCH, rate, options)["top1"])
                rows.append(_cell(cell, rate, [run(cell, seed, rate, options) for seed in options.seeds], options))
    return rows


def run(cell: tuple[str, str, int], seed: int, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    """One training and what it came to, or what is kept of it."""
    probe, scheme, gap = cell
    name = f"{probe}_{scheme}_{gap}_{seed}_{rate:g}_{options.steps}".replace(", ", "-").replace(" ", "-")
    kept = options.out / f"{name}.json"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        row = Training(probe, scheme, gap, seed, _frames(probe, gap, options)).learnt(options.steps, rate)
        write_json(kept, row)
    return json.loads(kept.read_text())


class Training:
    """A network, clips to learn from, and the helper that names shapes."""

    def __init__(self, probe: Any, scheme: str, gap: int, seed: int, frames: int):
        self.ask = {"probe": probe, "gap": gap, "frames": frames, "size": SIZE}
        self.seed = seed
        clips = ProbeClips(CLIPS, seed=seed, **self.ask)
        self.videos, self.labels = _all(clips)
        self.shown = torch.stack([clips.shown(i) for i in range(CLIPS)], 1)
        torch.manual_seed(seed)
        more: dict[str, Any] = {**NETWORK, **SCHEMES[scheme], "num_classes": len(clips.classes)}
        self.model: Any = create_model("spikevideoformer_ti", **more)
        self.model.order_known = True
        for part in self.model.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.data = part.weight.data.to(memory_format=torch.channels_last)
        features = self.model.head.in_features * (SIZE // 16) ** 2
        self.helper = nn.Linear(features, len(SHAPES) + 1)

    def learnt(self, steps: int, rate: float) -> dict[str, Any]:
        """Accuracy on fresh clips after so many steps, with norms taken anew."""
        model, began = self.model, time.process_time()
        calibrate(model, self._batches(4))
        weights = [*model.parameters(), *self.helper.parameters()]
        optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warmup_decay(step, steps, 0.05))
        draws = torch.Generator().manual_seed(self.seed)
        model.train()
        for _ in range(steps):
            some = torch.randint(0, CLIPS, (BATCH,), generator=draws)
            features, _ = model.features(self.videos[:, some])
            output, _ = model.readout(features)
            named = self.helper(features.flatten(2))
            loss = F.cross_entropy(output, self.labels[some])
            optimiser.zero_grad()
            (loss + F.cross_entropy(named.flatten(0, 1), self.shown[:, some].flatten())).backward()
            nn.utils.clip_grad_norm_(weights, 5.0)
            optimiser.step()
            schedule.step()
        spent = time.process_time() - began
        calibrate(model, self._batches(8))
        return {**self._judged(), "train_seconds": round(spent, 1)}

    def _batches(self, count: int) -> Any:
        return (self.videos[:, BATCH * i : BATCH * (i + 1)] for i in range(count))

    def _judged(self) -> dict[str, Any]:
        videos, labels = _all(ProbeClips(JUDGED, seed=FRESH + self.seed, **self.ask))
        self.model.eval()
        with torch.inference_mode():
            said = torch.cat([self.model(part)[0].argmax(1) for part in videos.split(50, 1)])
        passport = measure(self.model, videos[:, :16])
        return {
            "top1": 100 * (said == labels).float().mean().item(),
            "judged_on": f"{JUDGED} fresh clips",
            "mean_rate": passport.mean_rate,
            "energy_mj": passport.energy_mj(),
        }


def _all(clips: ProbeClips) -> tuple[Tensor, Tensor]:
    """Videos [T, N, C, H, W] and labels [N]."""
    pairs = [clips[i] for i in range(len(clips))]
    return torch.stack([video for video, _ in pairs], 1), torch.tensor([label for _, label in pairs])


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
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("runs/probes"))
    parser.add_argument("--name", default="probes", help="of the results; those called probes are what claims look at")
    parser.add_argument("--draw", type=Path, nargs=2, metavar=("JSON", "PNG"))
    options = parser.parse_args()
    if options.draw:
        draw(*options.draw)
        return
    network = {**NETWORK, "clips": CLIPS, "batch": BATCH, "steps": options.steps, "size": SIZE}
    save(options.name, {"network": network, "rows": cells(options)}, script="probes.py")


if __name__ == "__main__":
    main()

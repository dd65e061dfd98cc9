"""Accuracy over the observed share of a clip, early exit and energy a decision: `benchmarks/streaming.py share`."""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import spikereel
from spikereel.energy import measure
from spikereel.hub import load_model
from spikereel.models.base import VideoModel
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import data_spec_of

SHARES = tuple(round(0.1 * k, 1) for k in range(1, 11))
SURE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def share(options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy over the observed share of a clip, and of decisions that are made as soon as the network is sure."""
    rows = []
    for name in options.weights:
        model = load_model(name)
        spec = data_spec_of(model.metadata)
        if options.root:
            spec = dataclasses.replace(spec, root=options.root)
        # clips that the weights have not seen: those of the fold that was left out
        split = "test" if spec.fold is None else "val"
        clips = build_dataset(spec, split)
        count = min(options.clips, len(clips))
        chances, labels = [], []
        for i in range(count):
            video, label = clips[i * len(clips) // count]
            chances.append(_over_time(model, video))
            labels.append(int(label))
        passport = measure(model, [clips[i][0][:, None] for i in range(min(count, 16))])
        run = model.metadata.training.get("recipe", {})
        trained = {
            "recipe": run.get("name", name),
            "seed": run.get("run", {}).get("seed"),
            "split": split,
            "clips": count,
        }
        energy = passport.energy_per_frame_mj("paper")
        rows.append(trained | _shares(Path(name).name, torch.stack(chances), torch.tensor(labels), energy))
    means = _means(rows)
    _share_picture(means, options.picture)
    return {"rows": rows, "means": means}


def _means(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the weights of one recipe, whatever their seeds."""
    found = {}
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        own = [row for row in rows if row["recipe"] == recipe]
        exits = [
            {name: statistics.fmean(x[name] for x in each) for name in each[0]}
            for each in zip(*(row["early_exit"] for row in own), strict=True)
        ]
        curve = {part: statistics.fmean(row["accuracy_over_share"][part] for row in own) for part in SHARES}
        whole = statistics.fmean(row["mj_of_whole_clip"] for row in own)
        found[recipe] = {"runs": len(own), "accuracy_over_share": curve, "early_exit": exits, "mj_of_whole_clip": whole}
        print(
            f"{recipe}, mean of {len(own)}: " + ", ".join(f"{100 * k:.0f} %: {100 * x:.1f}" for k, x in curve.items())
        )
        for x in exits:
            print(
                f"  exit at {x['sure']:.2f}: {100 * x['accuracy']:.1f} % right, "
                f"{100 * x['share_observed']:.0f} % seen, {1e3 * x['mj_per_decision']:.2f} uJ a decision of "
                f"{1e3 * whole:.2f}"
            )
    return found


def _over_time(model: VideoModel, video: Tensor) -> Tensor:
    """Probabilities [T, classes] after each frame; of weights that see whole clips those of the first frames alone."""
    if model.can_stream:
        return spikereel.stream(model).push(video).probabilities
    with torch.no_grad():
        return torch.cat([model(video[: t + 1, None])[0].double().softmax(-1) for t in range(len(video))])


def _shares(name: str, chances: Tensor, labels: Tensor, energy: list[float]) -> dict[str, Any]:
    frames, best = chances.shape[1], chances.argmax(-1)
    spent = np.cumsum(energy)
    curve = {}
    for part in SHARES:
        last = max(round(part * frames), 1) - 1
        curve[part] = float((best[:, last] == labels).double().mean())
    exits = []
    for sure in SURE:
        enough = chances.amax(-1) >= sure
        enough[:, -1] = True
        when = enough.double().argmax(1)
        right = best.gather(1, when[:, None])[:, 0] == labels
        exits.append(
            {
                "sure": sure,
                "accuracy": float(right.double().mean()),
                "share_observed": float((when + 1).double().mean()) / frames,
                "mj_per_decision": float(spent[when.numpy()].mean()),
            }
        )
    whole = {"mj_of_whole_clip": float(spent[-1]), "frames": frames}
    return {"weights": name, "accuracy_over_share": curve, "early_exit": exits, **whole}


def _share_picture(means: dict[str, dict[str, Any]], path: str) -> None:
    """Accuracy over the observed share, and over the energy of decisions."""
    from matplotlib.figure import Figure

    from spikereel.show.style import GRID, INK, SERIES
    from spikereel.show.style import save as save_figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, row), colour in zip(means.items(), SERIES, strict=False):
        shares = row["accuracy_over_share"]
        left.plot([100 * x for x in shares], [100 * y for y in shares.values()], "o-", color=colour, label=name)
        exits = row["early_exit"]
        energy = [1e3 * x["mj_per_decision"] for x in exits]
        right.plot(energy, [100 * x["accuracy"] for x in exits], "o-", color=colour, label=name)
    left.set_xlabel("share of the clip that was seen, %", color=INK)
    right.set_xlabel("energy of a decision, uJ (counted)", color=INK)
    left.set_title("answer after so much", loc="left", fontsize=10)
    right.set_title("answer as soon as it is sure (50 to 99 %)", loc="left", fontsize=10)
    for axes in (left, right):
        axes.set_ylabel("right answers, %", color=INK)
        axes.grid(color=GRID)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    save_figure(figure, path, dpi=130)

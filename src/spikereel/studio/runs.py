"""Runs as they lie on the disk: what they are, their curves, reports and passports."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spikereel.config import flat
from spikereel.errors import DataError
from spikereel.studio.roots import Roots

RECIPE, REPORT, CHECKPOINT = "recipe.json", "report.json", "last.ckpt"
MOST_RUNS, MOST_POINTS, MOST_BYTES = 500, 400, 32 << 20
"""Runs that are listed, points of a curve, and bytes of a JSON file that is read."""


def run_folders(folder: Path) -> list[Path]:
    """The run that a folder is, or those in it, the newest first."""
    if (folder / RECIPE).is_file():
        return [folder]
    found = [path for path in folder.iterdir() if (path / RECIPE).is_file()] if folder.is_dir() else []
    return sorted(found, key=lambda path: (path / RECIPE).stat().st_mtime, reverse=True)[:MOST_RUNS]


def summary(path: Path, roots: Roots) -> dict[str, Any]:
    """One line of a run."""
    recipe, report = read(path / RECIPE) or {}, read(path / REPORT)
    return {
        "place": roots.place(path),
        "name": path.name,
        "recipe": recipe.get("name"),
        "task": recipe.get("task"),
        "model": recipe.get("model", {}).get("name"),
        "top1": report and report.get("top1"),
        "energy": report and report.get("energy", {}).get("snn"),
        "seconds": report and report.get("seconds"),
        "finished": report is not None,
        "resumable": (path / CHECKPOINT).is_file(),
        "weights": [x.name for x in sorted(path.glob("*.safetensors"))],
    }


def details(path: Path, roots: Roots) -> dict[str, Any]:
    """Recipe, report and passports of a run. Raises DataError for a folder that is none."""
    recipe = read(path / RECIPE)
    if recipe is None:
        raise DataError(f"{path.name}: is no folder of a run, it has no {RECIPE}")
    return {
        **summary(path, roots),
        "settings": dict(flat(recipe)),
        "report": read(path / REPORT),
        "passports": dict(_passports(path)),
    }


def _passports(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Energy passports among the files of a run, by their file: plain figures, and energies by cost model."""
    for file in sorted(path.glob("*.json")):
        content = read(file)
        if not isinstance(content, Mapping):
            continue
        several = content.get("passports")
        each = {f"{file.name}, {k}": x for k, x in several.items()} if isinstance(several, Mapping) else {}
        for name, x in (each or {file.name: content}).items():
            if isinstance(x, Mapping) and isinstance(x.get("energy_mj"), Mapping) and "layers" in x:
                yield (
                    name,
                    {k: v for k, v in x.items() if isinstance(v, str | int | float)} | {"energy_mj": x["energy_mj"]},
                )


def curves(path: Path) -> dict[str, list[list[float]]]:
    """{tag: [[step, value], ...]} of the TensorBoard log of a run, long ones thinned evenly; {} without a log."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    log = path / "log"
    if not log.is_dir():
        return {}
    found = EventAccumulator(str(log), size_guidance={SCALARS: 0})
    found.Reload()
    curves = {}
    for tag in found.Tags()["scalars"]:
        points = [[float(x.step), float(x.value)] for x in found.Scalars(tag)]
        keep = max(-(-len(points) // MOST_POINTS), 1)
        curves[tag] = points[::keep] if (len(points) - 1) % keep == 0 else [*points[::keep], points[-1]]
    return curves


def read(path: Path) -> Any:
    """A JSON file; None where there is none, or what is there is no JSON yet."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None

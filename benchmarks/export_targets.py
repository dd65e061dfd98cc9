"""Exported files in runtimes that this library does not run itself: `python benchmarks/export_targets.py [TARGET...]`.

Each target has a side environment below --side, made where it is missing, and runs the same calls, of weights and of a
network of ties: spikes that differ are counted as in a certificate. Writes benchmarks/results/export_targets_*.json and
the table of docs/export.md. `nir` and `executorch` make the environment alone, for `pytest -m side`.
"""

import argparse
import json
import subprocess
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from porting import insert
from side.environments import ROOT, python_of

from spikereel.data.made.scenes import MotionClips
from spikereel.exporting.certificate import calls_of
from spikereel.exporting.decisions import differ
from spikereel.exporting.export import export
from spikereel.exporting.flat import flat
from spikereel.exporting.grid import grid_model
from spikereel.exporting.run import open_export
from spikereel.files import write_json
from spikereel.hub import load_model
from spikereel.inference.exported import clips_to_compare
from spikereel.versions import hardware

WEIGHTS, FRAMES, SIDE = "spikevideoformer_ti.motion_spatial", 8, 32
TARGETS = {
    "tract": ("`.onnx`", "`tract.onnx().load(FILE)`, shapes of the inputs set, `.into_model().into_runnable()`"),
    "iree": ("`.onnx`", "`iree-import-onnx`, `iree-compile --iree-input-demote-f64-to-f32=false`, else it fails"),
    "tvm": ("`.onnx`", "`from_onnx(..., shape_dict=...)`, `tvm.compile(..., 'llvm')`, `relax.VirtualMachine`"),
    "litert": ("`.pt2`", "`litert_torch.convert(torch.export.load(FILE).module(), inputs, enable_x64=True)`"),
    "aotinductor": (
        "`.pt2`",
        "`aoti_load_package(aoti_compile_and_package(torch.export.load(FILE)))`; never `freezing`",
    ),
    "ncnn": ("`.onnx`", "`Network(graph)` of `benchmarks/side/ncnn_graph.py`; fp16, bf16 and Winograd off"),
}
"""Target: which file it takes, and how it is run."""
START = "<!-- made by benchmarks/export_targets.py -->"


def network(grid: bool, clip: torch.Tensor) -> Any:
    """The weights, or a network of the same shape whose sums meet the threshold."""
    model = load_model(WEIGHTS)
    return grid_model(model, clip) if grid else model


def prepare(folder: Path, model: Any, clip: torch.Tensor, targets: list[str], *, fold: bool) -> Any:
    """Files that the targets take, and inputs of the calls; the contract."""
    path = folder / "net"
    for path in sorted({folder / f"net{TARGETS[target][0].strip('`')}" for target in targets}):
        export(model, path, size=(SIDE, SIDE), batch=1, fold=fold, grid=False, clips=[clip])
    contract = open_export(path).contract
    write_json(folder / "contract.json", contract.to_json())
    calls = calls_of(flat(model, steps=1, size=(SIDE, SIDE)), clip)
    inputs = {f"{k}.{n}": x.numpy() for k, call in enumerate(calls) for n, x in zip(contract.inputs, call, strict=True)}
    np.savez(folder / "calls.npz", calls=len(calls), **inputs)
    return contract


def judged(folder: Path, target: str, model: Any, contract: Any, clip: torch.Tensor) -> dict[str, Any]:
    """Decisions, and how many of them differ."""
    found, own = dict(np.load(folder / f"{target}.npz")), flat(model, steps=1, size=(SIDE, SIDE))
    decisions = free = forced = 0
    off = 0.0
    for k, call in enumerate(calls_of(own, clip)):
        with torch.no_grad():
            expected = own(*call)
        off = max(off, float(np.abs(found[f"call.{k}.0"] - expected[0].numpy()).max()))
        for i, part in enumerate(contract.parts, start=len(contract.fields)):
            if not part.jump:
                continue
            decisions += expected[i].numel()
            a, b = (torch.from_numpy(found[f"{kind}.{k}.{i}"]) for kind in ("call", "from"))
            free += int(differ(part, expected[i], a).sum())
            forced += int(differ(part, expected[i], b).sum())
    return {"decisions": decisions, "differ": free, "differ_from_states": forced, "outputs_off": off} | {
        "version": str(found["version"]),
        "prepare_s": round(float(found["prepared"]), 2),
        "ms_a_call": round(1e3 * float(found["seconds"]) / 2 / FRAMES, 2),
    }


def rows_of(targets: list[str], side: Path, kinds: list[str], videos: list[str] | None = None) -> list[dict[str, Any]]:
    """One for each target. videos: a file to look at; else a drawn clip."""
    events, _ = MotionClips(1, frames=FRAMES, height=SIDE, width=SIDE, modality="events")[0]
    (clip,) = clips_to_compare(load_model(WEIGHTS), videos[:1]) if videos else (events[:, None],)
    on = "a real video" if videos else "a drawn clip"
    rows: list[dict[str, Any]] = [{"target": target, "on": on, "date": str(date.today())} for target in targets]
    for kind in kinds:
        model = network(kind == "grid", clip)
        with TemporaryDirectory() as name:
            folder = Path(name)
            contract = prepare(folder, model, clip, targets, fold=kind == "weights")
            for row in rows:
                target = row["target"]
                command = [python_of(side, target), ROOT / "benchmarks" / "side" / "export_run.py", target, folder]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    row[kind] = {"error": done.stderr.strip().splitlines()[-1][:300]}
                else:
                    row[kind] = judged(folder, target, model, contract, clip)
                print(json.dumps(row), flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| runtime | takes | how | spikes that differ, weights | on the grid | outputs differ by |",
        "|---|---|---|---|---|---|",
    ]
    for x in rows:
        takes, how = TARGETS[x["target"]]
        own, grid = x["weights"], x.get("grid", {})
        if "error" in own:
            lines.append(f"| {x['target']} | {takes} | {how} | did not run: {own['error']} | - | - |")
            continue
        said = [
            f"{y['differ']} and {y['differ_from_states']} of {y['decisions']:,}" if "differ" in y else "not run"
            for y in (own, grid)
        ]
        lines.append(
            f"| {x['target']} {own['version']} | {takes} | {how} | {said[0]} | {said[1]} | {own['outputs_off']:.1g} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)} (default: all); or nir executorch")
    parser.add_argument("--side", type=Path, default=ROOT / "build" / "side", help="folder of the side environments")
    parser.add_argument("--clips", nargs=1, help="a video to run (default: a drawn clip)")
    parser.add_argument("--kinds", nargs="+", default=["weights", "grid"], help="networks (default: weights grid)")
    options = parser.parse_args()
    if options.targets and set(options.targets) <= {"nir", "executorch"}:
        for target in options.targets:
            python_of(options.side, target)
        return
    save(rows_of(options.targets or list(TARGETS), options.side, options.kinds, options.clips))


def save(rows: list[dict[str, Any]]) -> None:
    """Results, and the table of the page; rows of other targets stay as they were."""
    folder = ROOT / "benchmarks" / "results"
    known = {}
    for path in sorted(folder.glob("export_targets_*.json")):
        known |= {row["target"]: row for row in json.loads(path.read_text())["rows"]}
    known |= {row["target"]: row for row in rows}
    rows = [known[target] for target in TARGETS if target in known]
    content = {
        "benchmark": "export_targets",
        "command": "python benchmarks/export_targets.py TARGET --clips VIDEO",
        "date": str(date.today()),
        "hardware": hardware(),
        "torch": torch.__version__,
        "weights": WEIGHTS,
        "rows": rows,
    }
    write_json(folder / f"export_targets_{date.today()}.json", content)
    insert(ROOT / "docs" / "export.md", table(rows), START)
    print(table(rows))


if __name__ == "__main__":
    main()

"""What `spikereel plan` foresees of a batch, and what a run of some batches then takes: recipes times memory modes.

    python benchmarks/planner.py --out FILE

Each forecast and each run has a process of its own. Times are of the processor, all threads together, so that other
work on the machine does not count; run with one thread. Goal: peaks within 10 %, times within 25 %.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RECIPES = ("motion", "motion_svformer", "probe", "synthetic_pose", "synthetic_vss")
MODES = ("plain", "fast", "lean")
GOAL = {"peak": 0.10, "cpu_seconds": 0.25}


def changed(name: str, mode: str, batches: int, out: str) -> Any:
    """A recipe cut to so many batches."""
    from spikereel.config import override
    from spikereel.runs.recipes import get_recipe

    recipe = get_recipe(name)
    length = batches * recipe.optim.batch
    changes = ["optim.epochs=1", f"data.train_length={length}", "data.test_length=20", f"run.memory={mode}"]
    changes += ["run.progress=false", "run.silent_epochs=0", "run.threads=1", f"run.out={out}", "optim.start_norms=0"]
    return override(recipe, changes)


def run(name: str, mode: str, batches: int) -> None:
    """One run, its measurements as JSON."""
    from spikereel.train.run import train

    with tempfile.TemporaryDirectory() as folder:
        result = train(changed(name, mode, batches, folder))
    assert result.forecast is not None
    print(json.dumps(result.forecast["measured"]))


def compared(name: str, mode: str, batches: int, seconds: float) -> dict[str, Any]:
    """A forecast, a run, and by what share they differ."""
    from spikereel.train.plan import dry, lines_of

    recipe = changed(name, mode, batches, "unused")
    found = dry(recipe, mode, memory=64 * 2.0**30, device="cpu", seconds=seconds)
    lines, clips = lines_of(found["points"], found["before"]), recipe.optim.batch
    predicted = {"peak": lines.peak(clips), "cpu_seconds": lines.cpu_seconds(clips)}
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, mode, str(batches)], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    off = {what: predicted[what] / measured[what] - 1.0 for what in GOAL}
    return {
        "recipe": name,
        "memory": mode,
        "batch": clips,
        "from_clips": [point["clips"] for point in found["points"]],
        "predicted": predicted,
        "measured": measured,
        "off": off,
        "within": {what: abs(off[what]) <= goal for what, goal in GOAL.items()},
    }


def main() -> None:
    """All recipes and modes; the file is written after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0, help="of dry steps for a forecast")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--out", type=Path, help="file (default: benchmarks/results/planner_...)")
    options = parser.parse_args()
    if options.one:
        run(options.one[0], options.one[1], int(options.one[2]))
        return
    rows = []
    for name in options.recipes:
        for mode in MODES:
            row = compared(name, mode, options.batches, options.seconds)
            rows.append(row)
            off = row["off"]
            print(f"{name:18} {mode:6} peak {off['peak']:+.0%}, time {off['cpu_seconds']:+.0%}", flush=True)
    outcome = {
        "rows": rows,
        "goal": GOAL,
        "within": {w: sum(r["within"][w] for r in rows) for w in GOAL},
        "of": len(rows),
    }
    if options.out:
        options.out.write_text(json.dumps(outcome, indent=2) + "\n")
        return
    from run import save

    save("planner", outcome, "planner.py")


if __name__ == "__main__":
    main()

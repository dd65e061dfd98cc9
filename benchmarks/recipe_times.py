"""How much quicker recipes train with `run.memory=fast` and with decoded videos kept.

    python benchmarks/recipe_times.py --recipe ut_interaction --root FOLDER [--epochs 12] [--rounds 2]

Short runs of the command line, the ways of a round one after the other, each in a process of its own. A batch is by
the clock, with what it waits for the loader; validations and the start of a run are not in it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from run import save

WAYS = {
    "plain": ["run.memory=plain", "data.cache=null"],
    "fast": ["run.memory=fast", "data.cache=null"],
    "fast, videos kept": ["run.memory=fast", "data.cache=memory"],
}


def timed(options: argparse.Namespace, way: str) -> dict[str, float]:
    """Seconds of a batch, and of the whole run."""
    with tempfile.TemporaryDirectory() as out:
        given = [f"data.root={options.root}", f"optim.epochs={options.epochs}", f"run.out={out}", *WAYS[way]]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "spikereel", "train", options.recipe, *given, *options.set],
            check=True,
            capture_output=True,
        )
        whole = time.perf_counter() - began
        measured = json.loads((Path(out) / options.recipe / "plan.json").read_text())["measured"]
    return {"batch": measured["seconds"], "batch_cpu": measured["cpu_seconds"], "run": whole}


def main() -> None:
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--set", nargs="*", default=[], help="more assignments, for all ways")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way in options.ways:
            found[way].append(timed(options, way))
            print(way, found[way][-1], flush=True)
    rows: list[dict[str, Any]] = []
    for way, times in found.items():
        shares = [own["batch"] / base["batch"] for own, base in zip(times, found[options.ways[0]], strict=True)]
        share = statistics.median(shares)
        rows.append({"way": way, "assignments": WAYS[way], "rounds": times, "share_of_first": share})
        print(f"{way:20} {statistics.median(x['batch'] for x in times):.3f} s a batch, {share:.2f} of the first")
    save(f"recipe_times_{options.recipe}", {"epochs": options.epochs, "rows": rows}, script="recipe_times.py")


if __name__ == "__main__":
    main()

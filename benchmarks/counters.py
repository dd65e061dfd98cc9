"""What counters of operations count and leave out: `python benchmarks/counters.py`.

Makes the side environments below --side where they are missing, runs every counter on the small networks of
side/networks.py, NeuroBench on our own models too, and writes benchmarks/results/counters_*.json and the table of
docs/energy.md.
"""

import argparse
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch
from porting import insert
from side.environments import ROOT, python_of

from spikereel.energy import measure
from spikereel.files import write_json

sys.path.insert(0, str(ROOT / "benchmarks" / "side"))

from networks import NETWORKS, network

COUNTERS = {
    "neurobench": "neurobench",
    "spikingjelly": "spikingjelly",
    "syops": "syops",
    "fvcore": "flops",
    "ptflops": "flops",
    "thop": "flops",
    "torchinfo": "flops",
    "torch": "flops",
}
"""Counter of side/counts.py: its environment."""

START, STOP = "<!-- made by benchmarks/counters.py -->", "<!-- end -->"

COLUMNS = (
    ("ours: dense, inside", "spikereel", ("macs", "inner_macs")),
    ("ours: on spikes", "spikereel", ("synops",)),
    ("NeuroBench Dense; MACs; ACs", "neurobench", ("Dense", "Effective_MACs", "Effective_ACs")),
    ("SpikingJelly SynOp; MAC", "spikingjelly", ("SynOp", "MAC")),
    ("syops AC; MAC", "syops", ("AC", "MAC")),
    ("fvcore", "fvcore", ("dense",)),
    ("ptflops", "ptflops", ("dense",)),
    ("thop", "thop", ("dense",)),
    ("torchinfo", "torchinfo", ("dense",)),
    ("torch / 2", "torch", ("dense",)),
)


def run(side: Path, home: str, script: str, *arguments: str, path: str = "") -> dict[str, Any]:
    """What a script of side/ prints last."""
    command = [python_of(side, home), ROOT / "benchmarks" / "side" / script, *arguments]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def beside_neurobench(side: Path) -> dict[str, Any]:
    """{network: [NeuroBench's figures, the passport's]}, of our models and of the small networks."""
    return run(side, "neurobench", "neurobench_ours.py", path=str(ROOT / "src"))


def ours(name: str) -> dict[str, Any]:
    """Our own figures of a small network, and what was left out."""
    net, x = network(name)
    passport = measure(net, x, layout="B C H W")
    return {
        "macs": passport.macs,
        "inner_macs": sum(layer.inner_macs for layer in passport.layers),
        "synops": passport.synops,
        **passport.neurobench(),
        "notes": list(passport.notes),
    }


def table(content: dict[str, Any]) -> str:
    """Markdown; a figure that no counter gives is "-", an error its kind."""
    heads = ["network", *(head for head, _, _ in COLUMNS)]
    lines = [heads, ["---"] * len(heads)]
    for name in NETWORKS:
        cells = [name]
        for _, counter, figures in COLUMNS:
            found = content["counters"][counter]["networks"][name]
            cells.append(found["error"].partition(":")[0] if "error" in found else _numbers(found, figures))
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _numbers(found: dict[str, Any], figures: tuple[str, ...]) -> str:
    return "; ".join(f"{found[x]:,.0f}" if found.get(x) is not None else "-" for x in figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=Path, default=ROOT / "build" / "side", help="folder of the side environments")
    options = parser.parse_args()
    found = {name: run(options.side, environment, "counts.py", name) for name, environment in COUNTERS.items()}
    found["spikereel"] = {"networks": {name: ours(name) for name in NETWORKS}, "versions": {"torch": torch.__version__}}
    content = {
        "benchmark": "counters",
        "command": "python benchmarks/counters.py",
        "date": str(date.today()),
        "counters": found,
        "beside_neurobench": beside_neurobench(options.side),
    }
    write_json(ROOT / "benchmarks" / "results" / f"counters_{date.today()}.json", content)
    versions = ", ".join(f"{k} {v}" for x in found.values() for k, v in x["versions"].items() if k != "torch")
    insert(
        ROOT / "docs" / "energy.md",
        f"{table(content)}\n\nVersions: {versions}, torch {torch.__version__}.",
        START,
        STOP,
    )
    print(table(content))


if __name__ == "__main__":
    main()

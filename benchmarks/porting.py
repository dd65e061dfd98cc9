"""How neurons of other libraries fire, and the options of ours that fire with them: `python benchmarks/porting.py`.

Makes the side environments below --side where they are missing, asks each neuron, compares ours step by step, and
writes benchmarks/results/porting_*.json and the table of docs/porting.md.
"""

import argparse
import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import torch
from side.environments import ROOT, python_of

from spikereel.files import write_json, write_text
from spikereel.layers.neuron import Neuron, NeuronConfig

SNNTORCH = {"fires": "above", "reset_delay": True, "decay_input": False}

CASES: dict[str, tuple[str, float, dict[str, Any]]] = {
    "spikingjelly": ("spikingjelly", 0.5, {}),
    "spikingjelly soft": ("spikingjelly", 0.5, {"reset": "soft"}),
    "spikingjelly decay_input=False": ("spikingjelly", 1.0, {"decay_input": False}),
    "snntorch": ("snntorch", 1.0, {**SNNTORCH, "reset": "soft"}),
    "snntorch reset_delay=False": (
        "snntorch",
        1.0,
        {**SNNTORCH, "reset": "soft", "reset_delay": False, "recheck": True},
    ),
    "snntorch zero": ("snntorch", 1.0, {**SNNTORCH, "reset_delay": False}),
    "norse": ("snntorch", 0.5, {"fires": "above"}),
    "sinabs": ("sinabs", 0.5, {"reset": "soft"}),
    "sinabs norm_input=False": ("sinabs", 1.0, {"reset": "soft", "decay_input": False}),
    "sinabs hard": ("sinabs", 0.5, {}),
    "rockpool neuron, one spike": ("rockpool", 1.0, {"reset": "soft", "decay_input": False}),
    "rockpool with its synapse": ("rockpool", 1.0, {"reset": "soft", "decay_input": False}),
    "spyx": ("spyx", 1.0, {**SNNTORCH, "reset": "soft"}),
    "matterhorn": ("matterhorn", 0.5, {}),
    "matterhorn soft": ("matterhorn", 0.5, {"reset": "soft"}),
}
"""Case of side/neurons.py: its environment, what an input of 1 adds to the membrane, and the same neuron of ours."""

UNLIKE = {"rockpool with its synapse": "no: its input stays in a synapse, which no neuron here has"}
"""Cases that no option gives."""

LATE = {"spyx": 1}
"""Cases whose spikes come so many steps later: they are those of the membrane before."""

NOT_RUN = {
    "bindsnet 0.3.4": "it needs torch 2.14 or newer, and all here run 2.13.0",
    "lava-dl 0.6.0": "it needs Python 3.10, and all here run 3.11",
}
"""Libraries that do not install beside the others, and why."""

START, STOP = "<!-- made by benchmarks/porting.py -->", "<!-- end -->"


def probes(gain: float) -> dict[str, list[list[float]]]:
    """Inputs [T][N] by what they show."""
    generator = torch.Generator().manual_seed(0)
    # sums of such numbers are exact, so that many membranes lie on the threshold
    noise = torch.randint(-8, 33, (200, 64), generator=generator) / (16 * gain)
    return {
        "at": [[1.0 / gain]],
        "driven": [[1.3 / gain]] * 10,
        "once": [[3.7 / gain], [0.0], [0.0]],
        "noise": noise.tolist(),
    }


def theirs(side: Path, case: str, x: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Spikes {probe: [T][N]}, package and version."""
    command = [python_of(side, CASES[case][0]), ROOT / "benchmarks" / "side" / "neurons.py", case]
    done = subprocess.run(command, input=json.dumps(x), capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def ours(case: str, x: list[list[float]]) -> list[list[float]]:
    """Spikes of our neuron."""
    with torch.no_grad():
        return Neuron(NeuronConfig(tau=2.0, **CASES[case][2]))(torch.tensor(x))[0].tolist()


def row(side: Path, case: str) -> dict[str, Any]:
    """What a neuron shows, and whether ours gives the same spikes."""
    given = probes(CASES[case][1])
    answer = theirs(side, case, given)
    found = answer["spikes"]
    same = all(_equal(found[name], ours(case, x), LATE.get(case, 0)) for name, x in given.items())
    return {
        "package": f"{answer['package']} {answer['version']}",
        "case": case,
        "fires_at_threshold": bool(found["at"][0][0]),
        "input_of_1_adds": CASES[case][1],
        "spikes_of_10": int(sum(x for (x,) in found["driven"])),
        "spikes_after_3.7": [int(x) for (x,) in found["once"]],
        "spikes_of_noise": int(sum(map(sum, found["noise"]))),
        "ours": CASES[case][2],
        "equal": same,
    }


def _equal(theirs: list[list[float]], ours: list[list[float]], late: int) -> bool:
    """The same spikes, theirs so many steps later."""
    return theirs[late:] == ours[: len(ours) - late] and not any(map(any, theirs[:late]))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| library, neuron | h = threshold fires | 1 adds to h | spikes in 10 steps, h driven by 1.3 "
        "| h = 3.7, then none | `NeuronConfig(tau=2, ...)` | equal |",
        "|---|---|---|---|---|---|---|",
    ]
    for x in rows:
        options = ", ".join(f"{k}={v!r}" for k, v in x["ours"].items()) or "-"
        name = x["case"].partition(" ")[2]
        lines.append(
            f"| {x['package']}{', ' + name if name else ''} | {'yes' if x['fires_at_threshold'] else 'no'} "
            f"| {x['input_of_1_adds']:g} | {x['spikes_of_10']} | {', '.join(map(str, x['spikes_after_3.7']))} "
            f"| `{options}` | {_verdict(x)} |"
        )
    lines += [f"| {name} | not run: {why} | | | | | |" for name, why in NOT_RUN.items()]
    return "\n".join(lines)


def _verdict(x: dict[str, Any]) -> str:
    late = f", {LATE[x['case']]} step later" if x["case"] in LATE else ""
    return f"yes{late}" if x["equal"] else UNLIKE.get(x["case"], "NO")


def insert(path: Path, text: str, start: str = START, stop: str = STOP) -> None:
    """Put a made table between its marks."""
    before, rest = path.read_text().split(start)
    write_text(path, f"{before}{start}\n{text}\n{stop}{rest.split(stop, 1)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=Path, default=ROOT / "build" / "side", help="folder of the side environments")
    options = parser.parse_args()
    rows = [row(options.side, case) for case in CASES]
    content = {
        "benchmark": "porting",
        "command": "python benchmarks/porting.py",
        "date": str(date.today()),
        "torch": torch.__version__,
        "rows": rows,
    }
    write_json(ROOT / "benchmarks" / "results" / f"porting_{date.today()}.json", content)
    insert(ROOT / "docs" / "porting.md", table(rows))
    print(table(rows))
    if unequal := {x["case"] for x in rows if not x["equal"]} ^ UNLIKE.keys():
        raise SystemExit(f"fires otherwise than ours, or no longer: {', '.join(unequal)}")


if __name__ == "__main__":
    main()

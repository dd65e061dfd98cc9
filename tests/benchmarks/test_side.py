"""Other libraries in their side environments: neurons fire with ours, and NeuroBench counts what a passport says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spikereel

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import counters
import porting
from side.environments import EXPORTED, PACKAGES, PINS, constraints_of, python_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def side():
    folder = Path(os.environ["SPIKEREEL_SIDE"])
    missing = [name for name in PACKAGES if not (folder / name / "done").exists()]
    if missing:
        pytest.skip(f"{folder} has no {', '.join(missing)}; run benchmarks/counters.py and porting.py --side {folder}")
    return folder


@pytest.fixture(scope="module")
def said():
    """The rows that stand in the results, by case."""
    (path,) = sorted((BENCHMARKS / "results").glob("porting_*.json"))[-1:]
    return {x["case"]: x for x in json.loads(path.read_text())["rows"]}


@pytest.mark.side
@pytest.mark.parametrize("case", porting.CASES)
def test_a_neuron_fires_with_ours_and_as_the_table_says(case, side, said):
    found = porting.row(side, case)
    assert found["equal"] is (case not in porting.UNLIKE)
    assert found == said[case]
    assert found["spikes_of_noise"] > 100


@pytest.mark.side
def test_neurobench_finds_what_the_passport_says(side):
    rows = counters.beside_neurobench(side)["networks"]
    assert len(rows) == 12
    for name, (theirs, ours) in rows.items():
        if "ConnectionSparsity" in theirs and name != "transposed":
            for figure, value in theirs.items():
                assert ours[figure] == pytest.approx(value, rel=1e-6), (name, figure)


MEASURED = {
    "snntorch": "snntorch",
    "snntorch hidden": "snntorch",
    "norse cell": "snntorch",
    "norse all": "snntorch",
    "spikingjelly multi-step": "spikingjelly",
    "sinabs": "sinabs",
}
"""Cases of benchmarks/side/measured.py: the environment of each."""


@pytest.mark.side
@pytest.mark.parametrize("case", MEASURED)
def test_a_passport_finds_the_neuron_of_a_library_and_what_its_spikes_cost(case, side):
    paths = [Path(module.__file__).parents[1] for module in (spikereel, torch)]
    program = [python_of(side, MEASURED[case]), "-W", "ignore", BENCHMARKS / "side" / "measured.py"]
    done = subprocess.run([*program, case, os.pathsep.join(map(str, paths))], check=True, capture_output=True)
    found = json.loads(done.stdout)
    assert found["firing"] == {"neuron": pytest.approx(found["rates"])}
    assert all(0.05 < rate < 0.95 for rate in found["rates"])
    assert found["synops"]["second"] == pytest.approx(found["by_hand"], rel=1e-9)
    assert found["energy_pj"] == pytest.approx(found["energy_by_hand_pj"], rel=1e-9)
    assert found["notes"] == []
    assert "neuron" in found["pages"]["html"]
    assert "\\toprule" in found["pages"]["latex"]
    assert "warning" not in found["pages"]["repr"]


def test_the_docs_hold_the_tables_of_the_results(said):
    text = (BENCHMARKS.parent / "docs" / "porting.md").read_text()
    assert porting.table(list(said.values())) in text
    (path,) = sorted((BENCHMARKS / "results").glob("counters_*.json"))[-1:]
    content = json.loads(path.read_text())
    assert counters.table(content) in (BENCHMARKS.parent / "docs" / "energy.md").read_text()


def test_side_networks_run_without_this_library():
    code = "import networks, torch, sys; networks.network('attention'); assert 'spikereel' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=BENCHMARKS / "side")


def test_an_environment_with_pins_of_its_own_has_those_alone():
    """pip finds no set of litert-torch, transformers and what they need with all of constraints.txt."""
    whole = Path(BENCHMARKS.parent, "constraints.txt").read_text()
    assert all(constraints_of(name) == whole for name in (PACKAGES | EXPORTED).keys() - PINS)
    kept = constraints_of("litert").splitlines()
    assert {line.partition("==")[0] for line in kept} == set(PINS["litert"])
    assert set(kept) < set(whole.splitlines())

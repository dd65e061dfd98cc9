"""The comparison of event readers with other libraries: what it says of differences, and the libraries themselves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEERS = os.environ.get("SPIKEREEL_PEERS")


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return pytest.importorskip("event_peers")


def saved(path, t, x=(1, 2, 3), p=(1, 0, 1)):
    np.savez(path, t=np.array(t), x=np.array(x), y=np.zeros(len(t), int), p=np.array(p, bool))
    return path


def test_what_is_said_of_a_difference(peers, tmp_path):
    a = saved(tmp_path / "a.npz", [5, 6, 6])
    for other, said in (
        ({"t": [5, 6, 6]}, "equal"),
        ({"t": [0, 1, 1]}, "other t by -5 us"),
        ({"t": [5, 7, 9]}, "other t by 0 to 3 us"),
        ({"t": [5, 6, 6], "x": [1, 2, 4], "p": [1, 1, 1]}, "other x, p"),
        ({"t": [5, 6, 6], "x": [1, 3, 2], "p": [1, 1, 0]}, "equal, in another order within a microsecond"),
        ({"t": [5, 6], "x": [1, 2], "p": [1, 0]}, "2 of 3 events"),
    ):
        assert peers.compared(saved(tmp_path / "b.npz", **other), a) == said


def test_the_page_has_the_table_of_the_last_run(peers):
    newest = max((BENCHMARKS / "results").glob("event_peers_formats_*.json"), key=lambda path: path.name[-15:])
    page, found = peers.PAGE.read_text(), json.loads(newest.read_text())
    assert peers.table(found["rows"]) in page.split(peers.BEGIN)[1].split(peers.END)[0]


@pytest.mark.slow
@pytest.mark.skipif(PEERS is None, reason="SPIKEREEL_PEERS names no folder of side environments")
def test_representations_are_those_of_the_libraries(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "event_peers.py"), "represent", str(PEERS), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (result,) = tmp_path.glob("*.json")
    found = json.loads(result.read_text())["largest_difference"]
    assert set(found["tonic"]) == {"frames by time", "frames by count", "voxel grid", "time surface"}
    assert set(found["spikingjelly"]) == {"frames by time", "frames by count"}
    assert max(x for row in found.values() for x in row.values()) < 1e-5, found

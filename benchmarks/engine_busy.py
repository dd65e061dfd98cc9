"""How much slower a call becomes while another process keeps one core busy."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

SETTLING = 0.3
"""Seconds for the other process to be under way."""


def beside_a_busy_core(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """{name: seconds alone, seconds beside, times slower}; medians of rounds that alternate."""
    core = max(os.sched_getaffinity(0))
    alone: dict[str, list[float]] = {name: [] for name in runs}
    beside: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            alone[name].append(_seconds(run))
        program = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
        other = subprocess.Popen([sys.executable, "-c", program])
        try:
            time.sleep(SETTLING)
            for name, run in runs.items():
                beside[name].append(_seconds(run))
        finally:
            other.kill()
            other.wait()
    found = {}
    for name in runs:
        slower = [b / a for a, b in zip(alone[name], beside[name], strict=True)]
        found[name] = {
            "alone": statistics.median(alone[name]),
            "beside": statistics.median(beside[name]),
            "slower": statistics.median(slower),
            "slower_most": max(slower),
        }
    return found


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began

"""Interleaved timing of several callables in one process, with what else ran on the machine meanwhile."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.1
"""Seconds between calls, for the threads of the one before to go to sleep."""
QUIET = 0.15
"""Cores that other processes may use during a round; rounds that saw more are left out if enough are quiet."""
ENOUGH = 3
"""Quiet rounds that suffice."""


def interleaved(
    runs: dict[str, Callable[[], object]], count: int, *, least: float = 0.0
) -> list[dict[str, dict[str, float]]]:
    """`count` rounds, each {name: {"seconds", "others"}}; the order turns by one from round to round.

    least: seconds that a sample takes, with as many calls in a row as that needs; the first one is not timed. Without,
    a sample is one call after a pause, for which caches are cold and the processor sleeps: right for long calls.
    """
    names, rounds = list(runs), []
    calls = {name: _calls(run, least) for name, run in runs.items()}
    for i in range(count):
        first = i % len(names)
        order = names[first:] + names[:first]
        rounds.append({name: _sample(runs[name], calls[name]) for name in order})
    return rounds


def _calls(run: Callable[[], object], least: float) -> int:
    run()
    started = time.perf_counter()
    if least:
        run()
    return max(1, round(least / max(time.perf_counter() - started, 1e-6)))


def summary(rounds: list[dict[str, dict[str, float]]], base: str) -> dict[str, Any]:
    """Medians, best and worst of each, and its time over that of `base` in the same round."""
    quiet = [r for r in rounds if max(sample["others"] for sample in r.values()) <= QUIET]
    used = quiet if len(quiet) >= ENOUGH else rounds
    rows = {}
    for name in rounds[0]:
        seconds = [r[name]["seconds"] for r in used]
        ratios = [r[name]["seconds"] / r[base]["seconds"] for r in used]
        rows[name] = {
            "median": statistics.median(seconds),
            "best": min(seconds),
            "worst": max(seconds),
            "over_" + base: statistics.median(ratios),
            "over_" + base + "_spread": [min(ratios), max(ratios)],
            "best_over_best": min(seconds) / min(r[base]["seconds"] for r in used),
            "others_cores": statistics.median(r[name]["others"] for r in used),
        }
    return {"rounds": len(rounds), "quiet_rounds": len(quiet), "only_quiet": used is quiet, "rows": rows}


def _sample(run: Callable[[], object], calls: int = 1) -> dict[str, float]:
    time.sleep(PAUSE)
    if calls > 1:
        run()
    busy, own, started = _busy(), time.process_time(), time.perf_counter()
    for _ in range(calls):
        run()
    seconds = time.perf_counter() - started
    others = _busy() - busy - (time.process_time() - own)
    return {"seconds": seconds / calls, "others": max(others, 0.0) / seconds}


def _busy() -> float:
    """Processor seconds of the whole machine so far, stolen ones included; 0 where there is no /proc."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = (int(x) for x in file.readline().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

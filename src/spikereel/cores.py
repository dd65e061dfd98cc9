"""Cores and threads: how many this process may fill, which in a job or a container are fewer than the machine has."""

import functools
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
QUOTAS = Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
"""Where a container finds its share of the processor: of control groups version 2, and 1."""


def cores(env: Mapping[str, str] = os.environ, quotas: tuple[Path, Path] = QUOTAS) -> int:
    """Cores to fill: those this process may run on, at most those of a container's quota and of a task of Slurm.

    A quota (`docker run --cpus`, a limit of Kubernetes) and a cluster without pinned tasks leave every core in sight.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    task = env.get("SLURM_CPUS_PER_TASK", "")
    limits = [own, _quota(*quotas), int(task) if task.isdecimal() else None]
    return max(1, min(x for x in limits if x is not None))


def on_one_thread(run: Callable[P, R]) -> Callable[P, R]:
    """The same on one thread of PyTorch's, for small work before that of another pool of threads.

    After work of many its threads spin for milliseconds, on the cores that the others wait for: a call of ONNX Runtime
    took twice as long, a frame of a stream on the native engine a fifth longer.
    """

    @functools.wraps(run)
    def alone(*args: P.args, **more: P.kwargs) -> R:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return run(*args, **more)
        finally:
            torch.set_num_threads(threads)

    return alone


def _quota(new: Path, old: Path) -> int | None:
    """Whole cores of a container's quota, rounded up; None for no quota."""
    try:
        if new.is_file():
            quota, period = new.read_text().split()[:2]
        else:
            quota, period = old.read_text(), old.with_name("cpu.cfs_period_us").read_text()
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None  # no quota here; "max" is none either

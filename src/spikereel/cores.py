"""How many processor cores this process may fill, which in a job or a container are fewer than the machine has."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

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

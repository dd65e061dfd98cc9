"""The processes of a run: how many there are, as its launcher or its options say, and which one this is."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from spikereel.errors import ConfigError
from spikereel.runs.config import RunSpec


@dataclass(frozen=True, kw_only=True)
class Processes:
    """One process for each device."""

    devices: int
    """On each node."""
    nodes: int
    first: bool
    """Whether this process is the one that writes and prints."""
    script: bool = False
    """Whether this is the script of a Slurm job, which Lightning alone would take for one of the tasks of srun."""
    note: str | None = None
    """What the user is to know of them."""

    @property
    def world(self) -> int:
        """Of all nodes."""
        return self.devices * self.nodes


def processes(run: RunSpec, env: Mapping[str, str] = os.environ) -> Processes:
    """Those that torchrun or srun started; otherwise those that Lightning starts for the options.

    The script of a Slurm job has the numbers of the job in its environment, and runs once: only what has the number of
    a step was started by srun.

    Raises ConfigError where options and launcher do not agree; options left at 1 take what the launcher says.
    """
    step = "SLURM_STEP_ID" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive")
    if "TORCHELASTIC_RUN_ID" in env:
        local, world, rank = (int(env[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK"))
        by, found = "torchrun", Processes(devices=local, nodes=world // local, first=rank == 0)
    elif step and "SLURM_NTASKS" in env:
        tasks, nodes = int(env["SLURM_NTASKS"]), int(env.get("SLURM_NNODES", "1"))
        rank = int(env.get("SLURM_PROCID", "0"))
        if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in env:
            raise ConfigError(
                f"Slurm was asked for {tasks} tasks by --ntasks, which need not be as many on each node; give "
                f"--nodes={nodes} --ntasks-per-node={max(tasks // nodes, 1)}"
            )
        by, found = "srun", Processes(devices=max(tasks // nodes, 1), nodes=nodes, first=rank == 0)
    else:
        first = not (int(env.get("LOCAL_RANK", "0")) or int(env.get("NODE_RANK", "0")))
        tasks, own = int(env.get("SLURM_NTASKS", "1")), run.devices * run.nodes
        said = f"Slurm gave this job {tasks} tasks, and this runs as {own}: srun did not start it; write srun spikereel"
        return Processes(
            devices=run.devices,
            nodes=run.nodes,
            first=first,
            script="SLURM_NTASKS" in env and not step,
            note=said if tasks > own else None,
        )
    asked = run.devices, run.nodes
    if asked not in ((1, 1), (found.devices, found.nodes)):
        raise ConfigError(
            f"run.devices={run.devices} run.nodes={run.nodes}, but {by} started {found.devices} process(es) on each of "
            f"{found.nodes} node(s); start as many as that, or leave both options out"
        )
    return found


def requeue(env: Mapping[str, str] = os.environ) -> str | None:
    """Put the Slurm job of this process into its queue again; what was said, or None outside of Slurm."""
    job = env.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in env:
        job = f"{env['SLURM_ARRAY_JOB_ID']}_{env['SLURM_ARRAY_TASK_ID']}"
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return None
    try:
        done = subprocess.run(["scontrol", "requeue", job], check=False, capture_output=True, text=True)
    except OSError as error:
        return f"job {job} is not queued again (scontrol: {error.strerror})"
    return f"job {job} is queued again" if done.returncode == 0 else f"job {job}: scontrol says {done.stderr.strip()}"

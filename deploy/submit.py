"""Send a training to Slurm from Python, by submitit (pip install submitit): it warns, saves and queues again.

    python deploy/submit.py --nodes 2 --gpus 8 --partition gpu -- motion optim.epochs=20 run.out=/shared/runs

CHANGE the defaults of `options` to those of your cluster. `--cluster local` tries it on this machine.
"""

import argparse
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import submitit


@dataclass
class Train:
    """One process of a run; submitit starts as many as there are devices."""

    arguments: list[str]
    training: int = 0
    """Number of the process that trains."""

    def __call__(self) -> int:
        submitit.helpers.TorchDistributedEnvironment().export()
        command = [sys.executable, "-m", "spikereel", "train", *self.arguments, "run.resume=auto"]
        child = subprocess.Popen(command)
        self.training = child.pid
        if child.wait():
            raise subprocess.CalledProcessError(child.returncode, command)
        return 0

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What submitit queues when time is up: the same run, which goes on from its last checkpoint.

        submitit calls this where its signal (USR2, which Slurm gives to the training as well) breaks off the wait in
        `__call__`, and ends the job right after: so wait here until the training has saved.
        """
        if self.training:
            # the wait above may have seen the end already
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.training, os.WEXITED | os.WNOWAIT)
        return submitit.helpers.DelayedSubmission(Train(self.arguments))


def main() -> None:
    """Send the job, and say where its log is."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cluster", choices=("slurm", "local"), default="slurm")
    options.add_argument("--nodes", type=int, default=1)
    options.add_argument("--gpus", type=int, default=8, help="of each node; 0 is one process on CPUs")
    options.add_argument("--cpus", type=int, default=8, help="of each process")
    options.add_argument("--hours", type=float, default=24)
    options.add_argument("--partition", default="gpu")
    options.add_argument("--logs", default="submitit")
    options.add_argument("--wait", action="store_true", help="end with the job")
    options.add_argument("recipe", nargs="+", help="recipe and key=value, after --")
    chosen = options.parse_args()
    executor = submitit.AutoExecutor(folder=Path(chosen.logs) / "%j", cluster=chosen.cluster)
    processes = max(chosen.gpus, 1)
    executor.update_parameters(
        name="spikereel",
        nodes=chosen.nodes,
        tasks_per_node=processes,
        cpus_per_task=chosen.cpus,
        timeout_min=int(60 * chosen.hours),
        slurm_partition=chosen.partition,
        # training saves within a step
        slurm_signal_delay_s=120,
        **({"gpus_per_node": chosen.gpus} if chosen.gpus else {}),
    )
    job = executor.submit(Train(chosen.recipe))
    print(f"job {job.job_id}; log: {job.paths.stdout}")
    if chosen.wait:
        print(f"ended: {job.results()}")


if __name__ == "__main__":
    main()

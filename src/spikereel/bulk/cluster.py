"""The same workers as actors of Ray Data: the one importer of ray. Only paths travel; each actor decodes and infers."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from spikereel.bulk.clock import STATES
from spikereel.bulk.job import Job
from spikereel.bulk.pool import Task
from spikereel.bulk.worker import Worker
from spikereel.errors import ConfigError
from spikereel.extras import need

LOCAL = "local"
"""The address that stands for a cluster of this machine alone, started for the call."""


SAID = ("part", "rows", "errors", "processor")
"""What an actor says of a part, beside its clock."""


class Actor:
    """One worker inside an actor. Its parts are whole files named by what they hold, so that work that Ray does twice
    leaves the same file."""

    def __init__(self, job: str):
        self.worker = Worker(Job.loads(job))
        self.worker.clock.taken()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        said = [
            self.worker.write(int(number), list(paths))
            for number, paths in zip(batch["part"], batch["paths"], strict=True)
        ]
        columns = {name: [x[name] for x in said] for name in SAID}
        return columns | {state: [x["clock"][state] for x in said] for state in STATES}


def run_on_ray(
    job: Job,
    tasks: Sequence[Task],
    told: Callable[[dict[str, Any]], None],
    *,
    address: str,
    most: int | str,
    cpus: float,
    gpus: float,
) -> int:
    """Do tasks by an actor pool that grows with the cluster, up to `most`; returns how many actors there may be.

    Threads of an actor are told to it, as Ray gives OMP_NUM_THREADS one thread up to one and a half CPUs. Neither
    checkpoints nor dropped blocks of Ray are used: what is done is known by the parts that are there.
    """
    need("ray")
    from ray.data import ActorPoolStrategy, DataContext, from_items  # ty: ignore[import-not-found]

    if cpus < 0 or gpus < 0 or not cpus + gpus:
        raise ConfigError(f"cpus is {cpus} and gpus {gpus}: an actor needs a share of one of them")
    with _connected(address) as resources:
        room = _room(resources, cpus, gpus)
        count = min(room if most == "auto" else int(most), len(tasks))
        if count < 1:
            raise ConfigError(f"the cluster has no room for an actor of {cpus} CPUs and {gpus} GPUs; ask for less")
        # what Ray says of its own work; errors remain
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        DataContext.get_current().enable_progress_bars = False
        each = max(int(cpus), 1)
        rows = [{"part": task.number, "paths": list(task.paths)} for task in tasks]
        data = from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor,
            fn_constructor_args=(replace(job, threads=each, decoders=each).dumps(),),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=count),
            num_cpus=cpus,
            num_gpus=gpus or None,
        )
        for row in data.iter_rows():
            told({"clock": {state: row[state] for state in STATES}, **{name: row[name] for name in SAID}})
    return count


@contextmanager
def _connected(address: str) -> Generator[dict[str, float], None, None]:
    """Inside the block Ray is there, with these resources. Raises ConfigError for an address where no cluster is."""
    import ray  # ty: ignore[import-not-found]

    began = not ray.is_initialized()
    if began:
        try:
            ray.init(address=None if address == LOCAL else address, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"--ray {address}: {reason}; start a cluster, or give local") from None
    try:
        yield ray.cluster_resources()
    finally:
        if began:
            ray.shutdown()


def _room(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """Actors that fit into what a cluster has."""
    fits = [resources.get(name, 0.0) // each for name, each in (("CPU", cpus), ("GPU", gpus)) if each]
    return int(min(fits))

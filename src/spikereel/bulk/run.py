"""`spikereel.predict_many`: the clips of a manifest, by processes, by one shard of a cluster job, or by Ray."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from spikereel.bulk import clock
from spikereel.bulk.job import Job, hash_of, settings_of, stamp
from spikereel.bulk.manifest import Manifest, read_manifest, shard_of
from spikereel.bulk.pool import Pool, Task
from spikereel.bulk.table import KEYS, merged, read_parts
from spikereel.bulk.worker import Worker, seer_of
from spikereel.cores import cores
from spikereel.engine.choose import Choice
from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.files import writable, write_json
from spikereel.hub import load_model, weights_hash
from spikereel.inference.predict import TASKS
from spikereel.models.base import VideoModel
from spikereel.runs.tasks import TASKS as KNOWN

Device = Literal["auto", "cpu", "cuda"]

REFUSED = ("every", "smpl", "bvh_positions")
"""Options of `predict` that are for one file at a time."""


@dataclass(kw_only=True)
class Summary:
    """What a call did, and what the folder holds now for its clips."""

    out: Path
    clips: int = 0
    """Of the manifest, or of the shard."""
    before: int = 0
    """Clips whose rows were there already."""
    done: int = 0
    """Clips of this call."""
    errors: int = 0
    """Rows with an error among all."""
    lost: int = 0
    """Clips without a row after all; never, unless somebody takes files away."""
    died: int = 0
    """Workers that were replaced."""
    repeated: int = 0
    """Lines of the manifest whose path had been there before."""
    seconds: float = 0.0
    workers: int = 1
    weights: str = ""
    settings: str = ""
    """What the rows of this call have in these columns."""
    busy: dict[str, float] = field(default_factory=lambda: clock.total(()))
    """Seconds of the workers by state, see `spikereel.bulk.clock`."""
    processor: float = 0.0
    """Seconds of processors that clips took, without what workers took to begin."""

    @property
    def rate(self) -> float:
        """Clips a second of this call."""
        return self.done / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {**asdict(self), "out": str(self.out), "clips_per_second": self.rate}

    def lines(self) -> list[str]:
        """What is printed at the end."""
        there = f", {self.before} were there already" if self.before else ""
        found = [f"{self.done} clips in {self.seconds:.1f} s, {self.rate:.1f} clips/s{there}"]
        if self.done:
            each = f", {1000 * self.processor / self.done:.0f} ms of a processor for a clip"
            found.append(f"time of {self.workers} worker(s): {clock.said(self.busy)}{each}")
        if self.died:
            found.append(f"{self.died} worker(s) died and were replaced")
        if self.errors:
            found.append(f"{self.errors} of {self.clips} clips could not be predicted: column error says why")
        if self.lost:
            found.append(f"{self.lost} of {self.clips} clips have no row; run the same command again")
        return found


Told = Callable[[int, int, int], Any]
"""Called with clips done, clips to do, and those of them with an error."""


def predict_many(
    manifest: str | Path | Manifest,
    out: str | Path,
    *,
    model: str | os.PathLike = "spikevideoformer_ti.motion",
    options: Mapping[str, Any] | None = None,
    embedding: bool = False,
    shard: str | None = None,
    workers: int | Literal["auto"] = "auto",
    ray: str | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    engine: Choice = "auto",
    device: Device = "auto",
    batch: int = 0,
    again: bool = False,
    progress: Told | None = None,
) -> Summary:
    """Predict all clips of a manifest, and write Parquet parts into the folder `out`; see `read_results`.

    manifest: a CSV or Parquet file with a column `path`. Rows are known by the hashes of content, weights and settings:
    what is there already is not done again, whoever was stopped or killed; `again` does rows with an error once more.
    A clip that cannot be predicted is a row with an error. options: of `spikereel.predict`, such as {"views": 3}.
    shard: "i/n", one of n equal parts of the work, for jobs that know nothing of each other. workers: processes; auto
    is one for each core, 0 works in this process. ray: address of a cluster, "auto" or "local"; then workers is the
    most actors, and each reserves so many `cpus` and `gpus`, which may be fractions.
    batch: clips that go through the network at once; 0 chooses. progress: see `Told`.

    Raises DataError for a manifest that cannot be read, ConfigError for options that do not go together, a folder that
    cannot be written, and weights that do not say how clips are made.
    """
    need("scale")
    for given in (manifest, model):
        if isinstance(given, VideoModel):
            raise ConfigError("a model goes by name or path here: spikereel.predict_many(manifest, folder, model=NAME)")
    out, started = Path(out), time.perf_counter()
    writable(out / "x.parquet")
    number, count = shard_of(shard)
    listed = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    network = load_model(str(model))
    job = job_of(network, str(model), listed, out, options, embedding=embedding, engine=engine, device=device)
    job = replace(job, batch=batch)
    chunks = [(i, chunk) for i, chunk in enumerate(listed.chunks()) if i % count == number]
    tasks = pending(job, chunks, again=again)
    clips, left = sum(len(chunk) for _, chunk in chunks), sum(len(task.paths) for task in tasks)
    summary = Summary(
        out=out, clips=clips, before=clips - left, repeated=listed.repeated, weights=job.weights, settings=job.settings
    )
    _folder(out)
    about = {**settings_of(network, job), "model": network.metadata.name}
    # readers of folders pass over names that begin so
    write_json(out / f"_settings-{job.run[:8]}.json", {**about, "weights": job.weights, "settings": job.settings})
    tell = _Tell(summary, left, progress)
    if tasks and ray is not None:
        from spikereel.bulk.cluster import run_on_ray

        summary.workers = run_on_ray(job, tasks, tell, address=ray, most=workers, cpus=cpus, gpus=gpus)
    elif tasks:
        summary.workers = _work(job, tasks, tell, about, workers)
    _recount(summary, job, [entry.path for _, chunk in chunks for entry in chunk])
    summary.seconds = time.perf_counter() - started
    return summary


def _work(job: Job, tasks: Sequence[Task], tell: "_Tell", about: dict[str, Any], workers: int | str) -> int:
    """Do tasks in this process or in those of a pool; how many worked."""
    if workers == 0:
        worker = Worker(job)
        worker.clock.taken()
        for task in tasks:
            tell(worker.write(task.number, task.paths, lambda n: tell({"seen": n})))
        return 1
    count, job = share_out(job, workers, len(tasks))
    Pool(job, count, tell, about).run(tasks)
    return count


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror}; choose another folder") from None


def job_of(
    model: VideoModel,
    name: str,
    listed: Manifest,
    out: Path,
    options: Mapping[str, Any] | None,
    *,
    embedding: bool = False,
    engine: Choice = "auto",
    device: Device = "auto",
) -> Job:
    """The job, with the hashes of weights and settings. Raises ConfigError for what cannot be done, before any work."""
    own = {key: value for key, value in (options or {}).items() if value is not None}
    allowed = [key for key in TASKS[model.task].options if key not in REFUSED]
    if strange := [key for key in own if key not in allowed]:
        raise ConfigError(f"{strange[0]} is not for a manifest of {model.task}; what there is: {', '.join(allowed)}")
    if KNOWN[model.task].views:
        own.setdefault("views", 1)
    elif embedding:
        raise ConfigError(f"embeddings are of weights for classes, and these are for {model.task}; leave them out")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() and engine != "native" else "cpu"
    place = Path(name).absolute() if Path(name).exists() else name
    job = Job(
        model=str(place),
        out=str(out.absolute()),
        root=str(listed.root.absolute()),
        options=own,
        embedding=embedding,
        engine=engine,
        device=device,
        weights=weights_hash(model),
    )
    # what a worker would find wrong is said here, once
    seer_of(model, job, clock.Clock())
    return replace(job, settings=hash_of(settings_of(model, job)))


def pending(job: Job, chunks: Sequence[tuple[int, Sequence[Any]]], *, again: bool = False) -> list[Task]:
    """What is left to do: of each chunk the clips without a row of what their files are now."""
    done = {row["path"]: row for row in _rows(job)}

    def open_(path: str) -> bool:
        row = done.get(path)
        return (
            row is None
            or (again and row["error"] is not None)
            or (row["bytes"], row["mtime_ns"]) != stamp(job.place(path))
        )

    left = [(number, [entry.path for entry in chunk if open_(entry.path)]) for number, chunk in chunks]
    return [Task(number=number, paths=paths) for number, paths in left if paths]


def share_out(job: Job, workers: int | str, parts: int) -> tuple[int, Job]:
    """How many workers, and the job with the threads that each of them has; auto fills the cores."""
    there = cores()
    if isinstance(workers, str) and workers != "auto":
        raise ConfigError(f"workers is {workers!r}: give a number, or auto")
    gpus = torch.cuda.device_count() if job.device == "cuda" else 0
    count = int(workers) if workers != "auto" else gpus or there
    if count < 1:
        raise ConfigError(f"workers is {count}: give at least 1, or auto")
    count = min(count, parts)
    each = max(there // count, 1)
    return count, replace(job, threads=each, decoders=each)


@dataclass
class _Tell:
    """Adds up what workers say."""

    summary: Summary
    left: int
    progress: Told | None
    seen: int = 0
    parts: set[int] = field(default_factory=set)
    errors: int = 0

    def __call__(self, said: dict[str, Any]) -> None:
        self.seen += said.get("seen", 0)
        self.summary.died += "died" in said
        if "part" in said and said["part"] not in self.parts:
            self.parts.add(said["part"])
            self.summary.done += said["rows"]
            self.errors += said["errors"]
            self.summary.processor += said.get("processor", 0.0)
            self.summary.busy = clock.total([self.summary.busy, said["clock"]])
        if self.progress is not None:
            self.progress(max(self.seen, self.summary.done), self.left, self.errors)


def _rows(job: Job) -> list[dict[str, Any]]:
    """What is known of rows of these weights and settings."""
    own = (row for row in read_parts(job.out, KEYS) if (row["weights"], row["settings"]) == (job.weights, job.settings))
    return merged(own)


def _recount(summary: Summary, job: Job, paths: Sequence[str]) -> None:
    """Count what the files hold, whatever the workers said."""
    rows = {row["path"]: row for row in _rows(job)}
    summary.lost = sum(path not in rows for path in paths)
    summary.errors = sum(path in rows and rows[path]["error"] is not None for path in paths)

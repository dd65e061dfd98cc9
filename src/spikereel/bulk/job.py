"""What is asked of every clip of a manifest, in plain types that travel to other processes, and the hashes of it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikereel.engine.choose import Choice

SCHEMA = "spikereel.results/1"


@dataclass(frozen=True, kw_only=True)
class Job:
    """Weights and settings; the same for all clips."""

    model: str
    """Weights, as `load_model` takes them."""
    out: str
    root: str
    """What the paths of the manifest are relative to."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `spikereel.predict`, in plain types."""
    embedding: bool = False
    engine: Choice = "auto"
    device: str = "cpu"
    batch: int = 0
    """Clips that go through the network at once; 0 is 1 for the native engine, 8 for the modules, 32 on a GPU."""
    decoders: int = 1
    """Threads of a worker that decode."""
    threads: int = 1
    """Of the network, in a worker."""
    weights: str = ""
    """sha256 of the weights, which a worker must find as well."""
    settings: str = ""
    """sha256 of all that decides a row beside weights and content."""

    def dumps(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def loads(cls, text: str) -> "Job":
        """What `dumps` gave."""
        return cls(**json.loads(text))

    @property
    def run(self) -> str:
        """Sixteen letters that stand for weights and settings, in the names of files."""
        return _digest([self.weights, self.settings])[:16]

    def place(self, path: str) -> Path:
        """Where a file of the manifest is."""
        return Path(self.root) / path


def settings_of(model: Any, job: Job) -> dict[str, Any]:
    """All that decides a row beside weights and content; threads, batches and who works do not."""
    # where the training data was is a place of another machine
    preprocess = {k: v for k, v in dict(model.metadata.preprocess).items() if k not in ("root", "cache", "workers")}
    return {
        "schema": SCHEMA,
        "task": model.task,
        "classes": list(model.metadata.classes),
        "preprocess": preprocess,
        "options": dict(job.options),
        "embedding": job.embedding,
        "engine": job.engine,
    }


def hash_of(settings: Mapping[str, Any]) -> str:
    """sha256 of settings."""
    return _digest(settings)


def row_id(content: str | None, path: str, job: Job) -> str:
    """The name of a row: sha256 of content, weights and settings; of the path where there is no content."""
    return _digest([f"no file: {path}" if content is None else content, job.weights, job.settings])


def content_hash(path: Path) -> str:
    """sha256 of a file, or of a folder of files with their names. Raises OSError where it cannot be read."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    inside = sorted(p for p in path.rglob("*") if p.is_file())
    return _digest([[p.relative_to(path).as_posix(), content_hash(p)] for p in inside])


def stamp(path: Path) -> tuple[int | None, int | None]:
    """Bytes and time of the last change in nanoseconds, by which a file is known again without reading it; None and
    None where there is none."""
    try:
        files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        found = [p.stat() for p in files]
    except OSError:
        return None, None
    return sum(x.st_size for x in found), max((x.st_mtime_ns for x in found), default=0)


def part_name(job: Job, number: int, paths: list[str]) -> str:
    """The file of a part: the same for the same clips, weights and settings, whoever writes it and how often."""
    return f"part-{job.run[:8]}-{number:06}-{_digest(paths)[:16]}.parquet"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

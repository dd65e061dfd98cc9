"""The core that every way of running has in common: paths in, rows out; a bad clip is a row."""

import errno
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from spikereel.bulk.classes import Classes
from spikereel.bulk.clock import Clock
from spikereel.bulk.dense import Dense
from spikereel.bulk.job import Job, content_hash, part_name, row_id, settings_of, stamp
from spikereel.bulk.table import write_part
from spikereel.errors import ConfigError, SpikereelError
from spikereel.hub import load_model, weights_hash
from spikereel.inference.classify import classes_of
from spikereel.models.base import VideoModel
from spikereel.runs.tasks import TASKS

AHEAD = 4
"""Clips that are decoded, or being decoded, before the network asks for them, for each decoding thread."""

FULL = (errno.ENOSPC, errno.EDQUOT)


class Worker:
    """Weights in memory, and threads that decode; `write` makes parts of the results, one after the other."""

    def __init__(self, job: Job):
        torch.set_num_threads(job.threads)
        model = load_model(job.model)
        if job.weights != weights_hash(model):
            raise ConfigError(f"{job.model}: are other weights here than where the work was given out; copy them again")
        self.job, self.clock = job, Clock()
        self.seer: Any = seer_of(model, job, self.clock)
        self.seer.warm()
        self.about = {**settings_of(model, job), "model": model.metadata.name}
        self._threads = ThreadPoolExecutor(job.decoders)
        self._waiting: dict[str, Future] = {}
        self._processor = time.process_time()

    def write(self, number: int, paths: Sequence[str], seen: Callable[[int], None] = lambda _n: None) -> dict[str, Any]:
        """Write the rows of some clips as one part; what to say of it, in plain types.

        seen: told of clips as they are done. Raises ConfigError where the part cannot be written.
        """
        rows = self.rows(paths, seen)
        write_rows(self.job, number, rows, self.about)
        errors = sum(row["error"] is not None for row in rows)
        before, self._processor = self._processor, time.process_time()
        spent = {"clock": self.clock.taken(), "processor": self._processor - before}
        return {"part": number, "rows": len(rows), "errors": errors, **spent}

    def prefetch(self, paths: Sequence[str]) -> None:
        """Begin to decode clips that come next."""
        for path in paths[: AHEAD * self.job.decoders]:
            if path not in self._waiting:
                self._waiting[path] = self._threads.submit(self._read, path)

    def rows(self, paths: Sequence[str], seen: Callable[[int], None] = lambda _n: None) -> list[dict[str, Any]]:
        """The row of each clip, in order; clips of one shape go through the network together."""
        found: dict[str, dict[str, Any]] = {}
        waiting: dict[tuple[int, ...], list[tuple[dict[str, Any], Any]]] = {}
        for place, path in enumerate(paths):
            self.prefetch(paths[place:])
            row, clip = self._waiting.pop(path).result()
            if row["error"] is not None:
                found[path] = row
                seen(1)
                continue
            group = waiting.setdefault(self.seer.shape(clip), [])
            group.append((row, clip))
            if len(group) == self.seer.batch:
                found |= self._answered(waiting.pop(self.seer.shape(clip)))
                seen(self.seer.batch)
        for group in waiting.values():
            found |= self._answered(group)
            seen(len(group))
        return [found[path] for path in paths]

    def _read(self, path: str) -> tuple[dict[str, Any], Any]:
        """What is known of a file before the network sees it, and its clip; in a thread that decodes."""
        row, clip = known_row(self.job, path, self.about["model"]), None
        if row["error"] is not None:
            return row, None
        try:
            clip = self.seer.decode(path)
        except ConfigError:
            # of the settings, and so of every clip
            raise
        except Exception as error:  # noqa: BLE001 - whatever a file does to its decoder, the next one is read
            row["error"] = _reason(error)
        return row, clip

    def _answered(self, group: Sequence[tuple[dict[str, Any], Any]]) -> dict[str, dict[str, Any]]:
        """Rows of clips of one shape, by path; a batch that fails is tried clip by clip."""
        paths, clips = [row["path"] for row, _ in group], [clip for _, clip in group]
        try:
            answers = self.seer.answer(paths, clips)
        except Exception as error:  # noqa: BLE001 - of one clip, which becomes a row
            if isinstance(error, OSError) and error.errno in FULL:
                raise ConfigError(f"{self.job.out}: {error.strerror}; make room, then run again") from None
            if len(group) == 1:
                return {paths[0]: {**group[0][0], "error": _reason(error)}}
            return {path: row for one in group for path, row in self._answered([one]).items()}
        return {row["path"]: {**row, **answer} for (row, _), answer in zip(group, answers, strict=True)}


def seer_of(model: VideoModel, job: Job, clock: Clock) -> Any:
    """What answers for weights of this task. Raises ConfigError for weights that do not say how clips are made."""
    if TASKS[model.task].views:
        classes_of(model.metadata, model.config.num_classes)
        return Classes(model, job, clock)
    return Dense(model, job, clock)


def known_row(job: Job, path: str, model: str) -> dict[str, Any]:
    """What is known of a file before it is decoded; an error where it cannot be read."""
    place, content, error = job.place(path), None, None
    size, time = stamp(place)
    try:
        content = content_hash(place)
    except OSError as trouble:
        error = _reason(trouble)
    own = {"id": row_id(content, path, job), "path": path, "content": content, "weights": job.weights}
    return {**own, "settings": job.settings, "model": model, "bytes": size, "mtime_ns": time, "error": error}


def write_rows(job: Job, number: int, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """One part of the results, in its place."""
    write_part(Path(job.out, part_name(job, number, [row["path"] for row in rows])), rows, about)


def _reason(error: Exception) -> str:
    """One line."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return text if isinstance(error, SpikereelError | OSError) else f"{type(error).__name__}: {text}"

"""Workers as processes of one machine: whoever dies is replaced, and its clips are given out again."""

import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from spikereel.bulk.job import Job
from spikereel.bulk.worker import known_row, write_rows
from spikereel.errors import ConfigError, DataError, SpikereelError, WeightsError

DEATHS = 3
"""Workers that a part may cost before its clips are given out one by one, and a clip before it is a row with an
error."""

IN_HAND = 2
"""Parts that a worker has: the one it is at, and the one whose clips it decodes already."""

ERRORS: dict[str, type[SpikereelError]] = {x.__name__: x for x in (ConfigError, DataError, WeightsError)}


@dataclass(kw_only=True)
class Task:
    """A part to write, or one clip of a part whose workers died."""

    number: int
    paths: Sequence[str]
    row: str | None = None
    deaths: int = 0

    def line(self) -> str:
        """As a worker reads it."""
        content = {"row": self.row} if self.row is not None else {"part": self.number, "paths": list(self.paths)}
        return json.dumps(content) + "\n"


@dataclass(kw_only=True)
class _Hand:
    """A process, and what it was given and has not done."""

    process: subprocess.Popen
    slot: int = 0
    """Which of the workers it is, and so which GPU it has."""
    tasks: deque[Task] = field(default_factory=deque)
    heard: bytes = b""
    ready: bool = False
    seen: int = 0
    """Clips of the part it is at."""


class Pool:
    """`run` gives tasks to `count` processes until all are done; `told` hears what each part was."""

    command = (sys.executable, "-m", "spikereel.bulk.process")

    def __init__(self, job: Job, count: int, told: Callable[[dict[str, Any]], None], about: dict[str, Any]):
        self.job, self.count, self.told, self.about = job, count, told, about
        self.waiting: deque[Task] = deque()
        self.hands: list[_Hand] = []
        self.singles: dict[int, dict[str, dict[str, Any] | None]] = {}
        """Of parts that are done clip by clip: their rows, by path."""
        self.failed = 0
        """Processes that died before they were ready, one after the other."""
        self.selector = selectors.DefaultSelector()

    def run(self, tasks: Sequence[Task]) -> None:
        """Raises the error of a worker that cannot work at all."""
        self.waiting = deque(tasks)
        try:
            while self.waiting or any(hand.tasks for hand in self.hands):
                while len(self.hands) < min(self.count, len(self.waiting) + len(self.hands)) and self.waiting:
                    self._start()
                for key, _ in self.selector.select():
                    self._hear(key.data)
        finally:
            self._end()

    def _start(self) -> None:
        slot = next(i for i in range(self.count) if i not in {hand.slot for hand in self.hands})
        env = {**os.environ, "OMP_NUM_THREADS": str(self.job.threads), **_device(self.job, slot)}
        process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        hand = _Hand(process=process, slot=slot)
        self.hands.append(hand)
        self.selector.register(process.stdout, selectors.EVENT_READ, hand)  # ty: ignore[invalid-argument-type]
        self._send(hand, self.job.dumps() + "\n")

    def _send(self, hand: _Hand, line: str) -> None:
        assert hand.process.stdin is not None
        # of one that is dead the end of its output says so
        with suppress(BrokenPipeError):
            hand.process.stdin.write(line.encode())
            hand.process.stdin.flush()

    def _feed(self, hand: _Hand) -> None:
        """Give a worker what it can have; clips one by one of dead workers alone, so that one is to blame."""
        while self.waiting and len(hand.tasks) < IN_HAND:
            alone = self.waiting[0].row is not None or any(task.row is not None for task in hand.tasks)
            if alone and hand.tasks:
                return
            task = self.waiting.popleft()
            hand.tasks.append(task)
            self._send(hand, task.line())

    def _hear(self, hand: _Hand) -> None:
        assert hand.process.stdout is not None
        content = os.read(hand.process.stdout.fileno(), 1 << 16)
        if not content:
            self._bury(hand)
            return
        *lines, hand.heard = (hand.heard + content).split(b"\n")
        for line in lines:
            self._take(hand, json.loads(line))

    def _take(self, hand: _Hand, said: dict[str, Any]) -> None:
        if "fatal" in said:
            raise ERRORS.get(said["kind"], SpikereelError)(said["fatal"])
        if "seen" in said:
            hand.seen += said["seen"]
            self.told(said)
            return
        self.failed = 0
        if "ready" in said:
            hand.ready = True
        elif "row" in said:
            self._single(hand.tasks.popleft(), said["row"])
        else:
            hand.tasks.popleft()
            hand.seen = 0
            self.told(said)
        self._feed(hand)

    def _bury(self, hand: _Hand) -> None:
        """A worker is dead: what it had in hand is given out again."""
        self.selector.unregister(hand.process.stdout)  # ty: ignore[invalid-argument-type]
        self.hands.remove(hand)
        code = hand.process.wait()
        _close(hand.process)
        if not hand.ready:
            self.failed += 1
            if self.failed >= DEATHS:
                raise ConfigError(
                    f"{self.failed} workers in a row ended before they began (last code {code}); see above"
                )
        self.told({"seen": -hand.seen, "died": code})
        if hand.tasks:
            hand.tasks[0].deaths += hand.ready
        for task in reversed(hand.tasks):
            self._again(task, code)
        for other in self.hands:
            if other.ready:
                self._feed(other)

    def _again(self, task: Task, code: int) -> None:
        if task.deaths < DEATHS:
            self.waiting.appendleft(task)
        elif task.row is None:
            self.singles[task.number] = dict.fromkeys(task.paths)
            self.waiting.extendleft(Task(number=task.number, paths=task.paths, row=x) for x in reversed(task.paths))
        else:
            row = known_row(self.job, task.row, self.about["model"])
            how = f"signal {-code}" if code < 0 else f"code {code}"
            self._single(task, {**row, "error": f"{task.deaths} workers died of this file ({how})"})

    def _single(self, task: Task, row: dict[str, Any]) -> None:
        """Keep the row of one clip, and write its part when that is complete."""
        rows = self.singles[task.number]
        rows[row["path"]] = row
        done = [x for x in rows.values() if x is not None]
        self.told({"seen": 1})
        if len(done) == len(rows):
            write_rows(self.job, task.number, done, self.about)
            del self.singles[task.number]
            errors = sum(x["error"] is not None for x in done)
            self.told({"part": task.number, "rows": len(done), "errors": errors, "clock": {}})

    def _end(self) -> None:
        """Workers end as their input does; those that are at work are stopped."""
        for hand in self.hands:
            if hand.tasks:
                hand.process.terminate()
            _close(hand.process)
            hand.process.wait()
        self.selector.close()


def _device(job: Job, slot: int) -> dict[str, str]:
    """One of the GPUs that are visible here, for a worker of GPUs."""
    if job.device == "cpu":
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    own = visible.split(",")
    return {"CUDA_VISIBLE_DEVICES": own[slot % len(own)]}


def _close(process: subprocess.Popen) -> None:
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()

"""One worker as a process of its own: `python -m spikereel.bulk.process`, a job and parts as lines of JSON on standard
input, and what was done as lines on standard output."""

import json
import os
import sys
import threading
from queue import SimpleQueue
from typing import Any, TextIO

from spikereel.bulk.job import Job
from spikereel.bulk.worker import Worker
from spikereel.errors import SpikereelError


def main() -> int:
    """Work until standard input ends."""
    # libraries may print to standard output, which is for our lines alone
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        job = Job.loads(sys.stdin.readline())
        _serve(Worker(job), answers)
    except SpikereelError as error:
        _say(answers, fatal=str(error), kind=type(error).__name__)
        return 2
    except (BrokenPipeError, KeyboardInterrupt):
        # who gave the work out is gone
        return 1
    return 0


def _serve(worker: Worker, answers: TextIO) -> None:
    tasks: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    _say(answers, ready=True)
    worker.clock.taken()
    task = tasks.get()
    while task is not None:
        following = None if tasks.empty() else tasks.get()
        if following is not None and "row" not in following:
            worker.prefetch(following["paths"])
        if "row" in task:
            _say(answers, row=worker.rows([task["row"]])[0])
        else:
            _say(answers, **worker.write(task["part"], task["paths"], lambda count: _say(answers, seen=count)))
        task = tasks.get() if following is None else following


def _listen(tasks: "SimpleQueue[dict[str, Any] | None]") -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    tasks.put(None)


def _say(answers: TextIO, **content: Any) -> None:
    answers.write(json.dumps(content) + "\n")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # threads may still decode what nobody wants any more
    os._exit(code)

"""Recipes that the page starts: `spikereel train` as a process of its own, watched, stopped and gone on with."""

import dataclasses
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikereel.config import flat, override
from spikereel.errors import ConfigError, DataError
from spikereel.runs.recipes import get_recipe
from spikereel.studio.roots import Roots

LINES = 300
"""Lines of output that are kept."""

PATIENCE = 20.0
"""Seconds that a run gets to write its checkpoint when the studio ends."""

OURS = ("run.out", "run.progress", "run.resume")
"""Fields that the studio sets."""


@dataclass
class Training:
    """One run of a recipe."""

    id: str
    recipe: str
    changes: tuple[str, ...]
    out: Path
    name: str
    """Of its folder below `out`."""
    process: subprocess.Popen | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))

    def start(self, *, resume: bool = False) -> None:
        """Start, or go on from the checkpoint."""
        command = [sys.executable, "-m", "spikereel.apps.cli", "train", self.recipe, *self.changes]
        command += [f"run.out={self.out}", "run.progress=false", *(["--resume"] if resume else [])]
        self.lines.append("going on" if resume else "started")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, "COLUMNS": "100", "PYTHONUNBUFFERED": "1"},
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def stop(self) -> None:
        """Ask it to write its checkpoint after the step in progress, and to end."""
        if self.running and self.process is not None:
            self.process.send_signal(signal.SIGINT)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def to_json(self, roots: Roots) -> dict[str, Any]:
        """What a page shows."""
        code = None if self.process is None else self.process.poll()
        state = "running" if self.running else {0: "finished", 130: "stopped", 143: "stopped"}.get(code or 0, "failed")
        folder = self.out / self.name
        return {
            "id": self.id,
            "recipe": self.recipe,
            "changes": list(self.changes),
            "state": state,
            "lines": list(self.lines)[-40:],
            "place": roots.place(folder) if folder.is_dir() else None,
            "resumable": not self.running and (folder / "last.ckpt").is_file() and state != "finished",
        }

    def _listen(self, process: subprocess.Popen) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip()[:400])
        process.wait()


class Trainings:
    """Those that this studio started; they end with it, after their checkpoint is written."""

    def __init__(self, roots: Roots, out: Path):
        self.roots, self.out = roots, out
        self.all: dict[str, Training] = {}

    def begin(self, recipe: str, changes: Sequence[str]) -> Training:
        """Start a recipe with changed fields. Raises ConfigError for a field or value that does not exist, and for a
        file outside the folders of the studio."""
        checked = self._checked(recipe, changes)
        name = override(get_recipe(recipe), checked).name
        if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
            raise ConfigError(f"name is {name[:80]!r}: it is that of a folder; use letters, digits, - _ and .")
        if any(x.running and x.name == name for x in self.all.values()):
            raise ConfigError(f"a run called {name} is going on; stop it first, or give name=ANOTHER")
        training = Training(id=secrets.token_hex(6), recipe=recipe, changes=checked, out=self.out, name=name)
        self.out.mkdir(parents=True, exist_ok=True)
        training.start()
        self.all[training.id] = training
        return training

    def get(self, key: str) -> Training:
        """The one of an id. Raises DataError for none."""
        if key not in self.all:
            raise DataError("this studio started no such run")
        return self.all[key]

    def close(self) -> None:
        """End them all."""
        for training in self.all.values():
            training.stop()
        for training in self.all.values():
            if training.process is not None:
                try:
                    training.process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    training.process.kill()

    def _checked(self, recipe: str, changes: Sequence[str]) -> tuple[str, ...]:
        checked = []
        for change in changes:
            key, equals, value = change.partition("=")
            if not equals or key.strip() in OURS or key.startswith("-"):
                raise ConfigError(f"{change[:80]!r}: write key=value; {', '.join(OURS)} are set by the studio")
            root, colon, _ = value.partition(":")
            checked.append(f"{key}={self.roots.path(value)}" if colon and root in self.roots.folders else change)
        before = dict(flat(dataclasses.asdict(get_recipe(recipe))))
        for key, value in flat(dataclasses.asdict(override(get_recipe(recipe), checked))):
            for text in _texts(value) if value != before.get(key) else ():
                looks = "/" in text or "\\" in text or text.startswith(("~", "$", ".")) or os.path.lexists(text)
                if looks and self.roots.place(text) is None:
                    raise ConfigError(f"{key}: {text[:80]!r} is outside the folders of this studio; write NAME:PATH")
        return tuple(checked)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for x in value for text in _texts(x)] if isinstance(value, list | tuple) else []

"""Where answers go: lines of JSON, an overlay video, a function."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any, TextIO

from torch import Tensor

from spikereel.streaming.answer import Answer
from spikereel.streaming.film import Film


@dataclass(kw_only=True)
class JsonLines:
    """One line of JSON for each answer and event, at once."""

    file: TextIO

    def answer(self, answer: Answer) -> None:
        """See `Sink`."""
        self.event(answer.to_json())

    def event(self, event: dict[str, Any]) -> None:
        """See `Sink`."""
        self.file.write(json.dumps(event, allow_nan=False) + "\n")
        self.file.flush()

    def close(self) -> None:
        """See `Sink`."""
        self.file.flush()


@dataclass(kw_only=True)
class Callback:
    """A function of yours, called with each `Answer`."""

    call: Callable[[Answer], None]

    def answer(self, answer: Answer) -> None:
        """See `Sink`."""
        self.call(answer)

    def event(self, event: dict[str, Any]) -> None:
        """See `Sink`."""

    def close(self) -> None:
        """See `Sink`."""


class Overlay:
    """A video of the frames with the answers drawn on; of several sources that of one."""

    def __init__(self, path: str | PathLike, draw: Callable[[Answer], Tensor], source: str):
        self.film, self.draw, self.source = Film(path), draw, source

    def answer(self, answer: Answer) -> None:
        """See `Sink`."""
        if answer.source == self.source:
            self.film.add(self.draw(answer), answer.time)

    def event(self, event: dict[str, Any]) -> None:
        """See `Sink`."""

    def close(self) -> None:
        """See `Sink`."""
        self.film.close()

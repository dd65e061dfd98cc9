"""What is said of a frame of a live source, and where it goes."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said of one frame of one source."""

    source: str
    frame: int
    """Number of the frame of the source."""
    time: float
    """Seconds of the session."""
    age: float
    """Seconds from arrival to answer."""
    content: Any
    """The frame."""
    output: Any
    """Of the network, see `Result.output`, without its first axis."""
    top: tuple[tuple[str, float], ...] = ()
    """Classification: the best classes with their probabilities."""

    def to_json(self) -> dict[str, Any]:
        """One line: plain types."""
        line: dict[str, Any] = {
            "source": self.source,
            "frame": self.frame,
            "time": round(self.time, 6),
            "age_ms": round(1e3 * self.age, 3),
        }
        if self.top:
            line |= {"class": self.top[0][0], "probability": round(self.top[0][1], 6)}
            line["top"] = [{"class": name, "probability": round(p, 6)} for name, p in self.top]
        elif isinstance(self.output, Tensor):
            labels = self.output.argmax(0)
            counts = torch.bincount(labels.flatten(), minlength=len(self.output))
            line["share"] = [round(x, 5) for x in (counts / labels.numel()).tolist()]
        else:
            line["joints_m"] = [[round(x, 5) for x in joint] for joint in self.output[0].float().tolist()]
            line["translation_m"] = [round(x, 5) for x in self.output[-1].float().tolist()]
        return line


class Sink(Protocol):
    """Where answers go. A sink that raises OSError or SpikereelError is left out from then on, and named."""

    def answer(self, answer: Answer) -> None:
        """One answer."""

    def event(self, event: dict[str, Any]) -> None:
        """Something else that happened, plain types: {"event": "gap" | "lost" | "error" | "end", "source": ...}."""

    def close(self) -> None:
        """Nothing more comes."""

"""Sources that a page has opened: frames by number, kept small for a while, and read ahead."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from spikereel.data.transforms import resize
from spikereel.data.video.read import read_frames
from spikereel.errors import DataError
from spikereel.inference.frames import Frames, notes_of, open_frames, to_pictures
from spikereel.studio import recorded
from spikereel.tracing import Trace

KEPT = 192 << 20
"""Bytes of small pictures that are kept of one source."""

SIDES = range(16, 4097)
"""Longer sides of a picture that may be asked for."""


@dataclass
class Opened:
    """One source."""

    id: str
    name: str
    """As a person knows it."""
    place: str
    path: Path | None
    """None for a camera."""
    frames: Frames
    trace: Trace | None = None
    """Of a file that is one."""
    live: bool = False
    """Whether frames still come."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _kept: "OrderedDict[tuple[int, int], np.ndarray]" = field(default_factory=OrderedDict, repr=False)
    _bytes: int = 0

    def picture(self, number: int, side: int, ahead: int = 0) -> np.ndarray:
        """A frame as it looks, uint8 [H, W, 3], the longer side at most `side` pixels; also reads `ahead` frames behind
        it, which cost little then. Raises DataError for a frame that is none, or is damaged."""
        if not 0 <= number < len(self.frames):
            raise DataError(f"{self.name}: has {len(self.frames)} frames, there is no frame {number}")
        if side not in SIDES:
            raise DataError(f"side is {side}: give {SIDES.start} to {SIDES.stop - 1} pixels")
        with self._lock:
            if (number, side) not in self._kept:
                self._read(range(number, min(number + ahead + 1, len(self.frames))), side)
            self._kept.move_to_end((number, side))
            return self._kept[number, side]

    def _read(self, numbers: Sequence[int], side: int) -> None:
        height, width = small_size(*self.frames.size, side)
        known = self.frames.timeline
        wanted = [n for n in numbers if (n, side) not in self._kept]

        def small(pictures: Tensor) -> Tensor:
            return pictures if pictures.shape[-2:] == (height, width) else resize(pictures, height, width)

        if known is not None and self.path is not None and self.frames.holds == "pictures":
            found = read_frames(self.path, wanted, known, each=small)
        else:
            found = small(to_pictures(self.frames.shown(wanted)))
        for number, picture in zip(reversed(wanted), found.permute(0, 2, 3, 1).flip(0), strict=True):
            self._keep((number, side), np.ascontiguousarray(picture.numpy()))

    def _keep(self, key: tuple[int, int], picture: np.ndarray) -> None:
        self._kept[key] = picture
        self._bytes += picture.nbytes
        while self._bytes > KEPT and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.nbytes

    def named(self, error: Exception) -> str:
        """An error in one line, without the folders of the server."""
        text = " ".join(str(error).split())
        return text if self.path is None else text.replace(str(self.path), self.name)

    def times(self) -> np.ndarray | None:
        """When each frame begins, float64 [N] seconds after the first; None where they follow each other at equal
        steps, or where the source does not say."""
        during = self.frames.during()
        return None if during is None else during[:-1]

    def to_json(self) -> dict[str, Any]:
        """What a page must know of it."""
        info = self.frames.info
        return {
            "id": self.id,
            "name": self.name,
            "place": self.place,
            "frames": len(self.frames),
            "fps": info.fps,
            "seconds": info.seconds,
            "width": info.width,
            "height": info.height,
            "codec": info.codec,
            "holds": self.frames.holds,
            "varies": self.times() is not None,
            "live": self.live,
            "assumed": None if info.assumed is None else asdict(info.assumed),
            "trace": self.trace is not None,
            "notes": list(notes_of(info) if self.trace is None else recorded.notes_of(self.trace)),
        }


def small_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of a picture whose longer side is at most `side`."""
    scale = min(side / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


class Library:
    """What is open, by id; the least recently used are closed beyond `most`."""

    def __init__(self, most: int = 32):
        self.most = most
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: Path, place: str, name: str) -> Opened:
        """A file or folder, opened once as long as it does not change. Raises DataError as `open_frames`."""
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{name}: {error.strerror}") from None
        text = f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}"
        key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
        trace = Trace.load(path) if path.suffix.lower() in recorded.SUFFIXES else None
        frames = open_frames(path) if trace is None else recorded.frames_of(trace, name)
        return self.add(Opened(id=key, name=name, place=place, path=path, frames=frames, trace=trace))

    def add(self, opened: Opened) -> Opened:
        """Keep a source."""
        with self._lock:
            self._open[opened.id] = opened
            while len(self._open) > self.most:
                self._open.popitem(last=False)
        return opened

    def get(self, key: str) -> Opened:
        """The source of an id. Raises DataError where it is not open (any more)."""
        with self._lock:
            if key not in self._open:
                raise DataError("this source is not open any more; open it again")
            self._open.move_to_end(key)
            return self._open[key]

"""Decoded frames of videos, shrunk and kept: a file is decoded once, whatever the number of epochs."""

import hashlib
from dataclasses import astuple, dataclass, field
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from torch import Tensor

from spikereel.data.transforms import resize_short_side
from spikereel.data.video.read import read_frames, sample_indices, timeline
from spikereel.data.video.rendering import AS_STORED, Rendering
from spikereel.errors import ConfigError, DataError
from spikereel.files import whole

MOST_BYTES = 4 << 30
"""Of one file's frames."""

MOST_IN_MEMORY = 2 << 30
"""Bytes of frames that a process keeps in memory; what comes then is decoded every time, to the same frames."""


@dataclass(frozen=True)
class FrameCache:
    """A folder of arrays uint8 [N, H, W, 3], one for each video and way of reading it, made when first asked for.

    Without a folder they are in the memory of the process, `MOST_IN_MEMORY` bytes of them. In a folder they are named
    for the content of the video, so a changed file is read anew and a moved one is found again; written whole or not at
    all, so any number of processes may share the folder; one that is not whole, or no such array, is replaced.
    """

    folder: Path | None
    short_side: int
    """Short side of the frames kept, in pixels; smaller videos keep their size."""
    rendering: Rendering = AS_STORED
    """Colours and shape of the pixels."""
    _hashes: dict[tuple[Path, int, int], str] = field(default_factory=dict, compare=False, repr=False)
    _held: dict[tuple[Path, int | None], np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def frames(self, path: Path, count: int | None) -> Tensor:
        """uint8 [N, 3, H, W], to read alone: `count` frames spread over the video, or all at equal steps of time.

        Raises DataError as `read_frames`; ConfigError for a folder that cannot be written, and a video too long.
        """
        if self.folder is None:
            array = self._remembered(path, count)
            return torch.from_numpy(array).permute(0, 3, 1, 2)
        own = "" if self.rendering == AS_STORED else "_" + "_".join(astuple(self.rendering))
        place = self.folder / f"{self._hash(path)}_{count or 'all'}_{self.short_side}{own}.npy"
        array = self._kept(place, count)
        if array is None:
            array = self._make(path, count)
            self._write(place, array)
        return torch.from_numpy(array).permute(0, 3, 1, 2)

    def _remembered(self, path: Path, count: int | None) -> np.ndarray:
        """From memory, and there for the next time while there is room."""
        array = self._held.get((path, count))
        if array is None:
            array = self._make(path, count)
            if array.nbytes + sum(held.nbytes for held in self._held.values()) <= MOST_IN_MEMORY:
                self._held[path, count] = array
        return array

    def _kept(self, place: Path, count: int | None) -> np.ndarray | None:
        """The entry at a place; None if there is none, or one that is not whole or not ours."""
        try:
            array = np.lib.format.open_memmap(place, mode="c")
        except (OSError, ValueError, TokenError):
            return None
        if array.dtype != np.uint8 or array.ndim != 4:
            return None
        frames, height, width, channels = array.shape
        fits = frames == (count or frames) and 0 < min(height, width) <= self.short_side and channels == 3
        return array if frames and fits else None

    def _make(self, path: Path, count: int | None) -> np.ndarray:
        known = timeline(path)
        numbers = list(range(len(known))) if count is None else sample_indices(len(known), count)
        first = self._shrunk(read_frames(path, numbers[:1], known, rendering=self.rendering))
        if first.numel() * len(numbers) > MOST_BYTES:
            raise ConfigError(
                f"{path}: its {len(numbers)} frames are too many to keep; leave data.cache out, or cut it"
            )
        frames = read_frames(path, known.at_equal_times(numbers), known, each=self._shrunk, rendering=self.rendering)
        return np.ascontiguousarray(frames.permute(0, 2, 3, 1).numpy())

    def _shrunk(self, frame: Tensor) -> Tensor:
        return frame if min(frame.shape[-2:]) <= self.short_side else resize_short_side(frame, self.short_side)

    def _write(self, place: Path, array: np.ndarray) -> None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole(place) as part, part.open("wb") as file:
                np.save(file, array)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: cannot be written ({error.strerror}); make room, or choose another folder "
                "with data.cache"
            ) from error

    def _hash(self, path: Path) -> str:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        try:
            stats = [file.stat() for file in files]
            key = (path, sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0))
            if key not in self._hashes:
                digest = hashlib.sha256()
                for file in files:
                    digest.update(file.read_bytes())
                self._hashes[key] = digest.hexdigest()
            return self._hashes[key]
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error

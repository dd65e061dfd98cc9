"""Clips out of packed shards by number, for training and evaluation on one machine."""

import tempfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from torch import Tensor

from spikereel.data.clips import SeededClips
from spikereel.data.events.readers import SUFFIXES as RECORDINGS
from spikereel.data.events.readers import read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.source import UNTOLD, Sensor, Told
from spikereel.data.shards import Shards
from spikereel.data.video.clip import Reading, read_clip
from spikereel.errors import DataError


class PackedClips(SeededClips[int]):
    """The files of shards as `VideoFiles` or `EventFiles` would give them: items `(video, label)`, by the reading.

    `source` is a folder or a URL of shards; of a URL only the bytes of an item are asked for, or with `cache` (folder,
    most bytes) whole shards. Training items are seeded
    by (seed, epoch, index); `sensor` and `told` as in `EventFiles`. Raises DataError for classes that are not among
    those given, and for files of the other sort than the reading is for.
    """

    def __init__(
        self,
        source: str | PathLike,
        reading: Reading | EventReading,
        *,
        classes: Sequence[str] | None = None,
        sensor: Sensor | None = None,
        told: Told = UNTOLD,
        cache: tuple[str | PathLike, int] | None = None,
    ):
        super().__init__(reading.seed)
        self.shards, self.reading, self.sensor, self.told = Shards(source, cache=cache), reading, sensor, told
        own = tuple(self.shards.classes)
        # classes are the same by name, whatever their order
        self.classes = own if classes is None else tuple(classes)
        if not set(own) <= set(self.classes):
            raise DataError(
                f"{source}: has the classes {', '.join(own[:8])}, not {', '.join(self.classes[:8])}; "
                "pack the files of the same classes"
            )
        self.members = [
            (f"{self.shards.source}/{shard['file']}", name, offset, size, self.classes.index(own[label]))
            for shard in self.shards.shards
            for name, offset, size, label in shard["samples"]
        ]
        self.called = [
            name
            for shard in self.shards.shards
            for name in shard.get("called") or [sample[0] for sample in shard["samples"]]
        ]
        self._require_sort()

    def __len__(self) -> int:
        return len(self.members)

    def item(self, index: int) -> tuple[Tensor, int]:
        """The clip of a packed file and its label."""
        place, name, offset, size, label = self.members[index]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(self.shards.read(place, offset, offset + size))
            try:
                return self._clip(path, index), label
            except DataError as error:
                raise DataError(f"{place}: {str(error).removeprefix(folder + '/')}") from error

    def fingerprint(self) -> str:
        """As that of the shards."""
        return self.shards.fingerprint()

    def _clip(self, path: Path, index: int) -> Tensor:
        if isinstance(self.reading, Reading):
            return read_clip(path, self.reading, self.torch_random(index) if self.reading.train else None)
        events = read_events(path, sensor=self.sensor, told=self.told)
        return self.reading(events, self.random(index) if self.reading.train else None)

    def _require_sort(self) -> None:
        events = isinstance(self.reading, EventReading)
        for place, name, *_ in self.members:
            if (Path(name).suffix in RECORDINGS) != events:
                raise DataError(
                    f"{place}: {name} is {'no' if events else 'an'} event recording; "
                    f"give data.modality={'rgb' if events else 'events'}, or pack files of one sort"
                )

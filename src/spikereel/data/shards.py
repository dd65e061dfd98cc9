"""Many small files in few large ones: tar shards with an index, split without loss by node and worker.

A shard is a tar file that WebDataset reads as well: of each sample `<key>.<suffix>` with the file as it was and
`<key>.cls` with its label. `index.json` beside the shards holds what splitting needs: where each sample lies. It is
written last, so a folder without one is not finished.
"""

import hashlib
import io
import json
import math
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from spikereel.data.remote import TRIES, WAIT, LocalCache, is_remote
from spikereel.data.shard_index import INDEX, VERSION, is_sample_name, read_index, read_part
from spikereel.errors import ConfigError, DataError
from spikereel.files import whole, write_whole

SHARD_BYTES = 64 << 20

_PLAN = "plan.sha256"
"""While packing goes on, this file says what the shards that are there already are of."""

Read = Callable[[Path, np.random.Generator | None], Tensor]


@dataclass(frozen=True)
class Sample:
    """One packed file."""

    name: str
    """Key and suffix, such as "00000012.mp4"."""
    data: bytes
    label: int


@dataclass(frozen=True)
class _Member:
    """A file to be packed, as it was when packing began."""

    name: str
    """Key and suffix."""
    path: Path
    size: int
    """In bytes."""
    time: int
    """Of its last change, in nanoseconds."""
    label: int


def pack(
    samples: Sequence[tuple[Path, int]],
    classes: Sequence[str],
    out: str | PathLike,
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write labelled files into shards of about `shard_bytes` in the folder `out`; returns the index.

    Samples are spread by a fixed shuffle, so that no shard is of one class. Stopped at any point it goes on, when
    called again, after the last whole shard; shards that were cut since are written anew. `progress(done, total)`
    counts samples.
    Raises DataError for no samples, a file that is missing or changes meanwhile, and an `out` with shards of something
    else; ConfigError for shard_bytes below 1 and an `out` that cannot be written.
    """
    if not 1 <= shard_bytes < math.inf:
        raise ConfigError(f"shard_bytes is {shard_bytes}: it must be at least 1")
    if not samples:
        raise DataError("no files to pack; give a folder with a subfolder per class, or a list")
    out, shards = Path(out), _plan(samples, shard_bytes)
    _begin(out, shards, classes)
    entries, done = [], 0
    for number, members in enumerate(shards):
        path = out / f"shard-{number:06}.tar"
        try:
            if not _is_whole(path, members):
                _write_shard(path, members)
            entries.append(_entry(path, members))
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror}); make room, then pack again") from error
        done += len(members)
        if progress:
            progress(done, len(samples))
    index = {"version": VERSION, "classes": list(classes), "samples": len(samples), "shards": entries}
    write_whole(out / INDEX, json.dumps(index).encode())
    (out / _PLAN).unlink()
    return index


class Shards(IterableDataset):
    """The samples of packed shards, each exactly once an epoch over all ranks and workers: yields `Sample`.

    `source` is the folder of the shards, or its URL (http, https, s3 or another protocol of fsspec; only the parts
    needed are asked for, or with `cache`, folder and most bytes, whole shards that are kept). Of the N samples of an
    epoch, in its order of shards, consumer c of C = world x workers gets those from c N // C up to, without,
    (c + 1) N // C: numbers that differ by one at most. With `shuffle` the order of the shards, and of the samples that
    a consumer takes from one of them, depends on (seed, epoch); a consumer holds its part of one shard in memory. Go
    on inside an epoch with `set_epoch` and `skip`.
    Raises DataError for an index or a shard that is missing, unfinished, cut or of another version; see `read_index`.
    """

    def __init__(
        self,
        source: str | PathLike,
        *,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        cache: tuple[str | PathLike, int] | None = None,
    ):
        if not 0 <= rank < world:
            raise ConfigError(f"rank is {rank} of {world}: choose 0 to {world - 1}")
        self.source, self.rank, self.world, self.shuffle, self.seed = (
            str(source).rstrip("/"),
            rank,
            world,
            shuffle,
            seed,
        )
        index = read_index(self.source)
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.shards: list[dict[str, Any]] = index["shards"]
        self.samples: int = index["samples"]
        self._by_place = {f"{self.source}/{shard['file']}": shard for shard in self.shards}
        self.cache = None if cache is None else LocalCache(*cache, read_part)
        # In shared memory, because persistent workers hold a copy of the dataset that no attribute of ours reaches.
        self._epoch, self._skip = (torch.zeros((), dtype=torch.int64).share_memory_() for _ in range(2))
        self._batch = 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of what is read from now on, from the start of the epoch."""
        self._epoch.fill_(epoch)
        self._skip.fill_(0)

    def skip(self, batches: int, batch: int = 1) -> None:
        """Leave out what a DataLoader of this rank already gave in this epoch: so many batches of `batch` samples.

        Counts in whatever number of workers reads next, which must be that of before.
        """
        self._skip.fill_(batches)
        self._batch = batch

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return (self.rank + 1) * self.samples // self.world - self.rank * self.samples // self.world

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        batches = int(self._skip)
        left = self._batch * (batches // workers + (number < batches % workers))
        consumer, consumers = self.rank * workers + number, self.world * workers
        first, last = (c * self.samples // consumers for c in (consumer, consumer + 1))
        start = 0
        for shard in self._order():
            members = self.shards[shard]["samples"]
            chosen = members[max(first - start, 0) : max(last - start, 0)]
            start += len(members)
            if self.shuffle:
                chosen = [chosen[i] for i in self._generator(shard + 1).permutation(len(chosen))]
            chosen, left = chosen[left:], max(left - len(chosen), 0)
            if chosen:
                yield from self._read(self.shards[shard], chosen)

    def read(self, place: str, start: int, stop: int) -> bytes:
        """Bytes of a shard, given by its path or URL. Raises DataError if it ends before."""
        shard = self._by_place.get(place)
        if self.cache is not None and shard is not None:
            own = self.cache.path(place, shard["bytes"], shard["sha256"])
            try:
                data = read_part(str(own), start, stop)
            except DataError:
                # another process took its room just now
                data = read_part(place, start, stop)
        else:
            data = _again(place, start, stop)
        if len(data) != stop - start:
            raise DataError(
                f"{place}: is cut short, {stop - start - len(data)} bytes are missing; pack or copy it again"
            )
        return data

    def fingerprint(self) -> str:
        """sha256 (hex) of the classes and the hashes of all shards: the data hash of a run."""
        text = json.dumps([self.classes, [shard["sha256"] for shard in self.shards]])
        return hashlib.sha256(text.encode()).hexdigest()

    def _order(self) -> list[int]:
        if not self.shuffle:
            return list(range(len(self.shards)))
        return self._generator(0).permutation(len(self.shards)).tolist()

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed, int(self._epoch), stream]))

    def _read(self, shard: dict[str, Any], members: list[list]) -> Iterator[Sample]:
        """Some members of a shard, which are read in one go."""
        start = min(offset for _, offset, _, _ in members)
        stop = max(offset + size for _, offset, size, _ in members)
        place = f"{self.source}/{shard['file']}"
        data = self.read(place, start, stop)
        for name, offset, size, label in members:
            yield Sample(name, data[offset - start : offset - start + size], label)


class ShardClips(IterableDataset):
    """Packed files as clips: yields `(video, label)`, with `read(path, generator)` of each file, for a moment on disk.

    The generator, None unless `train`, is seeded by (seed, epoch, key of the sample): the same whoever reads it.
    """

    def __init__(self, shards: Shards, read: Read, *, train: bool = False):
        self.shards, self.read, self.train, self.classes = shards, read, train, shards.classes

    def set_epoch(self, epoch: int) -> None:
        """As that of the shards."""
        self.shards.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.shards)

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        with tempfile.TemporaryDirectory() as folder:
            for sample in self.shards:
                path = Path(folder, sample.name)
                path.write_bytes(sample.data)
                seeds = [self.shards.seed, int(self.shards._epoch), int(path.stem)]
                yield self.read(path, np.random.default_rng(seeds) if self.train else None), sample.label
                path.unlink()

    def fingerprint(self) -> str:
        """As that of the shards."""
        return self.shards.fingerprint()


def _again(place: str, start: int, stop: int) -> bytes:
    """A part of a shard; of another machine asked for again where less came than there is, or nothing."""
    tries = TRIES if is_remote(place) else 1
    for number in range(tries):
        time.sleep(WAIT * number)
        try:
            data = read_part(place, start, stop)
        except DataError:
            if number + 1 == tries:
                raise
            continue
        if len(data) == stop - start:
            break
    return data


def _plan(samples: Sequence[tuple[Path, int]], shard_bytes: int) -> list[list[_Member]]:
    """What goes into each shard."""
    shards, filled = [[]], 0
    for number, i in enumerate(np.random.default_rng(0).permutation(len(samples)).tolist()):
        path, label = samples[i]
        if not path.is_file():
            raise DataError(f"{path}: no such file; check the source")
        name = f"{number:08}{path.suffix.lower()}"
        if not is_sample_name(name) or path.suffix.lower() == ".cls":
            raise DataError(f"{path}: a sample of shards cannot end in {path.suffix!r}; rename the file")
        status = path.stat()
        if filled and filled + status.st_size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(_Member(name, path, status.st_size, status.st_mtime_ns, label))
        filled += status.st_size
    return shards


def _begin(out: Path, shards: list[list[_Member]], classes: Sequence[str]) -> None:
    """Make the folder, or see that what it holds is the start of the same, of files that have not changed since."""
    lines = [f"{m.name} {m.path.absolute()} {m.size} {m.time} {m.label}" for shard in shards for m in shard]
    breaks = [len(shard) for shard in shards]
    plan = hashlib.sha256(json.dumps([lines, breaks, list(classes)]).encode()).hexdigest()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("shard-*", _PLAN, INDEX):
            # What a run that was killed while it wrote has left.
            for part in out.glob(f".{name}.*.part"):
                part.unlink()
        if not any(out.iterdir()):
            write_whole(out / _PLAN, plan.encode())
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); choose another folder") from error
    if (out / INDEX).is_file():
        raise DataError(f"{out}: holds finished shards already; choose an empty folder")
    if not (out / _PLAN).is_file() or (out / _PLAN).read_text() != plan:
        raise DataError(
            f"{out}: holds something else than a part of these shards, or the files changed since; "
            "choose an empty folder"
        )


def _write_shard(path: Path, members: list[_Member]) -> None:
    with whole(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member in members:
            data = member.path.read_bytes()
            if len(data) != member.size:
                raise DataError(
                    f"{member.path}: has {len(data)} bytes, {member.size} when packing began; pack into another folder"
                )
            _add(tar, member.name, data)
            _add(tar, _label_of(member.name), str(member.label).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _is_whole(path: Path, members: list[_Member]) -> bool:
    """Whether a shard is there, not cut, and has the members it should."""
    if not path.is_file() or path.stat().st_size % tarfile.RECORDSIZE:
        return False
    try:
        with tarfile.open(path, "r:") as tar:
            sizes = {member.name: member.size for member in tar}
    except tarfile.TarError:
        return False
    return all(sizes.get(member.name) == member.size and _label_of(member.name) in sizes for member in members)


def _entry(path: Path, members: list[_Member]) -> dict[str, Any]:
    """The row of a shard in the index: file, bytes, sha256, and of each sample name, offset, bytes and label; and what
    each was called."""
    with tarfile.open(path) as tar:
        places = {member.name: (member.offset_data, member.size) for member in tar}
    samples = [[member.name, *places[member.name], member.label] for member in members]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    entry = {"file": path.name, "bytes": path.stat().st_size, "sha256": digest, "samples": samples}
    # of one video several clips may be cut: their names tell
    return entry | {"called": [member.path.name for member in members]}


def _label_of(name: str) -> str:
    """The member that holds the label of a sample."""
    return Path(name).with_suffix(".cls").name

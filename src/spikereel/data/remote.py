"""Files of other machines: parts of them by fsspec, and whole ones in a local folder of bounded size."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError, DataError
from spikereel.files import whole

TRIES = 3
"""Times that a file is asked for; a connection that is cut gives less than was asked for, or an error."""

WAIT = 0.5
"""Seconds before the second try, and twice that before the third."""


def is_remote(place: str) -> bool:
    """Whether a path has a protocol, such as s3://."""
    return "://" in place


def fetch_part(place: str, start: int = 0, stop: int | None = None) -> bytes:
    """Bytes of a file that fsspec knows, such as s3://bucket/file or gs://bucket/file.

    Raises ConfigError where the protocol needs a package, OSError for what cannot be read.
    """
    files, path = _opened(place)
    try:
        return files.cat_file(path, start=start, end=stop)
    except OSError:
        raise
    except Exception as error:
        # each protocol has errors of its own
        raise OSError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


def _opened(place: str) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise ConfigError(f"{place}: {str(error).splitlines()[0]}; run pip install 'spikereel[scale]'") from None
    except ValueError as error:
        raise ConfigError(f"{place}: {error}; give a folder, http(s)://, s3:// or another protocol of fsspec") from None


class LocalCache:
    """Whole files of another machine in a folder, at most so many bytes of them: the ones used last.

    A file comes under a temporary name, and has its own when its size and hash are right; several processes may share
    the folder. It is not one of fsspec's caches, which serve the half of a file whose connection was cut.
    """

    def __init__(self, folder: str | os.PathLike, most: int, fetch: Callable[[str, int, int], bytes]):
        if most < 1:
            raise ConfigError(f"data.cache_gb leaves {most} bytes: give room for a shard at least")
        self.folder, self.most, self.fetch = Path(folder), most, fetch

    def path(self, place: str, size: int, digest: str) -> Path:
        """The local copy of a file of so many bytes with this sha256.

        Raises DataError for one that is other than its index says, also after `TRIES`; ConfigError for one that is
        larger than the cache, and a folder that cannot be written.
        """
        if size > self.most:
            raise ConfigError(f"{place}: has {size} bytes, the cache {self.most}; give a larger data.cache_gb")
        path = self.folder / f"{digest}.shard"
        try:
            os.utime(path)
        except FileNotFoundError:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with _alone(path.with_suffix(".lock")):
                    # another process may have brought it meanwhile
                    if not path.is_file():
                        self._bring(path, place, size, digest)
            except OSError as error:
                raise ConfigError(f"{self.folder}: {error.strerror}; choose another data.cache") from None
        return path

    def _bring(self, path: Path, place: str, size: int, digest: str) -> None:
        content = b""
        for number in range(TRIES):
            time.sleep(WAIT * number)
            try:
                content = self.fetch(place, 0, size)
            except DataError:
                if number + 1 == TRIES:
                    raise
                continue
            if len(content) == size and hashlib.sha256(content).hexdigest() == digest:
                self._make_room(size)
                with whole(path) as part:
                    part.write_bytes(content)
                return
        short = f"{len(content)} of {size} bytes" if len(content) != size else "other content than its index says"
        raise DataError(f"{place}: has {short}, {TRIES} times; copy the shards again")

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest; who reads it at the moment can go on."""
        with _alone(self.folder / "room.lock"):
            found = []
            for path in self.folder.glob("*.shard"):
                with contextlib.suppress(FileNotFoundError):
                    found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
            held = sum(bytes_ for _, bytes_, _ in found)
            for _, bytes_, path in sorted(found):
                if held + size <= self.most:
                    return
                path.unlink(missing_ok=True)
                held -= bytes_


@contextlib.contextmanager
def _alone(path: Path) -> Generator[None, None, None]:
    """One process at a time, for as long as the block takes, whatever ends it."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

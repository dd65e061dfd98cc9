"""The folder of a run: the newest run has the name, and nothing that an earlier one left is lost."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from spikereel.errors import ConfigError

try:
    import fcntl
except ImportError:
    fcntl = None

LEFT = ("*.safetensors", "*.ckpt")
"""What makes a folder that of an earlier run."""

LOCK = ".writing"


@contextmanager
def run_folder(folder: Path, *, resume: bool, first: bool = True) -> Generator[Path | None, None, None]:
    """Make the folder of a run, for the time of it; gives where an earlier run of the name is kept now, or None.

    It is called as before with .1, .2 and so on, in the order of the runs. Raises ConfigError for a folder that cannot
    be written, or that another run is writing to.
    """
    if not first:
        # the first process of the run makes it
        yield None
        return
    kept = None
    try:
        with _alone(folder):
            if not resume and any(next(folder.glob(pattern), None) for pattern in LEFT):
                kept = folder.with_name(f"{folder.name}.{_last_number(folder) + 1}")
                folder.rename(kept)
        if folder.is_symlink() and not folder.exists():
            raise ConfigError(f"{folder} is a link to nothing; remove it, or choose another folder with run.out")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another folder with run.out") from None
    with _alone(folder):
        yield kept


def _last_number(folder: Path) -> int:
    """Of the runs that are kept, the highest: those that were removed leave a gap, which no later run goes into."""
    kept = re.compile(rf"{re.escape(folder.name)}\.(\d+)")
    return max((int(x[1]) for path in folder.parent.iterdir() if (x := kept.fullmatch(path.name))), default=0)


@contextmanager
def _alone(folder: Path) -> Generator[None, None, None]:
    """A lock that ends with the process, whatever ends it; ConfigError where another one has it."""
    if fcntl is None or not folder.is_dir():
        yield
        return
    path = folder / LOCK
    with path.open("w") as file:
        # workers that prepare clips outlive a run that is killed by seconds, and would hold its lock
        os.register_at_fork(after_in_child=file.close)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another run is writing to {folder}; wait for it, or choose another folder with run.out"
            ) from None
        try:
            yield
        finally:
            for place in (path, *folder.parent.glob(f"{folder.name}.*/{LOCK}")):
                place.unlink(missing_ok=True)

"""What the server holds: folders, uploads, open sources, networks at work."""

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from spikereel.errors import DataError
from spikereel.hub import list_models
from spikereel.studio.camera import Camera
from spikereel.studio.comparing import weights_in
from spikereel.studio.judged import Judged
from spikereel.studio.opened import Library, Opened
from spikereel.studio.roots import Roots
from spikereel.studio.runs import RECIPE
from spikereel.studio.trainings import Trainings
from spikereel.studio.uploads import ROOT, Uploads
from spikereel.studio.worker import Worker


@dataclass(kw_only=True)
class Studio:
    """All of one server; `close` ends its work and removes what was sent to it."""

    roots: Roots
    runs: tuple[str, ...] = ()
    """Folders of runs, as places."""
    upload_limit: int = 2 << 30
    """Bytes of one upload."""
    uploads: Uploads = field(init=False)
    trainings: Trainings = field(init=False)
    library: Library = field(default_factory=Library)
    worker: Worker = field(default_factory=Worker)
    cameras: dict[str, Camera] = field(default_factory=dict)
    comparing: threading.Lock = field(default_factory=threading.Lock)
    """One comparison at a time: each holds two traces."""

    def __post_init__(self) -> None:
        self.uploads = Uploads(each=self.upload_limit, all=4 * self.upload_limit)
        self.roots = Roots({**self.roots.folders, ROOT: self.uploads.folder})
        self._judged: dict[tuple[str, float], Judged] = {}
        self.trainings = Trainings(self.roots, self.run_folders()[0])

    def run_folders(self) -> list[Path]:
        """Folders that hold runs: those that were given, and `runs` in the first root; new runs go into the first."""
        given = [self.roots.path(place) for place in self.runs]
        # a run itself stands in its folder
        given = [path.parent if (path / RECIPE).is_file() and self.roots.place(path.parent) else path for path in given]
        return list(dict.fromkeys([*given, next(iter(self.roots.folders.values())) / "runs"]))

    def judged(self, place: str) -> Judged:
        """The held-out clips of the run at a place, as its weights answer them; computed once for the same weights."""
        path = self.roots.path(place)
        key = str(path), weights_in(path).stat().st_mtime
        with self.comparing:
            if key not in self._judged:
                self._judged = {key: Judged(path)}
            return self._judged[key]

    def open(self, place: str) -> Opened:
        """The source at a place. Raises DataError for what is none."""
        path = self.roots.path(place)
        name = self.uploads.names.get(path.name, path.name) if place.startswith(f"{ROOT}:") else path.name
        try:
            return self.library.open(path, place, name)
        except DataError as error:
            # without the folders of the server
            raise DataError(str(error).replace(str(path), name)) from None

    def camera(self, height: int, width: int, fps: float) -> Camera:
        """A new camera; the one before ends, and its frames are let go. Raises DataError for sizes that are none."""
        made = Camera(height, width, fps)
        for old in self.cameras.values():
            old.stop()
        self.cameras = {made.opened.id: made}
        self.library.add(made.opened)
        return made

    def weights(self, given: str) -> tuple[str, Path | None]:
        """Weights by name, or the file or run at a place. Raises DataError for one outside the folders."""
        if ":" in given:
            return given, weights_in(self.roots.path(given))
        if given not in self.listed():
            place = self._found(given)
            if place is not None:
                return self.weights(place)
            raise DataError(f"no weights at {given[:80]}: name {', '.join(self.listed())}, or choose a file")
        return given, None

    def _found(self, given: str) -> str | None:
        """The place of a file that is named without its folder, the first that there is."""
        for root in self.roots.folders:
            try:
                self.roots.path(f"{root}:{given}")
            except DataError:
                continue
            return f"{root}:{given}" if given else None
        return None

    def listed(self) -> list[str]:
        """Names of weights that come with the package."""
        return [name for info in list_models().values() for name in info.weights]

    def close(self) -> None:
        """The end."""
        self.trainings.close()
        self.worker.close()
        self.uploads.clear()


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)

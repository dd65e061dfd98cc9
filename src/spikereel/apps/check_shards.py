"""`spikereel data check` of shards: whether they are those that were packed, and what is wrong with their files."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spikereel.apps.check import PARTS, Report, check
from spikereel.data.shard_index import INDEX
from spikereel.data.shards import Shards
from spikereel.errors import DataError


def shard_folders(root: Path) -> dict[str, Path]:
    """{part: folder} of a folder of shards: the part is "" where it is no train/, val/ or test/. Empty for others."""
    if any(root.glob("shard-*.tar")) and (root / INDEX).is_file():
        return {"": root}
    parts = [folder for folder in sorted(root.glob("*")) if folder.name.lower() in PARTS and (folder / INDEX).is_file()]
    return {folder.name: folder for folder in parts if any(folder.glob("shard-*.tar"))}


def check_shards(root: str | Path, **options: Any) -> Report:
    """As `check`, of the files in shards, which are laid down meanwhile; a shard of another hash is broken.

    Files are called `class/key.suffix`. Raises DataError for an index that cannot be read, and as `check`.
    """
    started, broken = time.monotonic(), []
    with TemporaryDirectory() as folder:
        for part, source in shard_folders(Path(root)).items():
            broken += [
                ("/".join(filter(None, (part, name))), why) for name, why in _lay_down(source, Path(folder, part))
            ]
        report = check(folder, **options)
    report.root, report.broken = str(root), broken + report.broken
    report.seconds = time.monotonic() - started
    return report


def _lay_down(source: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """The files of all shards, by class; (shard, reason) of those that are broken, and of each as much as is whole."""
    shards = Shards(source)
    for name in shards.classes:
        # an index may come from anywhere
        if Path(name).name != name or name in ("", "..") or "\0" in name:
            raise DataError(f"{source / INDEX}: a class is called {name!r}, which is no name of a folder; pack anew")
        (folder / name).mkdir(parents=True, exist_ok=True)
    for shard in shards.shards:
        place = source / shard["file"]
        try:
            with place.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != shard["sha256"]:
                yield shard["file"], "is not the shard that was packed (another sha256); pack or copy it again"
            for name, start, size, label in shard["samples"]:
                data = shards.read(f"{shards.source}/{shard['file']}", start, start + size)
                (folder / shards.classes[label] / name).write_bytes(data)
        except (DataError, OSError) as error:
            yield shard["file"], str(error)

"""The list of clips: a CSV or Parquet file of paths, and labels where they are known."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikereel.bulk.table import read_columns
from spikereel.errors import ConfigError, DataError

PATHS = ("path", "file", "video", "clip")
"""What the column of paths may be called."""

LABELS = ("label", "class", "target")
"""What the column of labels may be called."""

ROWS_A_PART, FEWEST_ROWS, PARTS = 128, 4, 128
"""Most and fewest rows of a part, and how many parts a small manifest makes."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip."""

    path: str
    """As it stands in the manifest."""
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Clips, each once, in order."""

    root: Path
    """What relative paths are relative to."""
    entries: tuple[Entry, ...]
    repeated: int = 0
    """Rows whose path had been there before."""

    def chunks(self) -> list[tuple[Entry, ...]]:
        """The clips in the groups that are worked on and written together, whoever does it."""
        size = min(max(-(-len(self.entries) // PARTS), FEWEST_ROWS), ROWS_A_PART)
        return [self.entries[first : first + size] for first in range(0, len(self.entries), size)]


def read_manifest(path: str | Path, *, root: str | Path | None = None) -> Manifest:
    """The clips that a manifest names, relative paths being relative to its folder, or to `root`.

    CSV needs a line of names with a column `path`, or is one column of paths; Parquet needs the column. Lines of one
    path count once. Raises DataError for a file that is missing, of another kind, without such a column, or empty.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a CSV or Parquet file with a column of paths")
    if path.suffix.lower() in (".parquet", ".pq"):
        columns = read_columns(path)
    elif path.suffix.lower() in (".csv", ".txt", ".tsv"):
        columns = _csv_columns(path)
    else:
        raise DataError(f"{path}: is no .csv or .parquet file; write the manifest as one of these")
    files, labels = _column(columns, PATHS), _column(columns, LABELS)
    if files is None:
        raise DataError(f"{path}: has the columns {', '.join(columns)[:80]}; call that of the files path")
    rows: dict[str, Entry] = {}
    count = 0
    for number, file in enumerate(files):
        text = "" if file is None else str(file).strip()
        if not text:
            continue
        count += 1
        label = None if labels is None or labels[number] in (None, "") else str(labels[number])
        rows.setdefault(text, Entry(path=text, label=label))
    if not rows:
        raise DataError(f"{path}: names no files; give one a line")
    return Manifest(
        root=path.parent if root is None else Path(root), entries=tuple(rows.values()), repeated=count - len(rows)
    )


def shard_of(text: str | None) -> tuple[int, int]:
    """(number, of how many) from "i/n", numbers counted from 0 or from 1: n/n is the same as 0/n.

    Raises ConfigError for anything else.
    """
    if text is None:
        return 0, 1
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()) or not 0 <= int(number) <= int(count) or int(count) < 1:
        raise ConfigError(f"--shard {text}: write i/n, such as 0/8 to 7/8 (or 1/8 to 8/8)")
    return int(number) % int(count), int(count)


def _csv_columns(path: Path) -> dict[str, Sequence[Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text in UTF-8; save the manifest as CSV in UTF-8") from None
    rows = [row for row in csv.reader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ",") if row]
    if not rows:
        raise DataError(f"{path}: is empty; give a column of paths")
    head = [name.strip().lower() for name in rows[0]]
    if not set(head) & set(PATHS):
        if max(map(len, rows)) > 1:
            raise DataError(
                f"{path}: its first line has no column path but {', '.join(rows[0])[:80]}; name the columns"
            )
        return {"path": [row[0] for row in rows]}
    for number, row in enumerate(rows[1:], 2):
        if len(row) > len(head):
            raise DataError(f"{path}:{number}: has {len(row)} fields for {len(head)} columns; quote paths with commas")
    return {name: [row[i] if i < len(row) else "" for row in rows[1:]] for i, name in enumerate(head)}


def _column(columns: dict[str, Sequence[Any]], names: Sequence[str]) -> Sequence[Any] | None:
    found = {name.lower(): values for name, values in columns.items()}
    return next((found[name] for name in names if name in found), None)

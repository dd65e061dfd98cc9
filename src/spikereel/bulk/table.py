"""Parquet: the one importer of pyarrow. Parts of the results are written whole, and merged when they are read."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikereel.errors import DataError
from spikereel.extras import need
from spikereel.files import write_bytes

PART = "part-*.parquet"

COLUMNS = {
    "id": "string",
    "path": "string",
    "content": "string",
    "weights": "string",
    "settings": "string",
    "bytes": "int64",
    "mtime_ns": "int64",
    "model": "string",
    "engine": "string",
    "class": "string",
    "probability": "double",
    "probabilities": "list<double>",
    "embedding": "list<float>",
    "frames": "list<int32>",
    "summary": "string",
    "files": "list<string>",
    "firing_rate": "double",
    "firing": "map<string, double>",
    "energy_mj": "double",
    "notes": "list<string>",
    "error": "string",
}
"""Columns of the results and their types; what each holds is said in docs/scale.md."""

KEYS = ("id", "path", "content", "weights", "settings", "bytes", "mtime_ns", "error")
"""Columns that say what is done."""


def read_columns(path: Path) -> dict[str, Sequence[Any]]:
    """All columns of a Parquet file. Raises DataError for one that cannot be read."""
    pa, pq = _arrow()
    try:
        return pq.ParquetFile(path).read().to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None


def write_part(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write rows as one Parquet file, whole or not at all: the same bytes for the same rows.

    about: what the file says of all its rows, as JSON under "spikereel". Raises ConfigError where it cannot be written.
    """
    pa, pq = _arrow()
    schema = _schema(pa).with_metadata({"spikereel": json.dumps(about, sort_keys=True)})
    table = pa.Table.from_pylist([{name: row.get(name) for name in COLUMNS} for row in rows], schema=schema)
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    write_bytes(path, content.getvalue())


def read_parts(folder: str | Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of all parts in a folder, in the order of their names, doubled ones too.

    Raises DataError for a part that cannot be read; one that goes away meanwhile is passed over.
    """
    pa, pq = _arrow()
    rows: list[dict[str, Any]] = []
    for path in sorted(Path(folder).glob(PART)):
        try:
            rows += pq.ParquetFile(path).read(columns=None if columns is None else list(columns)).to_pylist()
        except FileNotFoundError:
            continue
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path}: cannot be read ({str(error).splitlines()[0]}); remove it, then run again"
            ) from None
    return rows


def merged(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each path under one set of weights and settings: that of the newest content, without error if any."""
    best: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = (row["path"], row["weights"], row["settings"])
        if key not in best or _standing(row) > _standing(best[key]):
            best[key] = row
    return [dict(row) for row in best.values()]


def read_results(folder: str | Path, *, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The results in a folder as rows of plain types: one for each path, weights and settings, whatever was repeated.

    columns: some of `COLUMNS`; None for all. Raises DataError for a folder without results.
    """
    if not any(Path(folder).glob(PART)):
        raise DataError(
            f"{folder}: holds no results (part-*.parquet); give the --out of `spikereel predict --manifest`"
        )
    wanted = None if columns is None else list(dict.fromkeys([*columns, *KEYS]))
    rows = [_plain(row) for row in merged(read_parts(folder, wanted))]
    return rows if columns is None else [{name: row[name] for name in columns} for row in rows]


def _standing(row: Mapping[str, Any]) -> tuple[bool, int, bool]:
    """Of two rows of a path the one with more of this counts."""
    return row["content"] is not None, row["mtime_ns"] or 0, row["error"] is None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("firing") is not None:
        row["firing"] = dict(row["firing"])
    return row


def _schema(pa: Any) -> Any:
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "list<double>": pa.list_(pa.float64()),
        "list<float>": pa.list_(pa.float32()),
        "list<int32>": pa.list_(pa.int32()),
        "list<string>": pa.list_(pa.string()),
        "map<string, double>": pa.map_(pa.string(), pa.float64()),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def _arrow() -> tuple[Any, Any]:
    need("scale")
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa, pq

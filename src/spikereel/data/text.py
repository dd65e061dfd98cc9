"""Lists as text, JSON and CSV: UTF-8, with the mark before it that Excel writes or without; one error for the rest."""

import csv
import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError, DataError


def read_text(path: Path, hint: str) -> str:
    """All of a text file. `hint` ends the errors: what to do instead.

    Raises DataError for a file that cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text; {hint}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {hint}") from error


def read_json(path: Path, kind: type, hint: str) -> Any:
    """What a JSON file holds, a `kind`. Raises as `read_text`, and DataError for no JSON or another kind."""
    try:
        content = json.loads(read_text(path, hint))
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({error}); {hint}") from error
    if not isinstance(content, kind):
        raise DataError(f"{path}: is not the expected {kind.__name__}; {hint}")
    return content


def read_rows(path: Path, hint: str, *, delimiter: str = ",") -> list[tuple[int, list[str]]]:
    """(line number, fields) of the rows of a CSV file that are not blank.

    Raises as `read_text`, and DataError, with the line's number, for a field of 128 kB and more.
    """
    reader = csv.reader(io.StringIO(read_text(path, hint)), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; {hint}") from error


def read_lines(path: Path, form: str) -> list[tuple[int, str]]:
    """(line number, stripped line) of every line that is not blank; `form` says in the errors what the file should be.

    Raises DataError for a file that is missing, not UTF-8 text, or blank.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such list; give {form}")
    text = read_text(path, f"give {form}")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: lists no files; give {form}")
    return lines


def require_choice(what: str, value: str, choices: Collection[str]) -> None:
    """Raises ConfigError unless the value is one of the choices."""
    if value not in choices:
        raise ConfigError(f"{what} is {value!r}: choose {' or '.join(map(repr, choices))}")


def find_list(root: Path, name: str, prefix: str, form: str) -> Path:
    """A list in a folder or in labels/ below it, with or without a prefix; `form` says in the error which lists.

    Raises DataError where there is none.
    """
    for folder in (root, root / "labels"):
        for path in (folder / name, folder / f"{prefix}{name}"):
            if path.is_file():
                return path
    raise DataError(f"{root}: no {name} in it or in labels/; unpack {form} there")

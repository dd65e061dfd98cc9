"""Our events against those of other decoders: `python benchmarks/decoders.py FILE ...`, in an environment of its own.

    pip install numpy==2.4.6 lz4 zstandard evlib==0.13.2 faery==0.7.1 expelliarmus==1.1.12
    PYTHONPATH=src python benchmarks/decoders.py recording.raw

Needs no torch. Decoders that are not installed, or that cannot read a file, are named and left out. Of each the columns
are compared event by event, and where times differ, by how much. Results go to benchmarks/results/.
"""

import argparse
import json
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from spikereel.data.events.readers import read_events

RESULTS = Path(__file__).parent / "results"
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""t in microseconds, x, y, and p, which is true for ON."""


def evlib(path: Path) -> Columns:
    """Rust, by way of a table."""
    import evlib

    table = evlib.load_events(str(path)).collect()
    t, x, y, p = (table[name].to_numpy() for name in ("t", "x", "y", "polarity"))
    return t.astype("timedelta64[us]").astype(np.int64), x, y, p > 0


def faery(path: Path) -> Columns:
    """Rust."""
    import faery

    events = np.concatenate(list(faery.events_stream_from_file(path)))
    return events["t"].astype(np.int64), events["x"], events["y"], events["on"]


def expelliarmus(path: Path) -> Columns:
    """C."""
    from expelliarmus import Wizard

    encoding = {"EVT2": "evt2", "EVT3": "evt3", "DAT": "dat"}[read_events(path).format]
    events = Wizard(encoding=encoding).read(path)
    return events["t"], events["x"], events["y"], events["p"] > 0


def compared(path: Path, decode: Callable[[Path], Columns]) -> dict[str, Any]:
    """What of a file's events is equal in both."""
    ours = read_events(path)
    t, *others = decode(path)
    row: dict[str, Any] = {"events": len(ours), "theirs": len(t)}
    if len(t) == len(ours):
        row |= {name: bool(np.array_equal(getattr(ours, name), x)) for name, x in zip("xyp", others, strict=True)}
        late = t - ours.t
        row |= {"times_equal": int((late == 0).sum()), "least_difference_us": int(late.min())}
        row |= {"largest_difference_us": int(late.max())}
    return row


def main() -> None:
    """Parse the command line, compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    rows, versions = [], {"numpy": version("numpy")}
    for path in parser.parse_args().files:
        for decode in (evlib, faery, expelliarmus):
            name = decode.__name__
            try:
                versions[name] = version(name)
                row = {"file": path.name, "decoder": name, **compared(path, decode)}
            except (PackageNotFoundError, ImportError):
                row = {"file": path.name, "decoder": name, "left_out": "not installed"}
            except Exception as error:  # noqa: BLE001, theirs, of any kind
                row = {"file": path.name, "decoder": name, "left_out": f"{type(error).__name__}: {error}"[:200]}
            print(row)
            rows.append(row)
    content = {
        "benchmark": "decoders",
        "command": "python benchmarks/decoders.py FILE ...",
        "date": str(date.today()),
        "versions": versions,
        "rows": rows,
    }
    (RESULTS / f"decoders_{date.today()}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()

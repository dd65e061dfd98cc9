"""Event files against other libraries: `python benchmarks/event_peers.py formats|represent|speed ENVIRONMENTS ...`.

ENVIRONMENTS is a folder of side environments, which are made where they are missing (pip, pinned by
benchmarks/peers/requirements/events_*.txt). `formats` has every library read every file, those of --zoo and those that
the libraries write here, and rebuilds the table in docs/data/events.md; `represent` compares frames, voxel grids and
surfaces; `speed` times the reading of large files. Results go to benchmarks/results/.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from event_speed import aedat2, aedat3, nmnist, scene

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "data" / "events.md"
READERS = HERE / "peers" / "event_readers.py"
ENVIRONMENTS = {
    "decoders": (
        *("spikereel", "faery", "evlib", "evutils", "evt3", "expelliarmus", "aedat", "dv-processing"),
        "event_stream",
    ),
    "tonic": ("tonic",),
    "evio": ("evio",),
    "evlab": ("evlab",),
}
"""The libraries of each environment."""
ABSENT = {
    "loris": "0.5.3 builds only beside numpy below 2 and Cython below 3, and was not run",
    "metavision": "is on no package registry",
}
WIDTH, HEIGHT = 128, 128
BEGIN, END = "<!-- event_peers.py formats -->", "<!-- end -->"


def python(folder: Path, name: str) -> str:
    """The interpreter of an environment, which is made if it is not there."""
    found = folder / name / "bin" / "python"
    if not found.exists() and name == "spikingjelly2":
        subprocess.run(["bash", str(HERE / "peers" / "environments.sh"), str(folder), name], check=True)
    elif not found.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
        wanted = HERE / "peers" / "requirements" / f"events_{name}.txt"
        subprocess.run([str(found), "-m", "pip", "install", "--quiet", "-r", str(wanted)], check=True)
    return str(found)


def run(folder: Path, name: str, *arguments: Any, timeout: float = 300) -> tuple[str, str]:
    """What a command of event_readers.py prints in an environment, and in a line why it failed."""
    command = [python(folder, name), str(READERS), *map(str, arguments)]
    surroundings = {**os.environ, "PYTHONPATH": str(HERE.parent / "src"), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=surroundings)
    except subprocess.TimeoutExpired:
        return "", f"no answer in {timeout:.0f} s"
    if done.returncode:
        return done.stdout, (done.stderr.strip().splitlines() or [f"ends with code {done.returncode}"])[-1][:160]
    return done.stdout, ""


def versions(folder: Path) -> dict[str, str]:
    """Of every library."""
    code = "import importlib.metadata as m, sys; print({n: m.version(n) for n in sys.argv[1:]})"
    found: dict[str, str] = {}
    for name, libraries in ENVIRONMENTS.items():
        wanted = [library for library in libraries if library != "spikereel"]
        answer = subprocess.run([python(folder, name), "-c", code, *wanted], capture_output=True, text=True, check=True)
        found |= json.loads(answer.stdout.replace("'", '"'))
    return found


def formats(options: argparse.Namespace) -> dict[str, Any]:
    """Every library on every file; prints and returns rows of file -> library -> what came."""
    with tempfile.TemporaryDirectory() as made:
        folder, truth = Path(made, "files"), Path(made, "truth.npz")
        folder.mkdir()
        events = scene(options.events, width=WIDTH, height=HEIGHT, rate=1e6)
        columns = {name: getattr(events, name) for name in "txyp"}
        np.savez(truth, **columns, width=WIDTH, height=HEIGHT)
        _, failed = run(options.environments, "decoders", "write", folder, truth)
        if failed:
            raise SystemExit(f"the files could not be written: {failed}")
        (folder / "AEDAT 2.0.aedat").write_bytes(aedat2(events))
        (folder / "AEDAT 3.1.aedat").write_bytes(aedat3(events))
        (folder / "N-MNIST.bin").write_bytes(nmnist(events))
        for order in ("little", "legacy"):
            (folder / f"EVT2.1 {order}.raw").write_bytes(evt21(events, order))
        made_files = sorted(folder.iterdir())
        files = made_files + (sorted(options.zoo.iterdir()) if options.zoo else [])
        rows = [{"file": path.name, "made": path in made_files} for path in files]
        wanted: list[Path | None] = [truth if path in made_files else None for path in files]
        for name, libraries in ENVIRONMENTS.items():
            for library in libraries:
                out = Path(made, library)
                out.mkdir()
                for i, failed in enumerate(read_all(options.environments, name, library, files, out)):
                    found = out / f"{i}.npz"
                    if library == "spikereel" and wanted[i] is None and not failed:
                        # Of a recording nobody knows what is in it: the others are compared with ours.
                        wanted[i] = found
                        rows[i][library] = f"{len(np.load(found)['t'])} events"
                    else:
                        rows[i][library] = f"refused: {failed}" if failed else compared(found, wanted[i])
                print(library, [row[library] for row in rows], flush=True)
    return {"rows": rows}


def read_all(environments: Path, name: str, library: str, files: list[Path], out: Path) -> list[str]:
    """Why a library did not read each file, "" where it did. Where its process dies, another goes on after that."""
    failed: list[str] = []
    while len(failed) < len(files):
        rest = files[len(failed) :]
        part = out / "part"
        part.mkdir(exist_ok=True)
        said, died = run(environments, name, "read", library, part, WIDTH, HEIGHT, *rest)
        lines = [json.loads(line)["failed"] for line in said.splitlines()]
        for found in part.iterdir():
            found.rename(out / f"{len(failed) + int(found.stem)}.npz")
        failed += lines + ([died or "its process ends"] if len(lines) < len(rest) else [])
    return failed


def evt21(events: Any, order: str) -> bytes:
    """Words of one event each, every one after a word of its time."""
    head = f"% evt 2.1\n% endianness {order}\n% geometry {WIDTH}x{HEIGHT}\n% end\n".encode()
    times, zeros = 8 << 28 | events.t >> 6, np.zeros_like(events.t)
    x, y, p = (column.astype(np.int64) for column in (events.x, events.y, events.p))
    what = p << 28 | (events.t & 63) << 22 | (x & ~31) << 11 | y
    words = np.stack([zeros, times, 1 << (x & 31), what], axis=1).reshape(-1, 2)
    return head + (words if order == "little" else words[:, ::-1]).astype("<u4").tobytes()


def compared(found: Path, wanted: Path | None) -> str:
    """In words, how the events that a library read differ from those that there are."""
    if wanted is None:
        return "no truth to compare with"
    a, b = np.load(found), np.load(wanted)
    if len(a["t"]) != len(b["t"]):
        return f"{len(a['t'])} of {len(b['t'])} events"
    differ = [name for name in "xyp" if not np.array_equal(a[name], b[name])]
    late = a["t"] - b["t"]
    if late.any():
        same = (late == late[0]).all()
        differ.append(f"t by {late[0]} us" if same else f"t by {late.min()} to {late.max()} us")
    if differ and sorted_rows(a) == sorted_rows(b):
        return "equal, in another order within a microsecond"
    return f"other {', '.join(differ)}" if differ else "equal"


def sorted_rows(events: Any) -> bytes:
    """All events in one order."""
    order = np.lexsort([events[name] for name in "pyxt"])
    return b"".join(np.ascontiguousarray(events[name][order]).tobytes() for name in "txyp")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a file, what each library made of it; `-` where it refuses."""
    libraries = [library for found in ENVIRONMENTS.values() for library in found]
    shown = [name for name in libraries if any(not row[name].startswith("refused") for row in rows)]
    lines = [f"| file | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
    for row in rows:
        cells = ["-" if row[name].startswith("refused") else row[name] for name in shown]
        lines.append(f"| {row['file']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rebuild(rows: list[dict[str, Any]], found: dict[str, str]) -> None:
    """Put the table, with versions, into the page between its marks."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    said = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
    absent = "; ".join(f"{name} {why}" for name, why in ABSENT.items())
    body = f"{BEGIN}\n{table(rows)}\n\nVersions: {said}. {absent}.\n{END}"
    PAGE.write_text(head + body + rest.split(END, 1)[1])


def represent(options: argparse.Namespace) -> dict[str, Any]:
    """Largest differences between our representations and those of a library, in its convention."""
    found = {}
    with tempfile.TemporaryDirectory() as made:
        truth = Path(made, "truth.npz")
        events = scene(options.events, width=WIDTH, height=HEIGHT, rate=1e6)
        np.savez(truth, **{name: getattr(events, name) for name in "txyp"}, width=WIDTH, height=HEIGHT)
        for library, name in (("tonic", "tonic"), ("spikingjelly", "spikingjelly2")):
            answer, failed = run(options.environments, name, "represent", library, truth)
            found[library] = {"failed": failed} if failed else json.loads(answer)
            print(library, found[library])
    return {"largest_difference": found, "events": options.events, "bins": 10}


READERS_OF = {
    "EVT3": ("evt3.raw", ("faery", "evlib", "evutils", "evt3", "expelliarmus")),
    "DAT": ("dat2.dat", ("faery", "evutils", "expelliarmus")),
    "AEDAT4": ("lz4.aedat4", ("faery", "evlib", "evutils", "aedat", "dv-processing")),
}
"""Of large files: the end of their name, and the libraries that read them."""
IN_CHUNKS = "spikereel, in chunks"
FAR = 3
"""Times that a library takes longer than the fastest one that reads a file whole, and is not asked again."""


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Events a second of every library on large files, each in a process of its own, round after round: what else the
    machine does differs from minute to minute. Those that are far behind run in the first round only."""
    rows = []
    for name in options.formats:
        file, libraries = READERS_OF[name]
        found: dict[str, dict[str, Any]] = {}
        with tempfile.TemporaryDirectory() as made:
            path = Path(options.scratch or made, f"{options.events}.{file}")
            if not path.exists():
                large(path, options.events)
            for _ in range(options.rounds):
                whole = [row for library, row in found.items() if library != IN_CHUNKS and "failed" not in row]
                fastest = min((min(row["wall_seconds"]) for row in whole), default=0)
                for library in ("spikereel", IN_CHUNKS, *libraries):
                    row = found.setdefault(library, {"format": name, "library": library, "bytes": path.stat().st_size})
                    if "failed" in row or (fastest and min(row["wall_seconds"]) > FAR * fastest):
                        continue
                    command = ("time", library, path, options.repeats)
                    answer, failed = run(options.environments, "decoders", *command, timeout=options.timeout)
                    add(row, {"failed": failed} if failed else json.loads(answer))
                    print(json.dumps(row), flush=True)
        rows += found.values()
    return {"rows": rows, "events": options.events, "repeats": options.repeats, "rounds": options.rounds}


def add(row: dict[str, Any], answer: dict[str, Any]) -> None:
    """A round of a library to those before."""
    for key in ("wall_seconds", "cpu_seconds"):
        if key in answer:
            answer[key] = row.get(key, []) + answer[key]
    row |= answer | {"peak_mib": max(row.get("peak_mib", 0), answer.get("peak_mib", 0))}
    if times := row.get("wall_seconds"):
        row["million_events_per_second"] = round(row["events"] / min(times) / 1e6, 1)
        row["median"] = round(row["events"] / statistics.median(times) / 1e6, 1)


def large(path: Path, count: int, part: int = 1_000_000) -> None:
    """A file of so many events, 5 M a second at 1280 x 720, written part by part."""
    from peers.event_files import writer

    with path.open("wb") as file:
        write = writer(path.suffix, 1280, 720)
        for i in range(0, count, part):
            events = scene(min(part, count - i), width=1280, height=720, rate=5e6)
            file.write(write(events, i // 5))
        file.write(write(None, 0))


def main() -> None:
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("formats", "represent", "speed"))
    parser.add_argument("environments", type=Path, help="folder of the side environments")
    parser.add_argument("--zoo", type=Path, help="folder of real recordings, which are read too")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=2, help="of a reading in a process")
    parser.add_argument("--rounds", type=int, default=3, help="of all libraries in turn")
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--scratch", type=Path, help="folder that keeps the large files")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    parser.add_argument("--formats", nargs="+", default=["EVT3", "DAT", "AEDAT4"])
    options = parser.parse_args()
    options.environments = options.environments.resolve()
    found = versions(options.environments)
    content = {
        "benchmark": f"event_peers_{options.what}",
        "command": f"python benchmarks/event_peers.py {options.what} ENVIRONMENTS --events {options.events}"
        + (" --zoo RECORDINGS" if options.zoo else "")
        + (f" --formats {' '.join(options.formats)}" if options.what == "speed" else ""),
        "date": str(date.today()),
        "hardware": {"machine": platform.machine(), "processor": cpu(), "cores": os.cpu_count()},
        "versions": {**found, "numpy": np.__version__, "python": platform.python_version()},
        **{"formats": formats, "represent": represent, "speed": speed}[options.what](options),
    }
    if options.what == "formats":
        rebuild(content["rows"], found)
    part = "" if options.what != "speed" else f"_{options.events}_{'-'.join(options.formats)}"
    name = f"event_peers_{options.what}{part}_{cpu().replace(' ', '-')[:24]}_{date.today()}.json"
    text = json.dumps(content, indent=2)
    for folder, said in ((options.zoo, "RECORDINGS"), (options.environments, "ENVIRONMENTS")):
        text = text.replace(str(folder), said) if folder else text
    (options.out / name).write_text(text + "\n")


def cpu() -> str:
    """Its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


if __name__ == "__main__":
    main()

"""Runs commands where the optional packages are not installed: `python core_only.py HIDDEN CALLS RESULTS`.

HIDDEN: JSON list of modules. CALLS: JSON of name: arguments. RESULTS gets name: exit code, output and error text,
seconds of processor time.
"""

import contextlib
import importlib.util
import io
import json
import sys
import time
import traceback
from importlib.machinery import PathFinder
from pathlib import Path


class Hiding:
    """Finds what PathFinder finds, except the hidden modules: as if they had never been installed."""

    def __init__(self, hidden):
        self.hidden = frozenset(hidden)
        self.find_distributions = PathFinder.find_distributions

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in self.hidden else PathFinder.find_spec(name, path, target)


def call(arguments):
    from spikereel.apps.cli import main

    out, err = io.StringIO(), io.StringIO()
    started = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code or 0
        except Exception:  # noqa: BLE001 - whatever a user would see as a traceback
            code = 1
            traceback.print_exc(file=err)
    seconds = round(time.process_time() - started, 2)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds}


def from_pretrained():
    """What Python says of weights that are on the Hugging Face hub."""
    from spikereel.errors import SpikereelError
    from spikereel.models.spikevideoformer import SpikeVideoFormer

    try:
        SpikeVideoFormer.from_pretrained("someone/something")
    except SpikereelError as error:
        return {"code": 2, "out": "", "err": f"error: {error}\n"}
    return {"code": 0, "out": "", "err": ""}


if __name__ == "__main__":
    hidden, calls = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    sys.meta_path[:] = [Hiding(hidden) if finder is PathFinder else finder for finder in sys.meta_path]
    visible = [name for name in hidden if importlib.util.find_spec(name) is not None]
    results = {name: call(arguments) for name, arguments in calls.items()}
    results["from_pretrained"] = from_pretrained()
    Path(sys.argv[3]).write_text(json.dumps({"visible": visible, "loaded": sorted(sys.modules), "results": results}))

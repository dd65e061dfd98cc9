"""Run the notebooks and keep what they show: `python docs/notebooks.py [NAME ...]`.

Needs `pip install 'spikereel[docs,draw,train,export]'`. What a machine puts in, such as times, is left out.
"""

import re
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import gettempdir

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"
PLACES = re.compile(re.escape(gettempdir()) + r"/tmp\w+")
"""Temporary folders, which no two runs share."""


def run(path: Path) -> None:
    """Execute one from clean and write it back."""
    notebook = nbformat.read(path, as_version=4)
    before = getrusage(RUSAGE_CHILDREN)
    NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False).execute(cwd=str(FOLDER))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    path.write_text(PLACES.sub("/tmp/folder", nbformat.writes(notebook)) + "\n")
    after = getrusage(RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{path.name}: {seconds:.0f} s of processor time, {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        run(FOLDER / f"{name}.ipynb")

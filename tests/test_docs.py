"""The pages: the menu has them all, nothing comes from another host; the notebooks run, and keep what they show."""

import hashlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spikereel.apps.doctor import report
from spikereel.extras import EXTRAS, FOR, missing
from spikereel.hub import SHIPPED
from spikereel.runs.recipes import RECIPES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LONGEST = 180
"""Seconds of processor time of a notebook."""
NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.parent.name not in ("data", "browser")}
    assert pages == set(re.findall(r": ([\w/]+\.md)$", menu, re.MULTILINE))


def test_names_of_the_reference_are_there():
    named = re.findall(
        r"^::: (\S+)$", "\n".join(page.read_text() for page in DOCS.glob("reference/*.md")), re.MULTILINE
    )
    assert len(named) > 20
    for name in named:
        assert pkgutil.resolve_name(name).__doc__, name
    members = re.compile(r"^::: (\S+)\n    options: \{members: \[([^\]]+)\]", re.MULTILINE)
    chosen = [found for page in DOCS.glob("reference/*.md") for found in members.findall(page.read_text())]
    assert chosen
    for module, names in chosen:
        for name in names.split(", "):
            assert pkgutil.resolve_name(f"{module}:{name}").__doc__, name


def _code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text())["cells"]
    return "\n".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")


def test_the_index_of_notebooks_has_each():
    index = (DOCS / "notebooks" / "index.md").read_text()
    assert sorted(re.findall(r"\[(\w+\.ipynb)\]", index)) == [notebook.name for notebook in NOTEBOOKS]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.timeout(3600)
def test_a_notebook_runs(notebook: Path, tmp_path: Path):
    """In a process of its own, as from a fresh kernel, within three minutes of processor time."""
    code = _code(notebook)
    if "to=" in code or "export(" in code:
        pytest.importorskip("onnxruntime")
    if "import snntorch" in code:
        pytest.importorskip("snntorch")
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    command = ["bash", "-c", f'ulimit -t {LONGEST}; exec "$0" "$@"', sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:] or done.returncode


def test_notebooks_keep_what_they_show():
    """As `python docs/notebooks.py` left them: every cell ran in order, none failed, and nothing names a machine."""
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 2e6
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), path.name
        outputs = [output for cell in cells for output in cell["outputs"]]
        assert outputs
        assert not [output for output in outputs if output["output_type"] == "error"]
        assert not re.search(r"/(home|root|work|tmp/tmp)", json.dumps(outputs)), path.name


def test_extras_are_for_the_same_in_the_table_and_in_doctor():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", (DOCS / "installing.md").read_text(), re.MULTILINE)
    assert {name: what.replace("`", "") for name, what in rows if name != "all"} == FOR
    assert FOR.keys() == EXTRAS.keys()
    absent = [extra for extra in EXTRAS if missing(extra)]
    assert all(FOR[extra] in report()[f"extra: {extra}"] for extra in absent)


def test_every_recipe_says_what_it_takes():
    """docs/recipes.md, written by benchmarks/recipes.py, has a row for each."""
    rows = re.findall(r"^\| (\w+) \| [\d,]+ x ", (DOCS / "recipes.md").read_text(), re.MULTILINE)
    assert rows == list(RECIPES)


def test_weights_that_ship_have_their_hashes():
    rows = re.findall(r"^\| `([\w.]+)` \| `([0-9a-f]{64})` \|", (DOCS / "papers.md").read_text(), re.MULTILINE)
    assert dict(rows) == {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in SHIPPED.glob("*.safetensors")
    }


def test_pictures_of_the_gallery_have_commands():
    """Each picture stands below a heading with a command whose script is there; no picture of a page is missing."""
    text = (DOCS / "gallery.md").read_text()
    shown = set()
    for section in text.split("\n## ")[1:]:
        command, pictures = section.splitlines()[0], re.findall(r"\]\(([\w/-]+\.png)\)", section)
        assert pictures, command
        assert re.search(r"`make demo`|`python ((?:docs|benchmarks)/\w+\.py)", command), command
        for script in re.findall(r"`python ((?:docs|benchmarks)/\w+\.py)", command):
            assert (ROOT / script).is_file()
        shown |= set(pictures)
    assert shown == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.png")}


def test_a_notebook_that_fails_is_seen(tmp_path: Path):
    broken = tmp_path / "broken.ipynb"
    broken.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["raise ValueError('seen')"]}]}))
    with pytest.raises(AssertionError, match="seen"):
        test_a_notebook_runs(broken, tmp_path)


def test_the_pages_ask_no_other_host():
    """Scripts, styles, pictures and fonts; links that a reader follows are no requests."""
    config = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in config
    for page in DOCS.rglob("*.md"):
        assert not re.search(r"!\[[^\]]*\]\(https?:|<(img|script|link)[^>]*https?:", page.read_text()), page.name


def test_the_built_site_asks_no_other_host(tmp_path: Path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for page in (tmp_path / "site").rglob("*.html"):
        found = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="https?://[^"]*"', page.read_text())
        assert not [tag for tag in found if 'rel="canonical"' not in tag], page.name

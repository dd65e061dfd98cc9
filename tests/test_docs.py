"""The pages: their code runs, the menu has them all, nothing comes from another host; the notebooks run."""

import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))
RUN = ("index.md", "concepts/state.md", "concepts/attention.md")
"""Pages whose blocks of Python run from top to bottom."""


@pytest.mark.parametrize("page", RUN)
def test_code_of_a_page_runs(page: str, capsys):
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, names)
    said = re.findall(r"print\(.*\) +# (\[.*\])", "\n".join(blocks))
    printed = capsys.readouterr().out.splitlines()
    assert all(line in printed for line in said)


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


def _code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text())["cells"]
    return "\n".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")


def test_the_index_of_notebooks_has_each():
    index = (DOCS / "notebooks" / "index.md").read_text()
    assert sorted(re.findall(r"\[(\w+\.ipynb)\]", index)) == [notebook.name for notebook in NOTEBOOKS]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.timeout(300)
def test_a_notebook_runs(notebook: Path, tmp_path: Path):
    """In a process of its own, as from a fresh kernel."""
    code = _code(notebook)
    if "to=" in code or "export(" in code:
        pytest.importorskip("onnxruntime")
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


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

"""What a release states about itself agrees."""

import re
import subprocess
from pathlib import Path

import pytest

import spikereel

ROOT = Path(__file__).parents[1]


def test_the_version_to_cite_is_that_of_the_package():
    assert f"\nversion: {spikereel.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_each_paper_of_a_model_can_be_cited():
    """Those of docs/papers.md, with all their authors: a first author alone is no citation."""
    papers = set(re.findall(r"arxiv.org/abs/([\d.]+)", (ROOT / "docs" / "papers.md").read_text()))
    references = (ROOT / "CITATION.cff").read_text().partition("references:")[2].split("  - type: ")[1:]
    assert len(papers) == 3
    assert {paper for text in references for paper in re.findall(r"arxiv.org/abs/([\d.]+)", text)} == papers
    assert all(text.count("given-names: ") == text.count("family-names: ") > 1 for text in references)


@pytest.mark.parametrize(
    ("heading", "ready"),
    [("9.9.9 (1 December 2026)", True), ("9.9.9 (unreleased)", False), ("9a9.9 (1 May 2026)", False), ("", False)],
)
def test_the_release_check_names_what_is_missing(heading: str, ready: bool, tmp_path: Path):
    """On a copy without git and sources: every line is said with its reason, none stops the rest."""
    (tmp_path / ".github").mkdir()
    script = tmp_path / ".github" / "release.sh"
    script.write_text((ROOT / ".github" / "release.sh").read_text())
    (tmp_path / "CITATION.cff").write_text("version: 9.9.9\n")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n")
    done = subprocess.run(["bash", str(script), "9.9.9"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = re.findall(r"^(ok|MISSING) +(.*)$", done.stdout, re.MULTILINE)
    assert ("ok", "CITATION.cff has version 9.9.9") in said
    assert ("ok" if ready else "MISSING", "CHANGELOG.md has a section 9.9.9 with its date") in said
    assert ("write: ## 9.9.9 (" in done.stdout) is not ready
    assert {("MISSING", "nothing is uncommitted"), ("MISSING", "there is no tag v9.9.9 yet")} <= set(said)
    assert said[-1][1].startswith("sdist and wheel install")
    # make[1] where the tests were started by make
    assert re.search(r"MISSING  the pages build\n +make(\[\d+\])?: ", done.stdout)

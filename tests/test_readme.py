"""What the README shows is there: commands, recipes, make targets, and code that runs."""

import pkgutil
import re
from pathlib import Path

import pytest
import torch

import spikereel
from spikereel.apps.cli import main
from spikereel.moved import MOVED
from spikereel.runs.kinds import KINDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_commands_exist(capsys):
    commands = set(re.findall(r"spikereel ([a-z]+)", "\n".join(_blocks("sh")))) | set(
        re.findall(r"`spikereel ([a-z]+)", README)
    )
    assert commands >= {"demo", "train", "evaluate", "predict", "energy", "list", "doctor"}
    for command in commands:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
    capsys.readouterr()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake ([a-z]+)", "\n".join(_blocks("sh"))))
    assert targets == {"demo", "test"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_models_are_listed():
    assert set(re.findall(r"`((?:spikevideoformer|meta_spikeformer)_[a-z]+)`", README)) <= set(spikereel.list_models())


def test_first_example_runs(capsys):
    code = _blocks("python")[0]
    for large, small in (
        ('"spikevideoformer_s"', '"spikevideoformer_ti"'),
        ("(4, 1, 3, 224, 224)", "(2, 1, 3, 32, 32)"),
    ):
        assert large in code
        code = code.replace(large, small)
    torch.manual_seed(0)
    names = {}
    exec(code, names)
    assert names["logits"].shape == (1, 400)
    assert int(names["state"]["head"]["frames"]) == 4
    assert "as an ANN" in capsys.readouterr().out


def test_the_index_of_data_has_every_page():
    folder = ROOT / "docs" / "data"
    index = (folder / "README.md").read_text()
    lines = re.findall(r"^\|.*\]\((\w+\.md)\) \|$", index, re.MULTILINE)
    assert sorted(lines) == sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    kinds = set(re.findall(r"`(\w+)`", index))
    assert kinds >= KINDS.keys() - {"motion", "figure", "shards"}


def test_pictures_are_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).stat().st_size > 10_000


def test_links_of_all_pages_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "src/spikereel/weights/README.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, part = target.partition("#")
            if path.startswith(("http:", "https:")):
                continue
            place = page.parent / path if path else page
            assert place.exists(), f"{page.name}: {target}"
            assert not part or part in _headings(place), f"{page.name}: {target}"


def test_names_that_pages_give_are_there_and_at_their_new_addresses():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for name in set(re.findall(r"(?<![\w.])spikereel(?:\.[A-Za-z_]\w*)+(?![\w/])", page.read_text())):
            moved = [f"spikereel.{new}" for old, new in MOVED.items() if f"{name}.".startswith(f"spikereel.{old}.")]
            assert not moved, f"{page.name}: {name} has moved to {moved}"
            pkgutil.resolve_name(name)


def _headings(page: Path) -> set[str]:
    """The anchors of a page: small letters, dashes for spaces, no punctuation."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

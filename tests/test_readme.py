"""What the README shows is there: commands, recipes, make targets, and code that runs."""

import re
from pathlib import Path

import pytest
import torch

import spikereel
from spikereel.apps.cli import main
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
    code = _blocks("python")[0].replace('"spikevideoformer_s"', '"spikevideoformer_ti"')
    torch.manual_seed(0)
    names = {"video": torch.rand(2, 1, 3, 32, 32), "next_frames": torch.rand(1, 1, 3, 32, 32)}
    exec(code, names)
    assert names["logits"].shape == (1, 400)
    assert int(names["state"]["head"]["frames"]) == 3
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

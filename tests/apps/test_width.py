"""All output fits 80 columns, and what a message advises can be done."""

import io
import re
import shlex

import pytest
from rich.console import Console
from small import small_weights, video_file, video_folder
from test_outputs import commands

from spikereel.apps.cli import main
from spikereel.apps.commands.common import progress
from spikereel.config import override
from spikereel.errors import ConfigError
from spikereel.runs.recipes import get_recipe

WIDTH = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def wide(text):
    return [line for line in text.splitlines() if len(line) > WIDTH]


@pytest.mark.parametrize("words", [(), *(words for words, _ in commands()), ("data",)], ids=" ".join)
def test_help(words, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert wide(capsys.readouterr().out) == []


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small_weights(tmp_path / "w.safetensors")
    video_file(tmp_path / ("a rather long name of a file " * 4 + ".mp4"))
    video_folder(tmp_path / "d", each=2)
    for line in (
        "train --list",
        "list",
        "doctor",
        "energy spikevideoformer_ti --frames 2 --size 32",
        "energy --compare spikevideoformer_ti svformer_ti --frames 2 --size 32",
        "energy spikevideoformer_ti --implied 3 --frames 2 --size 32",
        "evaluate w.safetensors",
        "calibrate w.safetensors --clips 8",
        "data check d",
        "data inspect d/dark/0.mp4",
        "data pack d packed",
        "predict d --model w.safetensors --no-video",
        "trace w.safetensors d/dark/0.mp4 --out clip.trace",
        "compare w.safetensors w.safetensors d/dark/0.mp4",
        "predict d/dark/0.mp4 --model w.safetensors --no-video",
    ):
        assert main(shlex.split(line)) == 0, line
        shown = capsys.readouterr().out
        assert wide(shown) == [], line
        assert shown, line


def test_names_of_models_and_tasks_are_whole(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("spikevideoformer_ti", "joint, hamming", ".motion_spatial"):
        assert word in shown


MISTAKES = ("optim.epochs", "optim.epcohs=3", "data.kind=foldr", "optim.lr=fast", "data.frames=x")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_message_advises_can_be_done(mistake):
    recipe = get_recipe("motion")
    with pytest.raises(ConfigError) as caught:
        override(recipe, [mistake])
    message = str(caught.value)
    assert "Literal" not in message
    assert "jsonargparse" not in message
    key = mistake.partition("=")[0]
    advised = re.findall(r"example (\S+=\S+)", message)
    advised += [f"{x}=3" for x in re.findall(r"unknown .*did you mean '([\w.]+)'", message)]
    advised += [f"{key}={x}" for x in re.findall(r"must be .*did you mean '(\w+)'", message)]
    advised += [f"{key}=1"] if "give a" in message else []
    assert advised
    for assignment in advised:
        override(recipe, [assignment])


@pytest.mark.parametrize("clock", [False, True])
def test_a_bar_shows_names_and_numbers_as_they_are(clock, monkeypatch):
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=True, color_system=None, width=90, markup=False)
    monkeypatch.setattr("spikereel.apps.commands.common.new_console", lambda *, stderr: console)
    with progress(clock=clock) as bar:
        bar.update(bar.add_task("reading [a].mp4", total=4), completed=1)
        bar.refresh()
    assert "reading [a].mp4" in seen.getvalue()
    assert " 25%" in seen.getvalue()
    assert "progress.percentage" not in seen.getvalue()

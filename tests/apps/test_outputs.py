"""What commands read and write: no output is an input, streams are written through, results come before words."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from small import small_weights, video_file, video_folder

from spikereel.apps.cli import _parser, main
from spikereel.apps.output import Steady
from spikereel.errors import ConfigError
from spikereel.files import expand, keep_inputs, whole, writable, write_json


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    small_weights(path)
    return path


def commands():
    """(words, parser) of every command and action."""
    stack = [((), _parser())]
    while stack:
        words, parser = stack.pop()
        inner = [x for x in parser._actions if hasattr(x, "choices") and isinstance(x.choices, dict)]
        if not inner:
            yield words, parser
        for action in inner:
            stack += [((*words, name), sub) for name, sub in action.choices.items()]


@pytest.mark.parametrize(("words", "parser"), list(commands()), ids=str)
def test_every_command_says_what_it_reads_and_writes(words, parser):
    given = {action.dest for action in parser._actions}
    said = {*parser.get_default("reads"), *parser.get_default("folders"), *parser.get_default("writes")}
    paths = {"json", "out", "html", "markdown", "latex", "model", "file", "videos", "root", "source", "assignments"}
    paths |= {"video", "rates", "data", "compare", "smpl", "name", "runs", "check", "sources", "overlay"}
    paths |= {"clip", "png", "results", "manifest"}
    assert given & paths == said & given


def forms(tmp_path, source):
    """The ways to name a file that is there: itself, links of both kinds, around a corner."""
    soft, hard = tmp_path / "soft", tmp_path / "hard"
    soft.symlink_to(source)
    os.link(source, hard)
    (tmp_path / "sub").mkdir(exist_ok=True)
    return [source, soft, hard, tmp_path / "sub" / ".." / source.name]


def test_no_output_is_an_input(tmp_path, weights, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clip = video_file(tmp_path / "clip.mp4")
    own = tmp_path / "own.safetensors"
    own.write_bytes(weights.read_bytes())
    rates = tmp_path / "rates.json"
    rates.write_text("{}")
    before = {path: path.read_bytes() for path in (clip, own, rates)}
    for source, lines in (
        (clip, (["predict", clip, "--model", own, "--json"], ["data", "inspect", clip, "--json"])),
        (own, (["predict", clip, "--model", own, "--json"], ["evaluate", own, "--json"], ["calibrate", own, "--out"])),
        (own, (["import", own, "--as", own, "--out"], ["energy", own, "--html"], ["energy", own, "--latex"])),
        (rates, (["energy", "spikevideoformer_ti", "--rates", rates, "--markdown"],)),
    ):
        for line in lines:
            assert main([str(x) for x in (*line, source)]) == 2, line
            assert "would overwrite the input" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_that_is_still_to_be_made_hides_no_input(tmp_path):
    clip = video_file(tmp_path / "clip.mp4")
    around = tmp_path / "later" / ".." / "clip.mp4"
    for source in (clip, tmp_path):
        with pytest.raises(ConfigError, match="would overwrite"):
            keep_inputs({"the result": around}, [source])
    keep_inputs({"the result": tmp_path / "later" / ".." / "other.mp4"}, [clip, tmp_path])


def test_names_of_one_file(tmp_path):
    source = tmp_path / "a.json"
    source.write_text("{}")
    for target in forms(tmp_path, source):
        with pytest.raises(ConfigError, match="would overwrite the input"):
            keep_inputs({"--json": target}, [source])
    keep_inputs({"--json": tmp_path / "b.json", "--html": None}, [source, None, "no such"])
    with pytest.raises(ConfigError, match="--html and --json are one file"):
        keep_inputs({"--json": tmp_path / "b", "--html": tmp_path / "sub" / ".." / "b"}, [])
    keep_inputs({"--json": "/dev/null", "--html": "/dev/null"}, [])


def test_no_file_of_a_folder_that_is_read_is_overwritten(tmp_path, capsys):
    root = video_folder(tmp_path / "d", each=1)
    inside = root / "dark" / "0.mp4"
    before = inside.read_bytes()
    assert main(["data", "check", str(root), "--json", str(inside)]) == 2
    assert "would overwrite a file of the input" in capsys.readouterr().err
    assert inside.read_bytes() == before
    assert main(["data", "check", str(root), "--json", str(root / "report.json")]) in (0, 1)
    assert main(["data", "pack", str(root), str(root / "packed")]) == 2
    assert "lies in" in capsys.readouterr().err


def test_predict_beside_its_source(tmp_path, weights, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clip = video_file(tmp_path / "clip.mp4")
    before = clip.read_bytes()
    (tmp_path / "link.mp4").symlink_to("clip.mp4")
    for name in ("clip.mp4", "link.mp4"):
        assert main(["predict", name, "--model", str(weights), "--out", "."]) == 2
        assert "would overwrite the input" in capsys.readouterr().err
    assert clip.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", "link.mp4"}


def test_a_report_replaces_no_video(tmp_path, capsys):
    clip = video_file(tmp_path / "clip.mp4")
    before = clip.read_bytes()
    assert main(["list", "--json", str(clip)]) == 2
    assert "is no text" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_links_pipes_and_devices_are_written_through(tmp_path):
    real, link, pipe = (tmp_path / name for name in ("real.json", "link.json", "pipe"))
    link.symlink_to(real.name)
    write_json(link, 1)
    assert link.is_symlink()
    assert real.read_text() == "1\n"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    writable(pipe)
    write_json(pipe, 2)
    reader.join()
    assert got == ["2\n"]
    assert pipe.is_fifo()
    write_json("/dev/null", 3)
    assert Path("/dev/null").is_char_device()
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(ConfigError, match="cannot write"):
        writable(loop)


def test_a_broken_block_leaves_the_target_of_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "link"):
        raise KeyboardInterrupt
    assert (tmp_path / "real").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def spikereel(*arguments, **options):
    command = [sys.executable, "-m", "spikereel.apps.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output="stdout" not in options, text=True, timeout=120, **options)


def test_json_on_standard_output(tmp_path):
    clip = video_file(tmp_path / "clip.mp4")
    run = spikereel("data", "inspect", clip, "--json", "/dev/stdout")
    assert run.returncode == 0, run.stderr
    assert json.JSONDecoder().raw_decode(run.stdout)[0]["frames"] == 8


def test_a_dash_has_standard_output_for_itself(tmp_path):
    clip = video_file(tmp_path / "clip.mp4")
    run = spikereel("data", "inspect", clip, "--json", "-", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["frames"] == 8
    assert "frames" in run.stderr
    assert sorted(os.listdir(tmp_path)) == ["clip.mp4"]
    twice = spikereel("energy", "spikevideoformer_ti", "--json", "-", "--latex", "-", cwd=tmp_path)
    assert twice.returncode == 2
    assert "cannot both be standard output" in twice.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_output_of_any_encoding(tmp_path, encoding):
    clip = video_file(tmp_path / "Фильм \N{SNOWMAN}.mp4")
    env = os.environ | {"PYTHONIOENCODING": encoding}
    run = spikereel("data", "inspect", clip, "--json", tmp_path / "r.json", env=env)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert json.loads((tmp_path / "r.json").read_text())["frames"] == 8


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("closed", [False, True])
def test_results_outlive_standard_output(tmp_path, closed):
    clip = video_file(tmp_path / "clip.mp4")
    result = tmp_path / "r.json"
    command = f'"{sys.executable}" -m spikereel.apps.cli data inspect "{clip}" --json "{result}"'
    line = command + (" >&-" if closed else " > /dev/full")
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
    assert json.loads(result.read_text())["frames"] == 8
    if closed:
        assert (run.returncode, run.stderr) == (0, "")
    else:
        assert run.returncode == 2
        assert (
            run.stderr == "error: cannot print (No space left on device); all files that were asked for are written\n"
        )


def test_what_is_printed_through_leaves_its_stream_alone():
    """Python 3.13 tells of an error at the end of an object; a stream may be closed by then."""
    stream = io.TextIOWrapper(io.BytesIO())
    Steady(stream).close()
    assert not stream.closed
    late = Steady(stream)
    stream.close()
    late.close()


@pytest.mark.parametrize("name", ["Holiday [dQw4].mp4", "[bold].mp4", "raw [/old] cut.mp4", ":smile: $x$ [red]a.mp4"])
def test_names_are_shown_as_they_are(tmp_path, weights, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    video_file(Path(name))
    assert main(["predict", name, "--model", str(weights), "--no-video"]) == 0
    shown = capsys.readouterr().out
    assert sum(name in line for line in shown.splitlines()) >= 2
    assert main(["data", "inspect", name]) == 0
    assert name in capsys.readouterr().out


def test_a_folder_called_tilde_takes_nothing(tmp_path, monkeypatch, capsys):
    """An earlier mistake, or another program's, made it here."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for place in ("~/runs", "~/data/a", "~/data/b", "home/data/a", "home/data/b"):
        (tmp_path / place).mkdir(parents=True)
    assert main(["train", "motion", "run.out=~/runs", "data.root=$HOME/data", "--show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"]["out"], shown["data"]["root"]) == (f"{tmp_path}/home/runs", f"{tmp_path}/home/data")
    (tmp_path / "~" / "r.json").write_text("{}")
    assert main(["list", "--json=~/r.json"]) == 0
    assert ((tmp_path / "~" / "r.json").read_text(), (tmp_path / "home" / "r.json").is_file()) == ("{}", True)
    # what a pattern such as */data finds is read
    assert expand("~/data") == "~/data"
    assert expand("./~/data", home=True) == "./~/data"
    (tmp_path / "~old.mp4").touch()
    assert expand("~old.mp4", home=True) == "~old.mp4"


def test_the_tilde_is_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    assert expand("~/a") == f"{tmp_path}/home/a"
    assert expand("a~b") == "a~b"
    assert [expand(x) for x in ("$HOME/a", "${HOME}/a", "$HOME")] == [f"{tmp_path}/home{x}" for x in ("/a", "/a", "")]
    assert [expand(x) for x in ("$HOMER/a", "a/$HOME", "$OTHER/a")] == ["$HOMER/a", "a/$HOME", "$OTHER/a"]
    with pytest.raises(ConfigError, match="home folder of ~nobody-of-that-name"):
        expand("~nobody-of-that-name/a")
    assert main(["list", "--json=~/r.json"]) == 0
    assert (tmp_path / "home" / "r.json").is_file()
    (tmp_path / "~").mkdir()
    assert expand("~") == "~"
    capsys.readouterr()
    assert main(["train", "motion", "run.out=~/runs", "--show"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["out"] == f"{tmp_path}/home/runs"

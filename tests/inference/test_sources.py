"""Many files at once: folders, names, what weights know, time lines of long videos."""

import json
import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from small import DATA, small_weights, video_file, video_folder

import spikereel
from spikereel.apps.cli import main
from spikereel.apps.commands.predict import one_line
from spikereel.errors import ConfigError
from spikereel.hub import load_model
from spikereel.inference.coco import compressed, run_lengths
from spikereel.inference.knows import knows
from spikereel.inference.sources import distinct, sources_of
from spikereel.inference.timeline import timeline_of
from spikereel.show.timeline import columns


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    small_weights(path)
    return str(path)


def test_names_are_distinct_whatever_comes_in():
    for names in (["a", "a"], ["a_0", "a", "a"], ["A", "a", "a_1"], ["x"]):
        assert len({x.casefold() for x in distinct(names)}) == len(names)
    assert distinct(["street", "street", "other"]) == ["street_0", "street_1", "other"]


def test_a_folder_gives_a_line_each_and_one_table(weights, tmp_path, capsys):
    root = video_folder(tmp_path / "d", each=2)
    (root / "dark" / "torn.MP4").write_bytes(b"x" * 100)
    (root / "dark" / "notes.xyz").write_text("x")
    out = tmp_path / "out"
    results = tmp_path / "r.json"
    line = ["predict", str(root), "--model", weights, "--out", str(out), "--no-video", "--json", str(results)]
    assert main(line) == 1
    shown, errors = capsys.readouterr()
    assert errors.count("\n") == 1
    assert "torn.MP4" in errors
    assert "1 file left out (dark/notes.xyz)" in " ".join(shown.split())
    assert sum(f"{i}.mp4" in x for x in shown.splitlines() for i in (0, 1)) == 4
    assert all(len(x) <= 80 for x in shown.splitlines())
    table = (out / "predictions.csv").read_text().splitlines()
    assert table[0] == "file,answer,detail,error"
    assert len(table) == 6
    assert {p.name for p in out.iterdir()} == {
        *("dark_0.json", "dark_1.json", "light_0.json", "light_1.json", "predictions.csv")
    }
    assert [("error" in x) for x in json.loads(results.read_text())] == [False, False, True, False, False]
    capsys.readouterr()
    assert main([*line, "--quiet"]) == 1
    assert capsys.readouterr().out == ""


def test_results_are_there_before_the_next_file_is_looked_at(weights, tmp_path, monkeypatch):
    videos = [str(video_file(tmp_path / f"{i}.mp4", seed=i)) for i in range(3)]
    seen = []
    from spikereel.inference import predict

    begin = predict.begin

    def watched(model, source, *more):
        seen.append(sorted(os.listdir(tmp_path / "out")) if (tmp_path / "out").exists() else [])
        return begin(model, source, *more)

    monkeypatch.setattr(predict, "begin", watched)
    assert main(["predict", *videos, "--model", weights, "--out", str(tmp_path / "out"), "--no-video"]) == 0
    assert seen == [[], ["0.json"], ["0.json", "1.json"]]


def test_the_first_line_says_what_weights_know(weights, tmp_path, capsys):
    clip = video_file(tmp_path / "a.mp4")
    assert main(["predict", str(clip), "--model", weights, "--out", str(tmp_path / "out"), "--no-video"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("small knows 10 classes (")
    assert "procedural clips, and no real scenes" in shown
    assert "do not say what they were trained on" in knows(spikereel.create_model("spikevideoformer_ti"))


def test_one_line_keeps_its_width():
    for path in ("a.mp4", "x" * 200 + ".mp4"):
        line = one_line(path, "class", "50.0 %")
        assert len(line) <= 80
        assert line.split()[0].endswith(".mp4")


def test_a_stop_says_how_many_files_were_not_looked_at(weights, tmp_path, capsys):
    root = video_folder(tmp_path / "d", each=2)
    (root / "dark" / "2.mp4").write_bytes(b"x" * 100)
    line = ["predict", str(root), "--model", weights, "--out", str(tmp_path / "out"), "--no-video"]
    assert main([*line, "--on-error", "stop"]) == 1
    assert "2 of 5 files (2 not looked at: --on-error skip goes on)" in " ".join(capsys.readouterr().out.split())
    assert main(line) == 1
    assert "4 of 5 files; one table" in " ".join(capsys.readouterr().out.split())


def test_a_picture_of_many_windows_shows_their_means(weights, tmp_path):
    found = timeline_of(load_model(weights), str(video_file(tmp_path / "a.mp4", frames=40)), every=2.0)
    times, p, each = columns(found)
    assert (times.tolist(), each) == ([0.0, 2.0, 4.0], 1)
    assert p.tolist() == [list(x.probabilities) for x in found.windows]
    row = [
        replace(found.windows[0], start=2.0 * i, stop=2.0 * i + 2, probabilities=(share := (i % 4) / 4, 1 - share))
        for i in range(602)
    ]
    times, p, each = columns(replace(found, windows=tuple(row)))
    assert (each, times[1], times[-1], len(p)) == (6, 12.0, 1204.0, 101)
    assert p[0].tolist() == pytest.approx([(0 + 1 + 2 + 3 + 0 + 1) / 24, 1 - 7 / 24])
    assert p[-1].tolist() == pytest.approx([0.125, 0.875])


def test_a_long_video_becomes_a_time_line(weights, tmp_path, capsys):
    clip = video_file(tmp_path / "long.mp4", frames=700)
    out = tmp_path / "out"
    assert main(["predict", str(clip), "--model", weights, "--out", str(out)]) == 0
    found = json.loads((out / "long.json").read_text())
    rows = found["timeline"]
    assert rows[0]["start"] == 0
    assert rows[-1]["stop"] == 70
    assert all(a["stop"] == b["start"] for a, b in pairwise(rows))
    assert all(len(x["frames"]) == DATA.frames for x in rows)
    assert all(x["start"] * 10 <= min(x["frames"]) <= max(x["frames"]) < x["stop"] * 10 for x in rows)
    assert (out / "long.png").stat().st_size > 5000
    assert "mostly" in capsys.readouterr().out


def test_a_window_is_the_answer_on_its_frames(weights, tmp_path):
    model, clip = load_model(weights), str(video_file(tmp_path / "a.mp4", frames=40))
    told = []
    found = timeline_of(model, clip, every=2.0, progress=lambda *x: told.append(x))
    assert told == [(1, 2), (2, 2)]
    from spikereel.inference.frames import video_frames
    from spikereel.inference.look import views_of

    for window, first in zip(found.windows, (0, 20), strict=True):
        _, (view,) = views_of(video_frames(clip), DATA, first, first + 20)
        with torch.inference_mode():
            wanted = model(view)[0][0].double().softmax(0)
        assert window.probabilities == pytest.approx(wanted.tolist(), abs=1e-6)
    assert spikereel.predict(model, clip, every=2.0).windows == found.windows
    with pytest.raises(ConfigError, match="exclude each other"):
        spikereel.predict(model, clip, every=2.0, views=2)
    with pytest.raises(ConfigError, match="above 0"):
        timeline_of(model, clip, every=0)


def test_folders_of_pictures_are_one_source(weights, tmp_path):
    (tmp_path / "p").mkdir()
    for i in (1, 2):
        (tmp_path / "p" / f"{i:05}.jpg").write_bytes(b"")
    sources, notes = sources_of([str(tmp_path / "p")], load_model(weights))
    assert ([x.path for x in sources], notes) == ([str(tmp_path / "p")], [])


def test_weights_are_no_clip(weights, capsys):
    assert main(["predict", str(weights), "--model", str(weights)]) == 2
    assert f"{weights}: holds weights and no clip; give it as --model" in capsys.readouterr().err.replace("\n", " ")


def test_run_lengths_as_coco_writes_them():
    mask = np.array([[0, 1, 1], [0, 0, 1]], bool)
    assert run_lengths(mask) == [2, 1, 1, 2]
    assert run_lengths(np.ones((2, 2), bool)) == [0, 4]
    # made by pycocotools: encode(asfortranarray(mask))
    assert compressed([2, 1, 1, 2]) == "2111"

"""The demos of weights that ship: judged, drawn, written down."""

import json

import pytest

from spikereel.apps import demo_tasks
from spikereel.apps.cli import main


@pytest.mark.parametrize("task", demo_tasks.DEMOS)
def test_a_demo_draws_and_reports(task: str, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo_tasks, "JUDGED", 6)
    assert main(["demo", "--task", task, "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / f"{task}.json").read_text())
    assert (tmp_path / f"{task}.png").stat().st_size > 10_000
    assert report["versions"]["spikereel"]
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80 + len(str(tmp_path))
    if task == "stream":
        assert report["frames"] == demo_tasks.LASTS * len(demo_tasks.MOTIONS)
        assert report["right_when_settled"] > 0.8
        assert "bytes of state" in said
    else:
        assert report["energy_mj"] > 0
        assert report["evaluation"]["clips"] == 6


def test_demos_of_shipped_weights_take_no_videos(tmp_path, capsys):
    assert main(["demo", "clip.mp4", "--task", "pose", "--out", str(tmp_path)]) == 2
    assert "takes no videos" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

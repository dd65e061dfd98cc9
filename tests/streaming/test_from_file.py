"""A stream through an exported file is the model's own stream; sessions of either go on with the other."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import DATA, small_weights, video_file
from tiny import clip

import spikereel
from spikereel.apps.cli import main
from spikereel.errors import ConfigError, DataError, StateError
from spikereel.exporting.run import Exported
from tests.exporting.test_export import plain_file
from tests.streaming.conftest import model_for

STREAMING = [
    ("spatial", "classification"),
    ("causal", "classification"),
    ("causal", "pose"),
    ("spatial", "segmentation"),
]


def files_of(attention: str, task: str, **options):
    """A float32 model, and its file with PyTorch in the place of a runtime."""
    model = copy.deepcopy(model_for(attention, task)).float()
    return model, plain_file(model, size=32, **options)


@pytest.mark.parametrize(("attention", "task"), STREAMING)
def test_frame_by_frame_as_the_model(attention, task):
    model, exported = files_of(attention, task)
    video = clip(5, size=32).float()
    session, expected = spikereel.stream(exported), spikereel.stream(model)
    assert session.settings() == expected.settings()
    assert (session.delay, session.receptive_field) == (expected.delay, expected.receptive_field)
    for part in video.split([1, 3, 1]):
        found, own = session.push(part), expected.push(part)
        assert found.frames == own.frames
        torch.testing.assert_close(found.output, own.output)
    assert session.state_bytes > 0
    # peek leaves it as it was, and a fork goes its own way
    before = session.peek(video[:1]).output
    session.fork().push(video[:2])
    torch.testing.assert_close(session.push(video[:1]).output, before)


def test_sessions_of_the_model_and_of_the_file_go_on_with_each_other(tmp_path):
    model, exported = files_of("causal", "classification")
    video = clip(6, size=32).float()
    expected = spikereel.stream(model).push(video).output[-1]
    for first, second in ((model, exported), (exported, model)):
        begun = spikereel.stream(first)
        begun.push(video[:3])
        begun.save(tmp_path / "s")
        after = spikereel.stream(second).load(tmp_path / "s")
        torch.testing.assert_close(after.push(video[3:]).output[-1], expected)
    # clips of a batch that have seen unlike numbers of frames
    after.state["model"]["head"]["frames"] = torch.tensor([3, 4])
    with pytest.raises(StateError, match=r"saw \[3, 4\] frames, and a file has one count for all"):
        spikereel.stream(exported).mode.step(video[:1], after.state)


def test_files_of_whole_clips_answer_clip_by_clip():
    model, exported = files_of("joint", "classification", steps=4)
    video = clip(9, size=32).float()
    session, expected = spikereel.stream(exported), spikereel.stream(model, "chunk", window=4)
    assert session.delay == 3
    found, own = session.push(video), expected.push(video)
    assert found.frames == own.frames == (3, 7)
    torch.testing.assert_close(found.output, own.output)


def test_what_a_file_cannot_do_is_one_sentence():
    _, exported = files_of("spatial", "classification")
    for options, said in (
        ({"mode": "causal"}, "mode 'causal' does not fit this file; it is exported for 'spatial'"),
        ({"readout": "last", "span": 2}, "reads out the mean of its frames"),
        ({"window": 8}, "window is 8: this file takes 1 frame"),
        ({"hop": 2}, "reads out the mean of its frames"),
    ):
        with pytest.raises(ConfigError, match=said):
            spikereel.stream(exported, **options)
    with pytest.raises(ConfigError, match="takes 2 frames a call, and a stream has one: export with --steps 1"):
        spikereel.stream(files_of("spatial", "classification", steps=2)[1])
    part = Exported(replace(exported.contract, part="downsample3"), exported._call, "PyTorch")
    with pytest.raises(ConfigError, match="ends at downsample3 and gives features"):
        spikereel.stream(part)
    session = spikereel.stream(exported)
    session.push(clip(2, size=32).float())
    bytes_before = session.state_bytes
    for broken, said in (
        (clip(1, size=64).float(), "takes float32 video"),
        (clip(1, size=32).float() * torch.nan, "NaN"),
    ):
        with pytest.raises(DataError, match=said):
            session.push(broken)
    assert (session.state_bytes, session.number) == (bytes_before, 2)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_command_streams_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small_weights(tmp_path / "net.safetensors", replace(DATA, stride=2))
    trained = spikereel.load_model("net.safetensors")
    model = type(trained)(replace(trained.config, attention="spatial")).eval()
    model.load_state_dict(trained.state_dict())
    spikereel.save_model(model, "net.safetensors", trained.metadata)
    spikereel.export(spikereel.load_model("net.safetensors"), "net.spkc", grid=False)
    video_file(tmp_path / "clip.mp4", frames=9)
    arguments = ["stream", "clip.mp4", "--quiet", "--json"]
    assert main([*arguments, "a.json", "--model", "net.spkc", "--runtime", "c"]) == 0
    assert main([*arguments, "b.json", "--model", "net.safetensors", "--engine", "reference"]) == 0
    found, own = ([json.loads(line) for line in Path(x).read_text().splitlines()] for x in ("a.json", "b.json"))
    assert len(found) == len(own) > 4
    for a, b in zip(found, own, strict=True):
        assert a.get("frame") == b.get("frame")
        if "top" in a:
            assert a["top"][0]["class"] == b["top"][0]["class"]
            assert a["top"][0]["probability"] == pytest.approx(b["top"][0]["probability"], abs=1e-5)
    for more, line in (
        (["--engine", "native"], "is run by its own runtime; leave --engine and --together out"),
        (["--runtime", "onnx"], "net.spkc is run by c, not by onnx"),
        (["--readout", "last", "--span", "2"], "reads out the mean of its frames"),
    ):
        capsys.readouterr()
        assert main(["stream", "clip.mp4", "--model", "net.spkc", *more]) == 2
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1

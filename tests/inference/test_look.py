"""What networks trained on recordings, on depth and on simulated events see of a file: what they were judged on."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from spikereel.apps.cli import main
from spikereel.data.sets.dvs128_objects import WINDOW_US
from spikereel.data.video.read import probe, read_frames
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata, create_model
from spikereel.inference.look import look
from spikereel.inference.predict import predict
from spikereel.runs.clips import build_dataset, channels_of
from spikereel.runs.config import DataSpec
from spikereel.show.annotate import annotate

DIGITS = DataSpec(kind="nmnist", frames=3, size=34)
DEPTH = DataSpec(kind="utd_mhad", frames=4, size=24, trails=0.2)


@pytest.fixture
def digit(tmp_path):
    """A recording of the digit 3."""
    rng = np.random.default_rng(0)
    events = [(t, *rng.integers(0, [34, 34, 2]).tolist()) for t in range(0, 3000, 10)]
    rows = (bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for t, x, y, p in events)
    (tmp_path / "1.bs2").write_bytes(b"".join(rows))
    (tmp_path / "list.txt").write_text("1 3\n")
    return tmp_path / "1.bs2"


@pytest.fixture
def action(tmp_path):
    """Depth of a board that comes closer, 12 frames."""
    depth = np.zeros((12, 120, 160), np.uint16)
    for t in range(12):
        depth[t, 40:90, 30 + 2 * t : 50 + 2 * t] = 2000 - 50 * t
    np.savez(tmp_path / "a01_s1_t1.npz", depth=depth, joints=np.zeros((12, 20, 3), np.float32))
    return tmp_path / "a01_s1_t1.npz"


def model_of(spec: DataSpec):
    torch.manual_seed(0)
    model = create_model(
        "spikevideoformer_ti",
        num_classes=10,
        in_channels=channels_of(spec),
        widths=(8, 16, 32, 32),
        depths=(1, 1),
        heads=4,
    )
    model.metadata = Metadata(name="tiny", preprocess=asdict(spec))
    return model.eval()


def test_a_recording_is_seen_as_in_the_data_set(digit, tmp_path):
    seen = look(digit, DIGITS, 2)
    expected = build_dataset(replace(DIGITS, root=str(tmp_path)), "test")[0][0]
    assert torch.equal(seen.views[0][:, 0], expected)
    assert (seen.info.codec, seen.info.width, seen.info.frames, seen.indices) == ("N-MNIST", 34, 3, (0, 1, 2))
    assert seen.info.seconds == pytest.approx(2991e-6)
    # the same frames as an array
    np.save(tmp_path / "frames.npy", expected.numpy())
    for same in (expected, tmp_path / "frames.npy"):
        assert torch.equal(look(same, DIGITS, 2).views[0], seen.views[0])
    found = predict(model_of(DIGITS), digit)
    assert found.passport.clip == (3, 2, 34, 34)
    assert found.notes == ()
    annotate(tmp_path / "out.mp4", found, found.frames)
    assert probe(tmp_path / "out.mp4").frames == 3


def test_command_line_draws_recordings_and_depth(digit, action, tmp_path, capsys):
    for spec, path, frames in ((DIGITS, digit, 3), (DEPTH, action, 12)):
        model_of(spec).save_pretrained(tmp_path / spec.kind)
        out = tmp_path / "out" / spec.kind
        assert main(["predict", str(path), "--model", str(tmp_path / spec.kind), "--out", str(out)]) == 0
        assert probe(out / f"{path.stem}.mp4").frames == frames
        assert json.loads((out / f"{path.stem}.json").read_text())["video"]["frames"] == frames
    capsys.readouterr()
    spec = DataSpec(kind="dvs128_objects", frames=2, size=32)
    model_of(spec).save_pretrained(tmp_path / "objects")
    t = np.arange(0, 4 * WINDOW_US, 10_000)
    np.savez(tmp_path / "Cubo.npz", t=t, x=t % 128, y=t * 0 + 5, p=t * 0 + 1, width=128, height=128)
    arguments = ["--model", str(tmp_path / "objects"), "--out", str(tmp_path / "out"), "--views", "3"]
    assert main(["predict", str(tmp_path / "Cubo.npz"), *arguments]) == 0
    assert "a video shows one clip: --views 1" in " ".join(capsys.readouterr().out.split())
    assert {path.name for path in (tmp_path / "out").glob("Cubo.*")} == {"Cubo.json"}


def test_an_event_list_in_an_array_is_a_recording(digit, tmp_path):
    column = np.zeros(4, [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "u1")])
    column["t"], column["x"] = [1, 2, 3, 9], [0, 5, 6, 33]
    np.save(tmp_path / "events.npy", column)
    spec = DataSpec(kind="events", frames=2, size=34, sensor=(34, 34))
    assert look(tmp_path / "events.npy", spec, 2).views[0].sum() == 4


def test_several_windows_of_a_long_recording(tmp_path):
    t = np.arange(0, 4 * WINDOW_US, 10_000)
    np.savez(tmp_path / "Cubo.npz", t=t, x=t // WINDOW_US, y=t * 0 + 5, p=t * 0 + 1, width=128, height=128)
    spec = DataSpec(kind="dvs128_objects", frames=2, size=128)
    (middle,) = look(tmp_path / "Cubo.npz", spec, 2).views
    assert middle[..., :4].sum() == 50  # half a second
    assert middle[..., 1:3].sum() == 50
    first, last = look(tmp_path / "Cubo.npz", spec, 2, views=2).views
    assert first[..., 0].sum() == 50
    assert last[..., 3].sum() >= 49  # the last window ends with the last event
    with pytest.raises(ConfigError, match=r"views is 2, but these weights see whole recordings; give views=1"):
        look(tmp_path / "Cubo.npz", replace(spec, kind="events"), 2, views=2)


def test_depth_is_seen_as_in_the_data_set(action, tmp_path):
    seen = look(action, DEPTH, 3)
    assert torch.equal(seen.views[0][:, 0], build_dataset(replace(DEPTH, root=str(tmp_path)), "test")[0][0])
    assert (seen.info.codec, seen.info.frames, seen.info.width) == ("depth", 12, 160)
    assert seen.indices == (3, 6, 8, 11)
    np.save(tmp_path / "depth.npy", np.load(action)["depth"])
    assert torch.equal(look(tmp_path / "depth.npy", DEPTH, 3).views[0], seen.views[0])
    found = predict(model_of(DEPTH), action)
    annotate(tmp_path / "out.mp4", found, found.frames)
    assert probe(tmp_path / "out.mp4").frames == 12


def test_simulated_events_are_those_of_the_data_set_and_called_so(tmp_path):
    for kind in ("dark", "light"):
        (tmp_path / "videos" / kind).mkdir(parents=True)
        noise = torch.randint(0, 256, (9, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
        write_video(tmp_path / "videos" / kind / "a.mp4", noise, 25)
    spec = DataSpec(kind="folder", root=str(tmp_path / "videos"), frames=4, size=32, simulate=0.3)
    seen = look(tmp_path / "videos" / "dark" / "a.mp4", spec, 2)
    expected = build_dataset(spec, "test")[0][0]
    # thresholds of pixels are drawn, and the first clip of a data set has this draw
    assert torch.equal(seen.views[0][:, 0], expected)
    assert seen.notes == ("events simulated from rgb",)
    assert seen.indices == (2, 4, 6, 8)
    assert torch.equal(look(expected, spec, 2).views[0][:, 0], expected)


def test_trails_are_those_of_the_data_set(tmp_path):
    (tmp_path / "videos" / "a").mkdir(parents=True)
    frames = torch.randint(0, 256, (20, 3, 32, 48), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    path = tmp_path / "videos" / "a" / "a.mp4"
    write_video(path, frames, 25)
    spec = DataSpec(kind="folder", root=str(tmp_path / "videos"), frames=4, size=32, trails=0.2, stride=2, clips=2)
    seen = look(path, spec, 3)
    assert torch.equal(torch.stack(seen.views)[:, :, 0], build_dataset(spec, "test", views=True)[0][0])
    # arrays are taken at 25 frames a second
    assert torch.equal(look(read_frames(path, range(20)), spec, 3).views[0], seen.views[0])
    for one in (spec, replace(spec, whole=True), replace(spec, trails=0.0, whole=True)):
        assert torch.equal(look(path, one, 3, views=1).views[0][:, 0], build_dataset(one, "test")[0][0])
    assert not torch.equal(
        look(path, replace(spec, whole=True), 3, views=1).views[0], look(path, spec, 3, views=1).views[0]
    )


def test_sources_of_another_kind_are_refused(digit, action, tmp_path):
    write_video(tmp_path / "a.mp4", torch.zeros(4, 3, 32, 32, dtype=torch.uint8), 25)
    clip = torch.zeros(4, 3, 24, 24)
    for source, spec, message in (
        (tmp_path / "a.mp4", DIGITS, r"a\.mp4: is a video, and these weights see recordings of events"),
        (clip, DIGITS, r"clip: is torch\.float32 \[4, 3, 24, 24\].*these weights see \[3, 2, 34, 34\]"),
        (clip[:3, :2].new_full((3, 2, 34, 34), -1), DIGITS, r"clip: .* negative"),
        (tmp_path / "absent.bs2", DIGITS, r"absent\.bs2: no such file"),
        (tmp_path / "a.mp4", DEPTH, r"a\.mp4: is no depth, which these weights see; give \.npz"),
        (clip, DEPTH, r"clip: is no depth"),
        (digit, DEPTH, r"1\.bs2: is no depth"),
        (tmp_path / "absent.npz", DEPTH, r"absent\.npz: no such file"),
    ):
        with pytest.raises(DataError, match=message):
            look(source, spec, channels_of(spec))
    np.savez(tmp_path / "flat.npz", depth=np.zeros((3, 4), np.uint16))
    np.savez(tmp_path / "nobody.npz", depth=np.zeros((3, 4, 4), np.uint16))
    np.savez(tmp_path / "other.npz", joints=np.zeros(3))
    for name, message in (("flat", r"holds uint16 \[3, 4\]"), ("nobody", "shows nobody"), ("other", "holds nothing")):
        with pytest.raises(DataError, match=message):
            look(tmp_path / f"{name}.npz", DEPTH, 3)
    with pytest.raises(ConfigError, match="whole videos; give views=1"):
        look(action, DEPTH, 3, views=2)

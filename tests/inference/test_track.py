"""Tracking a person: windows and streams, crops, cameras, filters, files, pictures; and every mistake in one line."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikereel.apps.cli import main
from spikereel.body.bvh import read_bvh
from spikereel.body.camera import Camera
from spikereel.body.skeletons import KINECT20
from spikereel.data.video.read import probe
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata, create_model, load_model, save_model
from spikereel.inference.frames import open_frames, tensor_frames
from spikereel.inference.predict import predict
from spikereel.inference.track import one_euro, run_pose, track
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_pose_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.pose import start_at_mean
from spikereel.show.pose import overlay, strip
from tests.people import write_clip

SMALL = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
DEPTH = DataSpec(
    kind="figure", modality="depth", depth_motion=True, size=32, frames=3, train_length=8, test_length=4, workers=0
)


def model_of(spec=DEPTH, **config):
    """A network whose joints move with what it sees."""
    torch.manual_seed(0)
    data = build_pose_dataset(spec, "train")
    channels = data[0][0].shape[1]
    model = create_model("spikevideoformer_ti", task="pose", joints=20, in_channels=channels, **SMALL, **config)
    start_at_mean(model, data)
    calibrate(model, [torch.stack([data[i][0] for i in range(8)], dim=1)])
    torch.nn.init.normal_(model.head.out["joints"].weight, std=0.05)
    model.metadata = Metadata(name="small", preprocess=dataclasses.asdict(spec))
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "pose.safetensors"
    save_model(model, path)
    return path


@pytest.fixture
def clip(tmp_path) -> Path:
    write_clip(tmp_path / "a1_s1_t1.npz", frames=11)
    return tmp_path / "a1_s1_t1.npz"


def test_one_window_is_the_network(model):
    video = torch.rand(3, 1, 3, 32, 32)
    expected = model(video)[0]
    for whole, part in zip(run_pose(model, video, 3), expected, strict=True):
        torch.testing.assert_close(whole, part)
    longer = run_pose(model, video[:2], 3)
    assert len(longer.joints) == 2


def test_windows_fade_by_hand(model):
    video = torch.rand(4, 1, 3, 32, 32)
    one, two = model(video[:3])[0].joints, model(video[1:])[0].joints
    # windows of 3 with weights 1 2 1, two frames in both of them
    expected = torch.stack([one[0], (2 * one[1] + two[0]) / 3, (one[2] + 2 * two[1]) / 3, two[2]])
    torch.testing.assert_close(run_pose(model, video, 3, overlap=0.7).joints, expected)
    video = torch.rand(7, 1, 3, 32, 32)
    one, two, three = (model(video[i : i + 3])[0].joints for i in (0, 2, 4))
    joints = run_pose(model, video, 3, overlap=0.4).joints
    torch.testing.assert_close(joints[[2, 4]], torch.stack([(one[2] + two[0]) / 2, (two[2] + three[0]) / 2]))
    for wrong in (1.0, -0.1):
        with pytest.raises(ConfigError, match="overlap"):
            run_pose(model, video, 3, overlap=wrong)


@pytest.mark.parametrize("attention", ["spatial", "causal"])
def test_networks_that_stream_do(attention):
    model = model_of(attention=attention)
    video = torch.rand(7, 1, 3, 32, 32)
    torch.testing.assert_close(run_pose(model, video, 3).joints, model(video)[0].joints, atol=1e-5, rtol=1e-4)


def test_a_track_of_every_frame(model, clip):
    recording = open_frames(clip)
    found = track(model, recording)
    assert found.joints.shape == (11, 20, 3)
    assert np.isfinite(found.joints).all()
    assert found.skeleton is KINECT20
    assert found.joints[..., 2].min() > 0
    # a 160 x 120 depth is the Kinect's, and points are where that camera sees the joints
    seen = found.camera.project(torch.from_numpy(found.joints)).numpy()
    assert found.camera.fx == pytest.approx(142.815)
    assert np.abs(seen - found.points).mean() < 3
    corner, side = found.box[:, None, :2], found.box[:, None, 2:]
    assert ((found.points > corner) & (found.points < corner + side)).mean() > 0.8
    assert np.abs(np.diff(found.joints, axis=0)).max() > 0, "moves"


def test_a_box_and_a_camera_of_ones_own(model, clip):
    recording = open_frames(clip)
    free = track(model, recording)
    left, top = free.box[:, :2].min(0) - 1
    right, bottom = (free.box[:, :2] + free.box[:, 2:]).max(0) + 1
    boxed = track(model, recording, box=(left, top, right - left, bottom - top))
    np.testing.assert_allclose(boxed.joints, free.joints, atol=1e-4)
    lens = Camera(fx=285.63, fy=285.63, cx=80.5, cy=60.5)
    # depth says how far away somebody is, whatever the lens; it says how wide they are
    narrow = track(model, recording, camera=lens)
    np.testing.assert_allclose(narrow.box[:, 2], 2 * free.box[:, 2], rtol=1e-5)
    np.testing.assert_allclose(np.median(narrow.joints[..., 2]), np.median(free.joints[..., 2]), rtol=0.1)
    with pytest.raises(ConfigError, match="outside the frame"):
        track(model, recording, box=(500, 0, 20, 20))
    with pytest.raises(DataError, match="nobody is inside"):
        track(model, recording, box=(0, 0, 12, 12))


def test_grey_pictures_of_an_unknown_camera(tmp_path):
    spec = dataclasses.replace(DEPTH, modality="grey")
    frames = torch.randint(0, 255, (5, 3, 48, 64), dtype=torch.uint8)
    write_video(tmp_path / "a.mp4", frames, 10)
    recording = open_frames(tmp_path / "a.mp4")
    found = track(model_of(spec), recording)
    assert found.joints.shape == (5, 20, 3)
    assert found.fps == 10
    np.testing.assert_array_equal(found.box, np.tile([0, -8, 64], (5, 1)))
    assert "camera unknown" in found.notes[0]
    np.save(tmp_path / "a.npy", frames.permute(0, 2, 3, 1).numpy())
    assert track(model_of(spec), open_frames(tmp_path / "a.npy")).joints.shape == (5, 20, 3)


def test_an_event_recording(tmp_path):
    spec = dataclasses.replace(DEPTH, modality="events")
    # a column of ON events that goes right, a pixel a frame, with OFF events behind it
    frames, width = 12, 32
    t = np.repeat(np.arange(frames) * 33_333 + 16_000, 2 * width)
    x = (np.arange(frames)[:, None, None] + np.array([[1], [0]]) + np.zeros(width, int)).clip(0, width - 1).reshape(-1)
    y, p = np.tile(np.arange(width), 2 * frames), np.tile(np.repeat([True, False], width), frames)
    t[0], t[-1] = 0, 400_000
    events = {"t": t, "x": x.astype(np.uint16), "y": y.astype(np.uint16), "p": p}
    np.savez(tmp_path / "a.npz", **events, width=width, height=width)
    recording = open_frames(tmp_path / "a.npz")
    assert recording.info.fps == pytest.approx(30)
    assert recording.read(range(12)).shape == (12, 2, 32, 32)
    model = model_of(spec)
    seen = []
    model.register_forward_pre_hook(lambda _model, inputs: seen.append(inputs[0]))
    found = track(model, recording)
    assert found.joints.shape == (12, 20, 3)
    # every second frame, with the events of both since the one before: two columns of each kind
    first = seen[0][:, 0]
    assert first.shape[1:] == (2, 32, 32)
    assert first[1, 0].any(0).nonzero().flatten().tolist() == [2, 3]
    assert first[1, 1].any(0).nonzero().flatten().tolist() == [1, 2]
    with pytest.raises(DataError, match="holds events, these weights see depth"):
        track(model_of(), recording)


def test_one_euro_by_hand():
    x = torch.tensor([0.0, 1.0, 1.0])
    out = one_euro(x, 10.0, cutoff=1.0, beta=0.0)
    share = 1 / (1 + 10 / (2 * torch.pi))
    assert out.tolist() == pytest.approx([0, share, share + share * (1 - share)])
    quick = one_euro(x, 10.0, cutoff=1.0, beta=5.0)
    assert out[1] < quick[1] < 1, "what moves fast lags less"
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * 0.01
    assert one_euro(noise, 30.0)[50:].std() < 0.5 * noise[50:].std()


def test_smoothing_is_an_option(model, clip):
    recording = open_frames(clip)
    plain, smooth = track(model, recording), track(model, recording, smooth=True)
    shake = [np.abs(np.diff(x.joints, n=2, axis=0)).mean() for x in (plain, smooth)]
    assert shake[1] < shake[0]


def test_results_come_back(model, clip, tmp_path):
    found = track(model, open_frames(clip))
    found.write_npz(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as saved:
        np.testing.assert_array_equal(saved["joints"], found.joints)
        assert saved["names"].tolist() == list(KINECT20.joints)
    replace(found, bvh_positions=True).write_bvh(tmp_path / "x.bvh")
    motion = read_bvh(tmp_path / "x.bvh")
    order = [motion.names.index(name) for name in KINECT20.joints]
    back = motion.joints()[:, order] / 100 * (1, -1, -1)
    np.testing.assert_allclose(back, found.joints, atol=1e-5)
    assert json.loads(json.dumps(found.to_json()))["frames"] == 11


def test_drawings(model, clip, tmp_path):
    from PIL import Image

    recording = open_frames(clip)
    found = track(model, recording)
    overlay(tmp_path / "x.mp4", found, recording.pictures())
    info = probe(tmp_path / "x.mp4")
    assert (info.frames, info.width, info.height) == (11, 640, 480)
    strip(tmp_path / "x.png", found, found.joints)
    with Image.open(tmp_path / "x.png") as drawn:
        assert drawn.size[0] > 1000
        assert np.asarray(drawn.convert("L")).std() > 5


def test_the_command_writes_all_of_it(weights, clip, tmp_path):
    out = tmp_path / "out"
    arguments = ["predict", "--task", "pose", str(clip), "--model", str(weights), "--out", str(out), "--smooth"]
    assert main([*arguments, "--json", str(tmp_path / "all.json")]) == 0
    assert {p.name for p in out.iterdir()} == {
        f"a1_s1_t1.{x}" for x in ("json", "coco.json", "npz", "bvh", "mp4", "png")
    }
    text = (out / "a1_s1_t1.bvh").read_text()
    assert text.count("CHANNELS 6") == 1
    assert text.count("CHANNELS 3") == 19
    assert "OFFSET 0.000000 0.000000 0.000000" not in text
    coco = json.loads((out / "a1_s1_t1.coco.json").read_text())
    assert coco["categories"][0]["keypoints"] == list(KINECT20.joints)
    assert {len(x["keypoints"]) for x in coco["annotations"]} == {60}
    found = json.loads((tmp_path / "all.json").read_text())
    assert (found["task"], found["skeleton"]["name"], len(found["joints_m"])) == ("pose", "kinect20", 11)


def test_energy_of_a_pose(weights, clip, capsys):
    assert main(["energy", str(weights)]) == 0
    assert "4 held-out figure clips" in " ".join(capsys.readouterr().out.split())
    assert "leave --video out" in refused(capsys, "energy", weights, "--video", clip)
    with pytest.raises(ConfigError, match="views means nothing for pose"):
        predict(load_model(weights), clip, views=2)


def refused(capsys, *arguments):
    assert main([str(x) for x in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_mistakes_are_one_line(weights, clip, tmp_path, capsys):
    pose = ["predict", "--task", "pose", "--model", weights, "--out", tmp_path / "out"]
    write_video(tmp_path / "a.mp4", torch.zeros(3, 3, 32, 32, dtype=torch.uint8), 10)
    write_clip(tmp_path / "b.npz", frames=5, change=lambda d, j: (d * (np.arange(5) != 2)[:, None, None], j))
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    wrong = {
        "is for classification": ["predict", "--task", "pose", clip, "--out", tmp_path / "out"],
        "is for pose": ["predict", "--task", "classification", clip, "--model", weights],
        "no such file": [*pose, tmp_path / "none.npz"],
        "holds pictures, these weights see depth": [*pose, tmp_path / "a.mp4"],
        "frame 2 shows nobody": [*pose, tmp_path / "b.npz"],
        "has no `depth`": [*pose, tmp_path / "c.npz"],
        "four numbers": [*pose, clip, "--box", "1,2,3"],
        "intrinsics": [*pose, clip, "--camera", "0,1,2,3"],
    }
    for message, arguments in wrong.items():
        assert message in refused(capsys, *arguments)
    assert not (tmp_path / "out").exists()


def test_a_network_without_poses(clip):
    with pytest.raises(ConfigError, match="for classification"):
        track(create_model("spikevideoformer_ti", **SMALL), open_frames(clip))


def test_a_recording_of_another_kind(model):
    recording = tensor_frames("x", torch.zeros(3, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(DataError, match="depth"):
        track(model, recording)

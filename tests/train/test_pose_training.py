"""Training pose: which clips a DataSpec means, a run of a few steps, its weights judged."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spikereel.apps.cli import main
from spikereel.body.camera import STANDARD, Camera
from spikereel.body.rotations import matrix_from_6d
from spikereel.body.skeletons import KINECT20
from spikereel.data.sets.figure import FigureClips, FigureReading
from spikereel.errors import ConfigError, DataError
from spikereel.hub import create_model, load_model
from spikereel.models.pose_head import JointPose
from spikereel.runs.clips import build_loader, build_pose_dataset
from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, PoseSpec, Recipe, RunSpec
from spikereel.runs.evaluate import evaluate
from spikereel.runs.pose import add_clips, start_at_mean
from spikereel.tasks.pose import PoseScore
from spikereel.train.run import train
from tests.people import write_clip, write_stream

SMALL = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
FIGURE = DataSpec(
    kind="figure", modality="depth", depth_motion=True, size=32, frames=3, train_length=24, test_length=5, workers=0
)


def recipe(folder, data=FIGURE, **model):
    return Recipe(
        name="small",
        task="pose",
        model=ModelSpec(**SMALL, **model),
        data=data,
        optim=OptimSpec(batch=8, epochs=1, lr=1e-3),
        pose=PoseSpec(best="pa_mpjpe"),
        run=RunSpec(out=str(folder), progress=False, silent_epochs=0),
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return train(recipe(tmp_path_factory.mktemp("runs")))


def test_a_run_leaves_weights_that_know_what_they_are(result):
    assert result.monitor == "val_pa_mpjpe"
    assert result.value == pytest.approx(result.history[0]["val_pa_mpjpe"])
    assert {"val_mpjpe", "val_root_mpjpe", "val_pel_mpjpe", "val_pck", "firing"} <= result.history[0].keys()
    model = load_model(result.best)
    assert (model.task, model.config.pose.joints, model.config.in_channels) == ("pose", 20, 3)
    assert model.metadata.training["val_pa_mpjpe"] == result.value
    saved = json.loads((result.folder / "recipe.json").read_text())
    assert saved["task"] == "pose"


def test_the_lowest_error_is_kept(tmp_path):
    from spikereel.train.run import KeepWeights

    class Module:
        dead = False
        objective = SimpleNamespace(monitor="val_pa_mpjpe", higher_is_better=False)
        dead, silent = False, ()
        model = create_model("spikevideoformer_ti", task="pose", joints=20, **SMALL)

    class Trainer:
        sanity_checking, is_global_zero, global_step, strategy = False, True, 1, None
        callback_metrics: dict = {}  # noqa: RUF012

    keep = KeepWeights(recipe(tmp_path), tmp_path, build_pose_dataset(FIGURE, "train"))
    for error in (90.0, 70.0, 80.0):
        Trainer.callback_metrics = {"val_pa_mpjpe": torch.tensor(error)}
        keep.on_validation_end(Trainer, Module)
    assert keep.best == 70.0
    assert load_model(tmp_path / "best.safetensors").metadata.training["val_pa_mpjpe"] == 70.0
    assert load_model(tmp_path / "last.safetensors").metadata.training["val_pa_mpjpe"] == 80.0


def test_evaluate_writes_the_errors(result, tmp_path, capsys):
    path = tmp_path / "scores.json"
    assert main(["evaluate", str(result.best), "data.test_length=3", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert {"mpjpe", "pel_mpjpe", "pa_mpjpe", "root_mpjpe", "pck", "acceleration"} <= found.keys()
    assert (found["task"], found["unit"], found["clips"], found["frames"]) == ("pose", "mm", 3, 9)
    assert found["pa_mpjpe"] < found["pel_mpjpe"] < 2000
    assert set(found["per_joint"]["mpjpe"]) == set(KINECT20.joints)
    assert "left_wrist" in capsys.readouterr().out


def test_training_goes_on_from_its_checkpoint(result, tmp_path):
    again = dataclasses.replace(
        recipe(result.folder.parent),
        optim=OptimSpec(batch=8, epochs=2, lr=1e-3),
        run=RunSpec(out=str(result.folder.parent), progress=False, silent_epochs=0, resume=True),
    )
    assert [x["epoch"] for x in train(again).history] == [1]


def test_the_regressor_begins_at_the_mean_pose():
    data = build_pose_dataset(FIGURE, "train")
    model = create_model("spikevideoformer_ti", task="pose", joints=20, **SMALL)
    start_at_mean(model, data)
    mean = torch.cat([data[i][1]["joints"] for i in range(24)]).mean(0)
    torch.testing.assert_close(model.head.start[:60].view(20, 3), mean)


def test_splits_of_the_figure_are_other_people():
    clips = {split: build_pose_dataset(FIGURE, split) for split in ("train", "val", "test")}
    assert [len(x) for x in clips.values()] == [24, 5, 5]
    first = [x[0][1]["joints"] for x in clips.values()]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])


def test_utd_mhad_leaves_a_subject_out(tmp_path):
    for subject in (1, 3, 5):
        write_clip(tmp_path / f"a1_s{subject}_t1.npz", frames=9, seed=subject)
    spec = DataSpec(kind="utd_mhad", root=str(tmp_path), modality="depth", size=32, frames=4, fold=3, workers=0)
    names = {s: [p.name for p, _ in build_pose_dataset(spec, s).samples] for s in ("train", "val", "test")}
    assert names == {
        "train": ["a1_s1_t1.npz", "a1_s5_t1.npz"],
        "val": ["a1_s3_t1.npz"],
        "test": ["a1_s1_t1.npz", "a1_s3_t1.npz", "a1_s5_t1.npz"],
    }
    for change, message in (
        ({"fold": 2}, "data.fold is 2"),
        ({"modality": "rgb"}, "modality"),
        ({"root": None}, "root"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_pose_dataset(dataclasses.replace(spec, **change), "train")
    run = train(recipe(tmp_path / "runs", dataclasses.replace(spec, modality="events")))
    assert np.isfinite(run.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_recording_is_one_line(tmp_path, workers):
    path = tmp_path / "a1_s1_t1.npz"
    write_clip(path, frames=9, seed=1)
    spec = DataSpec(kind="utd_mhad", root=str(tmp_path), modality="depth", size=32, frames=4, workers=workers)
    clips = build_pose_dataset(spec, "test")
    path.write_bytes(path.read_bytes()[:300])
    clips._clips.clear()  # what was read while counting frames
    with pytest.raises(DataError, match=rf"^{path}: cannot be read as arrays [^\n]*$"):
        list(build_loader(clips, spec, batch=2, shuffle=False))


def test_official_subjects_choose_by_recordings_for_training(tmp_path):
    for subject, trials in ((1, 7), (3, 5), (2, 2)):
        for trial in range(trials):
            write_clip(tmp_path / f"a1_s{subject}_t{trial}.npz", frames=9, seed=trial)
    spec = DataSpec(
        kind="utd_mhad", root=str(tmp_path), modality="depth", size=32, frames=4, protocol="official", workers=0
    )
    named = {s: {p.name for p, _ in build_pose_dataset(spec, s).samples} for s in ("train", "val", "test")}
    assert named["val"] == {"a1_s1_t6.npz"}
    assert named["test"] == {"a1_s2_t0.npz", "a1_s2_t1.npz"}
    assert len(named["train"]) == 11
    assert not named["train"] & (named["val"] | named["test"])
    chosen = dataclasses.replace(spec, select_on_test=True)
    assert {p.name for p, _ in build_pose_dataset(chosen, "val").samples} == named["test"]
    assert len(build_pose_dataset(chosen, "train").samples) == 12


def test_mmhpsd_trains_joints_and_asks_for_the_body_model(tmp_path):
    for subject in (1, 3):
        write_stream(tmp_path / "data", f"subject{subject:02d}_a", intervals=8, seed=subject)
    spec = DataSpec(kind="mmhpsd", root=str(tmp_path / "data"), modality="events", size=32, frames=2, workers=0)
    assert [len(build_pose_dataset(spec, s)) for s in ("train", "val", "test")] == [7, 2, 2]
    model = load_model(train(recipe(tmp_path / "runs", spec)).best)
    assert (model.config.in_channels, model.config.pose.joints) == (4, 24)
    with pytest.raises(ConfigError, match=r"data\.smpl=FILE.*smpl\.is\.tue"):
        train(recipe(tmp_path / "runs", spec, body="smpl"))
    with pytest.raises(DataError, match=r"nothing\.pkl.*smpl\.is\.tue"):
        train(recipe(tmp_path / "runs", dataclasses.replace(spec, smpl="nothing.pkl"), body="smpl"))


def test_a_body_in_parameters_needs_data_that_has_them(tmp_path):
    with pytest.raises(ConfigError, match="SMPL has 24 joints"):
        train(recipe(tmp_path, body="smpl"))


def test_mean_rotations_are_made_rotations():
    x = torch.randn(5, 6)
    r = matrix_from_6d(x)
    torch.testing.assert_close(r @ r.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5, rtol=0)


def test_errors_are_those_before_the_real_camera():
    real = Camera(fx=3.0, fy=3.0, cx=0.4, cy=0.6)
    joints = 0.2 * torch.randn(2, 1, 20, 3, generator=torch.Generator().manual_seed(0))
    where = torch.tensor([0.2, 0.1, 5.0]).expand(2, 1, 3)
    points = real.project(joints + where[..., None, :])
    target = {
        "joints": joints,
        "points": points,
        "translation": STANDARD.locate(joints, points),
        "camera": torch.tensor([3.0, 3.0, 0.4, 0.6]).expand(2, 1, 4),
    }
    score = PoseScore(KINECT20)
    add_clips(score, JointPose(joints, target["translation"]), target, camera=STANDARD, smpl=None)
    # what STANDARD can not show of the other camera's perspective is all that is left
    assert score.means()["mpjpe"] < 60
    assert score.means()["root_mpjpe"] == pytest.approx(0, abs=1e-3)
    twice = JointPose(joints, 2 * target["translation"])
    far = PoseScore(KINECT20)
    add_clips(far, twice, target, camera=STANDARD, smpl=None)
    assert far.means()["mpjpe"] == pytest.approx(5000, rel=0.1), "twice as far before the real camera too"


def test_another_skeleton_is_named():
    model = create_model("spikevideoformer_ti", task="pose", joints=24, **SMALL)
    with pytest.raises(DataError, match=r"24 joints, .*kinect20.*smpl24"):
        evaluate(model, build_pose_dataset(FIGURE, "test"), FIGURE)


def test_data_without_poses():
    with pytest.raises(ConfigError, match=r"data\.kind=motion is not for task=pose; choose one of utd_mhad"):
        build_pose_dataset(DataSpec(), "train")
    with pytest.raises(ConfigError, match="modality is rgb"):
        build_pose_dataset(dataclasses.replace(FIGURE, modality="rgb"), "train")
    with pytest.raises(ConfigError, match=r"data\.trails is not for data\.kind=figure in task=pose"):
        build_pose_dataset(dataclasses.replace(FIGURE, trails=0.3), "train")
    with pytest.raises(ConfigError, match=r"data\.depth_motion is for utd_mhad and the figure"):
        build_pose_dataset(dataclasses.replace(FIGURE, kind="mmhpsd", modality="grey", root="x"), "train")


def test_a_network_learns_one_clip():
    """25 steps on two clips bring the error far below that of the mean pose."""
    torch.manual_seed(0)
    data = FigureClips(2, FigureReading(frames=3, size=32))
    model = create_model("spikevideoformer_ti", task="pose", joints=20, dropout=0.0, **SMALL)
    start_at_mean(model, data)
    video = torch.stack([data[i][0] for i in range(2)], 1)
    joints = torch.stack([data[i][1]["joints"] for i in range(2)], 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    errors = []
    for _ in range(25):
        output, _ = model.train()(video)
        loss = (output.joints - joints).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(loss.detach().sqrt()))
    assert errors[-1] < 0.6 * errors[0]

"""Runs of several processes: the same clips, losses and weights as of one, and no clip lost or doubled on the way."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.plugins.environments import LightningEnvironment
from small import DATA, small_recipe
from torch import nn
from torch.utils.data import BatchSampler

from spikereel.errors import ConfigError
from spikereel.hub import load_model
from spikereel.layers.norm import ClipNorm, SyncedClipNorm, SyncedNorm, synced
from spikereel.runs.batches import EpochOrder, Shares
from spikereel.runs.clips import build_dataset, build_loader
from spikereel.runs.config import RunSpec
from spikereel.train.checkpoint import SIGNALS, LastCheckpoint, Stopped, _filled
from spikereel.train.folder import run_folder
from spikereel.train.processes import Processes, processes, requeue
from spikereel.train.run import _trainer, train
from spikereel.train.seen import clips_seen

SCRIPT = Path(__file__).with_name("processes_run.py")


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_shares_of_all_processes_are_the_batches_of_one(monkeypatch, world):
    whole = list(BatchSampler(EpochOrder(22, seed=3), 8, False))
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        parts.append(list(Shares(BatchSampler(EpochOrder(22, seed=3), 8, False))))
    joined = [[x for part in own for x in part] for own in zip(*parts, strict=True)]
    assert joined == whole
    assert max(len(x) for own in zip(*parts, strict=True) for x in own) <= -(-8 // world)


def test_a_batch_too_small_for_the_processes_is_refused(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 4)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    with pytest.raises(ConfigError, match="3 clips for 4 devices"):
        list(Shares(BatchSampler(range(11), 8, False)))


TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "5"}
SLURM = {"SLURM_NTASKS": "16", "SLURM_NNODES": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"}
STEP = SLURM | {"SLURM_STEP_ID": "0", "SLURM_NTASKS_PER_NODE": "8"}


@pytest.mark.parametrize(
    ("env", "options", "found"),
    [
        ({}, {}, (1, 1, True)),
        ({}, {"devices": 2}, (2, 1, True)),
        ({"LOCAL_RANK": "1"}, {"devices": 2}, (2, 1, False)),
        (TORCHRUN, {}, (4, 2, False)),
        (TORCHRUN | {"RANK": "0"}, {"devices": 4, "nodes": 2}, (4, 2, True)),
        (STEP, {}, (8, 2, True)),
        (STEP | {"SLURM_PROCID": "3"}, {"devices": 8, "nodes": 2}, (8, 2, False)),
        (STEP | {"SLURM_JOB_NAME": "bash"}, {}, (1, 1, True)),
        (SLURM, {"devices": 2}, (2, 1, True)),
    ],
)
def test_the_launcher_says_how_many_processes_there_are(env, options, found):
    there = processes(RunSpec(**options), env)
    assert (there.devices, there.nodes, there.first) == found


def test_options_against_the_launcher_are_refused():
    with pytest.raises(ConfigError, match=r"run.devices=2 run.nodes=1, but torchrun started 4 process\(es\)"):
        processes(RunSpec(devices=2), TORCHRUN)


def test_the_script_of_a_slurm_job_is_one_process_and_says_so(tmp_path, monkeypatch):
    alone = processes(RunSpec(), SLURM)
    assert (alone.world, alone.script) == (1, True)
    assert alone.note == "Slurm gave this job 16 tasks, and this runs as 1: srun did not start it; write srun spikereel"
    assert processes(RunSpec(devices=16), SLURM).note is None
    assert not processes(RunSpec(), STEP).script
    assert processes(RunSpec(), {}) == Processes(devices=1, nodes=1, first=True)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    recipe = small_recipe(tmp_path)
    trainer = _trainer(recipe, tmp_path, (), 1, processes(RunSpec(devices=2)))
    assert isinstance(trainer.strategy.cluster_environment, LightningEnvironment)


def test_tasks_without_a_number_for_each_node_are_refused():
    with pytest.raises(ConfigError, match="--nodes=2 --ntasks-per-node=8"):
        processes(RunSpec(), {k: v for k, v in STEP.items() if k != "SLURM_NTASKS_PER_NODE"})


def test_a_job_is_queued_again_by_its_number(tmp_path, monkeypatch):
    assert requeue({}) is None
    assert requeue({"SLURM_JOB_ID": "1; rm x"}) is None
    tool = tmp_path / "scontrol"
    tool.write_text(f"#!/bin/sh\necho $@ > {tmp_path}/asked\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert requeue({"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}) == (
        "job 12_3 is queued again"
    )
    assert (tmp_path / "asked").read_text() == "requeue 12_3\n"


def test_a_signal_that_comes_twice_through_a_launcher_is_one_request(tmp_path):
    last = LastCheckpoint(tmp_path / "last.ckpt")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        last._stop(number, None)
    assert last.signal == signal.SIGTERM
    with pytest.raises(Stopped):
        last._stop(signal.SIGINT, None)


def test_while_a_run_trains_signals_are_ours(tmp_path):
    """Lightning puts its own before those of `on_fit_start`; it would speak with other processes in mid-step."""
    seen = []
    look = LambdaCallback(on_train_batch_start=lambda *_: seen.extend(map(signal.getsignal, SIGNALS)))
    before = [signal.getsignal(number) for number in SIGNALS]
    train(small_recipe(tmp_path, epochs=0.2), callbacks=(look,))
    assert seen
    assert all(getattr(handler, "__func__", None) is LastCheckpoint._stop for handler in seen)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_options_newer_than_a_checkpoint_had_their_default():
    defaults = {"a": 1, "run": {"x": 1, "y": 2}}
    assert _filled({"run": {"x": 5}}, defaults) == {"a": 1, "run": {"x": 5, "y": 2}}


def test_norms_become_synced_ones_and_back():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), ClipNorm(4, 2))
    names = list(model.state_dict())
    x = torch.rand(5, 2, 6, 6)
    plain = model[:2](x)
    synced(model)
    assert (type(model[1]), type(model[2])) == (SyncedNorm, SyncedClipNorm)
    assert torch.equal(model[:2](x), plain)
    synced(model, on=False)
    assert (type(model[1]), type(model[2])) == (nn.BatchNorm2d, ClipNorm)
    assert list(model.state_dict()) == names


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "there is one process: give run.devices, or auto"),
        ({"devices": 2, "memory": "lean"}, r"run.memory=plain \(here lean"),
        ({"devices": 2, "precision": "64"}, r"but 16 and 64 \(here 64\)"),
    ],
)
def test_what_fsdp_cannot_do_is_refused(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        train(small_recipe(tmp_path, strategy="fsdp", **changes))


def test_the_log_of_a_run_that_was_killed_counts_each_batch_once(tmp_path):
    lines = {
        0: [(1, 0, 0, [0, 1]), (1, 0, 1, [4, 5]), (2, 0, 1, [4, 5, 6, 7])],
        1: [(1, 0, 0, [2, 3]), (1, 0, 1, [6, 7])],
    }
    for rank, own in lines.items():
        text = "".join(
            json.dumps({"began": began, "epoch": epoch, "batch": batch, "clips": clips}) + "\n"
            for began, epoch, batch, clips in own
        )
        (tmp_path / f"clips-{rank}.jsonl").write_text(text + '{"began": 3, "ep')
    assert clips_seen(tmp_path) == {(0, 0): [0, 1, 2, 3], (0, 1): [4, 5, 6, 7]}


def test_workers_pass_over_what_tells_a_run_to_save():
    clips = build_dataset(replace(DATA, workers=1), "val")
    batches = iter(build_loader(clips, replace(DATA, workers=1), batch=2, shuffle=False))
    first = len(next(batches)[0])
    for worker in working():
        for number in SIGNALS[1:]:
            os.kill(worker, number)
    assert first + sum(len(videos) for videos, _ in batches) == len(clips)


def working() -> list[int]:
    """Processes of ours that prepare clips."""
    return [child.pid for child in multiprocessing.active_children()]


def test_a_child_that_outlives_a_run_does_not_hold_its_folder(tmp_path):
    (read, write), (begun, begin) = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        with run_folder(tmp_path / "a", resume=False):
            if not os.fork():
                # as a worker that prepares clips, which has begun its work
                os.write(write, str(os.getpid()).encode())
                os.write(begin, b"1")
                os.read(os.pipe()[0], 1)
            os.read(begun, 1)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    child = int(os.read(read, 20))
    try:
        with run_folder(tmp_path / "a", resume=False):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        for end in (read, write, begun, begin):
            os.close(end)


def run(out: Path, *changes: str, code: int = 0) -> list[float]:
    """Losses of a run in processes of its own."""
    command = [sys.executable, str(SCRIPT), str(out), str(out / "losses.json"), *changes]
    out.mkdir(exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == code, done.stderr[-2000:]
    # of several processes one speaks
    assert done.stderr.count("interrupted: ") == (code != 0)
    return json.loads((out / "losses.json").read_text())


@pytest.mark.slow
def test_two_processes_are_as_one(tmp_path):
    losses = {
        devices: run(tmp_path / str(devices), "run.precision=64", "run.sync_norms=true", f"run.devices={devices}")
        for devices in (1, 2)
    }
    assert len(losses[1]) == 12
    assert losses[2] == pytest.approx(losses[1], abs=1e-6)
    seen = {devices: clips_seen(tmp_path / str(devices) / "small") for devices in (1, 2)}
    assert seen[2] == seen[1]
    assert all(
        sorted(x for (e, _), own in seen[2].items() if e == epoch for x in own) == [*range(48)] for epoch in (0, 1)
    )
    one, two = (load_model(tmp_path / str(devices) / "small" / "last.safetensors").state_dict() for devices in (1, 2))
    for name, x in one.items():
        torch.testing.assert_close(two[name], x, atol=1e-6, rtol=0, msg=name)


@pytest.mark.slow
def test_a_network_in_parts_learns_as_a_whole_one_and_goes_on_with_any_number_of_processes(tmp_path):
    """Stopped in mid-epoch: parts go on as a whole, and a whole as parts."""
    common = ("run.sync_norms=true", "optim.clip_norm=0.5")
    both, parts = ((*common, "run.devices=2", f"run.strategy={way}") for way in ("ddp", "fsdp"))
    whole = run(tmp_path / "whole", *both)
    own = load_model(tmp_path / "whole" / "small" / "last.safetensors").state_dict()
    for name, before, after in (("a", parts, common), ("b", both, parts)):
        begun = run(tmp_path / name, "stop=8", *before, code=143)
        ended = run(tmp_path / name, *after, "run.resume=true")
        assert begun + ended == pytest.approx(whole, abs=1e-5), name
        found = load_model(tmp_path / name / "small" / "last.safetensors").state_dict()
        for key, x in own.items():
            # a bias in front of a norm has no gradient but rounding, of which Adam makes steps; the norm takes it away
            if not key.endswith(("encode_conv.bias", "encode_bn.running_mean")):
                torch.testing.assert_close(found[key], x, atol=2e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}")

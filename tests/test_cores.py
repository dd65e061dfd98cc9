"""Cores that a job or a container may fill."""

import os

import pytest

from spikereel.cores import cores

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("files", "env", "wanted"),
    [
        ({}, {}, HERE),
        ({"cpu.max": "max 100000\n"}, {}, HERE),
        ({"cpu.max": "100000 100000\n"}, {}, 1),
        ({"cpu.max": "50000 100000\n"}, {}, 1),
        ({"cpu.max": "150000 100000\n"}, {}, min(2, HERE)),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, {}, HERE),
        ({"cpu.cfs_quota_us": "90000\n", "cpu.cfs_period_us": "100000\n"}, {}, 1),
        ({}, {"SLURM_CPUS_PER_TASK": "1"}, 1),
        ({}, {"SLURM_CPUS_PER_TASK": "4096"}, HERE),
        ({"cpu.max": "400000000 100000\n"}, {"SLURM_CPUS_PER_TASK": ""}, HERE),
    ],
)
def test_no_more_cores_than_the_quota_and_the_task_have(tmp_path, files, env, wanted):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cores(env, (tmp_path / "cpu.max", tmp_path / "cpu.cfs_quota_us")) == wanted

"""The plain kernels built for ARM, run under an emulator: the spikes and membranes of this machine, bit by bit."""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "src/spikereel/engine/native"
SOURCES = [Path(__file__).with_name("arm.cpp"), NATIVE / "isa_plain.cpp", NATIVE / "pool.cpp"]
# as CMakeLists.txt has them
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-w", "-pthread", f"-I{NATIVE}"]

CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"


def _said(compiler, into, *before):
    subprocess.run([compiler, *FLAGS, *before, *SOURCES, "-o", into], check=True)
    run = [EMULATOR, into] if compiler == CROSS else [into]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(shutil.which, ("g++", CROSS, EMULATOR))), reason=f"needs g++, {CROSS} and {EMULATOR} (qemu-user)"
)
def test_arm_gives_the_same_bits(tmp_path):
    here, arm = _said("g++", tmp_path / "here"), _said(CROSS, tmp_path / "arm", "-static")
    assert here.endswith(", same\n")
    assert not here.startswith("0 spikes")
    assert arm == here

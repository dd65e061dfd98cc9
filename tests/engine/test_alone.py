"""Kernels built without Python: the plain ones for ARM, under an emulator; those for AMX with its instructions in C.

Both give the spikes and membranes of the plain kernels of this machine, bit by bit.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from spikereel.engine.loaded import available, native

NATIVE = Path(__file__).parents[2] / "src/spikereel/engine/native"
PLAIN = [Path(__file__).with_name("alone.cpp"), NATIVE / "isa_plain.cpp", NATIVE / "pool.cpp"]
TILES = [*PLAIN, NATIVE / "isa_avx512.cpp", NATIVE / "isa_amx.cpp"]
# as CMakeLists.txt has them
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-w", "-pthread", f"-I{NATIVE}"]
AVX512 = ["-mavx2", "-mfma", "-mpopcnt", "-mbmi", "-mbmi2", "-mlzcnt", "-mgfni"]
AVX512 += [f"-mavx512{part}" for part in ("f", "bw", "dq", "vl", "vbmi", "vbmi2", "vpopcntdq", "vnni")]

CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"


def _said(sources, into, *flags, compiler="g++"):
    subprocess.run([compiler, *FLAGS, *flags, *sources, "-o", into], check=True)
    run = [EMULATOR, into] if compiler == CROSS else [into]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    said = _said(PLAIN, tmp_path_factory.mktemp("alone") / "here")
    assert said.endswith(", same\n")
    assert not said.startswith("0 spikes")
    return said


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, (CROSS, EMULATOR))), reason=f"needs {CROSS} and {EMULATOR} (qemu-user)")
def test_arm_gives_the_same_bits(here, tmp_path):
    assert _said(PLAIN, tmp_path / "arm", "-static", compiler=CROSS) == here


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() != "x86_64" or not available() or "avx512" not in native().instruction_sets(),
    reason="needs a processor with AVX-512",
)
def test_tiles_give_the_same_bits(here, tmp_path):
    assert _said(TILES, tmp_path / "tiles", *AVX512, "-DSPIKEREEL_TILES_IN_C") == here

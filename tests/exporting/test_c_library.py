"""The C library as others build it: with sanitizers, and for ARM, run by qemu."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.exporting.run import open_export
from spikereel.layers.neuron import NeuronConfig

MODELS = {
    "causal": lambda: tiny_model(attention="causal", neuron=NeuronConfig(kind="ilif")),
    "spatial": lambda: tiny_model(attention="spatial", neuron=NeuronConfig(kind="plif", reset="soft", v_reset=-0.25)),
    "svformer": lambda: tiny_svformer(time_norm=False, head="mean"),
}
ARM = {"aarch64-linux-gnu-gcc": "qemu-aarch64", "arm-linux-gnueabihf-gcc": "qemu-arm"}
SANITIZED = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
HEADER = 48
"""Bytes before the operations."""

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None, reason="needs a C compiler and make"
)


@pytest.fixture(
    scope="module", params=["causal", *(pytest.param(x, marks=pytest.mark.slow) for x in ("spatial", "svformer"))]
)
def exported(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "net.spkc"
    spikereel.export(MODELS[request.param]().float(), path, size=(64, 64), grid=False)
    return path


def built(path: Path, name: str, *words: str) -> Path:
    """The example of its folder, made by its Makefile."""
    folder = path.parent / name
    shutil.copytree(f"{path}.src", folder)
    made = subprocess.run(["make", "-C", folder, *words], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder / "spikereel"


def run(*words) -> subprocess.CompletedProcess:
    frames = clip(4, 1).float()[:, 0].numpy().tobytes()
    # where a broken file asks for more memory than there is, the program is to say so
    return subprocess.run(
        list(map(str, words)), input=frames, capture_output=True, env={"ASAN_OPTIONS": "allocator_may_return_null=1"}
    )


def test_it_is_clean_under_sanitizers_and_for_arm_prints_the_same(exported):
    expected = run(built(exported, "plain"), exported).stdout.decode()
    assert len(expected.splitlines()) == 4
    sanitized = built(exported, "sanitized", f"CFLAGS={SANITIZED} -std=c99 -ffp-contract=off")
    done = run(sanitized, exported)
    assert (done.returncode, done.stdout.decode()) == (0, expected), done.stderr.decode()
    content, dice, broken = exported.read_bytes(), random.Random(0), exported.with_name("broken.spkc")
    operations = struct.unpack("<12i", content[:HEADER])[2]
    for turn in range(20):
        other = bytearray(content)
        at = 4 * dice.randrange((HEADER + 96 * operations) // 4)
        other[at : at + 4] = struct.pack("<i", dice.choice((-1, 0, 1, 2**20, 2**31 - 1, dice.randrange(10**6))))
        broken.write_bytes(other if turn % 2 else content[: dice.randrange(len(content))])
        done = run(sanitized, broken)
        said = done.stderr.decode()
        assert done.returncode in (0, 1, 2), said
        assert "Sanitizer" not in said
        assert "runtime error" not in said
    for compiler, emulator in ARM.items():
        if shutil.which(compiler) and shutil.which(emulator):
            program = built(exported, compiler, f"CC={compiler}", "CFLAGS=-O1 -static -std=c99 -ffp-contract=off")
            assert run(shutil.which(emulator), program, exported).stdout.decode() == expected, compiler


def test_a_state_of_more_than_a_million_words_is_none_too_large(tmp_path):
    """The frames seen lie behind all membranes: their place is no size of an operation."""
    path = tmp_path / "net.spkc"
    spikereel.export(tiny_model(attention="causal").float(), path, size=(320, 448), grid=False)
    logits, _ = open_export(path)(torch.rand(1, 1, 3, 320, 448))
    assert logits.isfinite().all()
    assert struct.unpack_from("<i", path.read_bytes(), 16)[0] > 1 << 20

"""Exported files in runtimes of side environments: every spike, on weights and on a network of ties."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
WEIGHTS = "spikevideoformer_ti.motion_spatial"
# pixels are on no grid, and the first convolution sums them in another order there
ROUNDED = {"litert": 3, "iree": 3}
"""Spikes of the network of ties that differ from equal states."""


def side_of(monkeypatch, target: str) -> Path:
    side = Path(os.environ.get("SPIKEREEL_SIDE", ""))
    if not (side / target / "done").exists():
        pytest.skip(f"{side} has no {target}; run python benchmarks/export_targets.py {target} --side {side}")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return side


@pytest.mark.side
@pytest.mark.parametrize("target", ["aotinductor", "ncnn", "tract", "litert", "iree", "tvm"])
def test_a_runtime_has_the_spikes_of_the_model(target, monkeypatch):
    side = side_of(monkeypatch, target)
    import export_targets

    (row,) = export_targets.rows_of([target], side, ["weights", "grid"])
    assert row["weights"]["differ"] == row["weights"]["differ_from_states"] == 0, row
    assert row["weights"]["outputs_off"] < 1e-5
    assert row["grid"]["differ_from_states"] <= ROUNDED.get(target, 0), row


@pytest.mark.side
def test_executorch_by_the_command(monkeypatch, tmp_path):
    python = side_of(monkeypatch, "executorch") / "executorch" / "bin" / "python"
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))

    def spikereel(*arguments):
        return subprocess.run(
            [python, "-m", "spikereel", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = spikereel("export", WEIGHTS, "--to", "executorch")
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "42 of 42 neuron layers faithful" in words
    assert "on a grid of ties: 42 of 42 neuron layers faithful" in words
    file = f"{WEIGHTS}.pte"
    done = spikereel("export", "--check", file)
    assert "as its certificate says, by ExecuTorch" in " ".join(done.stdout.split()), done.stderr
    np.save(tmp_path / "clip.npy", np.zeros((8, 2, 32, 32), np.float32))
    done = spikereel("predict", "clip.npy", "--model", file, "--out", "a")
    assert "by ExecuTorch" in done.stdout, done.stderr
    (tmp_path / "cut.pte").write_bytes((tmp_path / file).read_bytes()[:1_000_000])
    done = spikereel("predict", "clip.npy", "--model", "cut.pte", "--out", "a")
    assert done.returncode == 2
    assert "cut.pte is no whole file of ExecuTorch" in done.stderr


OTHERWISE = """
import torch, spikereel
from tiny import clip, tiny_svformer
model, video = tiny_svformer(time_norm=False, head="mean").float(), clip(4, 1).float()
print(spikereel.export(model, "net.pte", size=(64, 64), clips=[video], grid=False).faithful)
exported = spikereel.open_export("net.pte")
_, state = exported(video[:2])
expected, _ = exported(video[2:], state)
for order in ((0, 2, 3, 1), (3, 2, 1, 0)):
    back = [order.index(i) for i in range(4)]
    turned = {k: x.permute(order).contiguous().permute(back) if x.ndim == 4 else x for k, x in state.flat().items()}
    assert sum(not x.is_contiguous() for x in turned.values()) > 20
    print(torch.equal(exported(video[2:], type(state).from_flat(turned))[0], expected))
"""


WHOLE = """
import spikereel
from tiny import clip, tiny_svformer
model = tiny_svformer().float()
print(spikereel.export(model, "net.pte", steps=4, size=(64, 64), clips=[clip(4, 1).float()], grid=False).faithful)
"""


@pytest.mark.side
def test_executorch_runs_a_convolution_over_a_whole_clip(monkeypatch, tmp_path):
    """As one over a picture of all frames: it has no kernel for three axes, and says so when it runs alone."""
    python = side_of(monkeypatch, "executorch") / "executorch" / "bin" / "python"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]))
    done = subprocess.run([python, "-c", WHOLE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True"], done.stdout + done.stderr[-1000:]


@pytest.mark.side
def test_executorch_takes_states_in_any_order_of_memory(monkeypatch, tmp_path):
    """It reads a channels-last tensor as if it were not (its issue 21837), and refuses other orders."""
    python = side_of(monkeypatch, "executorch") / "executorch" / "bin" / "python"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]))
    done = subprocess.run([python, "-c", OTHERWISE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "True", "True"], done.stdout + done.stderr[-1000:]

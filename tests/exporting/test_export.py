"""Exported files give the model's spikes: states in the signature, norms folded, and a certificate that can fail."""

import copy
import io
import json
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.apps.cli import main
from spikereel.apps.commands.export import _Line
from spikereel.errors import ConfigError, DataError, StateError, WeightsError
from spikereel.exporting.certificate import Certificate, certify, check, made_with
from spikereel.exporting.contract import Contract, contract_of
from spikereel.exporting.decisions import differ, rounding_of_sum
from spikereel.exporting.executorch import without_conv3d
from spikereel.exporting.export import certificate_of
from spikereel.exporting.flat import Part, flat
from spikereel.exporting.fold import folded
from spikereel.exporting.grid import grid_model
from spikereel.exporting.run import Exported
from spikereel.exporting.targets import TARGETS
from spikereel.exporting.ties import charges, ties
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.observe import firing_rates

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
SHARED = {"time_norm": False, "head": "mean"}
MODELS = {
    "causal": lambda: tiny_model(attention="causal"),
    "spatial dot": lambda: tiny_model(attention="spatial", similarity="dot"),
    "integer": lambda: tiny_model(attention="causal", neuron=NeuronConfig(kind="ilif")),
    "soft plif": lambda: tiny_model(attention="spatial", neuron=NeuronConfig(kind="plif", reset="soft")),
    "rest below zero": lambda: tiny_model(attention="spatial", neuron=NeuronConfig(v_reset=-0.25)),
    "svformer": lambda: tiny_svformer(**SHARED),
    "artificial": lambda: tiny_model(attention="spatial", neuron=NeuronConfig(kind="relu")),
}
"""Models that go frame by frame, in float64."""
NOT_IN_C = {
    "contrast": lambda: tiny_model(attention="causal", contrast="beside"),
    "on and off": lambda: tiny_model(
        attention="spatial", contrast="instead", contrast_form="on_off", contrast_more=(6.0,), contrast_surround=1
    ),
    # nothing goes on from frame to frame
    "no state": lambda: tiny_model(
        attention="spatial", task="segmentation", num_classes=3, neuron=NeuronConfig(kind="relu")
    ),
}


def plain_file(model, *, steps: int = 1, batch: int = 1, size: int = 64) -> Exported:
    """What a file would be, with PyTorch in the place of a runtime."""
    own = flat(model, steps=steps, batch=batch, size=(size, size))
    contract = contract_of(model, own, target="torch", batch=None, folded=False)

    def call(inputs):
        with torch.no_grad():
            return list(own(*inputs))

    return Exported(contract, call, "PyTorch")


@pytest.fixture(scope="module")
def causal():
    return MODELS["causal"]().float()


@pytest.mark.parametrize("name", [*MODELS, *NOT_IN_C, "joint", "clip norms"])
def test_folding_changes_rounding_alone(name):
    more = {"joint": lambda: tiny_model(attention="hierarchical"), "clip norms": tiny_svformer}
    model = {**MODELS, **NOT_IN_C, **more}[name]()
    with torch.no_grad():
        expected, state = model(clip())
        found, after = folded(model)(clip())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for key, x in state.flat().items():
        torch.testing.assert_close(after.flat()[key].double(), x.double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [*MODELS, *NOT_IN_C])
def test_frame_by_frame_from_constants_is_the_clip(name):
    model = {**MODELS, **NOT_IN_C}[name]().float()
    video = clip(5).float()
    with torch.no_grad():
        expected, state = model(video)
    exported = plain_file(model, batch=2)
    found, after = exported(video)
    torch.testing.assert_close(found, expected)
    # the states of the file and of the model continue each other
    with torch.no_grad():
        torch.testing.assert_close(exported(video, state)[0], model(video, state)[0])
        torch.testing.assert_close(model(video, after)[0], model(video, state)[0])


def test_sums_of_attention_are_whole_numbers_in_32_bits(causal):
    own = flat(causal, steps=1, batch=1, size=(64, 64))
    kinds = {part.name: part.dtype for part in own.parts if part.name.endswith("summed")}
    assert kinds
    assert set(kinds.values()) == {"int32"}
    # beyond 2^24, where float32 stands still
    states = {part.name: part.first() for part in own.parts}
    name = next(iter(kinds))
    states[name] += 2**25 + 1
    with torch.no_grad():
        after = own(clip(1, 1).float(), *states.values())[len(own.fields) :]
        fresh = own(clip(1, 1).float(), *(part.first() for part in own.parts))[len(own.fields) :]
    at = [part.name for part in own.parts].index(name)
    assert torch.equal(after[at] - (2**25 + 1), fresh[at])


def test_a_clip_at_once_takes_no_state():
    model = tiny_model(attention="joint").float()
    exported = plain_file(model, steps=4)
    assert exported.contract.inputs == ["video"]
    video = clip().float()
    with torch.no_grad():
        torch.testing.assert_close(exported(video)[0], model(video)[0])
    with pytest.raises(DataError, match=r"takes clips of 4 frames, got 3"):
        exported(video[:3])
    with pytest.raises(StateError, match="goes on from no state"):
        exported(video, model(video)[1])


def test_what_does_not_fit_is_one_sentence(causal):
    exported = plain_file(causal)
    video = clip(2).float()
    with pytest.raises(
        DataError, match=r"takes float32 video \[T, B=any, 3, 64, 64\], got torch.float32 \[2, 2, 3, 32"
    ):
        exported(video[..., :32, :32])
    with pytest.raises(StateError, match=r"is \[2, .*this file takes \[1, "):
        exported(video[:, :1], exported(video)[1])
    with pytest.raises(DataError, match=r"video is a ndarray; give a tensor: torch\.as_tensor"):
        exported(video.numpy())
    with pytest.raises(DataError, match="video holds NaN or infinite values"):
        exported(torch.full_like(video, torch.nan))
    with pytest.raises(StateError, match=r"got a list; write output, state = exported\(video\)"):
        exported(video, [torch.zeros(2)])
    # what a file of torch.save gives back is a plain mapping
    _, state = exported(video)
    assert torch.equal(exported(video, dict(state))[0], exported(video, state)[0])
    with pytest.raises(StateError, match="of the state is missing"):
        exported(video, {"lif": torch.zeros(2)})
    with pytest.raises(ConfigError, match="take clips of 4 frames at once, not 1 steps"):
        flat(tiny_svformer(), steps=1, size=(64, 64))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (clip(2).float(), r"takes float32 video \[T, B=1, 3, 64, 64\], got torch.float32 \[2, 2, 3, 64, 64"),
        (clip(2, 1)[..., :32].float(), r"got torch.float32 \[2, 1, 3, 64, 32"),
        (torch.full((2, 1, 3, 64, 64), torch.inf), "holds NaN or infinite values"),
    ],
)
def test_a_clip_that_does_not_fit_stops_before_a_file_is_written(given, said, causal, tmp_path):
    path = tmp_path / "net.pt2"
    with pytest.raises(DataError, match=said):
        spikereel.export(causal, path, size=(64, 64), batch=1, clips=[clip(2, 1).float(), given])
    assert not path.exists()


def test_the_contract_is_read_back(causal):
    contract = plain_file(causal).contract
    assert Contract.from_text(json.dumps(contract.to_json()), "x") == contract
    with pytest.raises(WeightsError, match="is of schema other/1"):
        Contract.from_text(json.dumps({**contract.to_json(), "schema": "other/1"}), "x.onnx")
    for text in (None, "", "[]", "{}", '{"schema": "spikereel.export/1"}'):
        with pytest.raises(WeightsError, match=r"x\.onnx says nothing of its states"):
            Contract.from_text(text, "x.onnx")


def test_a_certificate_counts_flipped_spikes(causal, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    good = certify(causal, plain_file(causal), file, clips=[clip(4, 1).float()])
    assert good.faithful
    assert sum(x.decisions for x in good.layers) == 4 * sum(
        part.first(1).numel() for part in plain_file(causal).contract.parts if part.jump
    )
    # a layer with another bias spikes otherwise
    other = folded(causal)
    other.block3[0].mlp.fc1_conv.bias.data += 0.05
    bad = certify(causal, plain_file(other), file, clips=[clip(4, 1).float()])
    assert not bad.faithful
    found = {x.name for x in bad.layers if x.from_states}
    assert "block3.0.mlp.fc2_lif" in found
    assert "downsample1_2.encode_lif" not in found
    assert any("approximate: block3.0.mlp.fc2_lif" in line for line in bad.lines())
    # and the clip that needs no weights shows it too
    assert check(plain_file(causal), file, good) == []
    assert any("spikes of block3.0.mlp.fc2_lif differ" in line for line in check(plain_file(other), file, good))
    file.write_bytes(b"changed")
    assert any("is not the file of the certificate" in line for line in check(plain_file(causal), file, good))


@pytest.mark.parametrize("name", ["causal", "integer", "soft plif", "rest below zero"])
def test_a_certificate_says_where_it_begins_and_how_near_the_threshold(name, tmp_path):
    file, model, video = tmp_path / "file", MODELS[name]().float(), clip(4, 1).float()
    file.write_bytes(b"content")
    other = folded(model)
    # a charge is off by no more than its current
    other.block3[0].mlp.fc1_conv.bias.data += 0.05
    bad = certify(model, plain_file(other), file, clips=[video])
    (begins,) = [x for x in bad.layers if x.first]
    assert begins.name == "block3.0.mlp.fc2_lif"
    assert begins.first == begins.from_states
    assert 0 < begins.distance < 0.0501
    assert f"begins at {begins.name} ({begins.first}, within {begins.distance:.1g} of the threshold)" in str(bad)


def test_an_export_tells_what_it_does(causal, tmp_path):
    said: list[tuple] = []
    spikereel.export(causal, tmp_path / "a.spkc", size=(64, 64), progress=lambda *x: said.append(x))
    pieces = ("writing a.spkc", "running a.spkc and the model", "writing and running a network of many ties")
    assert said == [(what, done, 3, 1) for done, what in enumerate(pieces)]
    said.clear()
    two = {"steps": 2, "size": (64, 64), "grid": False}
    spikereel.export(causal, tmp_path / "a.pt2", **two, progress=lambda *x: said.append(x))
    assert said == [("writing a.pt2", 0, 2, 2), ("running a.pt2 and the model", 1, 2, 2)]


def test_a_long_export_says_so_before_it_begins(monkeypatch):
    """Once, for several steps of targets that take each anew; the network of ties with what the first file took."""
    out, clock = Console(file=io.StringIO(), width=120), iter((10.0, 95.0))
    monkeypatch.setattr("spikereel.apps.commands.export.monotonic", lambda: next(clock))
    bar = Progress(console=Console(file=io.StringIO()), disable=True)
    line = _Line(bar, out, "onnx")
    line("writing x.onnx", 0, 3, 8)
    said = "8 time steps in one file: writing takes minutes, 8 times as long as one step; --no-grid halves that\n"
    assert out.file.getvalue() == said
    line("running x.onnx and the model", 1, 3, 8)
    line("a network of many ties", 2, 3, 8)
    task = bar.tasks[0]
    assert (task.description, task.completed, task.total) == ("a network of many ties: 85 s and more", 2, 3)
    assert out.file.getvalue() == said


@pytest.mark.parametrize(("target", "steps"), [("onnx", 1), ("torch", 8)])
def test_a_short_export_says_nothing(target, steps):
    out = Console(file=io.StringIO())
    _Line(Progress(disable=True), out, target)("writing", 0, 3, steps)
    assert out.file.getvalue() == ""


@pytest.mark.parametrize("kind", ["lif", "ilif"])
def test_a_tie_before_the_last_step_is_named(kind, tmp_path):
    """A file shows its spikes after a call alone; where one flips at the first of four steps, the model says which."""
    model, video = tiny_model(attention="joint", neuron=NeuronConfig(kind=kind)).float(), clip(4, 1).float()
    name, until = "block3.0.mlp.fc2_lif", "block3.0.mlp.fc2_lif"
    assert name not in [x.layer for x in ties(model, video, until=until)]
    # one charge of the first step is moved to where a count or a spike is decided
    neuron = model.get_submodule(name)
    charge = charges(model, video)[name].charged
    if kind == "lif":
        value = charge[0][charge[0] > 0].median()
        neuron.config = replace(neuron.config, threshold=float(value))
        moved, edge = model, float(value)
    else:
        value = charge[0][(charge[0] > 0.5) & (charge[0] < 1.5)].median()
        at = (charge == value).nonzero()[0]
        moved, edge = copy.deepcopy(model), 1.5
        moved.block3[0].mlp.fc1_bn.bias.data[at[2]] += edge - value
    found = ties(moved, video, until=until)
    assert found[-1].layer == name
    assert found[-1].step == 0
    assert found[-1].distance <= 1e-6 * edge < 1e-5
    assert found[-1].distance < found[-1].off < 1e-4
    assert "block3.0.attn.attn_lif" not in [x.layer for x in ties(moved, video, until="downsample1_1.encode_lif")]
    # and a certificate says so
    file = tmp_path / "file"
    file.write_bytes(b"content")
    other = folded(moved)
    other.block3[0].mlp.fc1_conv.bias.data += 0.05
    bad = certify(moved, plain_file(other, steps=4), file, clips=[video])
    assert "compared after their last step" in str(bad)
    assert f"{name} has at step 0 a charge within" in str(bad)
    # of answers for each frame a spike may be lost that no membrane knows of any more
    other = folded(moved)
    other.head.bias.data += 1
    lost = certify(moved, plain_file(other, steps=4), file, clips=[video])
    assert not lost.faithful
    assert not [x for x in lost.layers if x.verdict != "faithful"]
    assert lost.ties[-1].layer == name
    bad.save(tmp_path / "certificate.json")
    assert Certificate.load(tmp_path / "certificate.json") == bad


def test_rounding_of_a_large_membrane_is_no_spike():
    part = Part(name="lif", shape=(1, 4), dtype="float32", start=0.0, meaning="membrane", jump=1.0)
    a, b = torch.tensor([-8e6, 0.999, -8e6, 0.0]), torch.tensor([-8e6 + 2, 0.0, 0.0, torch.nan])
    assert differ(part, a, b).tolist() == [False, True, True, True]


def test_one_spike_among_millions_shows_in_the_sum():
    part = Part(name="lif", shape=(1, 4), dtype="float32", start=0.0, meaning="membrane", jump=1.0)
    assert rounding_of_sum(part, torch.full((4_000_000,), 0.5)) == 0.5
    assert rounding_of_sum(part, torch.tensor([-8e6, 0.5])) == pytest.approx(80)


def test_a_certificate_passes_over_nothing(causal, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    good = certify(causal, plain_file(causal), file, clips=[clip(2, 1).float()])
    # a certificate without calls says nothing of a file
    empty = replace(good, repeat={**good.repeat, "calls": []})
    assert any("has 0 calls" in line for line in check(plain_file(causal), file, empty))
    # values that are no numbers are no spikes of the model
    other = folded(causal)
    other.block3[0].mlp.fc1_conv.bias.data[0] = torch.nan
    lost = plain_file(other)
    assert any("spikes of block3.0.mlp.fc2_lif differ" in line for line in check(lost, file, good))
    assert not certify(causal, lost, file, clips=[clip(2, 1).float()]).faithful
    # a network without spikes is judged by its outputs
    twin = spikereel.create_model("spikevideoformer_ti.ann", num_classes=3, attention="spatial").eval()
    shifted = folded(twin)
    shifted.head.bias.data += 1
    assert certify(twin, plain_file(twin), file, clips=[clip(2, 1).float()]).faithful
    assert not certify(twin, plain_file(shifted), file, clips=[clip(2, 1).float()]).faithful


def test_a_certificate_is_of_all_files_and_says_what_made_it(causal, tmp_path):
    """OpenVINO keeps the weights beside the file that is named."""
    path, exported = tmp_path / "net.xml", plain_file(causal)
    path.write_bytes(b"graph")
    path.with_suffix(".bin").write_bytes(b"weights")
    good = certify(causal, exported, path, clips=[clip(2, 1).float()])
    assert check(exported, path, good) == []
    assert made_with(exported, good) == ""
    path.with_suffix(".bin").write_bytes(b"weight5")
    (said,) = check(exported, path, good)
    assert said.startswith(f"{path} and {path.with_suffix('.bin')} are not the files of the certificate")
    other = replace(good, runtime="PyTorch 0.1", versions={**good.versions, "torch": "0.1"}, hardware="an abacus")
    said = made_with(exported, other)
    assert said.startswith("the certificate is of PyTorch 0.1, torch 0.1, hardware an abacus; here is PyTorch, torch ")
    assert "spikereel" not in said


def test_a_grid_network_fires_and_meets_its_threshold(causal):
    video = (clip(3, 1).float() * 16).round() / 16
    model = grid_model(causal, video)
    with torch.no_grad(), firing_rates(model) as rates:
        model(video)
    assert rates.silent() == []
    # charges of the first layer of neurons, by the reference
    x = model.downsample1_1(video)[0]
    charge = x[0] / 2
    assert int((charge == 1.0).sum()) > 0
    # behind a neuron that is silent there, weights stay what they can be summed with
    twin = grid_model(tiny_svformer(**SHARED).float(), video)
    assert max(float(x.detach().abs().max()) for x in twin.parameters()) < 2**10


@needs_cc
@pytest.mark.parametrize("name", MODELS)
def test_c_has_the_spikes_of_the_model(name, tmp_path):
    model = MODELS[name]().float()
    video = clip(6, 1).float()
    # into a folder that is made
    path = tmp_path / "a new folder" / "net.spkc"
    certificate = spikereel.export(model, path, clips=[video], size=(64, 64), grid=False)
    assert certificate.faithful
    assert certificate.largest < 1e-4 * max(1.0, certificate.size)
    exported = spikereel.open_export(path)
    assert check(exported, path, Certificate.load(certificate_of(path))) == []
    with torch.no_grad():
        _, state = model(video[:3])
        torch.testing.assert_close(exported(video[3:], state)[0], model(video[3:], state)[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model(video[3:], exported(video[:3])[1])[0], model(video)[0], rtol=1e-4, atol=1e-5)


@needs_cc
def test_c_builds_by_its_makefile_and_runs_frames_from_standard_input(causal, tmp_path):
    import subprocess

    spikereel.export(causal, tmp_path / "net.spkc", size=(64, 64), grid=False)
    folder = tmp_path / "net.spkc.src"
    made = subprocess.run(["make", "-C", folder, "CFLAGS=-O1 -Wall -Wextra -pedantic -Werror"], capture_output=True)
    assert made.returncode == 0, made.stderr.decode()
    frames = clip(3, 1).float()
    run = subprocess.run(
        [folder / "spikereel", tmp_path / "net.spkc"], input=frames[:, 0].numpy().tobytes(), capture_output=True
    )
    rows = np.array([[float(x) for x in line.split()] for line in run.stdout.decode().splitlines()])
    with torch.no_grad():
        expected = [causal(frames[: t + 1])[0][0].numpy() for t in range(3)]
    np.testing.assert_allclose(rows, expected, atol=1e-5)


@needs_cc
def test_c_says_what_is_wrong_with_a_file(causal, tmp_path):
    path = tmp_path / "net.spkc"
    spikereel.export(causal, path, size=(64, 64), grid=False)
    whole = path.read_bytes()
    words = struct.unpack("<12i", whole[:48])
    # an operation that writes behind the scratch memory
    broken = bytearray(whole)
    broken[48 + 8 : 48 + 12] = struct.pack("<i", words[5] + 1)
    for content, said in (
        (whole[: len(whole) // 2], "no whole file of spikereel export"),
        (b"XXXX" + whole[4:], "no file of spikereel export --to c"),
        (whole[:4] + struct.pack("<i", 9) + whole[8:], "of another version"),
        (bytes(broken), "the file is broken"),
        (b"", "no whole file"),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=said):
            spikereel.open_export(path)


def test_c_refuses_by_name_what_it_cannot_do(tmp_path):
    for fields, said in (
        ({"attention": "joint"}, "see a whole clip at once"),
        ({"attention": "causal", "contrast": "beside"}, "no contrast front"),
        ({"attention": "causal", "neuron": "relu"}, r"block3\.0\.attn: the C library keeps sums of spikes"),
        ({"attention": "spatial", "task": "segmentation", "num_classes": 3}, "no head for segmentation"),
        (
            {"attention": "spatial", "tau_spread": (2.0, 8.0)},
            "lif1: the C library has neurons with one time constant a layer",
        ),
        ({"attention": "spatial", "fires": "above"}, "fires at the threshold and resets at once"),
    ):
        model = spikereel.create_model("spikevideoformer_ti", **fields)
        with pytest.raises(ConfigError, match=said):
            spikereel.export(
                model, tmp_path / "net.spkc", steps=4 if fields["attention"] == "joint" else 1, size=(32, 32)
            )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [row.suffix for row in TARGETS.values()])
def test_broken_and_foreign_files_are_one_sentence(suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    row = next(row for row in TARGETS.values() if row.suffix == suffix)
    if row.extra:
        pytest.importorskip({"onnx": "onnxruntime"}.get(row.name, row.name))
    with pytest.raises(DataError, match="is not there"):
        spikereel.open_export(path)
    for content in (b"", b"nothing of the kind" * 20):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"net{suffix}"):
            spikereel.open_export(path)


def test_names_of_targets_and_files(tmp_path, causal):
    with pytest.raises(ConfigError, match="nothing is exported to 'tflite'; choose one of onnx"):
        spikereel.export(causal, tmp_path / "net.onnx", to="tflite")
    with pytest.raises(ConfigError, match=r"a file for c ends in \.spkc"):
        spikereel.export(causal, tmp_path / "net.onnx", to="c")
    with pytest.raises(ConfigError, match="is no exported model; they end in"):
        spikereel.open_export(tmp_path / "net.bin")
    # before any work
    (tmp_path / "net.xml").mkdir()
    with pytest.raises(ConfigError, match=r"cannot write .*net\.xml: it is a folder"):
        spikereel.export(causal, tmp_path / "net.xml", size=(64, 64))


def test_onnx_has_the_spikes_of_the_model(causal, tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    certificate = spikereel.export(causal, path, size=(64, 64), clips=[clip(4).float()], grid=False)
    assert certificate.faithful
    assert certificate.runtime.startswith("ONNX Runtime")
    # no stack traces, no tables beside the weights
    assert path.stat().st_size < 4 * sum(x.numel() for x in causal.parameters()) + 600_000
    exported = spikereel.open_export(path)
    video = clip(4, 3).float()
    with torch.no_grad():
        torch.testing.assert_close(exported(video)[0], causal(video)[0], rtol=1e-4, atol=1e-5)
    assert check(exported, path, Certificate.load(certificate_of(path))) == []
    with pytest.raises(ConfigError, match="operator set 12 is not written"):
        spikereel.export(causal, path, size=(64, 64), opset=12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [("causal", "onnx"), ("svformer", "onnx"), ("joint", "onnx"), ("contrast", "torch"), ("causal", "openvino")],
)
def test_one_file_takes_frames_of_any_size(name, target, tmp_path):
    """And any number of clips, with states of its own."""
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}.get(target, "torch"))
    model = {**MODELS, **NOT_IN_C, "joint": lambda: tiny_model(attention="joint")}[name]().float()
    model.metadata = replace(model.metadata, preprocess={"size": 64, "frames": 2})
    path = tmp_path / f"net{TARGETS[target].suffix}"
    certificate = spikereel.export(model, path, size="any", clips=[clip(4).float()], grid=False)
    # charges of noise lie as near the threshold as rounding goes
    assert all(x.distance < 1e-5 for x in certificate.layers if x.first), certificate.lines()
    assert certificate.largest <= 1e-2
    assert certificate.on == "given clips and one of another size"
    assert certificate.clips == 2
    exported = spikereel.open_export(path)
    for height, width, clips in ((96, 224, 1), (160, 64, 3)):
        video = torch.rand(2, clips, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.no_grad():
            expected = model(video)[0]
        torch.testing.assert_close(exported(video)[0], expected, rtol=1e-4, atol=1e-5)
        if not exported.contract.whole:
            _, state = exported(video[:1])
            torch.testing.assert_close(exported(video[1:], state)[0], expected, rtol=1e-4, atol=1e-5)
            with pytest.raises(StateError, match="give state=None"):
                exported(torch.rand(1, clips, 3, 128, 128), state)
    with pytest.raises(DataError, match=r"sides that 32 divides"):
        exported(torch.rand(2, 1, 3, 96, 100))
    assert check(exported, path, Certificate.load(certificate_of(path))) == []


@pytest.mark.parametrize("name", [*MODELS, *NOT_IN_C, "joint"])
def test_shapes_of_states_follow_from_the_size(name):
    model = {**MODELS, **NOT_IN_C, "joint": lambda: tiny_model(attention="joint")}[name]()
    free = flat(model, steps=4, batch=2, size=(64, 96), any_size=True)
    for size in ((64, 96), (96, 64), (32, 160)):
        wanted = [part.shape for part in flat(model, steps=4, batch=3, size=size).parts]
        assert [tuple(part.first(3, size).shape) for part in free.parts] == wanted


def test_looking_at_several_sizes_is_no_clip_that_lost_its_state(causal):
    """Weights of a few frames would warn of so many calls with one frame and no state."""
    model = copy.deepcopy(causal)
    model.metadata = replace(model.metadata, preprocess={"size": 64, "frames": 2})
    assert flat(model, steps=1, batch=2, size=(64, 96), any_size=True).parts


def test_sizes_that_are_fixed_are_refused_by_name(causal, tmp_path):
    with pytest.raises(ConfigError, match="c is written for one size of frames; give it, such as --size"):
        spikereel.export(causal, tmp_path / "net.spkc", size="any")
    with pytest.raises(ConfigError, match="any size are none for these weights: these weights take frames of"):
        spikereel.export(tiny_svformer().float(), tmp_path / "net.pt2", size="any")


@pytest.mark.parametrize("time_norm", [True, False])
def test_executorch_gets_no_convolution_over_three_axes(time_norm):
    model, video = tiny_svformer(time_norm=time_norm), clip()
    own = flat(model, steps=4, batch=2, size=(64, 64))
    other = without_conv3d(own)
    assert sum(isinstance(module, torch.nn.Conv3d) for module in own.modules()) == 1
    assert not any(isinstance(module, torch.nn.Conv3d) for module in other.modules())
    with torch.no_grad():
        for ours, theirs in zip(own(video), other(video), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        # a clip in two parts
        layer, tall = (x.model.dwconv_bf_head for x in (own, other))
        features = torch.rand(4, 2, layer.in_channels, 2, 2, dtype=torch.float64)
        for first in (features[:1], features[:3]):
            rest = features[len(first) :]
            given = [x(rest, x(first)[1], len(first))[0] for x in (layer, tall)]
            torch.testing.assert_close(*given, rtol=1e-12, atol=1e-12)


def test_openvino_needs_no_onnxruntime(causal, tmp_path, monkeypatch):
    """The extra `openvino` has none."""
    pytest.importorskip("openvino")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    certificate = spikereel.export(causal, tmp_path / "net.xml", size=(64, 64), grid=False)
    assert certificate.runtime.startswith("OpenVINO")
    (tmp_path / "net.bin").unlink()
    with pytest.raises(WeightsError, match=r"net\.bin is not there, which .*net\.xml has its weights in"):
        spikereel.open_export(tmp_path / "net.xml")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "torch", "openvino"])
@pytest.mark.parametrize(
    "name", [*MODELS, *NOT_IN_C, "joint", "hierarchical", "factorised", "clip norms", "pose", "segmentation"]
)
def test_every_model_by_every_runtime(name, target, tmp_path):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}.get(target, "torch"))
    more = {
        **{
            scheme: lambda scheme=scheme: tiny_model(attention=scheme)
            for scheme in ("joint", "hierarchical", "factorised")
        },
        "clip norms": tiny_svformer,
        "pose": lambda: tiny_model(attention="causal", task="pose"),
        "segmentation": lambda: tiny_model(attention="spatial", task="segmentation"),
    }
    model = {**MODELS, **NOT_IN_C, **more}[name]().float()
    at_once = name in ("joint", "hierarchical", "factorised", "clip norms")
    path = tmp_path / f"net{TARGETS[target].suffix}"
    certificate = spikereel.export(
        model, path, steps=4 if at_once else 1, size=(64, 64), clips=[clip().float()], grid=False
    )
    assert certificate.faithful, certificate.lines()


@needs_cc
def test_the_command_writes_checks_and_predicts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    weights = "spikevideoformer_ti.motion_spatial"
    assert main(["export", weights, "--to", "c", "--no-grid"]) == 0
    said = capsys.readouterr().out
    assert "42 of 42 neuron layers faithful" in said
    file = Path(f"{weights}.spkc")
    assert main(["export", "--check", str(file)]) == 0
    assert "as its certificate says" in capsys.readouterr().out
    video = torch.rand(8, 2, 32, 32)
    np.save("clip.npy", video.numpy())
    assert main(["predict", "clip.npy", "--model", str(file), "--out", "a", "--json", "a.json"]) == 0
    assert main(["predict", "clip.npy", "--model", weights, "--out", "b", "--json", "b.json"]) == 0
    a, b = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    assert a["runtime"].startswith("the C library")
    assert [x["class"] for x in a["top5"]] == [x["class"] for x in b["top5"]]
    # the file among the clips is the network
    assert main(["predict", "--runtime", "c", str(file), "clip.npy", "--out", "c", "--json", "c.json"]) == 0
    assert json.loads(Path("c.json").read_text())["top5"] == a["top5"]
    capsys.readouterr()
    for arguments, line in (
        (["predict", "--runtime", "c", str(file)], "name files to predict beside"),
        (["predict", "clip.npy", str(file), "--model", weights], "holds a network and no clip"),
        (["export", str(file)], "is exported already; give the weights"),
        (["export", weights, "--out", "net.spkc", "--part", "none"], "there is no such stage"),
        (["export", weights, "--to", "tflite"], "nothing is exported to 'tflite'"),
        (["export", weights, "--to", "c", "--size", "big"], "--size big: give height and width"),
        (["export", weights, "--to", "c", "--steps", "0"], "--steps must be at least 1"),
        (["export", weights, "--to", "c", "--out", weights + ".txt"], "ends in .spkc"),
        (["export", "--check", "nothing.onnx"], "is not there"),
        (["predict", "clip.npy", "--model", weights, "--runtime", "onnx"], "is run by reference, not by onnx"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
    altered = Certificate.load(certificate_of(file))
    replace(altered, runtime="the C library, built by abacus").save(certificate_of(file))
    assert main(["export", "--check", str(file)]) == 0
    assert "the certificate is of the C library, built by abacus; here is" in " ".join(capsys.readouterr().out.split())
    replace(altered, file="0" * 64).save(certificate_of(file))
    assert main(["export", "--check", str(file)]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lif", "ilif"])
def test_int8_rounds_weights_and_no_spike(kind, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    neuron = NeuronConfig(kind="ilif", normalise=True) if kind == "ilif" else NeuronConfig()
    model, path = tiny_model(attention="spatial", neuron=neuron).float(), tmp_path / "net.onnx"
    with pytest.raises(ConfigError, match="calibrated and judged on clips: give some"):
        spikereel.export(model, path, size=(64, 64), precision="int8")
    certificate = spikereel.export(model, path, size=(64, 64), precision="int8", clips=[clip(4, 1).float()])
    graph = onnx.load(path).graph
    numbers = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    into = [numbers[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(into) > 10
    # counts keep the scale of one spike
    assert {float(x) for x in into} == {0.25 if kind == "ilif" else 1.0}
    behind = {node.output[0]: node for node in graph.node}
    taking = [
        behind[node.input[1]]
        for node in graph.node
        if node.op_type == "Conv" and behind[node.input[0]].op_type == "DequantizeLinear"
    ]
    assert {numbers[node.input[0]].dtype for node in taking} == {np.dtype("int8")}
    assert not certificate.grid
    # it says what that costs: nothing before the first of them, little behind it, and more with depth
    first, second, *rest = certificate.layers
    assert first.from_states == 0
    assert second.from_states < 0.02 * second.decisions
    assert any(x.from_states for x in rest)
    exported = spikereel.open_export(path)
    assert exported.contract.precision == "int8"
    assert check(exported, path, Certificate.load(certificate_of(path))) == []


def test_precision_is_of_onnx(causal, tmp_path):
    video = [clip(4, 1).float()]
    with pytest.raises(ConfigError, match="int8 is written for onnx, not for torch"):
        spikereel.export(causal, tmp_path / "net.pt2", size=(64, 64), precision="int8", clips=video)
    with pytest.raises(ConfigError, match="precision is 'fp16': choose one of float32, int8"):
        spikereel.export(causal, tmp_path / "net.onnx", size=(64, 64), precision="fp16", clips=video)

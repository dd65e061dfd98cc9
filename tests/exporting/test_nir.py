"""NIR: the convolutional part of a model, read back by the package and, in a side environment, by other libraries."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.apps.cli import main
from spikereel.errors import ConfigError, WeightsError
from spikereel.exporting.certificate import Certificate, check
from spikereel.exporting.export import certificate_of
from spikereel.exporting.grid import grid_model
from spikereel.exporting.part import Beginning
from spikereel.layers.neuron import NeuronConfig

nir = pytest.importorskip("nir")
SHARED = {"time_norm": False, "head": "mean"}
MODELS = {
    "lif": (lambda: tiny_model(attention="joint"), "downsample3"),
    "plif, input not scaled": (
        lambda: tiny_model(attention="spatial", neuron=NeuronConfig(kind="plif", decay_input=False, tau=3.0)),
        "ConvBlock1_2",
    ),
    "no leak": (lambda: tiny_svformer(**SHARED, neuron=NeuronConfig(kind="if")), "blocks2"),
    "rest below zero": (lambda: tiny_model(attention="spatial", neuron=NeuronConfig(v_reset=-0.25)), "ConvBlock1_2"),
    "time constants of channels": (
        lambda: tiny_model(attention="spatial", neuron=NeuronConfig(tau_spread=(2.0, 6.0))),
        "ConvBlock1_1",
    ),
    "above": (lambda: tiny_model(attention="spatial", neuron=NeuronConfig(fires="above")), "ConvBlock1_1"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_file_has_the_spikes_of_the_model(name, tmp_path):
    build, part = MODELS[name]
    model, path = build().float(), tmp_path / "net.nir"
    certificate = spikereel.export(model, path, part=part, size=(64, 64), clips=[clip(4).float()])
    assert certificate.faithful, certificate.lines()
    assert len(certificate.layers) == len(certificate.grid) > 1
    exported = spikereel.open_export(path)
    with torch.no_grad():
        (expected,), state = Beginning(model, part)(clip(4).float())
    (features,), after = exported(clip(4).float())
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-4)
    # a session of the file goes on from states of the model
    torch.testing.assert_close(exported(clip(2).float(), state)[0], exported(clip(2).float(), after)[0])
    assert check(exported, path, Certificate.load(certificate_of(path))) == []


def test_the_package_reads_what_the_equations_say(tmp_path):
    model = tiny_model(attention="joint", neuron=NeuronConfig(tau=4.0, v_reset=-0.5)).float()
    spikereel.export(model, tmp_path / "net.nir", part="downsample1_2", size=(64, 64), grid=False, dt=1e-3)
    graph = nir.read(tmp_path / "net.nir")
    assert graph.metadata["dt"] == 1e-3
    assert json.loads(graph.metadata["spikereel"])["part"] == "downsample1_2"
    lif = graph.nodes["downsample1_2.encode_lif"]
    assert lif.v_threshold.shape == (4, 32, 32)
    for name, value in (("tau", 4e-3), ("r", 1), ("v_leak", -0.5), ("v_reset", -0.5)):
        np.testing.assert_allclose(getattr(lif, name), value, rtol=1e-15)
    # our neuron fires at 1, NIR's above
    assert np.float32(lif.v_threshold.max()) < 1 <= np.nextafter(np.float32(lif.v_threshold.max()), np.float32(2))
    assert sorted(a for a, b in graph.edges if b == "downsample1_2.encode_lif") == [
        "ConvBlock1_1.0.Conv.pwconv2",
        "ConvBlock1_1.0.conv2",
        "downsample1_1.encode_conv",
    ]
    assert {node.groups for node in graph.nodes.values() if isinstance(node, nir.Conv2d)} == {1}


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        ({}, {}, r"block3\.0\.attn: NIR has no products of activations, .* --part downsample3 writes what is before"),
        ({}, {"part": "block3"}, r"block3\.0\.attn: NIR has no products .* choose a part before it"),
        ({}, {"part": "block9"}, r"--part block9: there is no such stage; choose one of downsample1_1, ConvBlock1_1,"),
        ({"neuron": NeuronConfig(reset="soft")}, {"part": "downsample1_2"}, r"lif1: NIR has no reset by subtraction"),
        (
            {"neuron": NeuronConfig(kind="ilif")},
            {"part": "downsample1_2"},
            r"lif1: NIR has no neuron that gives counts",
        ),
        ({"neuron": NeuronConfig(kind="relu")}, {"part": "downsample1_2"}, r"lif1: NIR has no artificial neuron"),
        ({"contrast": "beside"}, {"part": "downsample1_2"}, "contrast: NIR has no contrast front"),
        ({}, {"part": "downsample1_2", "fold": False}, r"encode_conv: NIR has no norm; leave --no-fold out"),
        ({}, {"part": "downsample1_2", "dt": 0.0}, r"dt is 0\.0: give the seconds of a step"),
        ({}, {"part": "downsample1_2", "steps": 2}, "a call of NIR is one time step, not 2"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(fields, options, said, tmp_path):
    model = spikereel.create_model("spikevideoformer_ti", attention="spatial", widths=(8, 8, 8, 8), **fields).eval()
    with pytest.raises(ConfigError, match=said):
        spikereel.export(model, tmp_path / "net.nir", size=(32, 32), grid=False, **options)
    assert not list(tmp_path.iterdir())


def test_parts_of_svformer_and_of_other_targets(tmp_path):
    with pytest.raises(ConfigError, match=r"blocks3\.0\.attn: NIR .*--part patch_embed3 writes what is before it"):
        spikereel.export(tiny_svformer(**SHARED).float(), tmp_path / "net.nir", size=(64, 64))
    with pytest.raises(ConfigError, match="norms of these weights tell time steps apart"):
        spikereel.export(tiny_svformer().float(), tmp_path / "net.nir", part="blocks1", size=(64, 64))
    model = tiny_model(attention="causal").float()
    part = Beginning(model, "block3")
    with torch.no_grad():
        (whole,), _ = part(clip(4).float())
        (first,), state = part(clip(4).float()[:2])
        (second,), _ = part(clip(4).float()[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    expected, _ = model.pyramid(clip(4).float(), ("block3",))
    torch.testing.assert_close(whole, expected[0])


def test_broken_files_are_one_sentence(tmp_path, capsys):
    model = tiny_model(attention="joint").float()
    path = tmp_path / "net.nir"
    spikereel.export(model, path, part="downsample1_2", size=(64, 64), grid=False)
    content = path.read_bytes()
    for given in (b"", content[: len(content) // 2], b"nothing of the kind" * 20):
        path.write_bytes(given)
        with pytest.raises(WeightsError, match=r"net\.nir is no whole file of NIR"):
            spikereel.open_export(path)
    foreign = nir.NIRGraph.from_list(nir.Affine(weight=np.ones((2, 3)), bias=np.ones(2)))
    nir.write(path, foreign)
    with pytest.raises(WeightsError, match="says nothing of its states"):
        spikereel.open_export(path)
    assert main(["export", "--check", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    # a part gives features, and neither predict nor stream has an answer of them
    path.write_bytes(content)
    for command in (["predict"], ["stream", "--quiet"]):
        assert main([*command, "clip.npy", "--model", str(path)]) == 2
        error = capsys.readouterr().err
        assert "ends at downsample1_2 and gives features" in error
        assert error.count("\n") == 1


RUN = Path(__file__).parents[2] / "benchmarks" / "side" / "nir_graphs.py"


@pytest.mark.side
@pytest.mark.parametrize("library", ["nirtorch", "spikingjelly", "snntorch"])
def test_another_library_has_the_spikes_of_the_model(library, tmp_path):
    """On a network of ties, step by step; python benchmarks/export_targets.py makes the environment."""
    from sys import path as places

    places.insert(0, str(RUN.parents[1]))
    from side.environments import python_of

    side = Path(os.environ["SPIKEREEL_SIDE"])
    if not (side / "nir" / "done").exists():
        pytest.skip(f"{side} has no nir; run python benchmarks/export_targets.py nir --side {side}")
    video = (clip(6, 1).float() * 16).round() / 16
    model = grid_model(tiny_model(attention="joint").float(), video)
    spikereel.export(model, tmp_path / "net.nir", part="downsample3", size=(64, 64), fold=False, grid=False)
    np.save(tmp_path / "video.npy", video.numpy())
    done = subprocess.run(
        [python_of(side, "nir"), RUN, library, tmp_path / "net.nir", tmp_path / "video.npy", tmp_path / "out.npz"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    spikes = dict(np.load(tmp_path / "out.npz"))
    with torch.no_grad():
        expected = spikes_of(Beginning(model, "downsample3"), video)
    assert expected.keys() == spikes.keys() - {"output"}
    for name, own in expected.items():
        assert 0 < own.mean() < 1
        np.testing.assert_array_equal(spikes[name], own, err_msg=name)


def spikes_of(model, video) -> dict[str, np.ndarray]:
    """Of every neuron [T, 1, C, H, W]."""
    found: dict[str, np.ndarray] = {}
    hooks = [
        m.register_forward_hook(lambda _m, _i, out, name=name: found.__setitem__(name, out[0].numpy()))
        for name, m in model.named_modules()
        if type(m).__name__ == "Neuron"
    ]
    model(video)
    for hook in hooks:
        hook.remove()
    return found

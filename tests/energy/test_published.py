"""Published energies out of published firing rates and operations, through the command line and without it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small import DATA, KINDS, small_weights, video_folder
from tiny import clip, tiny_model, tiny_svformer

from spikereel.apps.cli import main
from spikereel.energy import REFERENCES, estimate, measure, read_rates
from spikereel.energy.reference import dense_mj
from spikereel.errors import DataError
from spikereel.hub import create_model
from spikereel.layers.neuron import NeuronConfig

RATES = Path(__file__).with_name("svformer_published_rates.json")
"""Output rates of the 39 neurons of the published SVFormer, in per cent: the test log in the authors' repository."""


def energy(tmp_path: Path, *arguments: str) -> dict:
    out = tmp_path / "energy.json"
    assert main(["energy", *arguments, "--json", str(out)]) == 0
    return json.loads(out.read_text())


def test_svformer_at_the_published_rates(tmp_path, capsys):
    result = energy(tmp_path, "svformer", "--rates", str(RATES), "--cost", "paper", "--views", "15")
    assert result["clip"] == [16, 3, 224, 224]
    assert result["energy_mj"].keys() == {"paper"}
    paper = result["energy_mj"]["paper"]
    assert paper["mac"] == pytest.approx(12.571, rel=1e-3)
    assert paper["ac"] == pytest.approx(3.381, rel=1e-3)
    assert paper["attention"] == pytest.approx(0.053, rel=1e-2)
    assert paper["total"] == pytest.approx(16.0, rel=1e-2)
    assert paper["ann"] == pytest.approx(175.7, rel=1e-3)
    assert paper["per_decision"] == pytest.approx(240.0, rel=1e-2)
    assert result["rates"] == "stated"
    assert any("per cent" in note for note in result["notes"])
    real = {x["name"] for x in result["layers"] if x["operand"] == "real"}
    local = {f"blocks{i}.0.{part}" for i in (1, 2) for part in ("attn", "conv2")}
    assert real == {"patch_embed1.proj", "lpPWConv", "head", *local}
    assert "no data seen" in " ".join(capsys.readouterr().out.split())


def test_what_412_mj_imply_for_spikevideoformer(tmp_path, capsys):
    result = energy(tmp_path, "spikevideoformer_b", "--frames", "32", "--size", "224", "--implied", "412.1")
    assert result["implied_rate"]["paper"] == pytest.approx(0.558, abs=5e-4)
    assert result["implied_rate"]["folded"] == pytest.approx(0.364, abs=5e-4)
    assert result["implied_rate"]["fused"] == pytest.approx(0.239, abs=5e-4)
    assert "0.558 under paper" in capsys.readouterr().out


def test_anns_by_their_flops():
    assert dense_mj(1446) == pytest.approx(6651.6, rel=1e-4)
    assert dense_mj(282) == pytest.approx(1297.2, rel=1e-4)
    counted = {x.model: x for x in REFERENCES if x.gmac}
    assert counted.keys() == {"ViViT", "Swin-B", "GLoT", "SegFormer"}
    for x in counted.values():
        assert dense_mj(x.gmac) == pytest.approx(x.energy_mj, rel=1e-3), x.model
    assert {x.model for x in REFERENCES} - counted.keys() == {"SVFormer", "SpikeVideoFormer", "Meta-SpikeFormer"}


@pytest.fixture(scope="module")
def small():
    return create_model("svformer_ti", num_classes=4, frames=2, image_size=32)


def _rates(model, value=0.25):
    return {name: value for name, m in model.named_modules() if type(m).__name__ == "Neuron"}


def test_rates_as_fractions_per_cent_and_per_step_are_the_same(small):
    clip = (2, 3, 32, 32)
    share = estimate(small, _rates(small), clip=clip)
    percent = estimate(small, {f"module.{k}": 25.0 for k in _rates(small)}, clip=clip)
    steps = estimate(small, _rates(small, [0.2, 0.3]), clip=clip)
    assert share.energy_mj() == pytest.approx(percent.energy_mj(), rel=1e-12)
    assert share.energy_mj() == pytest.approx(steps.energy_mj(), rel=1e-12)
    assert share.firing["lplif"] == (0.25, 0.25)
    assert steps.firing["lplif"] == (0.2, 0.3)
    assert all(x.synops is None for x in share.layers)


@pytest.mark.parametrize("make", [tiny_model, tiny_svformer])
@pytest.mark.parametrize("fields", [{}, {"neuron": NeuronConfig(kind="ilif")}, {"time_norm": False, "head": "mean"}])
def test_measured_rates_given_back_cost_the_same(make, fields):
    if make is tiny_model and "head" in fields:
        fields = {"similarity": "dot", "attention": "factorised"}
    model = make(**fields) if make is tiny_model or "neuron" not in fields else make()
    seen = measure(model, clip())
    stated = estimate(model, seen.firing, clip=seen.clip)
    for cost in ("paper", "folded", "fused"):
        assert stated.parts_mj(cost) == pytest.approx(seen.parts_mj(cost), rel=1e-9), cost
    kinds = [{x.name: (x.operand, x.analog, x.macs, x.inner_macs) for x in p.layers} for p in (seen, stated)]
    assert kinds[0] == kinds[1]
    assert stated.updates == seen.updates


def test_data_may_be_a_folder_or_a_video(tmp_path, capsys):
    root = video_folder(tmp_path / "videos", each=1)
    motion, folder = tmp_path / "motion.safetensors", tmp_path / "folder.safetensors"
    small_weights(motion)
    small_weights(folder, replace(DATA, kind="folder", root="elsewhere"), KINDS)
    assert main(["energy", str(motion), "--data", str(root)]) == 2
    assert "data.kind=folder" in capsys.readouterr().err
    assert energy(tmp_path, str(folder), "--data", str(root))["clips"] == 2
    assert energy(tmp_path, str(folder), "--data", str(root / KINDS[0] / "0.mp4"))["clips"] == 1
    assert main(["energy", str(folder)]) == 2
    assert "elsewhere" in capsys.readouterr().err


def test_rates_of_weights_out_of_their_own_passport(tmp_path, capsys):
    path, first, second = (tmp_path / x for x in ("w.safetensors", "measured.json", "stated.json"))
    small_weights(path)
    assert main(["energy", str(path), "--data", "data.seed=3", "--json", str(first)]) == 0
    assert main(["energy", str(path), "--rates", str(first), "--json", str(second)]) == 0
    a, b = (json.loads(x.read_text()) for x in (first, second))
    assert a["energy_mj"]["paper"]["total"] == pytest.approx(b["energy_mj"]["paper"]["total"], rel=1e-6)
    assert a["weights"] == b["weights"]
    assert (a["rates"], b["rates"], b["data"]) == ("measured", "stated", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks1.0.act1": None}, "no firing rate.*blocks1.0.act1"),
        ({"blocks1.0.akt1": 0.2}, "no module.*did you mean 'blocks1.0.act1'"),
        ({"lplif": [0.1, 0.2, 0.3]}, "3 firing rates for 2 time steps"),
        ({"lplif": 140.0}, "fires at 1.4"),
    ],
)
def test_rates_that_do_not_fit(small, change, words):
    rates = {k: x for k, x in {**_rates(small), **change}.items() if x is not None}
    with pytest.raises(DataError, match=words):
        estimate(small, rates, clip=(2, 3, 32, 32))


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"a": "b"}', '{"a": -1}', '{"a": NaN}', '{"a": []}', '{"a": true}'])
def test_files_that_hold_no_rates(tmp_path, text):
    path = tmp_path / "rates.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"rates\.json"):
        read_rates(path)

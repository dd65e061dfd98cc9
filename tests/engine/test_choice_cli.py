"""`--engine` of the commands, and results that name what ran."""

import json

import pytest
import torch
from tiny import clip, tiny_model

import spikereel
from spikereel.apps.cli import main
from spikereel.energy import metering
from spikereel.engine.choose import engine_for
from spikereel.engine.loaded import available
from spikereel.layers.observe import firing_rates

needs_native = pytest.mark.skipif(not available(), reason="this installation has no native engine")


@needs_native
def test_firing_rates_of_the_engine_are_those_of_the_modules():
    model = tiny_model().float()
    engine = engine_for(model, "native")
    with firing_rates(model) as wanted, torch.no_grad():
        model(clip().float())
    with engine.firing_rates() as got, torch.no_grad():
        engine.front(clip().float())
    assert list(got) == list(wanted)
    for name, rate in wanted.items():
        torch.testing.assert_close(got[name], rate, rtol=0, atol=1e-3)


@needs_native
def test_where_modules_are_watched_modules_run():
    model = tiny_model().float()
    engine = engine_for(model, "native")
    with torch.no_grad():
        wanted, _ = model(clip().float())
        with metering(engine.front) as run:
            got, _ = engine.front(clip().float())
    assert torch.equal(got, wanted)
    assert run.passport().firing


@pytest.mark.parametrize("choice", ["auto", "reference", pytest.param("native", marks=needs_native)])
def test_evaluate_names_the_engine(choice, tmp_path, capsys):
    path = tmp_path / "e.json"
    args = ["spikevideoformer_ti.motion", "data.test_length=8", "--engine", choice, "--json", str(path)]
    assert main(["evaluate", *args]) == 0
    found = json.loads(path.read_text())
    ran = "native" if choice == "native" or (choice == "auto" and available()) else "reference"
    assert found["engine"] == ran
    assert f"engine: {ran}" in capsys.readouterr().out + capsys.readouterr().err
    assert len(found["firing"]) > 20


@pytest.mark.parametrize(
    ("choice", "ran"),
    [("auto", "reference"), ("reference", "reference"), pytest.param("native", "native", marks=needs_native)],
)
def test_predict_names_the_engine(choice, ran):
    result = spikereel.predict("spikevideoformer_ti.motion", torch.rand(8, 3, 64, 64), engine=choice)
    assert result.engine == ran
    assert result.to_json()["engine"] == ran
    assert result.passport.firing


def test_energy_is_counted_in_the_modules(capsys):
    assert main(["energy", "spikevideoformer_ti", "--frames", "2", "--size", "32", "--engine", "native"]) == 2
    assert "counted inside the modules" in capsys.readouterr().err

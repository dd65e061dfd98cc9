"""A model in a table: its rows add up to what is counted elsewhere."""

import pytest
import torch

from spikereel.errors import ConfigError
from spikereel.hub import create_model
from spikereel.layers.observe import count_macs, firing_rates


@pytest.mark.parametrize("name", ["spikevideoformer_ti", "svformer_ti"])
@pytest.mark.parametrize("every", [False, True])
def test_rows_add_up(name, every):
    model = create_model(name, norms="published")
    found = model.summary(size=64, every=every)
    assert sum(x.parameters for x in found.parts) == found.parameters == sum(p.numel() for p in model.parameters())
    frames = found.clip[0]
    clip = torch.zeros(frames, 1, 3, 64, 64)
    assert sum(x.macs for x in found.parts) * frames == pytest.approx(count_macs(model, clip))
    with firing_rates(model) as rates, torch.no_grad():
        model.eval()(clip)
    rows = {x.name: x for x in found.parts}
    assert len(rows) > len(rates) if every else len(rows) < 25
    shown = repr(found).splitlines()
    assert max(map(len, shown)) <= 80
    assert model.metadata.name in shown[0]
    assert "all" in shown[-2]
    if every:
        assert set(rates) <= rows.keys()
    else:
        assert rows["head"].shape == (model.config.num_classes,)


def test_of_a_size():
    model = create_model("spikevideoformer_ti", attention="causal", norms="published")
    found = model.summary(size=(32, 64))
    assert next(x for x in found.parts if x.name == "block3.0").shape == (96, 2, 4)
    assert "past hamming" in next(x for x in found.parts if x.name == "block3.0").neuron
    with pytest.raises(ConfigError, match="size is 0"):
        model.summary(size=0)

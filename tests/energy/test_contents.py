"""What a tensor holds: NumPy's looks against a count by hand, in all types and layouts."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikereel.energy import measure
from spikereel.energy.contents import has_zeros, operand_of
from spikereel.energy.meter import Meter
from spikereel.hub import create_model

VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, -3.0, 0.5, math.inf, -math.inf, math.nan])
LAYOUTS = {
    "as it is": lambda x: x,
    "every other": lambda x: x.repeat_interleave(2)[::2],
    "turned": lambda x: x.repeat(2, 1).t(),
    "wide": lambda x: x.repeat(3, 500, 1),
}


@given(
    st.lists(VALUES, min_size=1, max_size=6),
    st.sampled_from(["float32", "float64", "float16"]),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_looks_are_a_count_by_hand(values, kind, layout):
    x = LAYOUTS[layout](torch.tensor(values, dtype=getattr(torch, kind)))
    assert has_zeros(x) == (0.0 in values)
    if any(not math.isfinite(v) or v != round(v) for v in values):
        wanted = "real", 0, 0
    elif set(values) <= {0.0, 1.0}:
        wanted = "binary", 0, 1
    else:
        wanted = "integer", min(values), max(values)
    assert operand_of(x) == wanted


def test_spikes_of_one_clip_are_known_again_in_the_layer_behind(monkeypatch):
    model = create_model("svformer_ti").eval()
    looked, known = [], Meter.known_as
    monkeypatch.setattr(
        Meter, "known_as", lambda self, x, layer: looked.append(found := known(self, x, layer)) or found
    )
    measure(model, torch.randn(8, 1, 3, 64, 64))
    # the first layer, the head, and five behind other layers see what no neuron gave
    assert sum(found is None for found in looked) == 7

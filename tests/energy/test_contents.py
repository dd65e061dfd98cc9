"""What tensors and weights hold: NumPy's looks against a count by hand, and what is known against a new look."""

import copy
import dataclasses
import hashlib
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from spikereel.energy import measure
from spikereel.energy.contents import operand_of, zeros
from spikereel.energy.meter import Meter
from spikereel.energy.passport import Origin, code_hash
from spikereel.energy.weights import weights_of
from spikereel.hub import create_model, weights_hash

VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, -3.0, 0.5, math.inf, -math.inf, math.nan])
LAYOUTS = {
    "as it is": lambda x: x,
    "every other": lambda x: x.repeat_interleave(2)[::2],
    "turned": lambda x: x.repeat(2, 1).t(),
    "wide": lambda x: x.repeat(3, 500, 1),
    "no axis for one": lambda x: x.squeeze(),
}


@given(
    st.lists(VALUES, min_size=1, max_size=6),
    st.sampled_from(["float32", "float64", "float16"]),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_looks_are_a_count_by_hand(values, kind, layout):
    x = LAYOUTS[layout](torch.tensor(values, dtype=getattr(torch, kind)))
    assert zeros(x) == sum(v == 0 for v in x.flatten().tolist())
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


@pytest.mark.parametrize(
    "change",
    {
        "through data": lambda w: w.data.view(-1)[1].zero_(),
        "through NumPy": lambda w: w.detach().numpy().fill(0.0),
        "the sign of a zero": lambda w: w.data.view(-1)[:1].copy_(-w.data.view(-1)[:1] * 0.0),
        "two values change places": lambda w: w.data.copy_(w.data.flip(0)),
        "not a number": lambda w: w.data.fill_(float("nan")),
        "nothing": lambda w: None,
    }.items(),
    ids=lambda pair: pair[0],
)
def test_known_weights_are_those_of_now(change):
    torch.manual_seed(0)
    model, clip = create_model("svformer_ti").eval(), torch.randn(8, 1, 3, 64, 64)
    weight = model.get_parameter("blocks3.0.mlp.fc1.weight")
    weight.data.view(-1)[0] = 0.0
    before, digest = measure(model, clip), weights_hash(model)
    known = weights_of(model)
    change[1](weight)
    assert (weights_of(model) is known) == (change[0] == "nothing")
    # hashed only now, and yet of what was measured
    assert before.origin.weights == digest
    fresh = copy.deepcopy(model)
    now, wanted = measure(model, clip), measure(fresh, clip)
    assert (now.to_json(), now.workload) == (wanted.to_json(), wanted.workload)
    assert now.origin.weights == weights_hash(model)


def _pruned(model):
    prune.l1_unstructured(model.get_submodule("head"), "weight", amount=0.5)


def _with_a_word(model):
    """A module that writes its state in a way of its own."""

    class Said(nn.Module):
        def get_extra_state(self):
            return "said"

    model.said = Said()


def _in_two_places(model):
    model.again = model.head


def _not_kept(model):
    model.register_buffer("passing", torch.ones(3), persistent=False)


def _halves(model):
    model.register_buffer("halves", torch.ones(3, dtype=torch.bfloat16))


@pytest.mark.parametrize("change", [lambda _model: None, _pruned, _with_a_word, _in_two_places, _not_kept, _halves])
def test_copies_are_what_the_hash_is_of(change):
    model = create_model("spikevideoformer_ti").eval()
    change(model)
    known = weights_of(model)
    assert known.copies.hash() == weights_hash(model)
    # of a model that is known again it is not worked out again
    assert weights_of(model).copies.hash() is known.copies.hash()
    layer = model.get_submodule("head")
    counts = [n for m, (_, _, n) in known.nonzero.items() if m is layer]
    # the weights of a pruned layer are made when it runs
    assert counts == ([] if change is _pruned else [int(torch.count_nonzero(layer.weight))])


def test_an_origin_that_was_not_hashed_yet_is_like_any_other():
    model, clip = create_model("spikevideoformer_ti").eval(), torch.randn(2, 1, 3, 32, 32)
    wanted = Origin(
        model=model.metadata.name,
        weights=weights_hash(model),
        data=hashlib.sha256(clip.numpy().tobytes()).hexdigest(),
        code=code_hash(),
        seed=torch.initial_seed(),
    )
    ways = copy.deepcopy, dataclasses.replace, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x
    origins = [way(measure(model, clip).origin) for way in ways]
    told = repr(measure(model, clip).origin)
    clip.zero_()
    assert origins == [wanted] * len(ways)
    assert told == repr(wanted)
    with pytest.raises(AttributeError, match="wieghts"):
        _ = origins[0].wieghts

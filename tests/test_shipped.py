"""The weights in the package are what their model card says."""

from dataclasses import replace

import pytest

import spikereel
from spikereel.hub import SHIPPED, load_model, weights_hash
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import data_spec_of
from spikereel.runs.evaluate import evaluate

LISTED = [name for info in spikereel.list_models().values() for name in info.weights]
CARD = {
    "spikevideoformer_ti.motion": ("3a239aaed7bf", "top1", 95.7),
    "spikevideoformer_ti.motion_spatial": ("978f232863d2", "top1", 95.6),
    "spikevideoformer_ti.motion_causal": ("8231090f39b7", "top1", 95.6),
    "spikevideoformer_ti.actions": ("6e75a0c02da9", "top1", 81.5),
    "spikevideoformer_ti.synthetic_pose": ("b1bd6f4fe371", "root_mpjpe", 85.0),
    "spikevideoformer_ti.synthetic_vss": ("56a8df8582ab", "miou", 71.2),
}
"""Hash, and a figure on 1,000 clips: per cent, or mm."""


def test_every_listed_file_is_there_and_nothing_else():
    assert {path.stem for path in SHIPPED.glob("*.safetensors")} == set(LISTED) == set(CARD)
    assert all(path.stat().st_size < 5e6 for path in SHIPPED.glob("*.safetensors"))


@pytest.mark.parametrize("name", LISTED)
def test_weights_are_those_of_the_card_and_do_what_it_says(name):
    model = load_model(name)
    digest, measure, value = CARD[name]
    assert weights_hash(model).startswith(digest)
    spec = replace(data_spec_of(model.metadata), seed=31_000, test_length=100)
    outcome = evaluate(model, build_dataset(spec, "test", task=model.task), spec)
    # three standard errors of an accuracy on 100 clips; a tenth of what is no share of clips
    room = 3 * (value * (100 - value) / 100) ** 0.5 if measure == "top1" else value / 10
    assert abs(outcome.figures[measure] - value) < room
    assert not [neuron for neuron, rate in outcome.rates.means().items() if rate == 0]

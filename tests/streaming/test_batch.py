"""Many sessions in one batch: each as if it were alone, whoever comes, goes, is slow or is broken."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import clip

import spikereel
from spikereel.errors import ConfigError, DataError
from spikereel.streaming.batch import Batch
from tests.streaming.conftest import QUICK, model_for, same, same_state

VIDEOS = {name: clip(10, seed=20 + i, size=32)[:, 0] for i, name in enumerate("abc")}
OPTIONS = {
    "causal": ("causal", {}),
    "decay": ("causal", {"readout": "decay"}),
    "last": ("spatial", {"readout": "last", "span": 3}),
    "window": ("joint", {"window": 3, "membranes": "restart"}),
}


def _alone(model, options, video):
    return spikereel.stream(model, **options).push(video).output


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_ragged_rates_and_late_joins_are_as_if_alone(name, together):
    attention, options = OPTIONS[name]
    model = model_for(attention)
    wanted = {key: _alone(model, options, video) for key, video in VIDEOS.items()}

    @settings(QUICK)
    @given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), min_size=1), min_size=2, max_size=5))
    def check(rounds):
        batch, at = Batch(template=spikereel.stream(model, **options), together=together), dict.fromkeys("abc", 0)
        for counts in rounds:
            for key in counts.keys() - batch.sessions.keys():
                batch.join(key)
            results = batch.push({key: VIDEOS[key][at[key] : at[key] + n] for key, n in counts.items()})
            for key, n in counts.items():
                assert results[key].frames == tuple(range(at[key], at[key] + n))
                assert torch.equal(results[key].output, wanted[key][at[key] : at[key] + n])
                at[key] += n

    check()


@pytest.mark.parametrize("task", ["pose", "segmentation"])
def test_other_tasks_go_together(task):
    model = model_for("causal", task)
    options = {"smooth": "one_euro" if task == "pose" else "decay"}
    batch = Batch(template=spikereel.stream(model, **options), together=True)
    for key in "ab":
        batch.join(key)
    first = batch.push({"a": VIDEOS["a"][:2]})
    both = batch.push({"a": VIDEOS["a"][2:4], "b": VIDEOS["b"][:3]})
    alone = spikereel.stream(model, **options)
    assert same(first["a"].output, alone.push(VIDEOS["a"][:2]).output)
    assert same(both["a"].output, alone.push(VIDEOS["a"][2:4]).output)
    assert same(both["b"].output, _alone(model, options, VIDEOS["b"][:3]))


@pytest.mark.parametrize("together", [False, True])
def test_who_leaves_goes_on_alone_and_may_come_back(together):
    model = model_for("causal")
    batch = Batch(template=spikereel.stream(model), together=together)
    batch.join("a"), batch.join("b")
    batch.push({"a": VIDEOS["a"][:2], "b": VIDEOS["b"][:3]})
    session = batch.leave("a")
    session.push(VIDEOS["a"][2:4])
    batch.push({"b": VIDEOS["b"][3:5]})
    batch.join("a", session)
    result = batch.push({"a": VIDEOS["a"][4:6], "b": VIDEOS["b"][5:6]})
    assert torch.equal(result["a"].output, _alone(model, {}, VIDEOS["a"])[4:6])
    assert torch.equal(result["b"].output, _alone(model, {}, VIDEOS["b"])[5:6])
    with pytest.raises(ConfigError, match="there already"):
        batch.join("a")
    with pytest.raises(ConfigError, match="no session 'z'"):
        batch.push({"z": VIDEOS["a"]})


@pytest.mark.parametrize("together", [False, True])
def test_a_bad_one_neither_stops_nor_changes_the_others(together, as_user):
    model = model_for("causal")
    batch = Batch(template=spikereel.stream(model), together=together)
    for key in "abc":
        batch.join(key)
    batch.push({key: video[:2] for key, video in VIDEOS.items()})
    before = batch.sessions["b"].state.clone()
    results = batch.push(
        {"a": VIDEOS["a"][2:3], "b": torch.full((1, 3, 64, 64), torch.nan).double(), "c": VIDEOS["c"][2:3]}
    )
    assert isinstance(results["b"], DataError)
    assert same_state(batch.sessions["b"].state, before)
    other_size = batch.push({"a": VIDEOS["a"][3:4], "b": VIDEOS["b"][2:3, :, :16, :16], "c": VIDEOS["c"][3:4]})
    assert isinstance(other_size["b"], spikereel.streaming.batch.SpikereelError)
    for key in "ac":
        assert torch.equal(results[key].output, _alone(model, {}, VIDEOS[key])[2:3])
        assert torch.equal(other_size[key].output, _alone(model, {}, VIDEOS[key])[3:4])


def test_a_session_of_another_network_is_refused():
    batch = Batch(template=spikereel.stream(model_for("causal")))
    with pytest.raises(ConfigError, match="another network"):
        batch.join("a", spikereel.stream(model_for("spatial")))
    with pytest.raises(ConfigError, match="frame by frame"):
        Batch(template=spikereel.stream(model_for("joint"), mode="chunk"), together=True)

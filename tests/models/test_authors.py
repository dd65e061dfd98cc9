"""Import of published checkpoints: every wrapper they come in, every key accounted for, and nothing that runs code."""

import os
import pickle
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from authors_files import authors_state
from safetensors.torch import save_file
from tiny import clip, tiny_config, tiny_model

from spikereel.errors import WeightsError
from spikereel.models.authors import (
    authors_weights,
    compare,
    fields_from_shapes,
    load_authors_weights,
    load_matching,
    merge_heads,
    read_checkpoint,
)
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer, SVFormerConfig
from spikereel.models.wrappers import plain_names

SVFORMER = SVFormerConfig(num_classes=3, frames=4, image_size=32, widths=(8, 16, 32, 32), head_dim=8)
FAMILIES = {
    "svformer": (SVFormer, SVFORMER, "model_state"),
    "spikevideoformer": (SpikeVideoFormer, tiny_config(), "model"),
    "meta_spikeformer": (SpikeVideoFormer, tiny_config(attention="spatial", similarity="dot"), "model"),
}


@pytest.fixture(scope="module")
def weights():
    return tiny_model().float().state_dict()


@pytest.fixture
def model():
    torch.manual_seed(99)
    return SpikeVideoFormer(tiny_config())


def _same(model, weights):
    own = model.state_dict()
    return own.keys() == weights.keys() and all(torch.equal(own[name], weights[name]) for name in own)


@pytest.mark.parametrize("suffix", [".pth", ".pyth", ".safetensors"])
def test_round_trip_through_a_file(model, weights, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights, path)
    assert not _same(model, weights)
    load_authors_weights(model, path)
    assert _same(model, weights)
    with torch.no_grad():
        video = clip().float()
        assert torch.equal(model.eval()(video)[0], tiny_model().float()(video)[0])


WRAPPED = {
    "bare": lambda w: w,
    "model": lambda w: {"model": w, "epoch": 7, "args": {"lr": 1e-3}},
    "model_state": lambda w: {"model_state": w, "optimizer_state": {}},
    "model_state_dict": lambda w: {"model_state_dict": w},
    "state_dict": lambda w: {"meta": {}, "state_dict": {f"backbone.{k}": x for k, x in w.items()}},
    "module.": lambda w: {f"module.{k}": x for k, x in w.items()},
    "module.backbone.": lambda w: {"model": {f"module.backbone.{k}": x for k, x in w.items()}},
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_wrappers_and_prefixes(model, weights, tmp_path, wrapper):
    wrapped = WRAPPED[wrapper](weights)
    torch.save(wrapped, tmp_path / "weights.pth")
    load_authors_weights(model, tmp_path / "weights.pth")
    assert _same(model, weights)
    other = SpikeVideoFormer(tiny_config())
    load_authors_weights(other, wrapped)
    assert _same(other, weights)


def test_a_prefix_goes_only_where_all_names_bear_it():
    mixed = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert plain_names(mixed) == mixed


def test_distillation_head_is_averaged(model, weights, tmp_path):
    weights = dict(weights)
    weights["head_kd.weight"] = weights["head.weight"] + 2.0
    weights["head_kd.bias"] = weights["head.bias"] - 4.0
    load_authors_weights(model, weights)
    assert torch.equal(model.head.weight, (weights["head.weight"] + weights["head_kd.weight"]) / 2)
    assert torch.equal(model.head.bias, (weights["head.bias"] + weights["head_kd.bias"]) / 2)
    assert "head_kd.bias" in weights
    assert merge_heads({"head.bias": torch.zeros(1)}).keys() == {"head.bias"}


def _without(w):
    return {k: x for k, x in w.items() if "attn_bn" not in k}


def _with_other_head(w):
    return {**w, "head.weight": torch.zeros(7, 24), "head.bias": torch.zeros(7)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without, r"10 missing: block3\.0\.attn\.attn_bn\.bias.*\.\.\."),
        (lambda w: {**w, "extra.weight": torch.zeros(1)}, r"1 unexpected: extra\.weight"),
        (_with_other_head, r"2 wrong in shape: head\.bias \[7\] \(model: \[5\]\), head\.weight \[7, 24\]"),
        (lambda w: {**_without(w), "extra": torch.zeros(1)}, r"10 missing.*; 1 unexpected: extra"),
    ],
)
def test_keys_that_do_not_fit_are_named_and_change_nothing(model, weights, tmp_path, change, named):
    before = {name: x.clone() for name, x in model.state_dict().items()}
    torch.save(change(weights), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=rf"weights\.pth does not fit this model: {named}"):
        load_authors_weights(model, tmp_path / "weights.pth")
    assert _same(model, before)


class Hostile:
    """Unpickled, it makes a folder."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_pickle_does_not_run(model, weights, tmp_path, save):
    ran, path = tmp_path / "ran", tmp_path / "weights.pth"
    save({"model": weights if save is torch.save else {}, "hook": Hostile(f"mkdir {ran}")}, path)
    with pytest.raises(WeightsError, match=r"weights\.pth .*could run code"):
        load_authors_weights(model, path)
    assert not ran.exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert ran.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_broken_files(weights, tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights, whole)
    content = whole.read_bytes()
    for name, part in (
        ("half", content[: len(content) // 2]),
        ("short", content[:5]),
        ("empty", b""),
        ("text", b"hello\n"),
    ):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(part)
        with pytest.raises(WeightsError, match=f"{name}{suffix}"):
            read_checkpoint(path)


def test_missing_files_folders_and_other_content(model, tmp_path):
    for path in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(WeightsError, match=f"no checkpoint at {path}"):
            load_authors_weights(model, path)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "epoch.pth")
    torch.save({}, tmp_path / "nothing.pth")
    for name, shown in (("list", "list"), ("epoch", "holds epoch"), ("nothing", "holds nothing")):
        with pytest.raises(WeightsError, match=rf"{name}\.pth.*{shown}"):
            load_authors_weights(model, tmp_path / f"{name}.pth")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("family", FAMILIES)
def test_ours_to_the_authors_file_to_ours(family, prefix, tmp_path):
    cls, config, wrapper = FAMILIES[family]
    torch.manual_seed(3)
    ours, other = cls(config), cls(config)
    state = authors_state(ours)
    assert state.keys() == {wrapper}
    state[wrapper] = {f"{prefix}{k}": x for k, x in state[wrapper].items()}
    more = {"optimizer_state": {"state": {0: torch.zeros(2)}}, "args": Namespace(lr=1e-3, layers=[1, 2]), "cfg": "T: 4"}
    torch.save({**more, **state}, tmp_path / "run.pyth")
    assert not _same(other, ours.state_dict())
    load_authors_weights(other, tmp_path / "run.pyth")
    assert _same(other, ours.state_dict())


def test_a_model_of_another_shape_meets_in_four_ways(model, weights):
    given = {**_with_other_head(_without(weights)), "extra": torch.zeros(1)}
    found = compare(model, given)
    assert found.unexpected == ("extra",)
    assert found.misshapen == {"head.bias": ([7], [5]), "head.weight": ([7, 24], [5, 24])}
    assert set(found.missing) == weights.keys() - given.keys()
    assert set(found.matched) == given.keys() - {"extra", "head.bias", "head.weight"}
    assert found.without_statistics == ("block3.0.attn.attn_bn", "block4.0.attn.attn_bn")
    assert not found.whole
    assert str(found).startswith("10 missing: block3.0.attn.attn_bn.bias, ")
    assert str(found).endswith(
        "1 unexpected: extra; 2 wrong in shape: head.bias [7] (model: [5]), head.weight [7, 24] (model: [5, 24])"
    )
    assert compare(model, weights).whole


def test_matching_entries_are_loaded_and_others_stay(model, weights):
    before = {name: x.clone() for name, x in model.state_dict().items()}
    found = load_matching(model, _with_other_head(_without(weights)))
    after = model.state_dict()
    assert all(torch.equal(after[k], weights[k]) for k in found.matched)
    assert all(torch.equal(after[k], before[k]) for k in before.keys() - set(found.matched))


@pytest.mark.parametrize(
    ("fields", "shapes"),
    [
        ({"num_classes": 9, "in_channels": 2}, {"num_classes": 9, "in_channels": 2, "frames": 4, "image_size": 32}),
        ({"frames": 6, "image_size": 64}, {"num_classes": 3, "in_channels": 3, "frames": 6, "image_size": 64}),
        ({"frames": 6, "time_norm": False}, {"num_classes": 3, "in_channels": 3, "frames": 6, "image_size": 32}),
        ({"frames": 6, "head": "mean"}, {"num_classes": 3, "in_channels": 3, "frames": 6}),
        ({"head": "mean", "time_norm": False}, {"num_classes": 3, "in_channels": 3}),
    ],
)
def test_shapes_of_svformer_tell_classes_channels_frames_and_size(fields, shapes):
    config = replace(SVFORMER, **fields)
    assert fields_from_shapes(config, SVFormer(config).state_dict()) == shapes


def test_shapes_of_spikevideoformer_tell_classes_and_channels(model, weights):
    assert fields_from_shapes(model.config, weights) == {"num_classes": 5, "in_channels": 3}
    assert fields_from_shapes(model.config, {"head.weight": torch.zeros(3)}) == {}


def test_heads_of_different_shapes_are_not_averaged(model, weights):
    given = {**weights, "head_kd.weight": torch.zeros(9, 24)}
    with pytest.raises(WeightsError, match=r"1 unexpected: head_kd\.weight"):
        load_authors_weights(model, given)


def test_an_argument_object_is_read_and_any_other_is_not(weights, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"model": weights, "args": Namespace(lr=1e-3)}, path)
    assert authors_weights(path).keys() == weights.keys()
    torch.save({"model": weights, "args": Hostile("true")}, path)
    with pytest.raises(WeightsError, match="could run code"):
        authors_weights(path)
    torch.save({"args": Namespace()}, path)
    with pytest.raises(pickle.UnpicklingError, match="Namespace"):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.array([1, 2]), "numpy.ndarray"),
        (np.array(["x"], dtype=object), "numpy.ndarray"),
        (np.datetime64("2020-01-01"), "numpy.dtype M8"),
        (np.str_("x"), "numpy.dtype U1"),
        (np.complex64(1), "numpy.dtype c8"),
    ],
)
def test_what_numpy_left_beside_the_weights_is_named_by_key_and_type(value, kind, tmp_path):
    weights = {"a": torch.ones(2, 2), "b": torch.ones(2)}
    path = tmp_path / "w.pth"
    torch.save({"state_dict": weights, "epoch": np.int64(3), "best": {"figures": [np.float32(1), np.bool_(1)]}}, path)
    assert authors_weights(path).keys() == weights.keys()
    torch.save({"state_dict": weights, "epoch": np.int64(3), "best": {"when": [value]}}, path)
    with pytest.raises(WeightsError, match=rf"tensors \(when: {kind}\)"):
        authors_weights(path)

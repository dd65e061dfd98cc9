"""Names, creation, files: what is saved comes back bit by bit, and what is broken is refused by name."""

import dataclasses
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import clip, tiny_model

from spikereel import hub
from spikereel.errors import ConfigError, WeightsError
from spikereel.hub import (
    ARCHITECTURES,
    Metadata,
    architecture,
    create_model,
    find_weights,
    list_models,
    load_model,
    model_fields,
    save_model,
    weights_hash,
)
from spikereel.layers.neuron import NeuronConfig
from spikereel.models.architectures import SIZES, measured_size
from spikereel.models.spikevideoformer import SpikeVideoFormerConfig
from spikereel.models.svformer import SVFormerConfig

SMALL = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 2, "num_classes": 5}
METADATA = Metadata(
    name="spikevideoformer_ti",
    classes=("left", "right"),
    preprocess={"frames": 8, "mean": [0.5, 0.25]},
    training={"top1": 93.5},
)


@pytest.fixture
def saved(tmp_path):
    model = tiny_model().float()
    path = tmp_path / "deep" / "model.safetensors"
    save_model(model, path, METADATA)
    return model, path


def test_models_by_name():
    models = list_models()
    sizes = [f"{family}_{size}" for family in ("spikevideoformer", "meta_spikeformer") for size in "smbl"]
    bases = {"spikevideoformer_ti", *sizes, "svformer", "svformer_ti"}
    assert set(models) == bases | {f"{name}.ann" for name in bases}
    wanted = {
        "spikevideoformer_s": 15_116_720,
        "spikevideoformer_m": 31_340_392,
        "spikevideoformer_b": 55_358_952,
        "spikevideoformer_l": 123_754_216,
        "meta_spikeformer_s": 15_112_208,
        "meta_spikeformer_b": 55_350_248,
        "svformer": 13_801_612,
    }
    assert {name: models[name].parameters for name in wanted} == wanted
    assert (models["spikevideoformer_s"].attention, models["spikevideoformer_s"].similarity) == ("joint", "hamming")
    assert (models["meta_spikeformer_s"].attention, models["meta_spikeformer_s"].similarity) == ("spatial", "dot")
    assert (models["svformer"].attention, models["svformer"].similarity) == ("spatial", "dot")
    assert all(info.classes == (101 if name.startswith("svformer") else 1000) for name, info in models.items())
    assert all(info.name == name and info.source and info.obtain for name, info in models.items())
    assert models["spikevideoformer_s"].clip == (32, 3, 224, 224)
    assert models["svformer_ti"].clip == (8, 3, 64, 64)


def test_figures_of_the_papers_carry_their_protocol():
    published = {name: info.published for name, info in list_models().items() if info.published}
    assert set(published) == {"spikevideoformer_b", "meta_spikeformer_b", "svformer"}
    assert all(p.figure and p.protocol and p.source for row in published.values() for p in row)
    for name, figures in (
        ("spikevideoformer_b", ["79.8"]),
        ("meta_spikeformer_b", ["75.5"]),
        ("svformer", ["84.03", "80.73", "21 mJ"]),
    ):
        assert [figure in p.figure for figure, p in zip(figures, published[name], strict=True)] == [True] * len(figures)
    figure = hub.Published(figure="top-1 1 %", protocol="one view", source="them")
    assert str(figure) == "top-1 1 % (one view; them)"


@pytest.mark.parametrize("name", hub.ARCHITECTURES)
def test_every_name_can_be_created(name):
    with torch.device("meta"):
        model = create_model(name, num_classes=7)
    assert model.config == dataclasses.replace(hub.ARCHITECTURES[name].config, num_classes=7)
    assert model.metadata.name == name


def test_listed_weights_are_spelled_as_they_are_loaded():
    for info in list_models().values():
        for name in info.weights:
            assert find_weights(name).name == f"{name}.safetensors"


FIELDS = {
    "num_classes": 3,
    "in_channels": 2,
    "widths": (8, 8, 8, 16),
    "depths": (2, 1),
    "heads": 4,
    "mlp_ratio": 2.0,
    "attention": "causal",
    "similarity": "dot",
    "attention_clip": (4, 48, 64),
    "positions": "time",
    "drop_path": 0.25,
    "residual_gain": 0.5,
    "contrast": "beside",
    "contrast_tau": 3.0,
    "contrast_more": (6.0, 9.0),
    "contrast_learnt": True,
    "contrast_surround": 2,
    "contrast_form": "on_off",
}
NEURON_FIELDS = {
    "tau": 3.0,
    "tau_spread": (2.0, 8.0),
    "threshold": 0.5,
    "reset": "soft",
    "v_reset": -0.5,
    "decay_input": False,
    "surrogate": "atan",
    "alpha": 3.0,
    "detach_reset": False,
    "levels": 2,
    "ilif_decay": 0.5,
    "top": 3,
    "normalise": True,
    "replay": True,
    "backend": "reference",
    "fires": "above",
    "kind": "plif",
}


@pytest.mark.parametrize("field", [*FIELDS, *NEURON_FIELDS])
def test_any_field_can_be_given(field):
    value = (FIELDS | NEURON_FIELDS)[field]
    model = create_model("spikevideoformer_ti", **{**SMALL, field: value})
    config = model.config.neuron if field in NEURON_FIELDS else model.config
    assert getattr(config, field) == value
    base = dataclasses.replace(hub.ARCHITECTURES["spikevideoformer_ti"].config, **SMALL)
    if field in FIELDS:
        assert model.config == dataclasses.replace(base, **{field: value})
    else:
        assert model.config == dataclasses.replace(base, neuron=NeuronConfig(**{field: value}))


SVFORMER_FIELDS = {
    "num_classes": 3,
    "in_channels": 2,
    "frames": 4,
    "image_size": 32,
    "widths": (8, 8, 32, 64),
    "depths": (1, 2, 1, 1),
    "head_dim": 16,
    "mlp_ratio": 1.0,
    "time_norm": False,
    "local_path": False,
    "head": "mean",
    "drop_path": 0.25,
    "drop_path_over_time": True,
    "contrast": "instead",
    "contrast_tau": 3.0,
    "contrast_more": (6.0, 9.0),
    "contrast_learnt": True,
    "contrast_surround": 2,
    "contrast_form": "on_off",
}


@pytest.mark.parametrize("field", [*SVFORMER_FIELDS, *sorted(NEURON_FIELDS.keys() - {"replay"})])
def test_any_field_of_svformer_can_be_given(field):
    # a neuron that is spelled as it is by default would show nothing
    value = {**SVFORMER_FIELDS, **NEURON_FIELDS, "kind": "if", "surrogate": "sigmoid"}[field]
    base = hub.ARCHITECTURES["svformer_ti"].config
    with torch.device("meta"):
        model = create_model("svformer_ti", **{field: value})
    if field in SVFORMER_FIELDS:
        assert model.config == dataclasses.replace(base, **{field: value}) != base
    else:
        neuron = dataclasses.replace(base.neuron, **{field: value})
        assert model.config == dataclasses.replace(base, neuron=neuron) != base


def test_the_field_tests_leave_no_field_out():
    assert {f.name for f in dataclasses.fields(SpikeVideoFormerConfig)} == {
        *FIELDS,
        "neuron",
        "task",
        "pose",
        "segmentation",
    }
    assert {f.name for f in dataclasses.fields(SVFormerConfig)} == {*SVFORMER_FIELDS, "neuron"}
    # these go with a soft reset alone: tests/ops and tests/test_rules.py
    assert {f.name for f in dataclasses.fields(NeuronConfig)} == {*NEURON_FIELDS, "reset_delay", "recheck"}


@pytest.mark.parametrize("neuron", ["plif", {"kind": "plif", "tau": 4.0}, NeuronConfig(kind="plif", tau=4.0)])
def test_neuron_as_name_mapping_or_config(neuron):
    model = create_model("spikevideoformer_ti", **SMALL, neuron=neuron, tau=4.0)
    assert model.config.neuron == NeuronConfig(kind="plif", tau=4.0)
    assert torch.sigmoid(model.lif.w).item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("name", "fields", "named"),
    [
        ("spikevideoformer_z", {}, r"unknown model 'spikevideoformer_z'; did you mean 'spikevideoformer_"),
        ("spikevideoformer_ti", {"num_clases": 3}, "did you mean 'num_classes'"),
        ("spikevideoformer_ti", {"treshold": 3}, "did you mean 'threshold'"),
        ("spikevideoformer_ti", {"neuron": {"taau": 3}}, r"did you mean 'neuron\.tau'"),
        ("spikevideoformer_ti", {"neuron": "plfi"}, "plfi"),
        ("spikevideoformer_ti", {"attention": "global"}, "global"),
        ("svformer_ti", {"heads": 3}, "unknown .*'heads'.*'head'"),
        ("svformer_ti", {"head": "max"}, "conv.*mean.*max"),
        ("svformer_ti.anm", {}, r"did you mean 'svformer_ti\.ann'"),
        ("spikevideoformer_ti", {"num_classes": "many"}, "many"),
        ("spikevideoformer_ti", {"heads": 0}, "heads.*0"),
    ],
)
def test_unknown_names_and_fields(name, fields, named):
    with pytest.raises(ConfigError, match=named):
        create_model(name, **fields)


def test_round_trip_is_bit_equal(saved):
    model, path = saved
    loaded = load_model(path)
    assert not loaded.training
    assert loaded.config == model.config
    assert loaded.metadata == METADATA
    one, two = model.state_dict(), loaded.state_dict()
    assert list(one) == list(two)
    assert all(torch.equal(one[n], two[n]) and one[n].dtype == two[n].dtype for n in one)
    assert weights_hash(loaded) == weights_hash(model)
    with torch.no_grad():
        assert torch.equal(loaded(clip().float())[0], model(clip().float())[0])
    assert load_model(str(path)).config == model.config


def test_round_trip_of_every_kind_of_configuration(tmp_path):
    config = {**SMALL, "attention": "factorised", "neuron": "ilif", "top": 3, "tau": math.inf, "alpha": 2.5}
    model = create_model("spikevideoformer_ti", **config)
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    assert loaded.metadata == Metadata(name="spikevideoformer_ti")


def _broken(content):
    return {
        "half": content[: len(content) // 2],
        "short": content[:6],
        "empty": b"",
        "text": b"hello, no weights\n",
        "header": content[:8] + b"}" + content[9:],
    }


@pytest.mark.parametrize("damage", _broken(b""))
def test_broken_files_are_named(saved, tmp_path, damage):
    path = tmp_path / f"{damage}.safetensors"
    path.write_bytes(_broken(saved[1].read_bytes())[damage])
    with pytest.raises(WeightsError, match=rf"{damage}\.safetensors is not a whole"):
        load_model(path)


HEADER = {"format": 1, "architecture": "spikevideoformer", "config": {}, "metadata": {}}
FOREIGN = {
    "none": (None, "carries no Spikereel configuration"),
    "text": ("configuration", "broken"),
    "list": ("[]", "broken"),
    "empty": ("{}", "broken"),
    "parts": (json.dumps({"format": 1}), "broken"),
    "format": (json.dumps({**HEADER, "format": 99}), "format 99.*upgrade"),
    "field": (json.dumps({**HEADER, "config": {"wings": 2}}), "wings"),
    "metadata": (json.dumps({**HEADER, "metadata": {"classes": 3}}), "classes"),
    "weights": (json.dumps({**HEADER, "config": SMALL}), "do not fit the configuration"),
    "family": (json.dumps({**HEADER, "architecture": "resnet"}), "'resnet' is none of spikevideoformer, svformer"),
}


@pytest.mark.parametrize("header", FOREIGN)
def test_foreign_safetensors_are_named(tmp_path, header):
    text, named = FOREIGN[header]
    path = tmp_path / f"{header}.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata=text and {"spikereel": text})
    with pytest.raises(WeightsError, match=rf"{header}\.safetensors.*{named}"):
        load_model(path)


def test_missing_weights_list_what_there_is(tmp_path):
    for name in (tmp_path / "no.safetensors", tmp_path, "spikevideoformer_ti.nothing", "nothing.motion"):
        with pytest.raises(WeightsError, match=r"no weights at .*spikevideoformer_ti\.motion"):
            load_model(name)


def _fail(*_args, **_kwargs):
    raise OSError(28, "No space left on device")


def _write_half(self, content):
    with self.open("wb") as file:
        file.write(content[: len(content) // 2])
    _fail()


@pytest.mark.parametrize(("step", "failure"), [("write_bytes", _write_half), ("replace", _fail)])
@pytest.mark.parametrize("existing", [True, False])
def test_nothing_half_written(saved, monkeypatch, tmp_path, step, failure, existing):
    model, _ = saved
    path = tmp_path / "folder" / "model.safetensors"
    if existing:
        save_model(model, path, METADATA)
    before = path.read_bytes() if existing else None
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, failure)
        with pytest.raises(OSError, match="No space left"):
            save_model(tiny_model(seed=1).float(), path)
    assert list(path.parent.iterdir()) == ([path] if existing else [])
    assert not existing or path.read_bytes() == before


def test_metadata_that_is_not_json_writes_nothing(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_model(tiny_model().float(), tmp_path / "m.safetensors", Metadata(training={"x": torch.zeros(1)}))
    assert list(tmp_path.iterdir()) == []


def test_hash_is_stable_and_sees_one_bit():
    model = tiny_model().float()
    before = weights_hash(model)
    assert weights_hash(tiny_model().float()) == before
    assert len(before) == 64
    assert weights_hash(model.to(memory_format=torch.channels_last)) == before
    with torch.no_grad():
        bits = model.block4[0].attn.q_conv[1].running_var.view(torch.int32)
        bits[3] ^= 1
    changed = weights_hash(model)
    assert changed != before
    with torch.no_grad():
        bits[3] ^= 1
    assert weights_hash(model) == before
    model.lif.register_buffer("more", torch.zeros(0))
    assert weights_hash(model) != before


def _python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_brings_no_torch():
    heavy = {"torch", "numpy", "av", "einops", "jsonargparse"}
    assert heavy.isdisjoint(_python("import sys, spikereel; print(*sys.modules)").split())


def test_import_takes_well_under_half_a_second():
    code = "import time; t = time.perf_counter(); import spikereel; print(time.perf_counter() - t)"
    start = time.perf_counter()
    fastest = min(float(_python(code)) for _ in range(3))
    assert fastest < 0.25, f"{time.perf_counter() - start:.1f} s for three interpreters"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_listed_sizes_are_those_of_the_built_models(name):
    info = list_models()[name]
    assert (info.parameters, info.macs) == measured_size(name)


def test_sizes_are_listed_for_no_other_models():
    assert list(json.loads(SIZES.read_text())) == list(ARCHITECTURES)


def test_every_field_that_is_named_is_taken():
    """What `model_fields` lists, create_model takes with its default, for that family and task."""
    names = {"spikevideoformer": "spikevideoformer_ti", "svformer": "svformer_ti"}
    fields = model_fields()
    for name, field in fields.items():
        for (family, task), default in field.defaults.items():
            value = default
            if name in ("widths", "depths", "num_classes", "frames", "image_size", "head_dim", "task"):
                value = getattr(architecture(names[family]).config, name)
            with torch.device("meta"):
                create_model(names[family], **{name: value}, **({} if task is None else {"task": task}))
    assert fields["head"].defaults == {("svformer", None): "conv", ("spikevideoformer", "segmentation"): "mlp"}
    assert {"residual_gain", "alpha", "reset", "v_reset", "decay_input", "detach_reset", "iterations"} <= fields.keys()
    assert not {"pose", "segmentation", "kind"} & fields.keys()


def test_what_does_not_exist_is_said():
    with pytest.raises(WeightsError, match=r"spikevideoformer_s: it is a network, and none come .*create_model"):
        load_model("spikevideoformer_s")
    with pytest.raises(WeightsError, match=r"spikevideoformer_ti, which is a network; name some: .*_ti\.motion"):
        load_model("spikevideoformer_ti")
    with pytest.raises(ConfigError, match=r"pretrained is no option.*load_model\('spikevideoformer_ti\.motion'\)"):
        create_model("spikevideoformer_ti", pretrained=True)
    with pytest.raises(ConfigError, match="None of spikevideoformer_s come with Spikereel"):
        create_model("spikevideoformer_s", pretrained=True)


def test_models_print_short():
    models = list_models()
    assert len(repr(models)) < 400
    assert len(repr(models["svformer"])) < 150
    model = create_model("svformer_ti")
    assert repr(model) == "SVFormer(svformer_ti, 0.8 M parameters)"

"""The engine against the model in float64: outputs and every membrane, for families, tasks, schemes and neurons."""

import copy
import dataclasses
import gc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from spikereel.models.heads import PoseConfig
from spikereel.models.segmentation import SegmentationConfig
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.engine import files, memory
from spikereel.engine.choose import engine_for
from spikereel.engine.engine import Engine, compile
from spikereel.engine.execute import choices, pack
from spikereel.engine.loaded import available, describe, native
from spikereel.engine.memory import lay_out
from spikereel.engine.packing import fixed_point
from spikereel.engine.plan import SpikeConv
from spikereel.engine.verify import cost, verify
from spikereel.errors import ConfigError, DataError, StateError, WeightsError
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.observe import firing_rates
from spikereel.layers.state import State
from spikereel.models.authors import load_authors_weights
from spikereel.models.binary import to_binary
from spikereel.models.spikevideoformer import SpikeVideoFormer, SpikeVideoFormerConfig
from spikereel.models.svformer import SVFormer, SVFormerConfig

pytestmark = pytest.mark.skipif(not available(), reason="this installation has no native engine")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}

LIF = NeuronConfig()
NEURONS = {
    "plif": dataclasses.replace(LIF, kind="plif", tau=3.0),
    "if": dataclasses.replace(LIF, kind="if", threshold=3.0),
    "soft": dataclasses.replace(LIF, reset="soft"),
    "ilif": dataclasses.replace(LIF, kind="ilif"),
    "normalised": dataclasses.replace(LIF, kind="ilif", normalise=True),
}
CASES = {
    **{scheme: {"attention": scheme} for scheme in ("joint", "spatial", "causal", "hierarchical", "factorised")},
    "dot": {"attention": "spatial", "similarity": "dot"},
    "joint dot": {"similarity": "dot"},
    **{name: {"neuron": neuron} for name, neuron in NEURONS.items()},
    "pose": {"task": "pose", "pose": PoseConfig(joints=5)},
    "segmentation": {"task": "segmentation", "segmentation": SegmentationConfig(width=24)},
    "joined": {"task": "segmentation", "segmentation": SegmentationConfig(width=32)},
    "joined counts": {
        "task": "segmentation",
        "segmentation": SegmentationConfig(width=48),
        "attention": "spatial",
        "neuron": NEURONS["normalised"],
    },
    "pyramid": {"task": "segmentation", "segmentation": SegmentationConfig(head="fpn", width=16, neck=24)},
}
SVFORMERS = {
    "svformer": {},
    "shared norms": {"time_norm": False},
    "mean": {"head": "mean"},
    "global": {"local_path": False},
    "svformer lif": {"neuron": dataclasses.replace(LIF, surrogate="atan")},
    "svformer ilif": {"neuron": NEURONS["normalised"]},
}


def model_of(case, video=None):
    """A calibrated float64 model at work in every neuron, and the same in float32."""
    model = tiny_svformer(video, **SVFORMERS[case]) if case in SVFORMERS else tiny_model(video, **CASES[case])
    return model, copy.deepcopy(model).float()


def assert_same(got, wanted):
    outputs = [x if isinstance(x, tuple) else (x,) for x in (got[0], wanted[0])]
    for own, other in zip(*outputs, strict=True):
        torch.testing.assert_close(own.double(), other.double(), **CLOSE)
    own, other = (dict(x[1].flat()) for x in (got, wanted))
    assert own.keys() == other.keys()
    for name, x in other.items():
        torch.testing.assert_close(own[name].double(), x.double(), **CLOSE, msg=lambda m, name=name: f"{name}: {m}")


def settle(engine, way=None):
    """Kernels without timing: results that do not depend on how busy the machine was."""
    for layer in engine.program.layers:
        if isinstance(layer, SpikeConv):
            ways = choices(layer)
            layer.choice, layer.packed = way if way in ways else ways[0], None
    engine.tuned = True
    return engine


@pytest.mark.parametrize("case", [*CASES, *SVFORMERS])
def test_outputs_and_states_are_those_of_the_model(case):
    model, single = model_of(case)
    with torch.no_grad():
        wanted = model(clip())
    assert_same(settle(compile(single))(clip().float()), wanted)


@pytest.mark.parametrize("case", ["joint", "ilif", "svformer"])
@pytest.mark.parametrize("way", ["events8", "events2", "events1", "tables"])
@pytest.mark.parametrize("threads", [1, 3])
def test_on_every_instruction_set_and_way(isa, case, way, threads):
    model, single = model_of(case)
    with torch.no_grad():
        wanted = model(clip())
    engine = settle(compile(single, threads=threads), way)
    assert_same(engine(clip().float()), wanted)
    assert native().threads() == threads


@pytest.mark.parametrize(("frames", "batch", "height", "width"), [(1, 1, 64, 64), (11, 1, 48, 80), (9, 3, 32, 49)])
@pytest.mark.parametrize("case", ["joint", "factorised", "causal", "segmentation", "joined", "pyramid"])
def test_any_length_batch_and_resolution(case, frames, batch, height, width):
    video = torch.rand(frames, batch, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model, single = model_of(case)
    with torch.no_grad():
        wanted = model(video)
    engine = settle(compile(single))
    assert_same(engine(video.float()), wanted)
    # the second call finds the memory of the first one full
    assert_same(engine(video.float()), wanted)


@pytest.mark.parametrize("case", ["spatial", "causal", "ilif stream", "soft stream", "svformer", "mean"])
def test_states_of_engine_and_model_continue_each_other(case):
    streams = {f"{name} stream": {"attention": "spatial", "neuron": NEURONS[name]} for name in ("ilif", "soft")}
    if case in streams:
        model = tiny_model(**streams[case])
        single = copy.deepcopy(model).float()
    else:
        model, single = model_of(case)
    engine, video = settle(compile(single)), clip(4)
    with torch.no_grad():
        _, state = model(video[:1], spikereel.State())
        wanted = model(video[1:], state)
        middle = model(video[1:2], state)
    got = engine(video[1:2].float(), state.map(lambda x: x.float() if x.is_floating_point() else x))
    assert_same(got, middle)
    assert_same(engine(video[2:].float(), got[1]), wanted)
    with torch.no_grad():
        assert_same(single(video[2:].float(), got[1]), wanted)


def test_class_maps_of_engine_and_model_continue_each_other():
    model, single = model_of("joined counts")
    engine, video = settle(compile(single)), clip(4)
    with torch.no_grad():
        wanted, last = model(video)
        _, state = model(video[:1])
    got, state = engine(video[1:3].float(), state.map(lambda x: x.float() if x.is_floating_point() else x))
    torch.testing.assert_close(got.double(), wanted[1:3], **CLOSE)
    with torch.no_grad():
        assert_same(single(video[3:].float(), state), (wanted[3:], last))


def test_the_first_call_chooses_kernels_and_answers():
    model, single = model_of("joint")
    engine = compile(single)
    with torch.no_grad():
        wanted = model(clip())
    assert_same(engine(clip().float()), wanted)
    assert engine.tuned
    chosen = [x for x in engine.program.layers if isinstance(x, SpikeConv)]
    assert all(x.choice in choices(x) and x.packed is not None for x in chosen)


def test_binary_sub_steps_are_the_counts():
    model = tiny_model(neuron=NEURONS["ilif"])
    single = copy.deepcopy(model).float()
    assert_same(settle(compile(to_binary(single)))(clip().float()), settle(compile(single))(clip().float()))


def test_a_saved_engine_answers_alike(tmp_path):
    for case in ("joint", "pose", "segmentation", "joined counts", "pyramid", "svformer", "mean"):
        _, single = model_of(case)
        engine = settle(compile(single))
        wanted = engine(clip().float())
        engine.save(tmp_path / "a.engine")
        loaded = Engine.load(tmp_path / "a.engine")
        assert loaded.config == single.config
        assert loaded.model.metadata == single.metadata
        got = loaded(clip().float())
        assert_same(got, wanted)
        assert all(torch.equal(a, b) for a, b in zip(got[1].flat().values(), wanted[1].flat().values(), strict=True))


@pytest.mark.parametrize("case", ["spatial", "causal", "svformer", "ilif", "joined counts"])
def test_an_engine_of_a_file_takes_the_state_that_it_gave(case, tmp_path):
    _, single = model_of(case)
    video = clip().float()
    first, rest = video[:2], video[2:]
    engine = settle(compile(single))
    engine(video)
    engine.save(tmp_path / "a.engine")
    loaded = Engine.load(tmp_path / "a.engine")
    assert loaded.front.state_names() == single.state_names()
    if single.can_stream:
        assert_same(loaded(rest, loaded(first, State())[1]), engine(rest, engine(first, State())[1]))
        state = loaded(first, State())[1].flat()
        state.pop(next(iter(state)))
        with pytest.raises(StateError, match=r"lacks 1|has none for"):
            loaded(rest, State.from_flat(state))


def test_a_saved_engine_keeps_what_its_contrast_front_learnt(tmp_path):
    single = tiny_model(contrast="beside", contrast_more=(8.0,), contrast_learnt=True).float().eval()
    with torch.no_grad():
        single.contrast.log_tau += 0.7
    engine = settle(compile(single))
    wanted = engine(clip().float())
    engine.save(tmp_path / "a.engine")
    assert_same(Engine.load(tmp_path / "a.engine")(clip().float()), wanted)


@pytest.mark.parametrize("case", ["joint", "pose"])
def test_modules_behind_the_kernels_run_on_one_thread_and_leave_the_number_as_it_was(case):
    engine, seen = compile(model_of(case)[1]), []
    own = engine.front.get_submodule("head")
    own.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        engine(clip().float())
        assert seen == [1]
        with pytest.raises(DataError):
            engine(clip().float() * torch.nan)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("collects", [True, False])
def test_python_collects_no_garbage_while_a_file_opens(collects, tmp_path, monkeypatch):
    engine = settle(compile(model_of("joint")[1]))
    engine(clip().float())
    engine.save(tmp_path / "a.engine")
    collected, shell = [], files._shell
    monkeypatch.setattr(files, "_shell", lambda *parts: (collected.append(gc.isenabled()), shell(*parts))[1])
    try:
        if not collects:
            gc.disable()
        Engine.load(tmp_path / "a.engine")
        assert gc.isenabled() is collects
    finally:
        gc.enable()
    assert collected == [False]


def test_files_that_are_no_engines(tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        Engine.load(tmp_path / "none.engine")
    (tmp_path / "other").write_bytes(b"something else, and long enough for a header")
    with pytest.raises(WeightsError, match="no engine file"):
        Engine.load(tmp_path / "other")
    _, single = model_of("joint")
    with pytest.raises(ConfigError, match="not chosen"):
        compile(single).save(tmp_path / "early")


def test_a_file_cut_short_is_refused(tmp_path):
    _, single = model_of("joint")
    engine = settle(compile(single))
    engine(clip().float())
    engine.save(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    for share in (0.01, 0.5, 0.99):
        (tmp_path / "part").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(WeightsError, match="engine"):
            Engine.load(tmp_path / "part")


@pytest.mark.parametrize("way", ["cached", "digits", "events1", "tables"])
def test_a_file_runs_on_every_instruction_set_that_has_its_kernels(isa, tmp_path, way):
    _, single = model_of("joint")
    engine = settle(compile(single))
    engine(clip().float())
    for layer in engine.program.layers:
        if isinstance(layer, SpikeConv):
            own = way if way in choices(layer) or way == "digits" else "cached"
            layer.choice, layer.packed = own, pack(layer, own)
    engine.save(tmp_path / "a.engine")
    tables = any(getattr(layer, "choice", "") == "tables" for layer in engine.program.layers)
    wanted = engine(clip().float())
    for name in native().instruction_sets():
        native().use_instruction_set(name)
        if tables and not native().has_tables():
            with pytest.raises(WeightsError, match=f"kernel that {name} lacks"):
                Engine.load(tmp_path / "a.engine")
        else:
            assert_same(Engine.load(tmp_path / "a.engine")(clip().float()), wanted)


def test_the_report_names_layers_kernels_and_rates():
    model, single = model_of("joint")
    engine = settle(compile(single, threads=1))
    report = engine.report(clip().float())
    with torch.no_grad(), firing_rates(model) as rates:
        model(clip())
    rows = {row.layer: row for row in report.rows}
    assert rows["ConvBlock1_1.0.conv2"].rate == pytest.approx(rates.means()["ConvBlock1_1.0.lif2"], abs=1e-3)
    assert rows["block3.0.mlp.fc1_conv"].kernel.startswith("events")
    assert rows["ConvBlock1_1.0.Conv.pwconv2"].kernel == "depthwise"
    assert rows["head, state and copies"].kernel == "reference"
    assert report.frames == 4
    assert report.threads == 1
    assert "block4.0.attn.attention" in str(report)
    assert report.to_json()["seconds"] == report.seconds > 0


def test_charges_within_a_millionth_are_counted():
    _, single = model_of("joint")
    with torch.no_grad():
        for name, module in single.named_modules():
            if name == "downsample1_1.encode_bn":
                module.weight.zero_()
                # a first charge of exactly the threshold
                module.bias.fill_(2.0)
    engine = settle(compile(single))
    engine(clip(1, 1).float())
    assert engine.near_threshold >= 4 * 32 * 32


def test_early_stages_take_no_more_memory_for_longer_clips():
    model = SpikeVideoFormer(SpikeVideoFormerConfig()).eval()
    engine = compile(model)
    short, long = (lay_out(engine.program, frames, 224, 224).bytes / 2**20 for frames in (8, 128))
    assert short < 16
    assert long < 60
    # what grows is the residual stream of the coarsest stage
    assert long - short < 120 * 196 * 368 * 4 / 2**20 + 12


def test_requests_that_cannot_be_met():
    _, single = model_of("joint")
    with pytest.raises(ConfigError, match="does not exist"):
        engine_for(single, "fast")
    with pytest.raises(ConfigError, match="eval"):
        engine_for(copy.deepcopy(single).train(), "native")
    with pytest.raises(ConfigError, match="float32"):
        engine_for(copy.deepcopy(single).double(), "native")
    twin = SpikeVideoFormer(dataclasses.replace(single.config, neuron=NeuronConfig(kind="relu"))).eval()
    with pytest.raises(ConfigError, match="artificial"):
        engine_for(twin, "native")
    chosen = engine_for(twin, "auto")
    assert (chosen.name, engine_for(single, "auto").name) == ("reference", "native")
    assert "artificial" in chosen.why
    assert engine_for(single, "reference").name == "reference"
    with torch.no_grad():
        assert torch.equal(chosen(clip().float())[0], twin(clip().float())[0])


@pytest.mark.parametrize(
    "rule",
    [{"fires": "above"}, {"reset_delay": True, "reset": "soft"}, {"recheck": True, "reset": "soft"}],
    ids=["above", "delay", "recheck"],
)
@pytest.mark.parametrize("make", [tiny_model, tiny_svformer], ids=["spikevideoformer", "svformer"])
def test_neurons_of_other_libraries_run_in_the_model_and_are_refused_by_the_kernels(make, rule):
    video = clip()
    model = make(video, neuron=NeuronConfig(**rule)).float().eval()
    with pytest.raises(ConfigError, match=next(iter(rule))):
        engine_for(model, "native")
    chosen = engine_for(model, "auto")
    assert chosen.name == "reference"
    assert "reset_delay" in chosen.why


def test_time_constants_of_channels_run_in_the_model_and_are_refused_by_the_kernels():
    model = tiny_model(neuron=NeuronConfig(tau_spread=(2.0, 4.0))).float().eval()
    with pytest.raises(
        ConfigError, match=r"one time constant a layer; .*lif.* has one .* \(tau_spread=\(2\.0, 4\.0\)\)"
    ):
        engine_for(model, "native")
    chosen = engine_for(model, "auto")
    assert chosen.name == "reference"
    assert "tau_spread" in chosen.why


def test_without_native_kernels_the_reference_runs(monkeypatch):
    _, single = model_of("joint")
    monkeypatch.setattr("spikereel.engine.loaded._native", None)
    assert engine_for(single, "auto").why == "this installation has no native engine"
    with pytest.raises(ConfigError, match="no native engine"):
        engine_for(single, "native")


def test_native_kernels_of_another_version_are_named(monkeypatch):
    _, single = model_of("joint")
    monkeypatch.setattr("spikereel.engine.loaded._native", SimpleNamespace(__file__="old.so"))
    assert "old.so was built for another version" in describe()
    assert "ABI None" in engine_for(single, "auto").why
    with pytest.raises(ConfigError, match="another version"):
        engine_for(single, "native")


def test_errors_are_those_of_the_model(as_user):
    _, single = model_of("joint")
    engine = settle(compile(single))
    with pytest.raises(DataError, match="C=3"):
        engine(torch.rand(2, 1, 4, 32, 32))
    with pytest.raises(DataError, match="NaN"):
        engine(torch.full((2, 1, 3, 32, 32), torch.nan))
    _, state = engine(clip().float())
    with pytest.raises(StateError, match="whole clip"):
        engine(clip().float(), state)
    _, spatial = model_of("spatial")
    engine = settle(compile(spatial))
    _, state = engine(clip().float())
    with pytest.raises(StateError, match="batch size"):
        engine(clip(2, 1).float(), state)
    with pytest.raises(StateError, match="resolution"):
        engine(clip(2, 2, 32).float(), state)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["3D_ham", "2D"])
def test_the_authors_tensors(mode, parity_folder):
    name, (attention, similarity) = (
        f"svdf_tiny_{mode}_T4_B2_64_c10",
        {"3D_ham": ("joint", "hamming"), "2D": ("spatial", "dot")}[mode],
    )
    config = SpikeVideoFormerConfig(widths=(16, 32, 64, 80), num_classes=10, attention=attention, similarity=similarity)
    model = SpikeVideoFormer(config)
    load_authors_weights(model, parity_folder / f"{name}_weights.pt")
    io = torch.load(parity_folder / f"{name}_io.pt", weights_only=True)
    engine = settle(compile(model.eval()))
    (features,), _ = engine._pyramid(io["input"], ("block4",))
    # of the dot product float32 decides one spike of block3.0 otherwise than float64, and all that follows
    wanted = io["feat"] if mode == "3D_ham" else copy.deepcopy(model).double().features(io["input"].double())[0]
    torch.testing.assert_close(features.double(), wanted.double().view(features.shape), rtol=0, atol=1e-4)


@pytest.mark.parity
def test_the_authors_tensors_of_svformer(parity_folder):
    io = torch.load(parity_folder / "svformer_small.pt", weights_only=True)
    c = io["config"]
    sizes = {"frames": c["T"], "image_size": c["img"], "head_dim": c["head_dim"], "num_classes": c["classes"]}
    model = SVFormer(SVFormerConfig(widths=tuple(c["embed"]), **sizes))
    load_authors_weights(model, io["state_dict"])
    logits, _ = settle(compile(model.eval()))(io["input"].permute(2, 0, 1, 3, 4))
    torch.testing.assert_close(logits, io["logits_eval"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "case", ["joint", "hierarchical", "factorised", "dot", "soft", "ilif", "joined", "pyramid", "svformer", "mean"]
)
def test_layer_by_layer_spikes_are_those_of_float64(case):
    _, single = model_of(case)
    engine = settle(compile(single))
    rows = verify(engine, clip(11, 1, 48).float() if case not in SVFORMERS else clip(4, 1).float())
    assert sum(row.spikes for row in rows) > 50_000
    assert all(row.farthest < 1e-5 and row.error < 1e-5 for row in rows)
    assert sum(row.differing for row in rows) < 5


@pytest.mark.parametrize(("case", "runs"), [("segmentation", False), ("joined", True), ("pyramid", True)])
def test_heads_of_segmentation_run_natively_but_for_odd_widths(case, runs):
    _, single = model_of(case)
    engine = compile(single)
    video = clip(2, 1).float()
    engine(video)
    names = [row.layer for row in engine.report(video).rows]
    assert any(name.startswith("head.classify") for name in names) is runs
    with engine.firing_rates() as found:
        engine(video)
    with firing_rates(single) as wanted, torch.no_grad():
        single(video)
    assert found.keys() == wanted.keys()
    assert all(abs(found.means()[name] - rate) < 0.01 for name, rate in wanted.means().items())


def test_the_local_path_of_svformer_runs_natively():
    _, single = model_of("svformer")
    engine = settle(compile(single))
    assert "lpPWConv" in [row.layer for row in engine.report(clip(4, 1).float()).rows]


def test_the_check_of_layers_sees_a_wrong_weight():
    _, single = model_of("joint")
    engine = settle(compile(single))
    layer = next(x for x in engine.program.layers if x.name == "block3.0.mlp.fc1_conv")
    engine(clip(2, 1).float())
    layer.packed = layer.packed.copy()
    layer.packed[: len(layer.packed) // 2] += layer.packed[: len(layer.packed) // 2] // 100
    wrong = [row.layer for row in verify(engine, clip(2, 1).float()) if row.differing and row.farthest > 1e-5]
    assert wrong == ["block3.0.mlp.fc1_conv"]


@pytest.mark.parametrize("case", ["joint", "ilif", "joined", "joined counts", "pyramid", "svformer"])
def test_no_bit_depends_on_instruction_set_kernel_or_chunk(case, monkeypatch):
    _, single = model_of(case)
    video, before = clip(4, 1).float(), native().instruction_set()
    found = []
    try:
        for isa, way, chunks in [
            *((isa, "events8", memory.CHUNKS) for isa in native().instruction_sets()),
            (before, "tables", memory.CHUNKS),
            (before, "events1", (2, 1)),
            (before, "rows2", memory.CHUNKS),
            (before, "tables", (1,)),
        ]:
            native().use_instruction_set(isa)
            monkeypatch.setattr(memory, "CHUNKS", chunks)
            engine = settle(compile(single, reproducible=True), way)
            found.append((engine(video)[1].flat(), engine.near_threshold))
    finally:
        native().use_instruction_set(before)
    names = [layer.neuron.name for layer in engine.program.neurons()]
    (wanted, near), *others = found
    for got, other_near in others:
        assert other_near == near
        assert all(torch.equal(got[name], wanted[name]) for name in names)


def test_coarse_weights_say_what_they_cost():
    if not native().has_tables():
        pytest.skip("tables are for AVX-512")
    _, single = model_of("joint")
    engine = compile(single, exact=False)
    for layer in engine.program.layers:
        if isinstance(layer, SpikeConv):
            ways = choices(layer, exact=False)
            layer.choice, layer.packed = "coarse" if "coarse" in ways else ways[0], None
    engine.tuned = True
    found = cost(engine, clip(4, 1).float())
    assert 0 < found.spikes < 0.01
    assert found.spikes <= found.worst < 0.05
    assert 0 < found.output < 1
    assert cost(settle(compile(single)), clip(4, 1).float()).output == 0


def test_states_that_are_held_keep_their_memory():
    _, single = model_of("spatial")
    engine = settle(compile(single))
    states = [engine(clip(2, 1, seed=seed).float())[1] for seed in range(4)]
    places = [{x.data_ptr() for x in state.flat().values()} for state in states]
    assert all(not a & b for i, a in enumerate(places) for b in places[:i])
    # a view holds what it shows, too
    seen = states[0].flat()[engine.program.neurons()[0].neuron.name][0]
    wanted = seen.clone()
    del states
    for _ in range(4):
        engine(clip(2, 1, seed=7).float())
    assert torch.equal(seen, wanted)


def test_sums_in_fixed_point_stay_within_32_bits():
    rng = np.random.default_rng(0)
    for planes, inputs, size in ((1, 7, 1.0), (4, 4608, 1e-6), (8, 2048, 1e8), (1, 1, 1e-40)):
        weight = (size * rng.normal(size=(5, inputs, 1, 1))).astype(np.float32)
        weight[0] = np.abs(weight[0])
        weight[1] = 0
        fixed, unit = fixed_point(weight, planes)
        most = np.maximum(np.maximum(fixed, 0).sum((1, 2, 3), np.int64), np.maximum(-fixed, 0).sum((1, 2, 3), np.int64))
        assert (most * planes < 2**31).all()
        # no bit more than one is given away
        if size > 1e-30:
            assert (most[[0, 2, 3, 4]] * planes > 2**29).all()
        np.testing.assert_allclose(fixed * unit[:, None, None, None].astype(float), weight, atol=unit.max())


@pytest.mark.parametrize("case", ["joint", "joined", "pyramid", "svformer"])
def test_threads_and_batch_change_no_bit(case):
    _, single = model_of(case)
    video = clip(4, 3).float()
    engine = settle(compile(single, threads=1))
    wanted, state = engine(video)
    for threads in (2, 3):
        engine.threads = threads
        got, after = engine(video)
        assert torch.equal(got, wanted)
        assert all(torch.equal(a, b) for a, b in zip(after.flat().values(), state.flat().values(), strict=True))
    # the head of a batch is a matrix product of another shape, so states are compared
    alone = engine(video[:, 1:2])[1].flat()
    names = [layer.neuron.name for layer in engine.program.neurons()]
    assert all(torch.equal(alone[name], state.flat()[name][1:2]) for name in names)

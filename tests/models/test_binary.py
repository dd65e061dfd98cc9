"""Integer spikes replayed as binary ones over sub-steps: the same spikes, outputs, gradients and energy."""

import pytest
import torch
from torch import nn

import spikereel
from spikereel.energy import COSTS, estimate, measure
from spikereel.errors import ConfigError
from spikereel.hub import create_model, load_model, save_model
from spikereel.layers.conv import OnSpikes, SpikeConv
from spikereel.layers.neuron import Neuron, NeuronConfig, collected
from spikereel.layers.observe import firing_rates
from spikereel.models.binary import to_binary
from spikereel.models.pose_head import PoseConfig
from spikereel.models.segmentation_head import SegmentationConfig
from tests.tiny import clip, tiny_model, tiny_svformer

TASKS = {
    "classification": {},
    "pose": {"task": "pose", "pose": PoseConfig(joints=5, dropout=0.0)},
    "mlp": {"task": "segmentation", "segmentation": SegmentationConfig(width=12)},
    "fpn": {"task": "segmentation", "segmentation": SegmentationConfig(head="fpn", width=8, neck=6)},
}
NEURONS = [{"top": 3}, {"levels": 3, "normalise": True, "ilif_decay": 0.0}, {"levels": 2}]
ALL = pytest.mark.parametrize("head", TASKS)


def integer_model(head="classification", neuron=None, **fields):
    model = tiny_model(neuron=NeuronConfig(kind="ilif", **(neuron or {})), **TASKS[head], **fields)
    if head == "pose":
        for layer in model.head.out.values():
            nn.init.normal_(layer.weight, std=0.1)
    return model


def parts(output):
    return [output] if torch.is_tensor(output) else list(output)


def assert_same(model, video):
    binary = to_binary(model)
    operands = {}
    for name, layer in binary.named_modules():
        if isinstance(layer, OnSpikes):
            layer.register_forward_hook(lambda _m, x, _y, name=name: operands.update({name: x[0]}))
    with torch.no_grad(), firing_rates(model) as counts:
        wanted, after = model(video)
    with torch.no_grad(), firing_rates(binary) as sums:
        found, binary_after = binary(video)
    for x, y in zip(parts(found), parts(wanted), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-10)
    assert max(counts.means().values()) > model.config.neuron.unit
    assert counts.keys() == sums.keys()
    for name, rate in counts.items():
        torch.testing.assert_close(sums[name], rate, rtol=1e-12, atol=0, msg=name)
    assert all(((x == 0) | (x == 1)).all() for x in operands.values())
    assert len(operands) == sum(isinstance(m, OnSpikes) for m in model.modules())
    for (name, v), w in zip(after.flat().items(), binary_after.flat().values(), strict=True):
        torch.testing.assert_close(w, v, rtol=0, atol=1e-10, msg=name)


@ALL
def test_integer_and_binary_runs_are_equal(head):
    assert_same(integer_model(head), clip())


@pytest.mark.parametrize("neuron", NEURONS)
def test_equal_with_other_constants(neuron):
    assert_same(integer_model("mlp", neuron), clip())


@pytest.mark.parametrize(
    ("attention", "similarity"),
    [("spatial", "hamming"), ("hierarchical", "hamming"), ("factorised", "hamming"), ("causal", "dot")],
)
def test_equal_in_every_attention(attention, similarity):
    assert_same(integer_model(attention=attention, similarity=similarity), clip())


def test_equal_on_a_video_of_one_value():
    """Flat frames bring whole regions to the same membrane at once."""
    assert_same(integer_model("fpn"), torch.full_like(clip(), 0.5))


def test_five_steps_by_hand_on_the_thresholds():
    x = torch.tensor([0.5, 1.5, 2.5, 4.0, -1.0, 9.0], dtype=torch.float64)[:, None]
    config = NeuronConfig(kind="ilif", ilif_decay=0.0, replay=True)
    spikes, _ = Neuron(config)(x)
    # halves go to the even number: 0, 2, 2, 4, 0, 4
    by_step = spikes.view(4, 6).T.tolist()
    assert by_step == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]
    assert collected(spikes, config).flatten().tolist() == [0, 2, 2, 4, 0, 4]


@pytest.mark.parametrize("neuron", [{}, {"top": 3}, {"normalise": True}])
def test_bit_equal_on_the_thresholds(neuron):
    """Inputs and weights are whole halves, so that every sum is exact and many inputs are ties."""
    generator = torch.Generator().manual_seed(0)
    whole, replay = (
        SpikeConv(3, 4, NeuronConfig(kind="ilif", **neuron, replay=r), kernel=3).double() for r in (False, True)
    )
    for layer in (whole, replay):
        layer.norm = nn.Identity()
    nn.init.uniform_(whole.conv.weight, -4, 4, generator=generator)
    whole.conv.weight.data = (2 * whole.conv.weight.data).round() / 2
    replay.load_state_dict(whole.state_dict())
    x = torch.randint(-2, 12, (5, 2, 3, 6, 6), generator=generator).double() / 2
    (y, state), (z, other) = whole(x), replay(x)
    assert torch.equal(y, z)
    assert torch.equal(state["lif"], other["lif"])


@ALL
def test_states_of_either_run_continue_the_other(head):
    model = integer_model(head, attention="spatial")
    binary, video = to_binary(model), clip()
    whole, _ = model(video)
    _, state = model(video[:2])
    rest, _ = binary(video[2:], state)
    if head == "classification":
        torch.testing.assert_close(rest, whole, rtol=0, atol=1e-10)
    else:
        for x, y in zip(parts(rest), parts(whole), strict=True):
            torch.testing.assert_close(x, y[2:], rtol=0, atol=1e-10)


@ALL
def test_the_same_gradients(head):
    model = integer_model(head)
    binary = to_binary(model)
    for net in (model, binary):
        sum(x.square().sum() for x in parts(net(clip())[0])).backward()
    for (name, p), q in zip(model.named_parameters(), binary.named_parameters(), strict=True):
        torch.testing.assert_close(q[1].grad, p.grad, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    ("head", "neuron"), [*((head, {}) for head in TASKS), ("classification", {"top": 3, "normalise": True})]
)
def test_energy_counted_both_ways(head, neuron):
    model = integer_model(head, neuron)
    integer, binary = measure(model, clip()), measure(to_binary(model), clip())
    assert "integer" in {x.operand for x in integer.layers}
    assert {x.operand for x in binary.layers if x.kind != "attention"} == {"binary", "real"}
    assert integer.synops == binary.synops > 0
    for cost in COSTS:
        assert binary.parts_mj(cost) == pytest.approx(integer.parts_mj(cost), rel=1e-12), cost
    for a, b in zip(integer.layers, binary.layers, strict=True):
        assert (a.name, a.rate, a.synops, a.macs, a.levels) == (b.name, b.rate, b.synops, b.macs, b.levels)
    assert binary.updates == integer.updates
    stated = estimate(to_binary(model), integer.firing, clip=integer.clip)
    assert stated.energy_mj("paper") == pytest.approx(integer.energy_mj("paper"), rel=1e-9)


def test_an_integer_spike_is_as_many_operations():
    """One layer by hand: each unit of a count meets the weights of all outputs that look at its place."""
    model = integer_model()
    passport = measure(model, clip())
    layer = next(x for x in passport.layers if x.name == "ConvBlock1_1.0.Conv.pwconv1")
    spikes = []
    model.ConvBlock1_1[0].Conv.lif1.register_forward_hook(lambda _m, _x, y: spikes.append(y[0]))
    model(clip())
    wide = model.ConvBlock1_1[0].Conv.pwconv1.out_channels
    assert sum(layer.synops) == spikes[0].sum().item() * wide / clip().shape[1]


def test_saved_and_loaded(tmp_path):
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=3, width=8, neuron="ilif").eval()
    binary = spikereel.to_binary(model)
    save_model(binary, tmp_path / "binary.safetensors")
    again = load_model(tmp_path / "binary.safetensors")
    assert again.config == binary.config
    video = torch.rand(2, 1, 3, 32, 32)
    assert torch.equal(again(video)[0], binary(video)[0])
    assert again.metadata.name == "spikevideoformer_ti"


def test_the_copy_is_independent():
    model = integer_model()
    before = model.head.weight.clone()
    binary = to_binary(model)
    nn.init.zeros_(binary.head.weight)
    assert torch.equal(model.head.weight, before)
    assert not binary.training


def test_models_without_integer_spikes():
    with pytest.raises(ConfigError, match="neurons here are 'lif'"):
        to_binary(tiny_model())
    with pytest.raises(ConfigError, match="this is a SVFormer"):
        to_binary(tiny_svformer())
    with pytest.raises(ConfigError, match="replay is for SpikeVideoFormer"):
        create_model("svformer_ti", neuron="ilif", replay=True)

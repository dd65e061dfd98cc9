"""Models inside wrappers, weights under their names, states of other models, input that is none."""

from inspect import unwrap

import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils import _pytree as pytree

import spikereel
from spikereel.energy import measure
from spikereel.errors import DataError, StateError, WeightsError
from spikereel.hub import Metadata, create_model, load_model, save_model
from spikereel.models.authors import authors_weights, load_authors_weights
from spikereel.models.base import VideoModel
from spikereel.models.pose_head import BodyPose, JointPose
from spikereel.models.wrappers import holding, unwrapped


class Lightning(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model


class Sharded(nn.Module):
    """Holds a model where FSDP does, which itself wants several processes."""

    def __init__(self, model):
        super().__init__()
        self._fsdp_wrapped_module = model


WRAPPERS = {
    "compiled": torch.compile,
    "parallel": nn.DataParallel,
    "lightning": Lightning,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "parallel, compiled": lambda m: nn.DataParallel(torch.compile(m)),
    "checkpointed": checkpoint_wrapper,
    "sharded, compiled": lambda m: Sharded(torch.compile(m)),
    "parallel, checkpointed, compiled": lambda m: nn.DataParallel(checkpoint_wrapper(torch.compile(m))),
    "compiled, sharded": lambda m: torch.compile(Sharded(m)),
    "sequence": nn.Sequential,
    "sequence of softmax": lambda m: nn.Sequential(nn.Sequential(m), nn.Softmax(-1)),
    "compiled over parallel": lambda m: torch.compile(nn.DataParallel(m)),
    "compiled, averaged": lambda m: torch.optim.swa_utils.AveragedModel(torch.compile(m)),
    "any name": lambda m: nn.ModuleDict({"student": m}),
    "lightning, loss": lambda m: nn.ModuleDict({"model": m, "loss": nn.CrossEntropyLoss(weight=torch.ones(3))}),
    "lightning, average": lambda m: nn.ModuleDict({"model": m, "ema": torch.optim.swa_utils.AveragedModel(m)}),
    "lightning, parallel, compiled": lambda m: Lightning(nn.DataParallel(torch.compile(m))),
}


COMPILER = pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")


def small():
    return create_model("spikevideoformer_ti", num_classes=3).eval()


@COMPILER
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_are_seen_through(name, tmp_path):
    model = small()
    wrapped = WRAPPERS[name](model)
    save_model(wrapped, tmp_path / "w.safetensors")
    again = load_model(tmp_path / "w.safetensors")
    assert all(torch.equal(x, again.state_dict()[k]) for k, x in model.state_dict().items())
    found = authors_weights(wrapped.state_dict())
    assert found.keys() == model.state_dict().keys()


@COMPILER
def test_compiled_parts_are_seen_through(tmp_path):
    model = tiny_model()
    names = set(model.state_dict())
    model.block3[0] = nn.DataParallel(torch.compile(model.block3[0]))
    save_model(model, tmp_path / "w.safetensors")
    assert set(load_model(tmp_path / "w.safetensors").state_dict()) == names


def test_what_cannot_be_read_back_is_not_saved(tmp_path):
    model = tiny_model()
    nn.utils.parametrizations.weight_norm(model.head)
    for bad in (model, nn.Linear(3, 3)):
        with pytest.raises(WeightsError, match="cannot save"):
            save_model(bad, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_one_model_is_saved_and_all_of_it(tmp_path):
    pair, more = nn.ModuleDict({"a": small(), "b": small()}), nn.Sequential(small(), nn.Linear(3, 3))
    for bad, said in ((pair, "2 models"), (more, "beside the model it has 2 weights, first '1.weight'")):
        with pytest.raises(WeightsError, match=said):
            save_model(bad, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="several weights: a, b; say which"):
        authors_weights(pair.state_dict())
    taken = authors_weights(pair.state_dict(), key="b")
    assert torch.equal(taken["head.weight"], pair["b"].head.weight)
    with pytest.raises(WeightsError, match=r"1 unexpected: 1\.weight"):
        load_authors_weights(small(), more.state_dict())


@COMPILER
def test_energy_of_a_wrapped_model():
    model = tiny_model()
    assert measure(torch.compile(model), clip()) == measure(model, clip())


def test_a_wrapper_with_work_of_its_own_is_run():
    class Turned(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, video):
            return self.net(video.transpose(0, 1))

    model = tiny_model()
    assert unwrapped(nn.Sequential(model), VideoModel) is model
    turned = Turned(model)
    assert unwrapped(turned, VideoModel) is turned
    assert holding(turned, VideoModel) is model


def streaming(kind):
    if kind == "svformer":
        return tiny_svformer().eval(), spikereel.State()
    return tiny_model(attention="causal").eval(), None


@pytest.mark.parametrize("kind", ["causal", "svformer"])
def test_states_are_accounted_for_both_ways(kind):
    model, start = streaming(kind)
    video = clip().to(next(model.parameters()).dtype)
    _, state = model(video[:2], start)
    assert {name for name, _ in state.flat().items()} == model.state_names()
    model(video[2:], state)
    first = next(name for name, x in state.items() if x)
    others = (
        state.flat(),
        {"state": state},
        {"nope": torch.zeros(1)},
        {k: x for k, x in state.items() if k != first},
        {**state, "more": torch.zeros(1)},
    )
    for other in others:
        with pytest.raises(StateError, match="none of this model"):
            model(video[2:], spikereel.State(other))
    with pytest.raises(StateError, match="got a list"):
        model.check_state([state])
    with pytest.raises(StateError, match="got a Tensor"):
        model.check_state(video)
    for change, said in (
        (lambda _: None, "holds a NoneType as"),
        (lambda x: x.half(), "is torch.float16; membranes are"),
        (lambda x: x.long(), "is torch.int64; membranes are"),
        (lambda x: x.to("meta"), "the state is on meta, the model on cpu"),
    ):
        with pytest.raises(StateError, match=said):
            model.check_state(spikereel.State(state).map(change))


def test_input_of_another_kind_gets_a_sentence():
    model = small()
    video = torch.rand(2, 1, 3, 32, 32)
    for bad, said in (
        (video.double(), "torch.float64, the model torch.float32"),
        (video.half(), "torch.float16, the model torch.float32"),
        ((255 * video).round().to(torch.uint8), "divide pixel values"),
        ((255 * video).round(), "whole numbers to .* divide by 255"),
        (video.numpy(), "numpy|ndarray"),
        (video.movedim(2, -1), "axis 4 has 3"),
    ):
        with pytest.raises(DataError, match=said):
            unwrap(VideoModel.check_video)(model, bad)


def test_batch_and_time_exchanged_get_a_sentence_where_it_shows():
    video = torch.rand(4, 1, 3, 64, 64, dtype=torch.float64)
    model = tiny_model(attention="causal").eval()
    _, state = model(video)
    with pytest.raises(StateError, match=r"for a video \[B, T, \.\.\.\] give video.transpose\(0, 1\)"):
        model(video.transpose(0, 1), state)
    svformer = tiny_svformer().eval()
    whole = torch.zeros(1, svformer.config.frames, 3, 64, 64, dtype=next(svformer.parameters()).dtype)
    with pytest.raises(DataError, match=r"for \[B, T, \.\.\.\] give video.transpose\(0, 1\)"):
        svformer(whole)
    assert any("taken for 4 clips of one frame" in line for line in measure(model, video.transpose(0, 1)).warnings)
    assert not measure(model, video).notes


def test_a_clip_that_looks_like_batch_first_is_warned_of():
    model, turned = small(), torch.rand(2, 4, 3, 32, 32)
    model.metadata = Metadata(preprocess={"frames": 4})
    for seen, wrong in (("4 clips of 2 frames", turned), ("4 clips of 1 frame", turned[:1])):
        with pytest.warns(UserWarning, match=rf"{seen}, .* saw 4 .* give video.transpose\(0, 1\)"):
            model(wrong)
    # the right order, and a batch of other clips
    for fine in (turned.transpose(0, 1), turned[:, :3], torch.rand(4, 4, 3, 32, 32)):
        model(fine)


@pytest.mark.parametrize("training", [False, True])
def test_weights_that_know_no_number_of_frames_warn_once_of_more_clips_than_frames(training):
    model, turned = small().train(training), torch.rand(2, 4, 3, 32, 32)
    model(turned.transpose(0, 1))
    with pytest.warns(UserWarning, match=r"read as 4 clips of 2 frames: video is \[T, B, .* give video.transpose"):
        model(turned)
    model(turned)
    tiny_model(attention="causal")(torch.rand(1, 4, 3, 64, 64, dtype=torch.float64))  # frames of 4 cameras


def test_what_models_give_can_be_written_by_torch_export():
    parts = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    for output in (JointPose(*parts[:2]), BodyPose(*parts)):
        spec = pytree.tree_structure((output, spikereel.State(lif=parts[0])))
        assert pytree.treespec_loads(pytree.treespec_dumps(spec)) == spec


@COMPILER
def test_export_gives_the_state_as_well():
    model = small()
    video = torch.rand(2, 1, 3, 32, 32)
    exported = torch.export.export(model, (video,))
    logits, state = exported.module()(video)
    wanted, own = model(video)
    torch.testing.assert_close(logits, wanted)
    assert isinstance(state, spikereel.State)
    assert state.flat().keys() == own.flat().keys()

"""A stream is the clip run, for any cut; what it remembers is all that it needs; the future changes nothing."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import clip

import spikereel
from spikereel.errors import ConfigError, DataError, StateError
from spikereel.layers.attention import SpikeAttention
from spikereel.ops.hamming import attention_reference
from spikereel.streaming.fronts import windowed
from spikereel.tasks.smoothing import one_euro_step
from tests.streaming.conftest import QUICK, model_for, same, same_state, svformer_for

TASKS = ("classification", "pose", "segmentation")
EXACT = [(attention, task) for attention in ("spatial", "causal") for task in TASKS]
MODES = {
    "spatial": ("spatial", {}),
    "causal": ("causal", {}),
    "decay": ("causal", {"readout": "decay", "span": 3}),
    "last": ("spatial", {"readout": "last", "span": 2}),
    "window": ("joint", {"window": 3}),
    "window, restart": ("joint", {"window": 3, "membranes": "restart"}),
    "chunk": ("joint", {"mode": "chunk", "window": 4}),
    "chunk, run on": ("joint", {"mode": "chunk", "window": 2, "membranes": "run_on"}),
    "chunk of hierarchical": ("hierarchical", {"window": 3}),
}
cuts = st.lists(st.integers(1, 4), min_size=2, max_size=9)


def _parts(cut, total):
    """Sizes that add up to a total."""
    out = []
    while sum(out) < total:
        out.append(min(cut[len(out) % len(cut)], total - sum(out)))
    return out


def _pushed(session, video, cut):
    """What a session says of a video in parts: numbers of frames, and outputs one by one."""
    frames, outputs = [], []
    for part in video.split(_parts(cut, len(video))):
        result = session.push(part)
        frames += result.frames
        outputs += _each(result.output)
    return frames, outputs


def _each(output):
    if output is None:
        return []
    return list(output) if isinstance(output, torch.Tensor) else list(zip(*output, strict=True))


@pytest.mark.parametrize(("attention", "task"), EXACT)
def test_the_last_answer_is_that_of_the_clip_run(attention, task, video):
    model = model_for(attention, task)
    with torch.no_grad():
        whole, _ = model(video[:, None])

    @settings(QUICK)
    @given(cuts)
    def check(cut):
        frames, outputs = _pushed(spikereel.stream(model, mode=attention), video, cut)
        assert frames == list(range(len(video)))
        if task == "classification":
            assert torch.equal(outputs[-1], whole[0])
        else:
            wanted = _each(whole[:, 0] if task == "segmentation" else [x[:, 0] for x in whole])
            # the matrices of the regressor round by the number of rows
            close = {"rtol": 0, "atol": 1e-12 if task == "pose" else 0}
            for one, two in zip(outputs, wanted, strict=True):
                torch.testing.assert_close(one, two, **close)

    check()


@pytest.mark.parametrize(
    ("name", "task"),
    [(name, TASKS[0]) for name in MODES] + [(x, task) for x in ("window", "chunk") for task in TASKS[1:]],
)
def test_answers_do_not_depend_on_the_cut(name, task, video):
    attention, options = MODES[name]
    if task != "classification":
        options = {key: x for key, x in options.items() if key not in ("readout", "span")}
    model = model_for(attention, task)
    frames, outputs = _pushed(spikereel.stream(model, **options), video, [9])

    @settings(QUICK)
    @given(cuts)
    def check(cut):
        session = spikereel.stream(model, **options)
        numbers, answers = _pushed(session, video, cut)
        assert numbers == frames
        assert all(same(one, two) for one, two in zip(answers, outputs, strict=True))

    check()


@pytest.mark.parametrize("name", MODES)
def test_the_future_changes_nothing(name, video):
    attention, options = MODES[name]
    other = video.clone()
    other[6:] = clip(3, seed=77, size=video.shape[-1])[:, 0]
    one, two = (_pushed(spikereel.stream(model_for(attention), **options), x, [2, 1]) for x in (video, other))
    early = [i for i, frame in enumerate(one[0]) if frame < 6]
    assert early
    assert all(torch.equal(one[1][i], two[1][i]) for i in early)
    assert not torch.equal(one[1][-1], two[1][-1])


class _Remembered:
    """Attention of each frame to the keys and values of the last ones, which are all kept, pair by pair."""

    def __init__(self, module, window):
        self.module, self.window, self.past = module, window, []

    def __call__(self, q, k, v, _grouping, _state, after):
        heads, (h, w) = self.module.heads, q.shape[3:]
        q, k, v = (x[0].unflatten(1, (heads, -1)).flatten(3).mT for x in (q, k, v))
        self.past += [(k, v)] * (1 if self.past else self.window)
        keys, values = (torch.cat(x, dim=-2) for x in zip(*self.past[-self.window :], strict=True))
        a = attention_reference(q, keys, values, similarity=self.module.product, scale=self.module.scale)
        after["summed"] = after["recent"] = a.new_zeros(1)
        return a.mT.flatten(1, 2).unflatten(2, (h, w))[None]


@pytest.mark.parametrize("similarity", ["hamming", "dot"])
def test_a_window_is_what_it_says(similarity, video):
    """Of each block, the keys and values of the last frames, the first standing for those before it."""
    model, window = model_for("joint", similarity=similarity), 3
    reference = windowed(model, window)
    for module in reference.modules():
        if isinstance(module, SpikeAttention):
            module._attend = _Remembered(module, window)
    session, state = spikereel.stream(model, mode="window", window=window, readout="mean"), None
    for frame in video:
        with torch.no_grad():
            wanted, state = reference(frame[None, None], state)
        torch.testing.assert_close(session.push(frame).output, wanted, rtol=0, atol=1e-12)


def test_a_window_of_one_block_is_the_clip_for_its_last_frame():
    """In the first block, whose input has no attention before it, membranes aside."""
    assert spikereel.stream(model_for("joint"), mode="joint", window=5).settings().startswith("mode window, window 5")


@pytest.mark.parametrize("task", TASKS)
def test_a_chunk_is_the_published_clip(task, video):
    model = model_for("joint", task)
    frames, outputs = _pushed(spikereel.stream(model, mode="chunk", window=4), video, [3])
    with torch.no_grad():
        for k, part in enumerate((video[:4], video[4:8])):
            whole, _ = model(part[:, None])
            if task == "classification":
                assert frames[k] == 4 * k + 3
                assert torch.equal(outputs[k], whole[0])
            else:
                wanted = _each(whole[:, 0] if task == "segmentation" else [x[:, 0] for x in whole])
                assert all(same(a, b) for a, b in zip(outputs[4 * k : 4 * k + 4], wanted, strict=True))
    assert len(outputs) == (2 if task == "classification" else 8)


def test_membranes_that_run_on_are_another_answer(video):
    one, two = (
        _pushed(spikereel.stream(model_for("joint"), mode="chunk", window=4, membranes=x), video, [4])[1]
        for x in ("restart", "run_on")
    )
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])


@pytest.mark.parametrize("fields", [{}, {"head": "mean"}, {"contrast": "beside"}], ids=str)
@pytest.mark.parametrize("hop", [1, 3])
def test_svformer_slides_over_clips(fields, hop):
    """The window that ends at each frame is the clip run of it."""
    model, video = svformer_for(**fields), clip(9, seed=5)[:, 0]
    session = spikereel.stream(model, hop=hop)
    frames, outputs = _pushed(session, video, [2, 3])
    assert frames == list(range(3, 9, hop))
    with torch.no_grad():
        for t, output in zip(frames, outputs, strict=True):
            assert torch.equal(output, model(video[t - 3 : t + 1, None])[0][0])
    assert session.receptive_field == 4


def test_svformer_free_of_clips_goes_frame_by_frame():
    model = svformer_for(head="mean", time_norm=False)
    video = clip(9, seed=5)[:, 0]
    _, outputs = _pushed(spikereel.stream(model), video, [2, 3])
    with torch.no_grad():
        torch.testing.assert_close(outputs[-1], model(video[:, None])[0][0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MODES)
def test_peek_and_fork_leave_a_session_as_it_was(name, video):
    attention, options = MODES[name]
    session = spikereel.stream(model_for(attention), **options)
    session.push(video[:5])
    before = session.state.clone()
    said = session.peek(video[5:])
    fork = session.fork()
    fork.push(clip(2, seed=3, size=32)[:, 0])
    assert same_state(session.state, before)
    assert session.number == 5
    result = session.push(video[5:])
    assert result.frames == said.frames
    assert torch.equal(result.output, said.output)
    assert fork.number == 7


GOES_ON = """
import sys, torch, spikereel
model = spikereel.load_model(sys.argv[1]).double()
session = spikereel.stream(model, **eval(sys.argv[4])).load(sys.argv[2])
torch.save(session.push(torch.load(sys.argv[3])).output, sys.argv[3])
"""


@pytest.mark.parametrize("name", ["causal", "window"])
def test_another_process_goes_on(name, video, tmp_path):
    attention, options = MODES[name]
    model = spikereel.create_model(
        "spikevideoformer_ti", widths=(8, 16, 16, 24), depths=(1, 1), heads=2, attention=attention, num_classes=5
    )
    spikereel.save_model(model, tmp_path / "model.safetensors")
    session = spikereel.stream(model.double(), **options)
    session.push(video[:5])
    session.save(tmp_path / "session.safetensors")
    torch.save(video[5:], tmp_path / "frames.pt")
    files = [str(tmp_path / x) for x in ("model.safetensors", "session.safetensors", "frames.pt")]
    subprocess.run([sys.executable, "-c", GOES_ON, *files, repr(options)], check=True)
    assert torch.equal(torch.load(tmp_path / "frames.pt"), session.push(video[5:]).output)


def test_a_file_of_another_session_is_refused(video, tmp_path):
    session = spikereel.stream(model_for("causal"))
    session.push(video[:2])
    session.save(tmp_path / "s")
    with pytest.raises(StateError, match="readout decay"):
        spikereel.stream(model_for("causal"), readout="decay").load(tmp_path / "s")
    with pytest.raises(StateError, match="with weights"):
        spikereel.stream(model_for("causal", num_classes=3)).load(tmp_path / "s")
    session.state.save(tmp_path / "state")
    with pytest.raises(StateError, match="holds no session"):
        session.load(tmp_path / "state")
    with pytest.raises(StateError, match="cannot read"):
        session.load(tmp_path / "none")


@pytest.mark.parametrize("name", MODES)
def test_what_is_remembered_does_not_grow(name, video):
    attention, options = MODES[name]
    session = spikereel.stream(model_for(attention), **options)
    full = 5
    sizes = []
    for t in range(2 * full):
        session.push(video[t % 9])
        sizes.append(session.state_bytes)
    assert max(sizes[full:]) <= max(sizes[:full])
    session.reset()
    assert (session.state_bytes, session.number) == (0, 0)


def test_delay_and_receptive_field():
    chunk = spikereel.stream(model_for("joint"), mode="chunk", window=4)
    assert (chunk.delay, chunk.receptive_field) == (3, 4)
    causal = spikereel.stream(model_for("causal"))
    assert (causal.delay, causal.receptive_field) == (0, float("inf"))


def test_a_receptive_field_is_no_smaller_than_it_says(video):
    """Frames before it change nothing, in a window whose membranes restart."""
    model = model_for("joint")
    session = spikereel.stream(model, mode="window", window=2, membranes="restart")
    field, long = int(session.receptive_field), clip(14, seed=8, size=32)[:, 0]
    assert field == 10
    other = long.clone()
    other[:4] = clip(4, seed=9, size=32)[:, 0]
    one, two = (spikereel.stream(model, mode="window", window=2, membranes="restart").push(x) for x in (long, other))
    assert torch.equal(one.output[-1], two.output[-1])
    assert not torch.equal(one.output[4], two.output[4])


def test_readouts_are_the_means_that_they_say(video):
    model = model_for("spatial")
    with torch.no_grad():
        spikes = model.pooled(model.features(video[:, None])[0])[0]
        for kind, span, weights in (
            ("mean", None, lambda t: torch.ones(t + 1)),
            ("last", 4, lambda t: (torch.arange(t + 1) > t - 4).float()),
            ("decay", 2.5, lambda t: torch.exp(-(t - torch.arange(t + 1.0, dtype=torch.float64)) / 2.5)),
        ):
            output = spikereel.stream(model, readout=kind, span=span).push(video).output
            for t in (0, 3, 8):
                w = weights(t).double()
                mean = (w[:, None] * spikes[: t + 1, 0]).sum(0) / w.sum()
                torch.testing.assert_close(output[t], model.head(mean), rtol=0, atol=1e-10)


def test_gaps_bridge_or_reset(video):
    model, times = model_for("causal"), [0.0, 0.1, 0.2, 5.0, 5.1]
    plain = spikereel.stream(model).push(video[:5]).output
    bridged = spikereel.stream(model, gap=1.0).push(video[:5], times)
    assert bridged.gaps == 1
    assert torch.equal(bridged.output, plain)
    session = spikereel.stream(model, gap=1.0, on_gap="reset")
    session.push(video[:3], times[:3])
    result = session.push(video[3:5], times[3:])
    assert torch.equal(result.output, spikereel.stream(model).push(video[3:5]).output)
    assert session.push(video[5], [5.05]).gaps == 1, "a step back is a gap"
    assert session.gaps == 2
    assert result.times == (5.0, 5.1)


def test_poses_are_smoothed_as_by_the_filter(video):
    model, times = model_for("causal", "pose"), [0.0, 0.1, 0.3, 0.4]
    raw = spikereel.stream(model).push(video[:4]).output.joints
    session = spikereel.stream(model, smooth="one_euro")
    smooth = torch.cat([session.push(video[i], [times[i]]).output.joints for i in range(4)])
    state = None
    for i in range(4):
        wanted, state = one_euro_step(raw[i], state, 0.0 if i == 0 else 1 / (times[i] - times[i - 1]))
        torch.testing.assert_close(smooth[i], wanted)
    assert not torch.equal(smooth, raw)


def test_masks_fade_into_each_other(video):
    model = model_for("causal", "segmentation")
    raw = spikereel.stream(model).push(video[:3]).probabilities
    smooth = spikereel.stream(model, smooth="decay", span=2.0).push(video[:3]).probabilities
    k = torch.exp(torch.tensor(-0.5, dtype=torch.float64))
    torch.testing.assert_close(smooth[0], raw[0])
    torch.testing.assert_close(smooth[1], k * raw[0] + (1 - k) * raw[1])


def test_a_frame_that_is_none_leaves_the_session_as_it_was(video, as_user):
    session = spikereel.stream(model_for("causal"))
    session.push(video[:2])
    before = session.state.clone()
    broken = video[2].clone()
    broken[0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        session.push(broken)
    with pytest.raises(StateError):
        session.push(video[2, :, :16, :16])
    with pytest.raises(DataError, match="give a tensor"):
        session.push([1])
    with pytest.raises(DataError, match="times are"):
        session.push(video[2], [0.0, 1.0])
    assert same_state(session.state, before)


@pytest.mark.parametrize(
    ("attention", "options", "words"),
    [
        ("causal", {"mode": "spatial"}, "does not fit"),
        ("causal", {"mode": "film"}, "does not exist"),
        ("hierarchical", {"mode": "window"}, "joint attention"),
        ("joint", {"window": -1}, "at least 1"),
        ("joint", {"membranes": "sleep"}, "run_on or restart"),
        ("causal", {"membranes": "restart"}, "frame by frame"),
        ("causal", {"readout": "median"}, "does not exist"),
        ("causal", {"readout": "last", "span": 2.5}, "whole ones"),
        ("causal", {"smooth": "one_euro"}, "not for classification"),
        ("causal", {"gap": 0.0}, "above 0"),
        ("joint", {"mode": "chunk", "readout": "mean"}, "leave readout out"),
    ],
)
def test_what_does_not_fit_is_refused(attention, options, words):
    with pytest.raises(ConfigError, match=words):
        spikereel.stream(model_for(attention), **options)


def test_an_engine_streams_as_its_model(video):
    loaded = pytest.importorskip("spikereel.engine.loaded")
    if not loaded.available():
        pytest.skip("no native kernels in this installation")
    cases = (
        ("causal", {}),
        ("spatial", {"readout": "last", "span": 3}),
        ("joint", {"window": 4, "mode": "chunk"}),
        ("joint", {"window": 4, "mode": "chunk", "membranes": "run_on"}),
        ("joint", {"window": 3}),
        ("joint", {"window": 3, "membranes": "restart", "readout": "mean"}),
    )
    for attention, options in cases:
        model = spikereel.create_model(
            "spikevideoformer_ti", widths=(8, 16, 16, 24), depths=(1, 1), heads=2, attention=attention, num_classes=5
        ).eval()
        engine = spikereel.compile(model)
        one, two = (_pushed(spikereel.stream(engine, **options), video.float(), cut)[1] for cut in ([9], [2, 1, 4]))
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        plain = _pushed(spikereel.stream(model, **options), video.float(), [9])[1]
        for a, b in zip(one, plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_no_frames_are_refused(video):
    for model in (model_for("causal"), model_for("joint", "pose")):
        with pytest.raises(DataError, match="at least one frame"):
            spikereel.stream(model).push(video[:0])


def test_an_engine_of_a_file_has_no_weights_for_a_window(video, tmp_path):
    loaded = pytest.importorskip("spikereel.engine.loaded")
    if not loaded.available():
        pytest.skip("no native kernels in this installation")
    from spikereel.engine.engine import Engine

    engine = spikereel.compile(model_for("joint").float())
    engine(video[:, None].float())
    engine.save(tmp_path / "a.engine")
    with pytest.raises(ConfigError, match="packed weights alone"):
        spikereel.stream(Engine.load(tmp_path / "a.engine"), mode="window", window=3)


def test_a_running_mean_counts_on_where_float32_would_stop(video):
    model = spikereel.create_model(
        "spikevideoformer_ti", widths=(8, 16, 16, 24), depths=(1, 1), heads=2, attention="spatial", num_classes=5
    )
    session = spikereel.stream(model)
    session.push(video[:3].float())
    head = session.state["model"]["head"]
    head["counts"] = torch.full_like(head["counts"], 2.0**24)
    head["frames"] = torch.tensor(2**24)
    for _ in range(3):
        session.push(video[3].float())
    after = session.state["model"]["head"]
    assert after["counts"].max() > 2**24
    assert after["frames"] == 2**24 + 3

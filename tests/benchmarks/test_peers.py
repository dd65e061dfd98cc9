"""Peers of the benchmarks compute what our model computes, and one that does not is refused.

Those that need packages of their own are skipped where these are not: `benchmarks/peers/environments.sh`.
"""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from peer_speed import workload
from peers import PEERS, Built, peer
from peers.folded import FoldedTwin
from peers.parity import ParityError, check
from peers.rounds import summary
from settled import settle

from spikereel.hub import create_model
from spikereel.layers.calibrate import calibrate

SMALL = {"widths": (16, 32, 64, 80), "depths": (2, 1), "heads": 4, "num_classes": 10}


def _calibrated(name, dtype=torch.float64):
    torch.manual_seed(0)
    model = create_model(name, attention="joint", similarity="hamming", **SMALL).to(dtype)
    clip = torch.randn(4, 2, 3, 64, 64, dtype=dtype)
    # norms whose affine is 1 and 0 would hide one that is left out
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    calibrate(model, [clip])
    return model.eval(), clip


def _available(name):
    reason = peer(name).missing()
    return pytest.param(name, marks=pytest.mark.skipif(reason is not None, reason=reason or "here"))


def test_folded_twin_is_the_twin():
    twin, clip = _calibrated("spikevideoformer_s.ann")
    folded = FoldedTwin(twin)
    left = [name for name, m in folded.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(left) == 3
    assert all(name.endswith("attn_bn") for name in left)
    with torch.no_grad():
        torch.testing.assert_close(folded(clip), twin(clip)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [_available(name) for name in PEERS if name != "compiled"])
def test_peer_passes_its_own_check(name):
    entry = peer(name)
    if name.endswith("int8"):
        # small random twins are chaotic, and nothing of 8 bits comes near them: the one that is timed
        work = workload(4, 64, residual_gain=0.3)
        model, clip = work.twin, work.clip
    else:
        model, clip = _calibrated("spikevideoformer_s.ann" if entry.artificial else "spikevideoformer_s", torch.float32)
    built = entry.build(model, clip)
    found = check(entry, built, model, clip)
    assert ("tolerance" in found) == (entry.tolerance is not None)
    assert found["output"] <= found.get("tolerance", float("inf"))
    assert ("float64" in found) == entry.exact
    # the engine's check of its own
    assert ("farthest_from_threshold" in built.settings) == (name == "engine")


def test_a_single_clip_settles_norms_over_single_pixels(tmp_path, monkeypatch):
    # what was settled before would be read again
    monkeypatch.setattr("settled.CACHE", tmp_path)
    torch.manual_seed(0)
    model, clip = create_model("svformer_ti", frames=8, image_size=64), torch.randn(8, 1, 3, 64, 64)
    assert min(settle(model, clip).values()) > 0


def test_a_peer_of_artificial_neurons_is_built_of_the_twin():
    work = workload(4, 64, "spikevideoformer_ti")
    built, found = work.built("ann_torch")
    with torch.no_grad():
        torch.testing.assert_close(built(work.clip), work.twin(work.clip)[0], rtol=1e-3, atol=1e-4)
    assert found["output"] <= found["tolerance"]


@pytest.mark.parametrize("name", [_available("authors")])
def test_authors_structure_block_by_block(name):
    from peers.authors import network

    model, clip = _calibrated("spikevideoformer_s")
    theirs, seen = network(model), ({}, {})
    for net, found in zip((model, theirs), seen, strict=True):
        for part, module in net.named_modules():
            if part.endswith(("lif", "lif1", "lif2")) or part.split(".")[-1].isdigit():
                module.register_forward_hook(
                    lambda _m, _x, out, part=part, found=found: found.update(
                        {part: out[0] if isinstance(out, tuple) else out}
                    )
                )
    with torch.no_grad():
        model(clip)
        theirs(clip)
    shared = seen[0].keys() & seen[1].keys()
    neurons = [part for part in shared if "lif" in part.split(".")[-1]]
    assert len(neurons) == 4 * 4 + 4 + 3 * 7 + 1
    assert all(seen[0][part].any() for part in neurons)
    for part in shared:
        one, two = seen[0][part], seen[1][part].reshape(seen[0][part].shape)
        if part in neurons:
            assert torch.equal(one, two), part
        else:
            torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


@pytest.mark.parametrize("wrong", [1.001, float("nan")])
def test_a_wrong_peer_is_refused(wrong):
    model, clip = _calibrated("spikevideoformer_s.ann", torch.float32)
    entry = peer("ann_torch")
    honest = entry.build(model, clip)
    check(entry, honest, model, clip)
    with pytest.raises(ParityError, match=r"ann_torch is off by .* not timed"):
        check(entry, Built(run=lambda video: honest(video) * wrong), model, clip)


def test_a_peer_wrong_in_float64_is_refused():
    model, clip = _calibrated("spikevideoformer_s.ann", torch.float32)
    entry = dataclasses.replace(
        peer("ann_torch"), exact=True, build=lambda m, _: Built(run=lambda v: m(v)[0].detach() + 1e-6)
    )
    with pytest.raises(ParityError, match="float64"):
        check(entry, entry.build(model, clip), model, clip)


@pytest.mark.parametrize("off", [0.0, 1e-6])
def test_where_float32_flips_a_spike_float64_decides_on_the_timed_clip(off):
    model, clip = _calibrated("spikevideoformer_s.ann", torch.float32)

    def build(own, _):
        # off by a tenth in float32, and in float64 by `off` on the timed clip alone, which is of two videos
        wide = next(own.parameters()).dtype == torch.float64
        return Built(run=lambda v: own(v)[0].detach() * (1 + (off if wide else 0.1) * (v.shape[1] == clip.shape[1])))

    entry = dataclasses.replace(peer("ann_torch"), exact=True, build=build)
    if off:
        with pytest.raises(ParityError, match=r"float64, on the timed clip\), allowed 1e-09: not timed"):
            check(entry, entry.build(model, clip), model, clip)
    else:
        found = check(entry, entry.build(model, clip), model, clip)
        assert found["output"] > 0.05
        assert found["float64_timed"] == 0.0


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr("peers.contract._installed", lambda name: "0.1" if name == "spikingjelly" else None)
    assert "needs spikingjelly==2.0.0, here is 0.1; benchmarks/peers/environments.sh" in peer("spikingjelly2").missing()
    assert peer("ann_torch").missing() is None


def test_ratios_are_taken_within_rounds_and_busy_rounds_left_out():
    def sample(seconds, others=0.0):
        return {"seconds": seconds, "others": others}

    rounds = [{"reference": sample(t), "a": sample(2 * t)} for t in (1.0, 3.0, 2.0)]
    busy = {"reference": sample(1.0), "a": sample(100.0, 0.9)}
    found = summary([*rounds, busy], "reference")
    assert (found["rounds"], found["quiet_rounds"], found["only_quiet"]) == (4, 3, True)
    assert found["rows"]["a"]["over_reference"] == 2.0
    assert found["rows"]["a"]["median"] == 4.0
    assert not summary([busy, *rounds[:2]], "reference")["only_quiet"]

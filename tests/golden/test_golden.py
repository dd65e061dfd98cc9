"""The numbers of the proven implementation, for those who do not have the authors' fixtures; see make_golden.py."""

import pytest
import torch
from make_golden import (
    CASES,
    PATH,
    SPIKES,
    SVFORMER_PATH,
    SVFORMER_SPIKES,
    build,
    build_svformer,
    compute,
    compute_step,
    make,
    make_svformer,
    prefix,
)
from safetensors.torch import load_file
from tiny import assert_at_work


@pytest.fixture(scope="module")
def golden():
    return load_file(PATH)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_golden(golden, case):
    model, video = build(case, golden), golden["video"].double() / 255
    assert_at_work(model, video)
    got = compute(model, video)
    for name in (*(f"spikes.{s}" for s in SPIKES), "counts"):
        assert torch.equal(got[name], golden[prefix(case) + name]), name
    for name in ("logits", "gradient"):
        wanted = golden[prefix(case) + name]
        torch.testing.assert_close(got[name], wanted, rtol=0, atol=1e-9 * max(1.0, float(wanted.abs().max())))


@pytest.fixture(scope="module")
def svformer():
    return load_file(SVFORMER_PATH)


def test_golden_svformer(svformer):
    model, video = build_svformer(svformer), svformer["video"].double() / 255
    assert_at_work(model, video)
    got = compute(model, video, SVFORMER_SPIKES) | compute_step(model, video)
    assert got.keys() == svformer.keys() - {"video", "weights", "norms"}
    for name, x in got.items():
        if name == "counts" or name.startswith("spikes."):
            assert torch.equal(x, svformer[name]), name
        else:
            atol = 1e-9 * max(1.0, float(svformer[name].abs().max()))
            torch.testing.assert_close(x, svformer[name], rtol=0, atol=atol, msg=lambda m, name=name: f"{name}: {m}")
    for name in ("logits", "gradient", "trained.logits", "trained.gradients"):
        assert svformer[name].abs().max() > 1e-3
    # biases before a norm get none
    assert (svformer["trained.gradients"] > 1e-3).float().mean() > 0.7


def test_cases_differ(golden):
    logits = [golden[prefix(case) + "logits"] for case in CASES]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(logits) for b in logits[:i])
    assert all(golden[prefix(case) + "gradient"].abs().max() > 1e-3 for case in CASES)


@pytest.mark.parametrize(("path", "recipe"), [(PATH, make), (SVFORMER_PATH, make_svformer)])
def test_files_are_small_and_of_this_recipe(path, recipe):
    assert path.stat().st_size < 300_000
    shapes = {name: (x.shape, x.dtype) for name, x in recipe().items()}
    assert shapes == {name: (x.shape, x.dtype) for name, x in load_file(path).items()}

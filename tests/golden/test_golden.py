"""The numbers of the proven implementation, for those who do not have the authors' fixtures; see make_golden.py."""

import pytest
import torch
from make_golden import CASES, PATH, SPIKES, build, compute, make, prefix
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


def test_cases_differ(golden):
    logits = [golden[prefix(case) + "logits"] for case in CASES]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(logits) for b in logits[:i])
    assert all(golden[prefix(case) + "gradient"].abs().max() > 1e-3 for case in CASES)


def test_file_is_small_and_of_this_recipe(golden):
    assert PATH.stat().st_size < 300_000
    shapes = {name: (x.shape, x.dtype) for name, x in make().items()}
    assert shapes == {name: (x.shape, x.dtype) for name, x in golden.items()}

"""Against tensors that the authors' SVFormer computed: features, firing rates and one training step."""

import copy

import pytest
import torch
from torch.nn import functional as F

from spikereel.layers.observe import firing_rates
from spikereel.models.authors import load_authors_weights
from spikereel.models.svformer import SVFormer, SVFormerConfig

pytestmark = pytest.mark.parity
TOLERANCE = 1e-4
NOISE = 1e-4
"""A gradient of this norm or less belongs to a bias before a norm: zero, but for rounding."""


@pytest.fixture(scope="module")
def authors(parity_folder):
    return torch.load(parity_folder / "svformer_small.pt", weights_only=True)


@pytest.fixture(scope="module")
def model(authors):
    c = authors["config"]
    sizes = {"frames": c["T"], "image_size": c["img"], "head_dim": c["head_dim"], "num_classes": c["classes"]}
    model = SVFormer(SVFormerConfig(widths=tuple(c["embed"]), **sizes))
    load_authors_weights(model, authors["state_dict"])
    return model.eval()


def _video(authors):
    """[T, B, C, H, W] of [B, C, T, H, W]."""
    return authors["input"].permute(2, 0, 1, 3, 4)


def _assert_close(got, wanted, name):
    torch.testing.assert_close(got, wanted, rtol=0, atol=TOLERANCE, msg=lambda m: f"{name}: {m}")


def test_logits_and_features(authors, model):
    seen, wanted = {}, authors["feats_eval"]
    hooks = [
        m.register_forward_hook(
            lambda _m, _x, out, name=name: seen.update({name: out[0] if isinstance(out, tuple) else out})
        )
        for name, m in model.named_modules()
        if name in wanted
    ]
    with torch.no_grad():
        logits, _ = model(_video(authors))
    for hook in hooks:
        hook.remove()
    assert len(wanted) == 14
    assert seen.keys() == wanted.keys()
    for name, x in wanted.items():
        _assert_close(seen[name], x, name)
    _assert_close(logits, authors["logits_eval"], "logits")


def test_firing_rates_of_all_39_neurons(authors, model):
    with torch.no_grad(), firing_rates(model) as rates:
        model(_video(authors))
    wanted = {name: float(rate) for name, rate in authors["fire_eval"].items()}
    assert len(wanted) == 39
    assert min(wanted.values()) > 0.005
    # one spike of the largest layer, 131,072 values, is 8e-6: not one differs
    assert rates.means() == pytest.approx(wanted, rel=0, abs=1e-7)


def test_one_training_step(authors, model):
    model = copy.deepcopy(model).train()
    logits, _ = model(_video(authors))
    loss = -(authors["target"] * F.log_softmax(logits, dim=1)).sum(1).mean()
    loss.backward()
    _assert_close(logits.detach(), authors["logits_train"], "logits")
    assert loss.item() == pytest.approx(authors["loss"], rel=1e-6)

    own = {name: p.grad.double() for name, p in model.named_parameters()}
    assert own.keys() == authors["grads"].keys()
    large = {name: x.double() for name, x in authors["grads"].items() if x.norm() > NOISE}
    assert len(large) == 132
    errors = {name: float((own[name] - x).norm() / x.norm()) for name, x in large.items()}
    assert {name: error for name, error in errors.items() if not error <= TOLERANCE} == {}
    assert all(x.norm() <= 2 * NOISE for name, x in own.items() if name not in large)

    after, wanted = model.state_dict(), authors["state_dict_after"]
    assert wanted.keys() == {name for name in after if name.endswith(("running_mean", "running_var", "tracked"))}
    for name, x in wanted.items():
        torch.testing.assert_close(after[name], x, rtol=1e-6, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")

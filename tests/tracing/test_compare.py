"""Two networks on one clip: the first layer that differs, where, and on which clips the answers do."""

import json
import re

import numpy as np
import pytest
import torch
from small import small_weights, video_file
from tiny import clip, tiny_model

from spikereel.apps.cli import main
from spikereel.errors import ConfigError
from spikereel.hub import load_model, save_model
from spikereel.tracing import compare, trace
from spikereel.tracing.compare import tensors_apart, words_of

CLIP = clip(4, 1)
CHANGED = "block3.0.attn.k_lif"


@pytest.fixture(scope="module")
def networks():
    """A network, and one whose k of the first Transformer block lets more through from the third frame on."""
    a, b = tiny_model(attention="spatial"), tiny_model(attention="spatial")
    norm = b.get_submodule("block3.0.attn.k_conv.1")
    with torch.no_grad():
        norm.bias += 0.5
    return a, b


def test_the_first_layer_that_differs(networks):
    a, b = (trace(x, CLIP) for x in networks)
    found = compare(a, b)
    assert found.first.name == CHANGED
    x, y = (t.spikes(CHANGED).reshape(4, -1) for t in (a, b))
    assert found.first.shares.tolist() == pytest.approx((x != y).mean(1))
    assert found.first.frame == int(np.flatnonzero((x != y).any(1))[0])
    names = list(a.layers)
    differing = [layer.name for layer in found.layers if layer.differs]
    assert set(differing) <= set(names[names.index(CHANGED) :])
    assert found.settings.keys() == {"weights"}
    assert found.figures["energy, mJ, executed"] == (sum(a.energy("executed")), sum(b.energy("executed")))
    assert found.differs
    told = found.to_json()
    assert told["first"]["layer"] == CHANGED
    json.dumps(told)


def test_nothing_differs(networks):
    a = trace(networks[0], CLIP)
    found = compare(a, trace(networks[0], CLIP))
    assert not found.differs
    assert found.first is None
    assert found.figures == {}
    assert found.settings == {}


def test_a_difference_in_a_later_frame(networks):
    video = CLIP.clone()
    video[2:] = 1 - video[2:]
    found = compare(*(trace(networks[0], x, layers=["block3"], energy=False) for x in (CLIP, video)))
    assert found.first.frame == 2
    assert found.first.by_rate
    assert next(x for x in found.layers if not x.by_rate).frame == 2


def test_weights_that_differ(networks):
    a, b = networks
    assert tensors_apart(a, b) == ("block3.0.attn.k_conv.1.bias",)
    assert tensors_apart(a, a) == ()
    wide = tensors_apart(a, tiny_model(attention="spatial", widths=(8, 16, 16, 32), num_classes=3))
    assert "head.weight" in wide
    assert "ConvBlock1_1.0.Conv.pwconv1.weight" not in wide
    posed = tensors_apart(a, tiny_model(attention="spatial", task="pose"))
    assert [x for x in posed if x not in a.state_dict()]
    assert words_of(["a", "b", "c"], 2) == "3 tensors of the weights differ: a, b, ..."


def test_what_cannot_be_compared(networks):
    short = trace(networks[0], CLIP[:2], energy=False)
    with pytest.raises(ConfigError, match="different frames"):
        compare(trace(networks[0], CLIP, energy=False), short)
    wide = trace(tiny_model(attention="spatial", widths=(8, 16, 16, 32)), CLIP[:2], energy=False)
    found = compare(short, wide)
    assert "lif" in found.alone[0]
    assert CHANGED in [layer.name for layer in found.layers]
    posed = trace(tiny_model(attention="spatial", task="pose"), CLIP[:2], energy=False)
    with pytest.raises(ConfigError, match="one task"):
        compare(short, posed)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two weights that agree on one of two clips, and those clips."""
    folder = tmp_path_factory.mktemp("compared")
    small_weights(folder / "a.safetensors")
    other = load_model(folder / "a.safetensors")
    clips = [video_file(folder / f"{i}.mp4", seed=i) for i in range(2)]
    logits = [trace(other, x, energy=False).outputs["logits"][-1] for x in clips]
    with torch.no_grad():
        # lift the runner-up of the first clip over its winner, and no class over the winner of the second
        second = int(np.argsort(logits[0])[-2])
        other.head.bias[second] += float(logits[0].max() - logits[0][second]) * 1.5 + 1e-3
    save_model(other, folder / "b.safetensors")
    return folder, clips


def test_the_command(files, tmp_path, capsys, monkeypatch):
    # what is in the pictures is for tests/show/test_plots.py
    monkeypatch.setattr("spikereel.show.comparison_page.png", lambda _drawn: b"a picture")
    folder, clips = files
    a, b, page, out = (
        str(folder / "a.safetensors"),
        str(folder / "b.safetensors"),
        tmp_path / "p.html",
        tmp_path / "j",
    )
    assert main(["compare", a, a, str(clips[0])]) == 0
    said = capsys.readouterr().out
    assert "The answers are the same." in said
    assert "All weights are the same." in said
    code = main(["compare", a, b, *map(str, clips), "--html", str(page), "--json", str(out)])
    found = json.loads(out.read_text())
    assert code == 1
    assert found["answers_differ"][0] == str(clips[0])
    differing = len(found["answers_differ"])
    said = capsys.readouterr().out
    assert f"The answers differ on {differing} of 2 clips." in said
    assert "1 tensor of the weights differs: head.bias." in said
    assert found["tensors"] == ["head.bias"]
    # only the head was changed, and no spike
    assert all(x["first"] is None and x["layers"] == [] for x in found["clips"])
    text = page.read_text()
    assert "The answers differ" in text
    assert not re.findall(r"(?:src|srcset|href)=\"(?!data:)", text)
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert text.count("<picture>") == 3
    assert text.count("prefers-color-scheme:dark") == 1 + 2 + 2


def test_mistakes_of_the_command(files, tmp_path, capsys):
    folder, _ = files
    a = str(folder / "a.safetensors")
    for line, said in (
        (["compare", a, a], "give clips"),
        (["compare", a, "nothing", a], "no weights at nothing"),
        (["compare", str(tmp_path), str(tmp_path)], "report.json"),
        (["compare", a, a, str(folder / "0.mp4"), "--frames", "3"], "--frames 3"),
        (["compare", str(tmp_path), str(tmp_path), "--html", str(tmp_path / "x.html")], "two weights"),
    ):
        assert main(line) == 2
        assert said in capsys.readouterr().err

"""What objects show of themselves in a notebook."""

from html.parser import HTMLParser

import pytest
import torch

import spikereel
from spikereel.engine.loaded import available


class Balanced(HTMLParser):
    """Raises where a tag is not closed, or closed twice; keeps the words."""

    EMPTY = frozenset({"path", "rect", "circle", "line", "br", "img", "meta"})

    def __init__(self):
        super().__init__()
        self.open, self.words = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def shown():
    model = spikereel.load_model("spikevideoformer_ti.motion")
    clip = torch.rand(4, 1, 2, 32, 32, generator=torch.Generator().manual_seed(0)).round()
    return {
        "prediction": (spikereel.predict(model, clip[:, 0]), ("%", "frames, 1 view(s)", "block3.1")),
        "passport": (spikereel.energy.measure(model, clip), ("Counted, not measured.", "executed", "ANN / this")),
        "trace": (spikereel.trace(model, clip[:, 0]), ("Trace(", "block3.1")),
        "summary": (model.summary(), ("parameters", "block3")),
    }


@pytest.mark.parametrize("name", ["prediction", "passport", "trace", "summary"])
def test_a_notebook_shows_tables_and_pictures(shown, name):
    thing, words = shown[name]
    page = Balanced()
    page.feed(thing._repr_html_())
    assert page.open == []
    said = " ".join(page.words)
    assert all(word in said for word in words), said[:2000]
    assert "http" not in thing._repr_html_()


def test_nothing_is_shown_beside_what_is_returned(shown, monkeypatch):
    """rich, in a notebook, displays what is printed to any console."""
    import rich.console

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *_: pytest.fail("shown twice"))
    shown["prediction"][0]._repr_html_()
    repr(shown["summary"][0])


def test_names_are_words_and_no_tags():
    part = spikereel.create_model("spikevideoformer_ti", num_classes=2).summary()
    object.__setattr__(part, "title", "<b>bold</b>")
    assert "<b>bold" not in part._repr_html_()
    assert "&lt;b&gt;bold" in part._repr_html_()


def test_what_must_be_known_comes_before_figures():
    torch.manual_seed(0)
    dead = spikereel.create_model("spikevideoformer_ti", num_classes=5, norms="published").eval()
    page = spikereel.energy.measure(dead, torch.rand(2, 1, 3, 32, 32))._repr_html_()
    assert page.index("never fire") < page.index("<table")


def test_what_runs_a_model_shows_itself_in_a_line():
    model = spikereel.load_model("spikevideoformer_ti.motion")
    things = [model, spikereel.stream(model), *([spikereel.compile(model)] if available() else [])]
    assert [type(thing).__name__ for thing in things][:2] == ["SpikeVideoFormer", "Session"]
    assert all("spikevideoformer_ti" in repr(thing) and "\n" not in repr(thing) for thing in things)

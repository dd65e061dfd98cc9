"""Pictures of traces: on given axes or their own, light and dark, of any width, with what the trace holds in them."""

import numpy as np
import pytest
from tiny import clip, tiny_model

from spikereel import plot
from spikereel.errors import ConfigError
from spikereel.tracing import trace


@pytest.fixture(scope="module")
def found():
    return trace(tiny_model(attention="causal"), clip(4, 1), neurons={"lif": 3}, tokens=[(2, 1, 3)])


def words(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.texts))


def test_a_raster_has_every_spike(found):
    axes = plot.raster(found, "lif")
    (image,) = axes.images
    assert np.array_equal(image.get_array(), found.spikes("lif").T)
    some = plot.raster(found, "block3.0.attn.q_lif", start=1, stop=3, neurons=[5, 200])
    assert np.array_equal(some.images[0].get_array(), found.spikes("block3.0.attn.q_lif", 1, 3, [5, 200]).T)
    assert [x.get_text() for x in some.get_yticklabels()] == ["5", "200"]
    many = plot.raster(found, "ConvBlock1_1.0.lif2")
    assert many.images[0].get_array().shape == (256, 4)


def test_membranes_cross_the_threshold_where_marks_are(found):
    axes = plot.membranes(found, "lif")
    marks = sum(len(x.get_offsets()) for x in axes.collections)
    assert marks == int(found.membranes("lif").spikes.sum()) > 0
    with pytest.raises(ConfigError, match="membranes are of lif"):
        plot.membranes(found, "block3.0.attn.q_lif")


def test_attention_marks_its_token(found):
    figure = plot.attention(found)
    drawn = [axes for axes in figure.axes if len(axes.images) == 2]
    assert len(drawn) == 3
    assert [len(axes.patches) for axes in drawn] == [0, 0, 2]
    assert np.array_equal(drawn[2].images[1].get_array(), found.attention((2, 1, 3)).mean()[2])


def test_energy_and_rates(found):
    axes = plot.energy(found, "executed")
    height = sum(bar.get_height() for bar in axes.patches)
    assert height == pytest.approx(1e3 * found.energy("executed").sum())
    assert "left out" in axes.get_title(loc="left")
    image = plot.rates(found).images[0].get_array()
    assert np.allclose(image, np.stack(list(found.rates.values())))


def test_confusion():
    axes = plot.confusion([[3, 1], [0, 4]], ["left", "right"])
    assert axes.images[0].get_array().tolist() == [[75, 25], [0, 100]]
    assert "7 of 8 right" in axes.get_title(loc="left")
    with pytest.raises(ConfigError, match="2 classes"):
        plot.confusion([[3, 1], [0, 4]], ["left"])
    with pytest.raises(ConfigError, match=r"\[1, 2\]"):
        plot.confusion([[3, 1]])


@pytest.mark.parametrize("width", [390, 1280])
def test_of_any_width_light_and_dark(found, width, tmp_path):
    shifted = trace(tiny_model(attention="causal"), 1 - clip(4, 1), energy=False)
    for dark, page in ((False, (1, 1, 1)), (True, (0x10 / 255, 0x12 / 255, 0x18 / 255))):
        look = {"dark": dark, "width": width}
        for drawn in (plot.energy(found, **look), plot.compare(found, shifted, **look)):
            figure = getattr(drawn, "figure", None) or drawn
            assert figure.get_figwidth() * 100 == width
            assert figure.get_facecolor()[:3] == pytest.approx(page)
    plot.save(drawn, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_on_axes_of_others(found):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    assert plot.raster(found, "lif", ax=axes) is axes
    assert len(figure.axes) == 1


def test_a_notebook_shows_what_is_given_back(found):
    """Axes as well as figures; of plain axes it would print the type."""
    for drawn in (plot.rates(found), plot.attention(found)):
        assert drawn._repr_png_()[:4] == b"\x89PNG"

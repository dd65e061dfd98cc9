"""The picture of the README: written whole, at its size, for few and many classes."""

import sys
from pathlib import Path

import pytest
import torch
from passports import layer

from spikereel.energy import Passport
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import to_pictures
from spikereel.layers.observe import FiringRates
from spikereel.runs.clips import DataPassport
from spikereel.runs.evaluate import Evaluation
from spikereel.show.picture import _figure, demo_picture
from spikereel.show.style import BAD, GOOD
from spikereel.tasks.classification import ClassificationScore

SAMPLE = torch.randint(0, 256, (8, 3, 24, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
HISTORY = [{"step": 10.0 * i, "val_top1": 20.0 * i, "firing": 0.2} for i in range(5)]


def passport() -> Passport:
    layers = tuple(
        layer(name, 1e8, (0.2, 0.1), folded_macs=2e8, operand="real", merged=True, analog=analog)
        for name, analog in (("stem", True), ("conv", False))
    )
    firing = {f"block3.{i // 7}.mlp.fc{i % 7}_lif": (0.01 * i, 0.02 * i) for i in range(50)}
    return Passport(clip=(2, 3, 32, 32), clips=1, layers=layers, firing=firing)


def evaluation(classes: int) -> Evaluation:
    score = ClassificationScore(classes)
    labels = torch.arange(classes).repeat(4)
    score.add(torch.nn.functional.one_hot(labels * (labels % 3 > 0), classes).float(), labels)
    names = tuple(f"class_{i} of $many$" for i in range(classes))
    return Evaluation(
        task="classification",
        figures={},
        clips=score.clips,
        score=score,
        classes=names,
        views=1,
        average="logits",
        rates=FiringRates(),
        skipped=(),
        passport=DataPassport(clips=20, missing=3, skipped=1, hash="0" * 64, simulated=False),
    )


def draw(path: Path, **changes) -> None:
    values = {
        "sample": SAMPLE,
        "sample_label": "left",
        "predicted": "left",
        "passport": passport(),
        "evaluations": {"joint Hamming": evaluation(10), "spatial only": evaluation(10)},
        "history": HISTORY,
    }
    demo_picture(path, **(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"history": None},
        {"history": HISTORY[:1], "sample": SAMPLE[:1]},
        {"sample": SAMPLE[:, :2].gt(128).float(), "predicted": "a class with a very long name"},
        {"evaluations": {"only": evaluation(25)}},
        {"evaluations": {f"evaluation {i}": evaluation(101) for i in range(7)}},
        {"evaluations": {"two": evaluation(2)}, "sample": SAMPLE.repeat(4, 1, 1, 3)},
    ],
)
def test_picture_has_its_size(tmp_path: Path, changes: dict):
    from PIL import Image

    draw(tmp_path / "demo.png", **changes)
    with Image.open(tmp_path / "demo.png") as picture:
        assert picture.size == (1600, 1000)
        colours = picture.convert("RGB").getcolors(1600 * 1000)
    assert len(colours) > 100
    assert max(colours)[1] == (255, 255, 255)


@pytest.mark.parametrize(("label", "colour"), [("left", GOOD), ("up", BAD)])
def test_a_wrong_answer_has_another_colour(label: str, colour: str):
    figure = _figure(to_pictures(SAMPLE), label, "left", {"one": evaluation(3)}, passport(), [])
    assert next(text for text in figure.texts if text.get_text() == "left").get_color() == colour


def test_all_text_lies_inside_the_picture_and_titles_do_not_meet():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    evaluations = {"joint Hamming": evaluation(10), "spatial only": evaluation(10)}
    figure = _figure(to_pictures(SAMPLE), "counterclockwise", "counterclockwise", evaluations, passport(), HISTORY)
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 1600
        assert box.y1 <= 1000
        assert not any(box.padded(10).overlaps(other) for other in boxes[i + 1 :])
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 1600
        assert box.y1 <= 1000


def test_wrong_names_and_missing_parts_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"\.png"):
        draw(tmp_path / "demo.jpg")
    with pytest.raises(ConfigError, match="at least one evaluation"):
        draw(tmp_path / "demo.png", evaluations={})
    with pytest.raises(DataError, match="does not exist"):
        draw(tmp_path / "missing" / "demo.png")


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'spikereel\[draw\]'"):
        draw(tmp_path / "demo.png")

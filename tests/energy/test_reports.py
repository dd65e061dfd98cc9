"""What is written for people: the same figures everywhere, nothing from outside, and no page too large to open."""

import json
import re
import time
from html.parser import HTMLParser

import pytest
import torch
from passports import layer

from spikereel.apps.cli import main
from spikereel.energy import Origin, Passport, measure
from spikereel.energy.costs import cost_models
from spikereel.energy.page import html
from spikereel.energy.passport import read_passport
from spikereel.energy.report import latex, markdown, number
from spikereel.errors import DataError

COSTS = cost_models("paper,executed,memory,int8")
VOID = {"meta", "path", "rect", "circle"}


def passport(layers: int = 3, steps: int = 2) -> Passport:
    rates = [tuple(0.01 + 0.3 * ((i * 7 + t) % 10) / 10 for t in range(steps)) for i in range(layers)]
    return Passport(
        clip=(steps, 3, 32, 32),
        clips=4,
        views=3,
        notes=("a <note> & more",),
        layers=(
            layer("stem_1.a|b", 1e9, (1.0,) * steps, operand="real", analog=True, levels=0),
            *(
                layer(
                    f"block{i // 9}.{i % 9}.conv",
                    2e8,
                    r,
                    synops=tuple(1e8 * x for x in r),
                    weights=900,
                    inputs=1e4,
                    neurons=1e4,
                    membranes=1e4,
                    spike_bits=1e4,
                )
                for i, r in enumerate(rates)
            ),
        ),
        firing={f"block{i // 9}.{i % 9}.lif": r for i, r in enumerate(rates)},
        origin=Origin(weights="ab" * 32),
    )


class Page(HTMLParser):
    """Tags that close each other, and everything that a browser would fetch."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.outside, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href") or "url(" in (v or "")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_alone():
    text = html({"m<1>": passport()}, COSTS)
    page = Page(text)
    assert page.open == []
    assert page.outside == []
    assert page.tags.count("svg") == 2 + len(COSTS)
    assert "a &lt;note&gt; &amp; more" in text
    assert "m<1>" not in text.replace("\\u003c", "")
    inside = re.search(r'id="passports">(.*?)</script>', text, re.S).group(1)
    assert json.loads(inside)["m<1>"]["clip"] == [2, 3, 32, 32]
    for word in ("ANN of equal capacity", "stem_1.a|b", "Horowitz", "ViViT", "weights abababababab"):
        assert word in text, word


def test_ten_thousand_layer_steps_stay_small():
    started = time.process_time()
    large = passport(layers=312, steps=32)
    text, content = html({"large": large}, COSTS), json.dumps(large.to_json(COSTS), indent=2)
    assert sum(len(x.rate) for x in large.layers) >= 10_000
    assert len(text.encode()) < 5e6
    assert len(content) < 5e6
    assert time.process_time() - started < 10
    assert Page(text).tags.count("path") < 10_000


def test_more_neurons_than_rows_are_averaged():
    text = html({"deep": passport(layers=1000, steps=1)}, cost_models("paper"))
    assert len(text.encode()) < 5e6
    assert Page(text).open == []


def test_markdown_and_latex_have_the_figures():
    p = passport()
    text = markdown({"m": p}, COSTS)
    total = number(p.parts_mj("executed")["total"])
    line = next(x for x in text.splitlines() if x.startswith("| executed"))
    assert total in line.split(" | ")
    rows = [x for x in text.splitlines() if x.startswith("| ")]
    assert len({x.count(" | ") for x in rows[:5]}) == 1
    assert "spikes win against the ANN twin" in text
    tex = latex({"m": p}, COSTS)
    assert total in tex
    assert r"cost model & MAC" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 3
    assert "memory_" not in tex.replace(r"\_", "")


def test_clips_of_other_models_are_named_by_their_own_axes():
    net = torch.nn.Sequential(torch.nn.Linear(20, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).eval()
    assert "a clip of 8 steps, 20;" in measure(net, torch.rand(8, 4, 20), layout="T B C").to_markdown()


def test_several_models_have_a_column_for_their_names():
    both = {"one": passport(), "two_2|b": passport(layers=5)}
    assert "| two_2\\|b | paper |" in markdown(both, COSTS)
    assert r"two\_2|b & paper" in latex(both, COSTS)
    assert Page(html(both, COSTS)).open == []


def test_numbers_read_well():
    assert [number(x) for x in (0, 1234567.0, 12.3456, 0.0012345, 1.2e-5, 3e9)] == [
        "0",
        "1235000",
        "12.35",
        "0.001234",
        "1.2e-05",
        "3e+09",
    ]


def test_passports_come_back_from_files(tmp_path):
    path = tmp_path / "p.json"
    content = passport().to_json(COSTS)
    path.write_text(json.dumps(content))
    again = read_passport(path)
    assert again.to_json(COSTS) == content
    assert (again.clip, again.origin, again.notes) == (passport().clip, passport().origin, passport().notes)
    path.write_text(json.dumps({**passport().to_json(COSTS), "schema": "spikereel.energy/0"}))
    with pytest.raises(DataError, match=r"p\.json: .*spikereel\.energy/0"):
        read_passport(path)
    path.write_text('{"schema": "spikereel.energy/1"}')
    with pytest.raises(DataError, match=r"p\.json: .*not whole"):
        read_passport(path)


def test_comparing_on_the_command_line(tmp_path, capsys):
    files = [tmp_path / f"{name}.json" for name in "ab"]
    for i, path in enumerate(files):
        path.write_text(json.dumps(passport(layers=2 + i).to_json(COSTS)))
    out = {x: tmp_path / f"out.{x}" for x in ("json", "html", "markdown", "latex")}
    options = [x for name, path in out.items() for x in (f"--{name}", str(path))]
    assert main(["energy", "--compare", *map(str, files), "--cost", "paper,memory", *options]) == 0
    shown = capsys.readouterr().out
    assert "a.json" in "".join(shown.split())
    result = json.loads(out["json"].read_text())
    assert result["passports"].keys() == {str(x) for x in files}
    assert result["passports"][str(files[0])]["energy_mj"].keys() == {"paper", "memory"}
    assert all(path.stat().st_size for path in out.values())


def test_clips_of_different_size_are_no_comparison(tmp_path, capsys):
    files = [tmp_path / f"{name}.json" for name in "ab"]
    for i, path in enumerate(files):
        path.write_text(json.dumps(passport(steps=2 + i).to_json(COSTS)))
    out = {x: tmp_path / f"out.{x}" for x in ("json", "html", "markdown", "latex")}
    options = [x for name, path in out.items() for x in (f"--{name}", str(path))]
    for others, warned in ((files, True), (files[:1], False)):
        assert main(["energy", str(files[0]), "--compare", *map(str, others), "--cost", "paper", *options]) == 0
        forms = [capsys.readouterr().out, *(path.read_text() for path in out.values())]
        assert [("no comparison of the models" in " ".join(x.split())) for x in forms] == [warned] * 5


def test_charts_stay_readable_on_a_narrow_page():
    p = passport(layers=20)
    page = html({"one": p, "two": p}, COSTS)
    assert page.count("<div class=scroll><svg") == page.count("<svg")
    assert "max-width:100%" not in page
    # the models beside each other, and the block of every neuron
    assert "<h2>Models beside each other</h2><div class=scroll><svg" in page
    assert all(f">block{i}.{k}</text>" in page for i, k in ((0, 1), (1, 8)))


def test_tables_of_latex_are_never_enlarged_and_name_sources_below():
    tex = latex({"m": passport()}, COSTS)
    assert tex.count(r"\ifdim\width>\linewidth") == tex.count(r"\begin{tabular}") == 3
    figures, below = tex.split(r"\label{tab:cost-models}")[1].split(r"\end{tabular}")
    assert "Horowitz" not in figures
    assert "Horowitz" in below


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["svformer", "--cost", "papers"], "did you mean 'paper'"),
        (["svformer", "--views", "0"], "--views"),
        (["svformer.ann", "--rates", "RATES"], "an ANN has no firing rates"),
        (["svformer", "--rates", "missing.json"], "missing.json"),
        (["--compare", "svformer", "svformer_ti", "--rates", "RATES"], "those of one model"),
        (["nothing", "--implied", "3"], "model 'nothing'"),
        (["missing.json"], "missing.json"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, words, capsys):
    (tmp_path / "rates.json").write_text('{"lplif": 0.5}')
    arguments = [str(tmp_path / "rates.json") if x == "RATES" else x for x in arguments]
    assert main(["energy", *arguments, "--html", str(tmp_path / "x.html")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert words in err
    assert not (tmp_path / "x.html").exists()

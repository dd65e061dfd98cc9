"""What the tables say, at several widths."""

import io
from types import SimpleNamespace

import pytest
import torch
from passports import layer
from rich.console import Console, Group

from spikereel.apps.check import Report, report_table
from spikereel.data.video.read import VideoInfo
from spikereel.energy import COSTS, Passport
from spikereel.hub import create_model, list_models
from spikereel.inference.authors import read_import
from spikereel.inference.calibrate import Move
from spikereel.inference.classify import Prediction
from spikereel.layers.observe import FiringRates
from spikereel.runs.clips import DataPassport
from spikereel.runs.evaluate import Evaluation
from spikereel.show.evaluation import evaluation_table, pose_table, segmentation_table
from spikereel.show.models import import_table, models_table, moves_table
from spikereel.show.runs import runs_table
from spikereel.show.tables import bar, best_table, by_block, energy_table, firing_table, shares_table, top5_table
from spikereel.show.timeline import timeline_tables
from spikereel.tasks.classification import ClassificationScore

LAYERS = (
    layer("stem", 1e9, (1.0, 1.0), operand="real", analog=True, levels=0),
    layer("conv", 4e9, (0.1, 0.3), operand="real", levels=0, merged=True, folded_macs=8e9, fused_macs=8e9),
    layer("attn.kv", 1e9, (0.5, 0.5), kind="attention"),
)
FIRING = {
    "downsample2.encode_lif": (0.1, 0.3),
    "ConvBlock1_1.0.lif1": (0.0, 0.0),
    "block3.0.attn.q_lif": (0.05, 0.05),
    "block3.0.mlp.fc1_lif": (0.0002, 0.0002),
    "block3.1.attn.q_lif": (0.4, 0.4),
    "lif": (0.2, 0.2),
}
PASSPORT = Passport(clip=(2, 3, 32, 32), clips=1, layers=LAYERS, firing=FIRING)
AWAKE = Passport(clip=(2, 3, 32, 32), clips=1, layers=LAYERS, firing={name: x for name, x in FIRING.items() if any(x)})
"""Without the silent neuron, for which no ratio is given."""


def show(renderable, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(start)).replace(start, "").split()


def evaluation() -> Evaluation:
    score = ClassificationScore(3)
    score.add(torch.eye(3)[[0, 0, 1, 0]], torch.tensor([0, 0, 1, 1]))
    return Evaluation(
        task="classification",
        figures={},
        clips=score.clips,
        score=score,
        classes=("[red]left", "right", "up"),
        views=3,
        average="logits",
        rates=FiringRates(),
        passport=DataPassport(clips=20, missing=3, skipped=1, hash="d" * 64, simulated=False),
        skipped=(("bad.mp4", "is empty"),),
    )


def test_data_passport_stands_beside_the_accuracy():
    text = show(evaluation_table([evaluation()], "w" * 64), 120)
    assert f"weights {'w' * 12}, data {'d' * 12}, 20 clips, 3 missing, 1 skipped" in text


def test_bar_has_its_width_and_shows_anything_above_nothing():
    assert bar(0.0, 4) == "    "
    assert bar(1.0, 4) == "████"
    assert bar(2.0, 4) == "████"
    assert bar(0.5, 4) == "██  "
    assert bar(0.001, 4) == "▏   "


def test_blocks_keep_order_and_short_names():
    blocks = by_block(FIRING)
    assert list(blocks) == ["downsample2", "ConvBlock1_1", "block3.0", "block3.1", "lif"]
    assert list(blocks["block3.0"]) == ["attn.q_lif", "mlp.fc1_lif"]
    assert blocks["ConvBlock1_1"] == {"lif1": [0.0, 0.0]}
    assert blocks["lif"] == {"lif": [0.2, 0.2]}
    assert by_block({"a.lif": torch.tensor([0.5])}) == by_block({"a.lif": 0.5}) == {"a": {"lif": [0.5]}}


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_firing_table_names_every_neuron_and_the_silent_one(width: int):
    text = show(firing_table(FIRING), width)
    assert all(f"  {name.split('.', 2)[-1]} " in text for name in FIRING if name.count(".") > 1)
    assert "  encode_lif " in text
    assert text.count("█") > 10 * (2 + 4) / 4
    assert "20.0 %" in text
    assert "<0.1 %" in text
    assert text.count("silent") == 2
    assert "1 silent" in text
    assert "6 neurons, mean rate 14.2 %" in text


def test_energy_table_gives_each_cost_model_its_own_ratio():
    brief = show(energy_table(AWAKE, brief=True), 80)
    assert "paper" in brief
    assert "Horowitz" not in brief
    text = show(energy_table(AWAKE), 80)
    assert "Horowitz" in text
    # MAC: 1e9 at 4.6 pJ, and 4e9 where real operands are; AC: 4e9 (folded 8e9) at 0.9 pJ and rates 0.1 and 0.3;
    # attention: 1e9 at 0.9 pJ and rate 0.5
    assert row(text, "paper") == ["4.6", "0.72", "0.45", "0", "5.77", "27.6", "4.78"]
    assert row(text, "folded") == ["4.6", "1.44", "0.45", "0", "6.49", "27.6", "4.25"]
    assert row(text, "executed") == ["23", "0", "0.45", "0", "23.45", "27.6", "1.18"]
    # 8-bit: 0.3 pJ a MAC, 0.1 pJ an AC
    assert row(text, "int8") == ["1.5", "0", "0.05", "0", "1.55", "1.8", "1.16"]
    words = " ".join(text.split())
    assert "6 GMAC a clip of 2 frames, 3 x 32 x 32" in words
    assert "mean firing rate 20.0 %" in words
    assert "Counted, not measured." in words
    assert "paper: 4.6 pJ a MAC, 0.9 pJ an AC (Horowitz" in words
    assert "executed: spikes win against the ANN twin of 32 bits, which costs 1.18 times as much" in words


def test_no_ratio_beside_a_silent_neuron():
    text = show(energy_table(PASSPORT), 80)
    assert row(text, "paper")[-1] == "-"
    assert "1 of 6 neurons never fire" in " ".join(text.split())


def test_energy_table_of_several_models_names_each():
    text = show(energy_table({"[a]": AWAKE, "b": AWAKE}, {"paper": COSTS["paper"]}), 80)
    for name in ("[a]", "b"):
        assert row(text, f"{name} ") == ["paper", "5.77", "5.77", "27.6", "4.78"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_models_table_has_every_model_and_its_weights(width: int):
    models = list_models()
    text = show(models_table(models), width)
    lines = text.splitlines()
    rows = [next(line for line in lines if line.startswith(f"{name} ")) for name in models if not name.endswith(".ann")]
    assert len(rows) == len(models) / 2
    assert "NAME.ann" in text
    assert "_ti.ann" not in text
    assert ".motion" in text
    assert "causal" not in text.replace(".motion_causal", "")


def test_models_table_shows_operations_clips_figures_and_sources():
    text = show(models_table(list_models()))
    assert ".motion_spatial" in text
    assert row(text, "spikevideoformer_b ")[:4] == ["55.4", "794", "32x224x224", "joint,"]
    assert row(text, "meta_spikeformer_l ")[1:5] == ["1,780", "32x224x224", "spatial,", "dot"]
    words = " ".join(text.split())
    assert "UCF101 top-1 80.73 %" in words
    assert "1 clip x 1 crop" in words
    # once for four sizes, and with its own name for a model that stands alone
    assert words.count("`spikereel import FILE --as NAME --partial`") == 1
    assert "spikevideoformer_s, _m, _b, _l none published; start" in words
    assert "FILE --as svformer`" in words


def test_evaluation_table_shows_figures_hashes_and_empty_classes():
    text = show(evaluation_table([evaluation()], "abcdef" * 11))
    assert "75.00 %" in text
    # two classes have no top five
    assert "100.00 %" not in text
    assert "abcdefabcdef," in text
    assert "d" * 12 in text
    assert "[red]left" in text
    assert row(text, "right")[:3] == ["2", "50.0", "%"]
    assert "no clips" in text
    assert "1 file(s) left out; first bad.mp4: is empty" in text


def test_top5_table_shows_the_best_and_the_notes():
    prediction = Prediction(
        path="clips/[a].mp4",
        model="m",
        weights="0",
        classes=("a", "b"),
        probabilities=(0.25, 0.75),
        passport=PASSPORT,
        indices=(0, 4),
        clips=1,
        views=1,
        running=None,
        notes=("events simulated from rgb",),
        info=VideoInfo(frames=9, fps=25.0, width=8, height=8, codec="h264", seconds=0.36),
    )
    text = show(top5_table(prediction))
    assert "clips/[a].mp4" in text
    assert "2 of 9 frames, 1 view(s); events simulated from rgb" in text
    assert row(text, "b")[:2] == ["75.0", "%"]
    assert text.index("75.0") < text.index("25.0")


def test_an_ann_has_one_row_and_no_firing_rate():
    text = show(energy_table(Passport(clip=(2, 3, 32, 32), clips=1, layers=LAYERS[:1], firing={})))
    assert row(text, "paper") == ["4.6", "0", "0", "0", "4.6", "4.6", "-"]
    assert "mean firing rate" not in text
    assert "spikes win" not in text


def test_import_table_counts_each_kind_and_names_the_first(tmp_path):
    model = create_model("svformer_ti", num_classes=3, frames=4)
    weights = {k: x for k, x in model.state_dict().items() if not k.startswith("lpPWConv")}
    torch.save({**weights, "lpDWConv.bias": torch.zeros(2)}, tmp_path / "[a].pth")
    text = show(import_table(read_import(tmp_path / "[a].pth", "svformer_ti")), 200)
    assert "[a].pth as svformer_ti: num_classes 3, in_channels 3, frames 4, image_size 64" in text
    assert row(text, "matched") == [str(len(weights) - 1)]
    assert row(text, "missing") == ["2", "lpPWConv.bias,", "lpPWConv.weight"]
    assert row(text, "wrong in shape") == ["1", "lpDWConv.bias", "[2]", "(model:", "[96])"]
    assert "unexpected" not in text


def test_moves_table_shows_the_farthest_and_the_median():
    moves = [Move(name=f"block[{i}].bn", mean=float(9 - i), scale=0.5 + i) for i in range(7)]
    text = show(moves_table(moves))
    assert row(text, "block[0].bn") == ["9", "0.5"]
    assert row(text, "median of 7") == ["6", "3.5"]
    assert "block[5]" not in text


ODD = ("[id]", "[/old]", "[bold]x", "a [red]b[/red]", ":smile:", "[link=x]")
"""Names of files and classes that rich would take for markup."""


def named_tables():
    """{what: table of the odd names}."""
    found = SimpleNamespace(source=SimpleNamespace(name=ODD[1]), shares=[[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]])
    found.segmenter = SimpleNamespace(classes=ODD)
    window = SimpleNamespace(stop=1.0)
    line = SimpleNamespace(path=ODD[1], windows=[window], brief=lambda: (ODD[0], "50 %"))
    line.stretches = lambda: [(0.0, 1.0, name, 0.5) for name in ODD]
    judged = {
        "clips": 2,
        "passport": DataPassport(clips=2, missing=0, skipped=1, hash=ODD[1], simulated=False),
        "skipped": [(ODD[1], ODD[0])],
    }
    score = ClassificationScore(6)
    score.add(torch.eye(6), torch.arange(6))
    of_classes = SimpleNamespace(score=score, classes=ODD, views=1, average="logits", **judged)
    joints = {"mpjpe": dict.fromkeys(ODD, 1.0)}
    of_pose = SimpleNamespace(frames=2, means=lambda: {"mpjpe": 1.0}, per_joint=lambda: joints)
    of_pose.skeleton = SimpleNamespace(joints=ODD)
    figures = dict.fromkeys(("miou", "pixel_accuracy", "vc8", "vc16", "vc8_steady", "vc16_steady"), 1.0)
    figures |= {"vc8_released": 1.0, "vc16_released": 1.0, "frames": 3, "per_class": dict.fromkeys(ODD, 2.0)}
    own = {"classes": ODD, "confusion": torch.eye(6).int().tolist(), "top1": 1.0, "trained": 2.0, "baselines": None}
    own |= {"energy": {"snn": 1.0}, "firing": {"a": 0.0}, "seconds": 1.0}
    report = Report(root=ODD[1], classes={ODD[1]: dict.fromkeys(ODD, 1)}, broken=[("x", ODD[0])], missing=list(ODD))
    report.short, report.duplicate, report.left_out = [(ODD[1], 2)], [list(ODD)], list(ODD[:1])
    recipes = {name: {"data": {"root": name}} for name in ODD}
    return {
        "best": best_table(ODD[1], [(name, 0.1) for name in ODD], ODD[0]),
        "shares": shares_table(found),
        "timeline": Group(*timeline_tables(line)),
        "classification": evaluation_table([of_classes], "0123"),
        "pose": pose_table(SimpleNamespace(score=of_pose, **judged), "0123"),
        "segmentation": segmentation_table(SimpleNamespace(to_json=lambda: figures, **judged), "0123"),
        "runs": runs_table(dict.fromkeys(ODD, own), recipes),
        "check": report_table(report),
        "moves": moves_table([Move(name=name, mean=1.0, scale=1.0) for name in ODD], most=6),
        "energy": energy_table(dict.fromkeys(ODD, AWAKE)),
    }


@pytest.mark.parametrize("what", sorted(named_tables()))
def test_names_in_brackets_are_shown_in_every_table(what):
    """Also by a console that reads markup, as that of whoever prints one of them from Python."""
    text = show(named_tables()[what], 200)
    assert [name for name in ODD if name not in text] == []

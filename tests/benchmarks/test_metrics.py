"""Our figures beside published definitions in plain NumPy; those of packages stand in the saved result."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from metrics import check, predictions, rows

ROOT = Path(__file__).parents[2]
SAVED = sorted((ROOT / "benchmarks" / "results").glob("metrics_*.json"))[-1]


@pytest.fixture(scope="module")
def saved():
    return json.loads(SAVED.read_text())


def test_figures_agree_where_the_definition_is_the_same(saved):
    own = {row["other"]: row["theirs"] for row in saved["rows"]}
    packages = {
        "cityscapesscripts": {"miou": next(x for name, x in own.items() if name.startswith("cityscapes"))},
        "torchmetrics": dict.fromkeys(
            ("jaccard", "mean_iou_index", "mean_iou_default", "top1", "top5", "top1_macro", "top5_ties"), 0.0
        ),
        "versions": saved["peers"],
    }
    table = rows(predictions(), packages)
    here = [row for row in table if "NumPy" in row["other"] or "written here" in row["other"]]
    assert len(here) == 12
    assert check(here) == []
    # ours of today are those that the packages agreed with
    for now, then in zip(table, saved["rows"], strict=True):
        assert (now["figure"], now["ours"]) == (then["figure"], pytest.approx(then["ours"], abs=1e-6))
    assert check(saved["rows"]) == []


@pytest.mark.parametrize(("change", "why"), [(1.0, None), (0.0, "another definition")])
def test_a_row_that_is_not_as_said_is_named(change, why):
    row = {"figure": "miou", "ours": 50.0, "theirs": 50.0 + change, "other": "a package", "why": why}
    assert check([row]) == [f"miou beside a package: 50.0000 and {50 + change:.4f}"]


def test_the_table_of_the_docs_is_the_saved_one(saved):
    text = (ROOT / "docs" / "metrics.md").read_text()
    found = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE)
    assert found == [(row["figure"], f"{row['ours']:.2f}", f"{row['theirs']:.2f}") for row in saved["rows"]]
    assert all(f"{name} {saved['peers'][name]}" in text for name in ("cityscapesscripts", "torchmetrics"))

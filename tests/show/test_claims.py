"""What the papers claim: verdicts follow from figures, and what is shipped is what the results say."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from spikereel.apps.cli import main
from spikereel.errors import ConfigError
from spikereel.runs.recipes import RECIPES
from spikereel.show.claims import shipped
from spikereel.show.claims.pages import claims_table, page
from spikereel.show.claims.stated import CLAIMS, table
from spikereel.show.claims.verdicts import Results, interval, judge

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_what_is_shipped_and_the_page_are_what_the_results_say():
    rows = table(Results(RESULTS))
    assert shipped() == rows, "run python -m spikereel.show.claims"
    assert (ROOT / "docs" / "claims.md").read_text() == page(rows), "run python -m spikereel.show.claims"


def test_an_interval_is_students():
    # by hand: mean 2, standard deviation 1, 4.30 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.30 / 3**0.5), abs=1e-3)
    assert interval([5.0]) == (5.0, float("inf"))


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([5.0, 6.0, 7.0], "holds"),
        ([5.0, -6.0, 7.0], "does not here"),
        ([-5.0, -6.0, -7.0], "does not here"),
        ([50.0, 60.0], "open"),
        ([50.0], "open"),
    ],
)
def test_a_verdict_needs_three_seeds_and_an_interval_above_zero(differences: list[float], verdict: str):
    assert judge(differences) == verdict


def _write(folder: Path, name: str, **record: Any) -> None:
    record = {"benchmark": name, "date": "2026-01-01", "command": "a command", **record}
    (folder / f"{name}_{record['date']}.json").write_text(json.dumps(record))


def _attention(folder: Path, joint: list[float], spatial: list[float], **record: Any) -> None:
    top1 = {
        "joint, Hamming": {"values": joint},
        "spatial, Hamming": {"values": spatial},
        "joint, dot": {"values": joint},
    }
    _write(folder, "compare_attention", top1=top1, **record)


def _row(folder: Path, name: str) -> dict[str, Any]:
    return next(row for row in table(Results(folder)) if row["name"] == name)


def test_results_turn_a_verdict_and_the_newest_counts(tmp_path):
    _attention(tmp_path, [90.0, 91.0, 92.0], [50.0, 51.0, 53.0])
    assert _row(tmp_path, "joint")["verdict"] == "holds"
    assert _row(tmp_path, "hamming")["verdict"] == "does not here"
    _attention(tmp_path, [50.0, 70.0, 60.0], [60.0, 55.0, 65.0], date="2026-02-01")
    row = _row(tmp_path, "joint")
    assert row["verdict"] == "does not here"
    assert row["findings"][0]["source"] == "compare_attention_2026-02-01.json"
    assert "joint, Hamming 60.0 %, spatial, Hamming 60.0" in row["findings"][0]["text"]


def test_data_that_disagree_leave_a_claim_open(tmp_path):
    _attention(tmp_path, [50.0, 70.0, 60.0], [60.0, 55.0, 65.0])
    probe = {"probe": "match", "gap": 8}
    rows = [probe | {"scheme": "joint", "top1": [90.0, 91.0, 92.0]}, probe | {"scheme": "spatial", "top1": [50.0] * 3}]
    _write(tmp_path, "probes", rows=rows)
    row = _row(tmp_path, "joint")
    assert [found["verdict"] for found in row["findings"]] == ["does not here", "holds"]
    assert row["verdict"] == "open"


def test_gaps_that_disagree_leave_a_claim_open(tmp_path):
    probe, spatial = {"probe": "match"}, {"scheme": "spatial", "top1": [50.0, 50.0, 50.0]}
    joint = {2: [90.0, 91.0, 92.0], 8: [50.0, 51.0, 49.0]}
    rows = [probe | {"gap": gap} | row for gap in joint for row in ({"scheme": "joint", "top1": joint[gap]}, spatial)]
    _write(tmp_path, "probes", rows=rows)
    assert _row(tmp_path, "joint")["findings"][0]["verdict"] == "open"


def test_one_run_is_no_verdict(tmp_path):
    rows = [{"scheme": "joint, Hamming", "miou": 40.0}, {"scheme": "one frame", "miou": 20.0}]
    _write(
        tmp_path,
        "compare_segmentation",
        rows=rows + [{"scheme": s, "miou": 1.0} for s in ("spatial, Hamming", "joint, dot")],
    )
    assert _row(tmp_path, "frames")["verdict"] == "open"


def test_time_and_energy_are_held_to_their_goals(tmp_path):
    rows = [{"frames": 4}, {"frames": 32}]
    for exponent, verdict in ((1.05, "holds"), (1.6, "does not here")):
        _write(tmp_path, "scaling", rows=rows, exponent={"seconds": exponent}, goal=1.1)
        assert _row(tmp_path, "linear")["verdict"] == verdict
    for ratio, verdict in ((1.2, "holds"), (0.8, "does not here")):
        costs = {cost: {"ann_over_snn": x} for cost, x in (("paper", 9.0), ("executed", 3.0), ("memory", ratio))}
        _write(tmp_path, "passports", rows={"w": {"energy_mj": costs}})
        assert _row(tmp_path, "energy")["verdict"] == verdict
    for mj, verdict in ((21.2, "holds"), (16.0, "does not here")):
        _write(tmp_path, "svformer_stated_rates", energy_mj=mj, views=15, published_mj=21)
        assert _row(tmp_path, "power")["verdict"] == verdict


def test_recipes_that_claims_name_are_there():
    named = [word for claim in CLAIMS for word in claim.needs.split("`")[1::2] if "." not in word]
    assert named
    assert set(named) <= RECIPES.keys()


def test_the_table_prints_within_80_columns(capsys):
    console = Console(width=80)
    console.print(claims_table(shipped()))
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert all(claim.says[:30] in text for claim in CLAIMS)


def test_the_command_reads_a_folder_of_results(tmp_path, capsys):
    _write(tmp_path, "scaling", rows=[{"frames": 4}], exponent={"seconds": 1.0}, goal=1.1)
    assert main(["claims", "--results", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    assert "T^1.00" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())[0]["name"] == CLAIMS[0].name
    (empty := tmp_path / "empty").mkdir()
    assert main(["claims", "--results", str(empty)]) == 2
    assert "benchmarks/results" in capsys.readouterr().err


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no results"):
        Results(tmp_path)

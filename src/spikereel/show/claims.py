"""What the papers claim, what was measured about it, and what that says: built from `benchmarks/results`.

`python -m spikereel.show.claims` writes what an installation carries (`claims.json`) and the page `docs/claims.md`
anew; a test holds both to the results. A verdict follows from figures by a rule and is never written by hand:

- a difference **holds** where the 95 % interval of its mean over paired seeds, three at least, lies above zero;
- it **does not here** where that interval reaches zero or lies below it;
- it is **open** where there are fewer seeds, or no measurement.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from spikereel.errors import ConfigError

Verdict = Literal["holds", "does not here", "open"]

STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Factor of a 95 % interval of a mean, by number of values."""
LEAST_SEEDS = 3
HERE = Path(__file__).parents[1] / "claims.json"


@dataclass(frozen=True)
class Finding:
    """What a measurement says on a claim."""

    text: str
    verdict: Verdict
    source: str
    """Name of the file in benchmarks/results."""
    command: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of a paper that can be true or false."""

    name: str
    paper: Literal["SpikeVideoFormer", "SVFormer"]
    says: str
    published: str
    needs: str = ""
    """Data and machine to test it as published, with the recipe."""
    found: Sequence[Callable[["Results"], Finding | None]] = ()


class Results:
    """The newest result of every benchmark in a folder. Raises ConfigError for a folder without any."""

    def __init__(self, folder: Path):
        self._newest: dict[str, tuple[str, Path, dict[str, Any]]] = {}
        for path in sorted(folder.glob("*.json")):
            record = json.loads(path.read_text())
            name, date = record.get("benchmark", path.stem), record.get("date", "")
            if name not in self._newest or date >= self._newest[name][0]:
                self._newest[name] = date, path, record
        if not self._newest:
            raise ConfigError(f"no results in {folder}; give the folder benchmarks/results of a copy of the repository")

    def get(self, name: str) -> tuple[dict[str, Any], Callable[[str, Verdict], Finding]] | None:
        """The record of a benchmark, and what makes a finding of it; None where it was not run."""
        if name not in self._newest:
            return None
        _, path, record = self._newest[name]
        return record, lambda text, verdict: Finding(text, verdict, path.name, record.get("command", ""))


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of paired differences, and half its 95 % interval; infinite for one value."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return mean, float("inf")
    factor = STUDENT[min(len(differences), max(STUDENT))]
    return mean, factor * statistics.stdev(differences) / len(differences) ** 0.5


def judge(differences: Sequence[float]) -> Verdict:
    """The verdict on "these are above zero"; see the head of this file."""
    mean, half = interval(differences)
    if len(differences) < LEAST_SEEDS:
        return "open"
    return "holds" if mean - half > 0 else "does not here"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several: what all say that are not open, and open where they disagree."""
    told = set(verdicts) - {"open"}
    return told.pop() if len(told) == 1 else "open"


def _said(better: str, worse: str, pairs: Sequence[tuple[float, float]], unit: str) -> tuple[str, Verdict]:
    """A sentence on paired figures, higher being better, and its verdict."""
    mean, half = interval([a - b for a, b in pairs])
    means = [statistics.fmean(values) for values in zip(*pairs, strict=True)]
    count = f"{len(pairs)} seeds" if len(pairs) > 1 else "one run"
    within = f", difference {mean:+.1f} +- {half:.1f}" if half < float("inf") else f", difference {mean:+.1f}"
    return f"{better} {means[0]:.1f} {unit}, {worse} {means[1]:.1f}{within} ({count})", judge([a - b for a, b in pairs])


def _schemes(better: str, worse: str) -> list[Callable[[Results], Finding | None]]:
    """Two schemes on everything that was trained with both."""

    def motion(results: Results) -> Finding | None:
        if not (found := results.get("compare_attention")):
            return None
        record, finding = found
        pairs = list(zip(*(record["top1"][name]["values"] for name in (better, worse)), strict=True))
        text, verdict = _said(better, worse, pairs, "%")
        return finding(f"ten motions, {text}", verdict)

    def pose(results: Results) -> Finding | None:
        if not (found := results.get("compare_pose")):
            return None
        record, finding = found
        rows = {(row["scheme"], row["fold"]): -row["root_mpjpe"] for row in record["rows"]}
        folds = [fold for scheme, fold in rows if scheme == better and (worse, fold) in rows]
        text, verdict = _said(better, worse, [(rows[better, fold], rows[worse, fold]) for fold in folds], "mm")
        return finding(f"pose on UTD-MHAD (errors with a minus), {text}", verdict)

    def masks(results: Results) -> Finding | None:
        if not (found := results.get("compare_segmentation")):
            return None
        record, finding = found
        rows = {row["scheme"]: row["miou"] for row in record["rows"]}
        text, verdict = _said(better, worse, [(rows[better], rows[worse])], "% mIoU")
        return finding(f"CamVid, {text}", verdict)

    def probes(results: Results) -> Finding | None:
        if not (found := results.get("probes")):
            return None
        record, finding = found
        short = {"joint, Hamming": "joint", "spatial, Hamming": "spatial"}
        rows = {(row["probe"], row["gap"], row["scheme"]): row["top1"] for row in record["rows"]}
        names = [(short.get(name, name)) for name in (better, worse)]
        said, verdicts = [], []
        for probe, gap in dict.fromkeys(key[:2] for key in rows if key[0] != "control"):
            values = [rows.get((probe, gap, name)) for name in names]
            if None not in values:
                text, verdict = _said(names[0], names[1], list(zip(*values, strict=True)), "%")
                said.append(f"{probe} over {gap} dark frames: {text}")
                verdicts.append(verdict)
        if not said:
            return None
        return finding("; ".join(said), together(verdicts))

    return [motion, pose, masks, probes]


def _linear(results: Results) -> Finding | None:
    if not (found := results.get("scaling")):
        return None
    record, finding = found
    exponent = record["exponent"]["seconds"]
    frames = [row["frames"] for row in record["rows"]]
    return finding(
        f"time of a forward pass grows as T^{exponent:.2f} from {min(frames)} to {max(frames)} frames (s, 224 px)",
        "holds" if exponent <= record["goal"] else "does not here",
    )


def _ratios(results: Results) -> Finding | None:
    if not (found := results.get("passports")):
        return None
    record, finding = found
    said, ratios = [], []
    for name, row in record["rows"].items():
        costs = {cost: row["energy_mj"][cost]["ann_over_snn"] for cost in ("paper", "executed", "memory")}
        said.append(f"{name}: " + ", ".join(f"{ratio:.1f} ({cost})" for cost, ratio in costs.items()))
        ratios += costs.values()
    return finding(
        f"times less than the same network as an ANN, by cost model: {'; '.join(said)}",
        "holds" if min(ratios) > 1 else "does not here",
    )


def _twin(results: Results) -> Finding | None:
    if not (found := results.get("compare_families")):
        return None
    record, finding = found
    rows = {(row["data"], row["fold"], row["model"]): row["top1"] for row in record["rows"]}
    twins = {key: (*key[:2], f"{key[2]}.ann") for key in rows}
    pairs = [(rows[key], rows[twin]) for key, twin in twins.items() if twin in rows]
    mean, half = interval([a - b for a, b in pairs])
    spiking, ann = (statistics.fmean(values) for values in zip(*pairs, strict=True))
    return finding(
        f"spiking {spiking:.1f} %, its ANN twin {ann:.1f}, difference {mean:+.1f} +- {half:.1f}"
        f" ({len(pairs)} runs of unlike data, one seed each)",
        "open",
    )


def _frames(results: Results) -> Finding | None:
    if not (found := results.get("compare_segmentation")):
        return None
    record, finding = found
    rows = {row["scheme"]: row["miou"] for row in record["rows"]}
    text, verdict = _said(
        "clips of four frames", "single frames", [(rows["joint, Hamming"], rows["one frame"])], "% mIoU"
    )
    return finding(f"CamVid, equal frames seen, {text}", verdict)


def _power(results: Results) -> Finding | None:
    if not (found := results.get("svformer_stated_rates")):
        return None
    record, finding = found
    mj, views = record["energy_mj"], record["views"]
    return finding(
        f"{mj:.1f} mJ for a view, by the authors' rates and constants; {views} views of the published accuracy cost"
        f" {views * mj:.0f} mJ",
        "holds" if round(mj) == record["published_mj"] else "does not here",
    )


_JOINT, _SPATIAL, _DOT = "joint, Hamming", "spatial, Hamming", "joint, dot"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="best_on_kinetics",
        paper="SpikeVideoFormer",
        says="Best of the spiking networks on Kinetics-400",
        published="79.8 % top-1 with 55.9 M parameters; Meta-SpikeFormer 75.5 %",
        needs="Kinetics-400, ImageNet weights and 8 GPUs: recipe `kinetics400`",
    ),
    Claim(
        name="poses",
        paper="SpikeVideoFormer",
        says="Poses nearly as good as the best ANN",
        published="47.5 mm PA-MPJPE on MMHPSD, 32 frames; GLoT 46.5",
        needs="MMHPSD, SMPL and 8 GPUs: recipe `mmhpsd_pose`",
    ),
    Claim(
        name="masks",
        paper="SpikeVideoFormer",
        says="Masks nearly as good as an ANN's",
        published="73.1 % mIoU on CityScapes; SegFormer 74.1. 37.9 on VSPW; CFFM 49.3",
        needs="CityScapes or VSPW and 8 GPUs: recipes `cityscapes_vss`, `vspw_vss`",
    ),
    Claim(
        name="joint",
        paper="SpikeVideoFormer",
        says="Joint space-time attention beats attention inside each frame",
        published="pose 39.8 for 54.2 mm, CityScapes 73.1 for 62.1 % mIoU",
        needs="the data and machine of the first three rows",
        found=_schemes(_JOINT, _SPATIAL),
    ),
    Claim(
        name="hamming",
        paper="SpikeVideoFormer",
        says="Hamming attention beats the dot product",
        published="pose 39.8 for 45.7 mm, CityScapes 73.1 for 65.9 % mIoU",
        needs="the data and machine of the first three rows",
        found=_schemes(_JOINT, _DOT),
    ),
    Claim(
        name="linear",
        paper="SpikeVideoFormer",
        says="Joint attention is linear in the number of frames",
        published="O(T N D^2)",
        found=[_linear],
    ),
    Claim(
        name="energy",
        paper="SpikeVideoFormer",
        says="A spiking network takes less energy than an ANN",
        published="16, 10 and 5 times less on the three tasks, against ANNs of other shapes, arithmetic alone",
        needs="the trained networks of the first three rows",
        found=[_ratios],
    ),
    Claim(
        name="twin",
        paper="SpikeVideoFormer",
        says="A spiking network matches the ANN",
        published="within 1 point, 1 mm and 1 % mIoU of ANNs of other shapes",
        needs="the data and machine of the first three rows",
        found=[_twin],
    ),
    Claim(
        name="frames",
        paper="SpikeVideoFormer",
        says="More frames help",
        published="32 frames for 4.1 times the energy of 8",
        needs="MMHPSD",
        found=[_frames],
    ),
    Claim(
        name="pretraining",
        paper="SpikeVideoFormer",
        says="Pre-training on ImageNet is worth more than either design",
        published="pose 39.8 for 53.8 mm, CityScapes 73.1 for 61.3 % mIoU",
        needs="ImageNet weights of the published size: `model.start`",
    ),
    Claim(
        name="best_on_ucf101",
        paper="SVFormer",
        says="Best of the directly trained deep spiking networks on UCF101",
        published="84.03 % top-1 of 15 views, chosen on the test list; 80.73 of one view",
        needs="UCF101 and 4 GPUs: recipe `ucf101_svformer`",
    ),
    Claim(
        name="ntu_and_gesture",
        paper="SVFormer",
        says="It works on NTU-RGBD60 and DVS128-Gesture too",
        published="figures were not at hand",
        needs="the two data sets: recipes `ntu60_svformer`, `dvs128_gesture_svformer`",
    ),
    Claim(name="power", paper="SVFormer", says="A video costs 21 mJ", published="21 mJ, on UCF101", found=[_power]),
)


def table(results: Results) -> list[dict[str, Any]]:
    """A row a claim: its words, the findings, one verdict; a claim that holds on some data and not on other is open."""
    rows = []
    for claim in CLAIMS:
        findings = [finding for find in claim.found if (finding := find(results))]
        words = {key: value for key, value in asdict(claim).items() if key != "found"}
        verdict = together([finding.verdict for finding in findings])
        rows.append(words | {"findings": [asdict(finding) for finding in findings], "verdict": verdict})
    return rows


def shipped() -> list[dict[str, Any]]:
    """The table as of the release."""
    return json.loads(HERE.read_text())


_COLOURS = {"holds": "green", "does not here": "yellow", "open": "dim"}


def claims_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """For people: a paragraph a claim, its verdict first."""
    parts: list[RenderableType] = []
    for paper in dict.fromkeys(row["paper"] for row in rows):
        parts.append(Text(paper, "bold"))
        for row in (row for row in rows if row["paper"] == paper):
            parts.append(Text.assemble((f"{row['verdict']:14}", _COLOURS[row["verdict"]]), row["says"]))
            below = [f"published: {row['published']}"]
            below += [f"here: {f['text']} ({f['verdict']})" for f in row["findings"]]
            if row["needs"]:
                below.append(f"as published: needs {row['needs']}")
            parts += [Padding(Text(line, "dim"), (0, 0, 0, 14)) for line in below]
        parts.append(Text())
    return Group(*parts[:-1])


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page of the claims, as Markdown."""
    lines = [
        "# What the papers claim, and what holds",
        "",
        "Made by `python -m spikereel.show.claims` from `benchmarks/results`; `spikereel claims` prints it.",
        "",
        "A difference **holds** where the 95 % interval of its mean over three seeds or more lies above zero. It",
        "**does not here** where the interval reaches zero. It is **open** with fewer seeds, without a measurement,",
        "or where data disagree. We trained small networks on small data: a claim can be true and not show.",
        "",
    ]
    for paper in dict.fromkeys(row["paper"] for row in rows):
        lines += [f"## {paper}", "", "| claim | published | verdict | what was measured here |", "|---|---|---|---|"]
        for row in (row for row in rows if row["paper"] == paper):
            found = [f"{f['text']} (*{f['verdict']}*, `{f['source']}`)" for f in row["findings"]]
            if row["needs"]:
                found.append(f"as published: needs {row['needs']}")
            lines.append(f"| {row['says']} | {row['published']} | **{row['verdict']}** | {'<br>'.join(found)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write what is shipped, and the page, from the results of this copy of the repository."""
    from spikereel.files import whole

    root = Path(__file__).parents[3]
    rows = table(Results(root / "benchmarks" / "results"))
    for path, text in ((HERE, json.dumps(rows, indent=1) + "\n"), (root / "docs" / "claims.md", page(rows))):
        with whole(path) as draft:
            draft.write_text(text)


if __name__ == "__main__":
    main()

"""What each benchmark says on a claim: from its record to a sentence and a verdict, or None where it says nothing."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikereel.show.claims.verdicts import Finding, Results, Said, interval, judge, together

Record = Mapping[str, Any]
Find = Callable[[Results], Finding | None]


def finding(benchmark: str, say: Callable[[Record], Said | None]) -> Find:
    """What looks a benchmark up among results and asks `say` about its record."""

    def find(results: Results) -> Finding | None:
        if (newest := results.newest(benchmark)) is None:
            return None
        source, record = newest
        said = say(record)
        return said and Finding(*said, source=source, command=record.get("command", ""))

    return find


def paired(better: str, worse: str, pairs: Sequence[tuple[float, float]], unit: str) -> Said:
    """A sentence on paired figures, higher being better, and its verdict."""
    differences = [a - b for a, b in pairs]
    mean, half = interval(differences)
    means = [statistics.fmean(values) for values in zip(*pairs, strict=True)]
    count = f"{len(pairs)} seeds" if len(pairs) > 1 else "one run"
    within = f" +- {half:.1f}" if len(pairs) > 1 else ""
    text = f"{better} {means[0]:.1f} {unit}, {worse} {means[1]:.1f}, difference {mean:+.1f}{within} ({count})"
    return text, judge(differences)


def schemes(better: str, worse: str) -> list[Find]:
    """Two schemes on everything that was trained with both."""

    def motion(record: Record) -> Said:
        pairs = list(zip(*(record["top1"][name]["values"] for name in (better, worse)), strict=True))
        return _on("ten motions", paired(better, worse, pairs, "%"))

    def pose(record: Record) -> Said:
        errors = {(row["scheme"], row["fold"]): -row["root_mpjpe"] for row in record["rows"]}
        pairs = [
            (errors[better, fold], errors[worse, fold])
            for scheme, fold in errors
            if scheme == better and (worse, fold) in errors
        ]
        return _on("pose on UTD-MHAD (errors with a minus)", paired(better, worse, pairs, "mm"))

    def masks(record: Record) -> Said:
        return _on("CamVid", _miou(record, better, worse))

    def probes(record: Record) -> Said | None:
        rows = {(row["probe"], row["gap"], row["scheme"]): row["top1"] for row in record["rows"]}
        names = [name.removesuffix(", Hamming") for name in (better, worse)]
        said = [
            _on(f"{probe} over {gap} dark frames", paired(*names, list(zip(*values, strict=True)), "%"), ": ")
            for probe, gap in dict.fromkeys(key[:2] for key in rows if key[0] != "control")
            if None not in (values := [rows.get((probe, gap, name)) for name in names])
        ]
        if not said:
            return None
        texts, verdicts = zip(*said, strict=True)
        return "; ".join(texts), together(verdicts)

    looks = {"compare_attention": motion, "compare_pose": pose, "compare_segmentation": masks, "probes": probes}
    return [finding(benchmark, say) for benchmark, say in looks.items()]


def _on(data: str, said: Said, link: str = ", ") -> Said:
    text, verdict = said
    return f"{data}{link}{text}", verdict


def _miou(record: Record, better: str, worse: str, names: tuple[str, str] | None = None) -> Said:
    rows = {row["scheme"]: row["miou"] for row in record["rows"]}
    return paired(*(names or (better, worse)), [(rows[better], rows[worse])], "% mIoU")


def frames(record: Record) -> Said:
    """Clips for single frames, on CamVid."""
    names = ("clips of four frames", "single frames")
    return _on("CamVid, equal frames seen", _miou(record, "joint, Hamming", "one frame", names))


def linear(record: Record) -> Said:
    """How the time of a forward pass grows."""
    exponent = record["exponent"]["seconds"]
    seen = [row["frames"] for row in record["rows"]]
    return (
        f"time of a forward pass grows as T^{exponent:.2f} from {min(seen)} to {max(seen)} frames (s, 224 px)",
        "holds" if exponent <= record["goal"] else "does not here",
    )


def energy_ratios(record: Record) -> Said:
    """Spiking for ANN by three cost models; all must say less."""
    said, ratios = [], []
    for name, row in record["rows"].items():
        costs = {cost: row["energy_mj"][cost]["ann_over_snn"] for cost in ("paper", "executed", "memory")}
        said.append(f"{name}: " + ", ".join(f"{ratio:.1f} ({cost})" for cost, ratio in costs.items()))
        ratios += costs.values()
    return (
        f"times less than the same network as an ANN, by cost model: {'; '.join(said)}",
        "holds" if min(ratios) > 1 else "does not here",
    )


def twin(record: Record) -> Said:
    """Spiking for the ANN twin. Open at most: one seed on unlike data bears no interval of one difference."""
    rows = {(row["data"], row["fold"], row["model"]): row["top1"] for row in record["rows"]}
    twins = {key: (*key[:2], f"{key[2]}.ann") for key in rows}
    pairs = [(rows[key], rows[ann]) for key, ann in twins.items() if ann in rows]
    mean, half = interval([a - b for a, b in pairs])
    spiking, ann = (statistics.fmean(values) for values in zip(*pairs, strict=True))
    return (
        f"spiking {spiking:.1f} %, its ANN twin {ann:.1f}, difference {mean:+.1f} +- {half:.1f}"
        f" ({len(pairs)} runs of unlike data, one seed each)",
        "open",
    )


def power(record: Record) -> Said:
    """Energy of a video by the authors' own rates."""
    mj, views = record["energy_mj"], record["views"]
    return (
        f"{mj:.1f} mJ for a view, by the authors' rates and constants; {views} views of the published accuracy cost"
        f" {views * mj:.0f} mJ",
        "holds" if round(mj) == record["published_mj"] else "does not here",
    )

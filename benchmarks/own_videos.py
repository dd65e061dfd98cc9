"""A folder of one's own videos with the rule that ships: `python benchmarks/own_videos.py ut --root FOLDER`,
`... few --root FOLDER`, `... procedural`, `... depth --root FOLDER`, `... digits --root FOLDER`.

Every training is `spikereel train video_folder data.root=F`, a process of its own, and each result is that of the clips
that it never saw. What is done stands in `--out` and is not repeated. With `--second` only the second training of the
command is done, the one on all clips, whose weights it leaves: the same weights in half the time, without its own
validation.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from run import save

CLI = [sys.executable, "-c", "import sys; from spikereel.apps.cli import main; sys.exit(main())"]
SECOND = """
import dataclasses, sys
from pathlib import Path
from types import SimpleNamespace
from spikereel.runs.own import ruled
from spikereel.runs.recipes import get_recipe
from spikereel.train.refit import refit_recipe
from spikereel.train.run import train
recipe, *_ = ruled(get_recipe(sys.argv[1]), sys.argv[2:])
assert recipe.run.refit
train(refit_recipe(SimpleNamespace(folder=Path()), recipe)[0])
"""
"""The second training of a command alone."""

HANDSHAKE, HUG, KICK = 0, 1, 2

FIGURES = ("top1", "single_view", "ridge", "majority")
"""Of a row, those whose mean over all clips is taken: as judged, and without mirror images; then the simple models."""


def ut(options: argparse.Namespace) -> dict[str, Any]:
    """UT-Interaction as a plain folder of six classes, one sequence left out; the ANN twin with --set
    model.neuron=relu."""
    return _folds(options, {str(k): {k} for k in options.folds}, set(range(6)))


def few(options: argparse.Namespace) -> dict[str, Any]:
    """24 clips of three classes of UT-Interaction: sequences 2k - 1 and 2k left out, 30 clips judged in all."""
    return _folds(options, {str(k): {2 * k - 1, 2 * k} for k in options.folds}, {HANDSHAKE, HUG, KICK})


def _folds(options: argparse.Namespace, folds: dict[str, set[int]], classes: set[int]) -> dict[str, Any]:
    rows = []
    for seed in options.seeds:
        for fold, left_out in folds.items():
            folder = _ut_folder(options, f"{options.run.__name__}{fold}", left_out, classes)
            rows.append({"fold": fold, "seed": seed, **_row(options, folder, seed)})
            print("fold {fold:2} seed {seed}  {top1:5.1f} % of {clips}, ridge {ridge:5.1f} %".format(**rows[-1]))
    return _summary(options, rows)


def procedural(options: argparse.Namespace) -> dict[str, Any]:
    """Procedural motions in ten classes as MP4 files: --clips of them to train on, 500 others to judge on."""
    from spikereel.data.made.scenes import CLASSES, MotionClips
    from spikereel.data.video.write import write_video

    folder = options.out / f"procedural{options.clips}"
    for part, count, seed in (("train", options.clips, 0), ("val", 500, 1)):
        clips = MotionClips(count, frames=options.frames, height=64, width=64, seed=seed)
        for i in range(count):
            place = folder / part / CLASSES[i % len(CLASSES)] / f"{i}.mp4"
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                video, label = clips[i]
                assert CLASSES[label] == place.parent.name
                write_video(place, (255 * video).round().byte(), 25)
    return _summary(options, [{"seed": seed, **_row(options, folder, seed)} for seed in options.seeds])


def depth(options: argparse.Namespace) -> dict[str, Any]:
    """UTD-MHAD, its depth written as grey videos, 27 classes, one person left out (--folds)."""
    import numpy as np
    import torch

    from spikereel.data.sets.utd_mhad import CLASSES, UTDMHAD, DepthReading
    from spikereel.data.video.write import write_video

    rows = []
    for fold in options.folds:
        folder = options.out / f"depth{fold}"
        clips = UTDMHAD(options.root, DepthReading(frames=32, size=96))
        for i, (path, label) in enumerate(clips.samples):
            subject = int(path.stem.split("_")[1][1:])
            part = "val" if subject == fold else "train"
            place = folder / part / CLASSES[label] / f"subject{subject}_{path.stem}.mp4"
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                grey = np.asarray(clips[i][0])[:, :1]
                write_video(place, torch.from_numpy(255 * grey).round().byte().expand(-1, 3, -1, -1), 15)
        for seed in options.seeds:
            rows.append({"fold": fold, "seed": seed, **_row(options, folder, seed)})
            print("person {fold} seed {seed}  {top1:5.1f} % of {clips}, ridge {ridge:5.1f} %".format(**rows[-1]))
    return _summary(options, rows)


def digits(options: argparse.Namespace) -> dict[str, Any]:
    """N-MNIST with the recipe of that name: the first --clips of a list of recordings to train on, all others judged;
    start weights with --set model.start=auto."""
    folder, rows = options.out / f"digits{options.clips}", []
    lines = [line.split() for line in (Path(options.root) / "train1K.txt").read_text().splitlines()]
    for i, (number, digit) in enumerate(line for line in lines if line[0].isdigit()):
        place = folder / ("Train" if i < options.clips else "Test") / digit / f"{number}.bs2"
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(Path(options.root) / place.name, place)
    for seed in options.seeds:
        runs = folder / "_".join(["runs", str(seed), *options.set])
        done = runs / "row.json"
        if not done.is_file():
            values = [f"data.root={folder}", "run.progress=false", f"run.out={runs}", f"run.seed={seed}", *options.set]
            spent = _timed([*CLI, "train", "nmnist", *values, "run.keep=last"])
            weights, judged = str(runs / "nmnist" / "best.safetensors"), runs / "judged.json"
            given = [f"data.root={folder}", "data.split=test", "--json", str(judged)]
            subprocess.run([*CLI, "evaluate", weights, *given], check=True)
            figures = json.loads(judged.read_text())
            done.write_text(json.dumps({"seed": seed, "top1": figures["top1"], "clips": figures["clips"], **spent}))
        rows.append(json.loads(done.read_text()))
        print("seed {seed}  {top1:5.1f} % of {clips}".format(**rows[-1]))
    mean = statistics.mean(row["top1"] for row in rows)
    return {"set": options.set, "mean": mean, "clips": options.clips, "rows": rows}


def _ut_folder(options: argparse.Namespace, name: str, left_out: set[int], classes: set[int]) -> Path:
    """train/ and val/ with a sub-folder a class, of the files `<number>_<sequence>_<class>.avi`."""
    folder = options.out / name
    for path in sorted(Path(options.root).glob("*.avi")):
        _, sequence, label = path.stem.split("_")
        if int(label) in classes:
            place = folder / ("val" if int(sequence) in left_out else "train") / f"class{label}" / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                shutil.copyfile(path, place)
    return folder


def _row(options: argparse.Namespace, folder: Path, seed: int) -> dict[str, Any]:
    """Train on train/ as a folder of one's own, judge on val/, and what simple models get on the same clips."""
    from spikereel.runs.baselines import baselines
    from spikereel.runs.data import DataSpec

    runs = folder / "_".join(["runs", str(seed), *options.set])
    done = runs / "row.json"
    if done.is_file():
        return json.loads(done.read_text())
    changes = ["run.progress=false", f"run.out={runs}", *([f"run.seed={seed}"] if seed else []), *options.set]
    command = ["video_folder", f"data.root={folder / 'train'}", *changes]
    if options.second:
        trained = _timed([sys.executable, "-c", SECOND, *command])
        own: dict[str, Any] = {}
    else:
        trained = _timed([*CLI, "train", *command])
        report = json.loads((runs / "video_folder" / "report.json").read_text())
        inner = sum(map(sum, report["confusion"]))
        own = {"inner_top1": report["top1"], "inner_clips": inner, "settings": report["settings"]}
    judged = runs / "judged.json"
    weights = str(runs / "video_folder" / "best.safetensors")
    subprocess.run([*CLI, "evaluate", weights, f"data.root={folder / 'val'}", "--json", str(judged)], check=True)
    figures = json.loads(judged.read_text())
    beside = baselines(DataSpec(kind="folder", root=str(folder)))
    row = {
        "top1": figures["top1"],
        "single_view": figures["single_view"]["top1"],
        "clips": figures["clips"],
        "confusion": figures["confusion"],
        "ridge": beside.ridge,
        "majority": beside.majority,
        **own,
        **trained,
    }
    done.write_text(json.dumps(row))
    return row


def _timed(command: Sequence[str]) -> dict[str, float]:
    """Run it; seconds by the clock, and of processor time, which other work on the machine does not lengthen."""
    clock, before = time.monotonic(), _spent()
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        sys.exit(f"{' '.join(command)}\n{outcome.stderr[-2000:]}")
    return {"train_seconds": time.monotonic() - clock, "train_processor_seconds": _spent() - before}


def _spent() -> float:
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _summary(options: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows, and means over all clips judged."""
    clips = sum(row["clips"] for row in rows)
    means = {name: sum(row[name] * row["clips"] for row in rows) / clips for name in FIGURES}
    own = [row for row in rows if "inner_top1" in row]
    held = sum(row["inner_clips"] for row in own)
    inner = sum(row["inner_top1"] * row["inner_clips"] for row in own) / held if own else None
    seconds = statistics.median(row["train_processor_seconds"] for row in rows)
    print(
        f"{means['top1']:.1f} % of {clips} clips; ridge {means['ridge']:.1f} %, commonest class "
        f"{means['majority']:.1f} %; own validation {'-' if inner is None else round(inner, 1)} %; {seconds:.0f} s of "
        "processor time a training"
    )
    return {"set": options.set, "mean": means, "clips": clips, "inner": inner, "median_seconds": seconds, "rows": rows}


def main() -> None:
    """Parse the command line and run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for run, folds in ((ut, range(1, 11)), (few, range(1, 6)), (procedural, ()), (depth, (1,)), (digits, ())):
        sub = commands.add_parser(run.__name__, help=run.__doc__)
        sub.set_defaults(run=run)
        sub.add_argument("--root", help="folder of the clips")
        sub.add_argument("--out", type=Path, default=Path("runs/own_videos"))
        sub.add_argument("--seeds", type=int, nargs="+", default=[0])
        sub.add_argument("--folds", type=int, nargs="+", default=list(folds))
        sub.add_argument("--clips", type=int, default=2000, help="of procedural and digits")
        sub.add_argument("--frames", type=int, default=16, help="of a procedural video")
        sub.add_argument("--second", action="store_true", help="only the training on all clips")
        sub.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes, such as model.neuron=relu")
    options = parser.parse_args()
    tag = "".join(f"_{x.partition('=')[2]}" for x in options.set)
    save(f"own_videos_{options.run.__name__}{tag}", options.run(options), script="own_videos.py")


if __name__ == "__main__":
    main()

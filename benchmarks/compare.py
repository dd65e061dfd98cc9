"""Models trained on equal work: `python benchmarks/compare.py attention`, `... families --ut FOLDER`,
`... folds --root FOLDER`, `... streams --root FOLDER`, `... events --root FOLDER`, `... pose --utd FOLDER`,
`... segmentation --camvid FOLDER`.

Every run is a process of its own with one thread. A run that is done stands in `--out` and is not repeated.
"""

import argparse
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from baselines import counts_ridge, energy_ridge, pose_baselines
from run import save

from spikereel.show.claims.verdicts import interval

Run = tuple[str, str, list[str]]
"""Name, recipe, assignments."""

SCHEMES = {
    "joint, Hamming": ["model.attention=joint", "model.similarity=hamming"],
    "spatial, Hamming": ["model.attention=spatial", "model.similarity=hamming"],
    "joint, dot": ["model.attention=joint", "model.similarity=dot"],
}
FAMILIES = ("spikevideoformer_ti", "svformer_ti", "spikevideoformer_ti.ann", "svformer_ti.ann")
FRESH_SEED, FRESH_CLIPS = 20_000, 1000
POSE = {
    "joint, Hamming": [],
    "spatial, Hamming": ["model.attention=spatial"],
    "joint, dot": ["model.similarity=dot"],
    "joint, Hamming, LIF": ["model.neuron=lif"],
    "ANN twin": ["model.neuron=relu"],
    "events": ["data.modality=events"],
}
SEGMENTATION = {
    "joint, Hamming": [],
    "spatial, Hamming": ["model.attention=spatial"],
    "joint, dot": ["model.similarity=dot"],
    "joint, Hamming, binary LIF": ["model.neuron=lif"],
    "ANN twin": ["model.neuron=relu"],
}
HEADLINES = {"top1": "{:.1f} %", "root_mpjpe": "{:.1f} mm", "miou": "{:.1f} % mIoU"}


def attention(options: argparse.Namespace) -> dict[str, Any]:
    """Token patterns and similarities on procedural clips, over seeds."""
    runs = {
        (scheme, seed): ("motion", [*change, f"run.seed={seed}", f"data.seed={100 * seed}", *_budget(options)])
        for seed in options.seeds
        for scheme, change in SCHEMES.items()
    }
    rows = [{"scheme": k[0], "seed": k[1], **row} for k, row in zip(runs, all_rows(runs, options), strict=True)]
    table = {}
    for scheme in SCHEMES:
        values = [row["top1"] for row in rows if row["scheme"] == scheme]
        table[scheme] = {"mean": statistics.fmean(values), "values": values}
        print(f"{scheme:18} {table[scheme]['mean']:5.1f} %   of {', '.join(f'{x:.1f}' for x in values)}")
    return {"clips": options.clips, "judged_on": FRESH_CLIPS, "rows": rows, "top1": table}


def families(options: argparse.Namespace) -> dict[str, Any]:
    """SpikeVideoFormer, SVFormer and their ANN twins on equal clips: procedural ones, and UT-Interaction."""
    runs = {("motion", model, 0): ("motion", [f"model.name={model}", *_budget(options)]) for model in FAMILIES}
    if options.ut:
        runs |= {
            ("ut_interaction", model, fold): (
                "ut_interaction",
                [
                    f"model.name={model}",
                    f"data.root={options.ut}",
                    f"data.fold={fold}",
                    f"optim.epochs={options.epochs}",
                ],
            )
            for fold in options.folds
            for model in FAMILIES
        }
    rows = [
        {"data": data, "model": model, "fold": fold, **row}
        for (data, model, fold), row in zip(runs, all_rows(runs, options), strict=True)
    ]
    for row in rows:
        print("{data:15} {model:24} fold {fold}  {top1:5.1f} %  {energy_mj:.4f} mJ (ANN {ann_mj:.4f})".format(**row))
    return {"clips": options.clips, "rows": rows}


def pose(options: argparse.Namespace) -> dict[str, Any]:
    """UTD-MHAD, one subject left out: schemes, twice the frames, events, the ANN twin; and a ridge regression.

    A run with T = 16 has half the clips a step and half the epochs: as many steps of as many frames.
    """
    if not options.utd:
        sys.exit("pose needs --utd FOLDER, the clips of UTD-MHAD")
    longer = ["data.frames=16", f"optim.batch={options.batch // 2}", f"optim.epochs={options.epochs // 2}"]
    equal = ["data.frames=8", f"optim.batch={options.batch}", f"optim.epochs={options.epochs}"]
    changes = {name: [*equal, *change] for name, change in POSE.items()} | {"joint, Hamming, 16 frames": longer}
    runs = {
        ("pose", scheme, fold): ("utd_mhad_pose", [f"data.root={options.utd}", f"data.fold={fold}", *change])
        for scheme, change in changes.items()
        for fold in options.folds
    }
    rows = [
        {"scheme": scheme, "fold": fold, **row}
        for (_, scheme, fold), row in zip(runs, all_rows(runs, options), strict=True)
    ]
    rows += [
        {"scheme": name, "fold": fold, **row}
        for fold in options.folds
        for name, row in pose_baselines(options.utd, fold)
    ]
    for row in rows:
        energy = "{energy_mj:.3f} mJ (ANN {ann_mj:.3f})".format(**row) if "energy_mj" in row else ""
        print("{scheme:25} fold {fold}  root {root_mpjpe:5.1f}  PA {pa_mpjpe:5.1f} mm  {0}".format(energy, **row))
    return {"rows": rows}


def segmentation(options: argparse.Namespace) -> dict[str, Any]:
    """CamVid, one sequence left out: schemes, binary LIF, clips of one frame, the ANN twin.

    All have as many steps of as many frames: of one frame, 4 times the clips in a step and 4 times the epochs.
    """
    if not options.camvid:
        sys.exit("segmentation needs --camvid FOLDER, which has train/ and trainannot/")
    data = [f"data.root={options.camvid}", f"data.held_out={options.held_out}"]
    runs = {
        ("segmentation", scheme): ("camvid_vss", [*data, f"optim.epochs={options.epochs}", *change])
        for scheme, change in SEGMENTATION.items()
    }
    single = ["data.frames=1", "data.offsets=[0]", "optim.batch=8", f"optim.epochs={4 * options.epochs}"]
    runs["segmentation", "one frame"] = ("camvid_vss", [*data, *single])
    rows = [{"scheme": scheme, **row} for (_, scheme), row in zip(runs, all_rows(runs, options), strict=True)]
    for row in rows:
        print("{scheme:26} mIoU {miou:5.1f} %  {energy_mj:.3f} mJ (ANN {ann_mj:.3f})".format(**row))
    return {"epochs": options.epochs, "rows": rows}


def folds(options: argparse.Namespace) -> dict[str, Any]:
    """A recipe of actions, once for every person or sequence left out, which its last weights are judged on; and on the
    same clips a ridge regression from motion energy, which needs all folds."""
    if not options.root:
        sys.exit("folds needs --root FOLDER, the clips of the recipe")
    runs = {
        ("folds", options.recipe, fold): (
            options.recipe,
            [f"data.root={options.root}", f"data.fold={fold}", *options.set],
        )
        for fold in options.folds
    }
    rows = [{"fold": key[2], **row} for key, row in zip(runs, all_rows(runs, options), strict=True)]
    for row in rows:
        print("left out {fold:2}  {top1:5.1f} % of {judged_on}  {energy_mj:.4f} mJ (ANN {ann_mj:.4f})".format(**row))
    ridge = energy_ridge(options.recipe, options.root, options.folds) if len(options.folds) > 1 else {}
    for fold, top1 in ridge.items():
        print(f"left out {fold:2}  {top1:5.1f} %  ridge regression from motion energy")
    means = {
        name: statistics.fmean(x)
        for name, x in (("top1", [row["top1"] for row in rows]), ("ridge", ridge.values()))
        if x
    }
    print(", ".join(f"mean {name} {mean:.1f} %" for name, mean in means.items()))
    return {
        "recipe": options.recipe,
        "rows": rows,
        "mean_top1": means["top1"],
        "ridge": ridge,
        "mean_ridge": means.get("ridge"),
    }


def streams(options: argparse.Namespace) -> dict[str, Any]:
    """A recipe of actions and its causal variant, which a camera needs, on the same clips: for every fold and seed."""
    if not options.root:
        sys.exit("streams needs --root FOLDER, the clips of the recipe")
    schemes = {"joint": options.recipe, "causal": f"{options.recipe}_causal"}
    runs = {
        ("streams", recipe, fold, seed): (
            recipe,
            [f"data.root={options.root}", f"data.fold={fold}", f"run.seed={seed}", *options.set],
        )
        for fold in options.folds
        for seed in options.seeds
        for recipe in schemes.values()
    }
    rows = [
        {"recipe": recipe, "fold": fold, "seed": seed, **row}
        for (_, recipe, fold, seed), row in zip(runs, all_rows(runs, options), strict=True)
    ]
    means = {}
    for scheme, recipe in schemes.items():
        own = [row for row in rows if row["recipe"] == recipe]
        by_seed = [statistics.fmean(row["top1"] for row in own if row["seed"] == seed) for seed in options.seeds]
        means[scheme] = {"mean": statistics.fmean(by_seed), "values": by_seed}
        print(f"{scheme:7} {means[scheme]['mean']:5.1f} %   of {', '.join(f'{x:.1f}' for x in by_seed)}")
    pairs = zip(means["causal"]["values"], means["joint"]["values"], strict=True)
    apart = [causal - joint for causal, joint in pairs]
    mean, half = interval(apart)
    print(f"causal less joint {mean:+.1f}" + (f" +- {half:.1f}" if len(apart) > 1 else ", one seed"))
    within = [mean, half if len(apart) > 1 else None]
    return {"recipe": options.recipe, "rows": rows, "top1": means, "causal_less_joint": apart, "interval": within}


def events(options: argparse.Namespace) -> dict[str, Any]:
    """A recipe of events over seeds, its last weights judged on what it holds out; and on the same split a ridge
    regression from how many events every pixel has."""
    if not options.root:
        sys.exit("events needs --root FOLDER, the recordings of the recipe")
    runs = {
        ("events", options.recipe, seed): (
            options.recipe,
            [f"data.root={options.root}", f"run.seed={seed}", *options.set],
        )
        for seed in options.seeds
    }
    ridge = counts_ridge(options.recipe, options.root)
    rows = [{"seed": key[2], **row} for key, row in zip(runs, all_rows(runs, options), strict=True)]
    for row in rows:
        print("seed {seed:5}  {top1:5.1f} % of {judged_on}  {energy_mj:.4f} mJ (ANN {ann_mj:.4f})".format(**row))
    mean = statistics.fmean(row["top1"] for row in rows)
    print(f"mean top1 {mean:.1f} %, ridge regression from counts of events {ridge:.1f} %")
    return {"recipe": options.recipe, "rows": rows, "mean_top1": mean, "ridge": ridge}


def one(options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one run; prints its row."""
    import torch

    from spikereel.config import override
    from spikereel.energy import measure
    from spikereel.hub import load_model, weights_hash
    from spikereel.runs.recipes import get_recipe
    from spikereel.train.run import train

    recipe = override(get_recipe(options.recipe), ["run.threads=1", "run.progress=false", *options.assignments])
    # a run that was cut off goes on
    resumed = (Path(recipe.run.out) / recipe.name / "last.ckpt").is_file()
    result = train(override(recipe, ["run.resume=true"]) if resumed else recipe)
    model = load_model(result.last)
    figures, dataset = _judged(recipe, model)
    passport = measure(model, torch.stack([dataset[i][0] for i in range(min(6, len(dataset)))], dim=1))
    return {
        **figures,
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": passport.macs,
        "mean_rate": passport.mean_rate,
        "energy_mj": passport.energy_mj(),
        "executed_mj": passport.energy_mj("executed"),
        "ann_mj": passport.ann_mj(),
        "train_seconds": None if resumed else result.seconds,
        "weights_hash": weights_hash(model),
        "recipe": options.recipe,
        "assignments": options.assignments,
    }


def _judged(recipe: Any, model: Any) -> tuple[dict[str, Any], Any]:
    """Figures of a trained model on the clips that it has not seen, and those clips."""
    from spikereel.config import override
    from spikereel.runs.clips import build_dataset
    from spikereel.runs.evaluate import evaluate

    fresh = recipe.data.kind in ("motion", "probe") and recipe.task == "classification"
    judged = ["data.split=test", f"data.seed={FRESH_SEED}", f"data.test_length={FRESH_CLIPS}"] if fresh else []
    spec = override(recipe, judged).data
    dataset = build_dataset(spec, "test" if fresh else "val", task=recipe.task)
    outcome = evaluate(model, dataset, spec)
    figures = {**outcome.figures, "judged_on": outcome.clips, "data_hash": outcome.passport.hash}
    if fresh:
        held_out = build_dataset(recipe.data, "val", task=recipe.task)
        figures["val_top1"] = evaluate(model, held_out, recipe.data).figures["top1"]
    return figures, dataset


def _budget(options: argparse.Namespace) -> list[str]:
    return [f"data.train_length={options.clips // 4}", "optim.epochs=4", "data.test_length=200"]


def all_rows(runs: dict[tuple, tuple[str, list[str]]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of all runs in order, `options.workers` at a time."""

    def row(key: tuple) -> dict[str, Any]:
        recipe, assignments = runs[key]
        folder = options.out / "_".join(str(part).replace(", ", "-") for part in key)
        done = folder / "row.json"
        if done.is_file():
            saved = json.loads(done.read_text())
            if saved["assignments"][:-1] == assignments:
                return saved
        command = [sys.executable, __file__, "_one", recipe, *assignments, f"run.out={folder}"]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode:
            sys.exit(f"{' '.join(command)}\n{outcome.stderr[-2000:]}")
        text = outcome.stdout.strip().splitlines()[-1]
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(text)
        fresh = json.loads(text)
        print(key, *(form.format(fresh[name]) for name, form in HEADLINES.items() if name in fresh), flush=True)
        return fresh

    with ThreadPoolExecutor(options.workers) as pool:
        return list(pool.map(row, runs))


def main() -> None:
    """Parse the command line and run one comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for run in (attention, families, folds, streams, events, pose, segmentation):
        sub = commands.add_parser(run.__name__, help=run.__doc__)
        sub.set_defaults(run=run)
        sub.add_argument("--clips", type=int, default=12_000, help="procedural clips that a run trains on")
        sub.add_argument("--workers", type=int, default=2, help="runs at a time")
        sub.add_argument("--out", type=Path, default=Path("runs/compare"))
        sub.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
        sub.add_argument("--ut", help="folder of the clips of UT-Interaction set 1")
        sub.add_argument("--folds", type=int, nargs="+", default=[1, 2])
        sub.add_argument("--recipe", default="utd_mhad_action", help="of folds, of streams, of events")
        sub.add_argument("--root", help="folder of the clips of that recipe")
        sub.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of that recipe")
        sub.add_argument("--utd", help="folder of the clips of UTD-MHAD")
        sub.add_argument("--camvid", help="folder of CamVid, which has train/ and trainannot/")
        sub.add_argument("--held-out", default="0001TP", help="the sequence of CamVid that is judged on")
        sub.add_argument("--batch", type=int, default=8, help="clips a step, of pose with T = 8")
        sub.add_argument("--epochs", type=int, default=60, help="epochs on UT-Interaction, of pose, of segmentation")
    sub = commands.add_parser("_one")
    sub.set_defaults(run=one)
    sub.add_argument("recipe")
    sub.add_argument("assignments", nargs="*")
    options = parser.parse_args()
    outcome = options.run(options)
    if options.run is one:
        print(json.dumps(outcome))
    else:
        of = f"_{options.recipe}" if options.run in (folds, streams, events) else ""
        save(f"compare_{options.run.__name__}{of}", outcome, script="compare.py")


if __name__ == "__main__":
    main()

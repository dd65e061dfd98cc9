"""Faults on purpose: `python benchmarks/faults.py predict`, `ray` or `train`. Kills at random, and then counts.

predict: some hundred small clips, a few damaged ones among them; two shards at a time, some twice at once, whose worker
processes and commands are killed with SIGKILL, until all is done. ray: the same on a cluster of two nodes on this
machine, of which one is killed as well. train: two processes, killed in the middle of epochs, resumed with other
numbers of processes and workers. What is left must equal a quiet run, or have each clip once in every epoch.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from spikereel.data.video.write import write_video

MODEL = "spikevideoformer_ti.motion"
VARY = ("probability", "probabilities", "energy_mj", "firing_rate", "firing", "embedding")
"""Columns that may differ in the last digits, as kernels are chosen by their speed."""


def make_clips(folder: Path, count: int, seed: int = 0) -> Path:
    """So many small videos, of which each tenth is damaged in one of five ways, and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "clips.csv"
    if manifest.is_file():
        return manifest
    names = []
    for number in range(count):
        name, generator = f"{number:05}.mp4", torch.Generator().manual_seed(seed + number)
        path = folder / name
        frames = torch.rand(10, 3, 8, 8, generator=generator)
        pictures = torch.nn.functional.interpolate(frames, size=(48, 64), mode="bilinear")
        write_video(path, (255 * pictures).to(torch.uint8), 10)
        if number % 10 == 9:
            _damage(path, (number // 10) % 5)
        names.append(name)
    manifest.write_text("path\n" + "".join(f"{x}\n" for x in names))
    return manifest


def _damage(path: Path, how: int) -> None:
    content = path.read_bytes()
    if how == 0:
        path.write_bytes(content[: len(content) // 2])
    elif how == 1:
        path.write_bytes(b"")
    elif how == 2:
        path.write_bytes(b"not a video at all\n" * 20)
    elif how == 3:
        path.unlink()
    else:
        path.write_bytes(os.urandom(64) + content[64:])


def command(*arguments: str) -> list[str]:
    """Of the command line, by this Python."""
    return [sys.executable, "-m", "spikereel.apps.cli", *arguments]


def children(pid: int) -> list[int]:
    """Processes below one, by /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(entry.name), *children(int(entry.name))]
    return found


def kill(pid: int) -> bool:
    """SIGKILL to one of our own processes; whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def compare(quiet: Path, other: Path) -> dict[str, Any]:
    """Rows of two folders by path: how many, which differ, how many files hold a row more than once."""
    import spikereel
    from spikereel.bulk.table import read_parts

    one, two = ({row["path"]: row for row in spikereel.read_results(x)} for x in (quiet, other))
    raw = read_parts(other, ["path"])
    differ = sorted(path for path in one.keys() & two.keys() if not same(one[path], two[path]))
    return {
        "rows": len(two),
        "lost": len(one.keys() - two.keys()),
        "added": len(two.keys() - one.keys()),
        "doubled": len(raw) - len({row["path"] for row in raw}),
        "different": differ,
        "errors": sum(row["error"] is not None for row in two.values()),
        "files_not_of_the_quiet_run": len(
            {x.name for x in other.glob("part-*")} - {x.name for x in quiet.glob("part-*")}
        ),
    }


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Two rows of one clip, numbers to 1e-6."""
    plain = {key for key in a if key not in VARY}
    return all(a[key] == b[key] for key in plain) and all(close(a[key], b[key]) for key in VARY)


def close(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return a == b or (a is not None and b is not None and abs(a - b) <= 1e-6)


def quiet_run(options: argparse.Namespace, manifest: Path) -> Path:
    """The results of one call that nobody disturbs."""
    out = Path(options.folder, "quiet")
    subprocess.run(command("predict", "--manifest", str(manifest), "--out", str(out), "--quiet"), check=True)
    return out


def predict(options: argparse.Namespace) -> dict[str, Any]:
    """Shards, two at a time and each given twice, under kills of workers and of whole commands."""
    manifest = make_clips(Path(options.folder, "clips"), options.clips)
    quiet, out, chance = quiet_run(options, manifest), Path(options.folder, "faulty"), random.Random(options.seed)
    shutil.rmtree(out, ignore_errors=True)
    killed = {"workers": 0, "commands": 0}
    waiting = [f"{i}/{options.shards}" for i in range(options.shards)] * 2
    chance.shuffle(waiting)
    running: dict[str, subprocess.Popen] = {}
    before = 0
    while waiting or running:
        while waiting and len(running) < 2:
            shard = waiting.pop()
            run = command("predict", "--manifest", str(manifest), "--out", str(out), "--quiet", "--shard", shard)
            running[f"{shard} {time.monotonic()}"] = subprocess.Popen([*run, "--workers", "1"])
        time.sleep(0.1)
        parts = len(list(out.glob("part-*")))
        if sum(killed.values()) < options.kills and running and parts > before:
            # somebody is at work, and has been for a random time
            time.sleep(chance.uniform(*options.pause))
            before = parts
            name, process = chance.choice(list(running.items()))
            below = children(process.pid)
            if below and chance.random() < 0.7:
                killed["workers"] += kill(chance.choice(below))
            elif process.poll() is None:
                killed["commands"] += kill(process.pid)
        for name, process in list(running.items()):
            code = process.poll()
            if code is not None:
                del running[name]
                if code != 0:
                    waiting.append(name.split()[0])
    return {"clips": options.clips, "shards": options.shards, "killed": killed, **compare(quiet, out)}


def on_ray(options: argparse.Namespace) -> dict[str, Any]:
    """Two nodes on this machine; actors and once a node are killed, and the driver is started again."""
    from ray.cluster_utils import Cluster

    manifest = make_clips(Path(options.folder, "clips"), options.clips)
    quiet, out, chance = quiet_run(options, manifest), Path(options.folder, "ray"), random.Random(options.seed)
    shutil.rmtree(out, ignore_errors=True)
    # actors are niced otherwise, and a busy machine would let them wait for ever
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - the name is theirs
    store = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**store, "include_dashboard": False})
    second = cluster.add_node(**store)
    killed, starts = {"actors": 0, "nodes": 0, "drivers": 0}, 0
    before = 0
    run = command("predict", "--manifest", str(manifest), "--out", str(out), "--quiet", "--ray", cluster.address)
    try:
        code = 1
        while code != 0 and starts < 12:
            starts += 1
            process = subprocess.Popen(run)
            while process.poll() is None:
                time.sleep(0.1)
                parts = len(list(out.glob("part-*")))
                if parts <= before:
                    continue
                time.sleep(chance.uniform(*options.pause))
                before = parts
                actors = [pid for pid in _below_ray(cluster) if "MapWorker" in _called(pid) or "Actor" in _called(pid)]
                if sum(killed.values()) >= options.kills:
                    continue
                if not killed["nodes"] and killed["actors"] >= 2:
                    cluster.remove_node(second, allow_graceful=False)
                    killed["nodes"] = 1
                    second = cluster.add_node(**store)
                elif not killed["drivers"] and killed["nodes"]:
                    killed["drivers"] += kill(process.pid)
                elif actors:
                    killed["actors"] += kill(chance.choice(actors))
            code = process.returncode
    finally:
        cluster.shutdown()
    return {"clips": options.clips, "killed": killed, "drivers_started": starts, **compare(quiet, out)}


def _below_ray(cluster: Any) -> list[int]:
    found = []
    for node in cluster.list_all_nodes():
        for group in node.all_processes.values():
            for info in group:
                found += children(info.process.pid)
    return found


def _called(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Runs that are killed in mid-epoch and go on with other processes and workers: each clip once an epoch.

    Processes are forked with the variables that torchrun sets, which spares the time that they take to begin.
    """
    from spikereel.config import override
    from spikereel.runs.recipes import get_recipe
    from spikereel.train.seen import clips_seen

    out, chance = Path(options.folder, "train"), random.Random(options.seed)
    shutil.rmtree(out, ignore_errors=True)
    assignments = [
        *(f"run.out={out}", "run.progress=false", "run.resume=auto", "run.log_clips=true", "run.save_every=2"),
        *("run.silent_epochs=0", "run.sync_norms=true", "run.threads=1", f"optim.epochs={options.epochs}"),
        *("optim.batch=4", f"data.train_length={CLIPS}", "data.test_length=4", "data.size=32", "data.frames=2"),
        *("model.widths=[8,16,16,24]", "model.depths=[1,1]", "run.validate_every=100"),
    ]
    kills: list[dict[str, Any]] = []
    for start in range(options.kills + 10):
        devices, workers = chance.choice([1, 2]), chance.choice([1, 2, 4])
        recipe = override(get_recipe("motion"), [*assignments, f"data.workers={workers}"])
        pids = [_forked(recipe, rank, devices, 29500 + start) for rank in range(devices)]
        target = _lines(out) + devices * chance.randint(1, 2 * options.epochs)
        while len(kills) < options.kills and _lines(out) < target:
            if _ended(pids[0]):
                break
            time.sleep(0.01)
        if len(kills) < options.kills and _lines(out) >= target:
            time.sleep(chance.uniform(0, 0.2))
            victim = chance.randrange(devices)
            kill(pids[victim])
            kills.append({"devices": devices, "workers": workers, "rank": victim, "lines": _lines(out)})
            # the others wait for it for ever; a launcher would end them, as here
            for pid in pids:
                kill(pid)
        if not any(os.waitpid(pid, 0)[1] for pid in pids):
            break
    seen = clips_seen(out / "motion")
    epochs = {
        e: sorted(x for (epoch, _), own in seen.items() if epoch == e for x in own) for e in range(options.epochs)
    }
    once = [e for e, own in epochs.items() if own == list(range(CLIPS))]
    return {"epochs": options.epochs, "epochs_with_each_clip_once": len(once), "starts": start + 1, "kills": kills}


CLIPS = 80
"""Of an epoch of `train`: twenty batches."""


def _forked(recipe: Any, rank: int, world: int, port: int) -> int:
    """A process of a run; its number."""
    from spikereel.train.run import train as run

    pid = os.fork()
    if pid:
        return pid
    if world > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0}
        launcher = {"TORCHELASTIC_RUN_ID": "faults", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({key: str(value) for key, value in (place | launcher).items()})
    code = 1
    try:
        run(recipe)
        code = 0
    except BaseException as error:  # noqa: BLE001 - a forked process must not go on as its parent
        print(f"rank {rank} of {world}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(code)


def _ended(pid: int) -> bool:
    """Whether a process of ours is over; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _lines(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("motion/clips-*.jsonl"))


def _shown(argument: str) -> str:
    """Without the place of folders on this machine."""
    return Path(argument).name if "/" in argument else argument


def main() -> None:
    """Run one, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "ray", "train"))
    parser.add_argument("--folder", default="faults", help="for clips and results (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--pause", type=float, nargs=2, default=(0.0, 1.0), help="seconds between kills, least and most"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file for the result")
    options = parser.parse_args()
    found = {"predict": predict, "ray": on_ray, "train": train}[options.what](options)
    print(json.dumps(found, indent=2))
    if options.json:
        from spikereel.files import write_json
        from spikereel.versions import provenance

        here = {**provenance(), "command": " ".join(["python", "benchmarks/faults.py", *map(_shown, sys.argv[1:])])}
        write_json(options.json, {**found, **here})


if __name__ == "__main__":
    main()

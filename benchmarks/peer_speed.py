"""Time of a forward pass of our reference model beside its peers, in one process, each after its parity check.

    python benchmarks/peer_speed.py --peers ann_torch compiled --frames 8 16 --threads 1 2

Some peers need an environment of their own: `benchmarks/peers/environments.sh`. Each clip length and number of threads
gets a process to itself. Peers of ReLU neurons are compared with the twin of the model, which has the same weights.
"""

import argparse
import copy
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import torch
from peers import PEERS, peer
from peers.contract import Built
from peers.parity import ParityError, check
from peers.rounds import interleaved, summary
from run import save
from settled import DRAWN, Rates, settle
from torch import Tensor

import spikereel
from spikereel.layers.calibrate import calibrate
from spikereel.layers.observe import firing_rates
from spikereel.models.base import VideoModel

BASE = "reference"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One clip, and a model and its twin with the same random weights, each with norms of what it makes of it."""

    model: VideoModel
    twin: VideoModel
    clip: Tensor

    def built(self, name: str) -> tuple[Built, dict[str, float]]:
        """A peer, of its own copy of the model or twin, and how far it is from that. Raises ParityError."""
        entry = peer(name)
        reference = self.twin if entry.artificial else self.model
        # none can change what the others see
        built = entry.build(copy.deepcopy(reference), self.clip)
        return built, check(entry, built, reference, self.clip)


def workload(
    frames: int, size: int, name: str = "spikevideoformer_s", *, residual_gain: float = 1.0, rates: Rates = DRAWN
) -> Workload:
    """Joint Hamming attention, batch 1, seed 0; each neuron fires as often as `rates` says.

    With random weights and a residual gain of 1 the twin is chaotic, and no quantised one comes near it: 0.3 is for
    those. Dense peers take the same time with any weights; the firing rates of the spiking model change.
    """
    torch.manual_seed(0)
    scheme = {"attention": "joint", "similarity": "hamming", "residual_gain": residual_gain}
    model = spikereel.create_model(name, **scheme)
    twin = spikereel.create_model(f"{name}.ann", **scheme)
    twin.load_state_dict(model.state_dict())
    clip = torch.randn(frames, 1, model.config.in_channels, size, size)
    settle(model, clip, rates)
    calibrate(twin, [clip])
    twin.eval()
    return Workload(model=model, twin=twin, clip=clip)


def measured(names: list[str], work: Workload, rounds: int, *, base: str = BASE) -> dict[str, Any]:
    """Parity, then interleaved rounds of all peers that passed beside the reference; ratios to `base`."""
    runs, about = {BASE: lambda: _output(work.model, work.clip)}, {}
    for name in names:
        entry = peer(name)
        try:
            built, parity = work.built(name)
        except ParityError as error:
            print(error, file=sys.stderr, flush=True)
            about[name] = {"what": entry.what, "refused": str(error), "versions": entry.versions()}
            continue
        runs[name] = lambda built=built: built(work.clip)
        about[name] = {"what": entry.what, "parity": parity, "settings": built.settings, "versions": entry.versions()}
    return {"peers": about, **summary(interleaved(runs, rounds), base)}


def rates(work: Workload) -> dict[str, float]:
    """Firing rates of the model on the clip, over its neurons."""
    with firing_rates(work.model) as found:
        _output(work.model, work.clip)
    means = list(found.means().values())
    assert not found.silent(), found.silent()
    return {"mean": sum(means) / len(means), "least": min(means), "most": max(means), "neurons": len(means)}


def _output(model: VideoModel, clip: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(clip)[0]


def _one(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads[0])
    work = workload(options.frames[0], options.size, residual_gain=options.residual_gain)
    return {
        "frames": options.frames[0],
        "size": options.size,
        "threads": options.threads[0],
        "residual_gain": options.residual_gain,
        "firing_rates": rates(work),
        **measured(options.peers, work, options.rounds),
    }


def _in_process(options: argparse.Namespace, frames: int, threads: int) -> dict[str, Any]:
    """One row, in a process whose thread pools have the right size from the start."""
    command = [sys.executable, __file__, "--one", "--peers", *options.peers, "--frames", str(frames)]
    command += ["--threads", str(threads), "--size", str(options.size), "--rounds", str(options.rounds)]
    command += ["--residual-gain", str(options.residual_gain)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    # libraries print to stdout too; ours is the last line
    row = json.loads(done.stdout.splitlines()[-1])
    print(f"T = {frames}, {threads} thread(s), {row['quiet_rounds']} of {row['rounds']} rounds quiet")
    for name, x in row["rows"].items():
        print(
            f"  {name:22} {x['median']:7.3f} s (best {x['best']:.3f})   {x['over_' + BASE]:5.2f} x reference",
            flush=True,
        )
    return row


def main() -> None:
    """Parse the command line, run every combination, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=["ann_torch"])
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--residual-gain", type=float, default=1.0, help="0.3 where a peer is quantised")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if reasons := [reason for name in options.peers if (reason := peer(name).missing())]:
        sys.exit("\n".join(reasons))
    if options.one:
        print(json.dumps(_one(options)))
        return
    rows = [_in_process(options, frames, threads) for frames in options.frames for threads in options.threads]
    outcome = {"model": "spikevideoformer_s, joint Hamming attention, random weights, norms calibrated on the clip"}
    outcome |= {"platform": platform.platform(), "rows": rows}
    environments = sorted({peer(name).environment or "torch" for name in options.peers})
    save("peers_" + "-".join(environments), outcome, "peer_speed.py")


if __name__ == "__main__":
    main()

"""Exported files beside the engine and the reference, frame by frame: `python benchmarks/runtimes.py WEIGHTS FILE...`.

FILES are of `spikereel export WEIGHTS`, and take one frame a call. One process, one clip of noise, the states of each
go round; rounds are interleaved, and nothing is timed before its answer was compared with that of the reference.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peers.rounds import interleaved, summary
from run import save
from torch import Tensor

from spikereel.engine.engine import compile
from spikereel.exporting.run import Exported, open_export
from spikereel.hub import load_model

ENGINE, REFERENCE = "engine", "reference"
CLOSE = 1e-4
"""Of a logit, for files of float32."""


def main() -> None:
    """Parse the command line, run, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    save("runtimes", measured(options), "runtimes.py")


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a clip for each, and ratios to the engine's. AssertionError where an answer is another one."""
    model, exported = load_model(options.weights), {path.name: open_export(path) for path in options.files}
    contract = next(iter(exported.values())).contract
    shape = (options.frames, 1, contract.channels, *contract.size)
    video = 2.0 * torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 1.0
    runs: dict[str, Callable[[], Tensor]] = {
        ENGINE: _stepping(compile(model, threads=options.threads), video),
        REFERENCE: _stepping(model, video),
        **{name: _called(file, video) for name, file in exported.items()},
    }
    with torch.inference_mode():
        expected = runs[REFERENCE]()
        off = {name: float((run() - expected).abs().max()) for name, run in runs.items()}
        for name, file in exported.items():
            assert file.contract.precision == "int8" or off[name] < CLOSE, f"{name} is off by {off[name]}"
        found = summary(interleaved(runs, options.rounds), ENGINE)
    for name, x in found["rows"].items():
        x["largest_difference"], x["bytes"] = off[name], _bytes(options.files, name)
        x["runtime"] = exported[name].runtime if name in exported else name
        milliseconds = 1e3 * x["median"] / options.frames
        print(f"{name:40} {milliseconds:8.2f} ms a frame, {x['over_engine']:6.2f} x the engine, off by {off[name]:.1e}")
    return {"weights": options.weights, "frames": options.frames, "threads": options.threads, "shape": shape, **found}


def _stepping(model: Any, video: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        output, state = None, None
        for frame in video.split(1):
            output, state = model(frame, state)
        return output

    return run


def _called(file: Exported, video: Tensor) -> Callable[[], Tensor]:
    """The calls of the runtime alone, without names for its states."""

    def run() -> Tensor:
        outputs, states = [], None
        for frame in video.split(file.contract.steps):
            outputs, states = file.step(frame, states)
        return outputs[0]

    return run


def _bytes(files: list[Path], name: str) -> int | None:
    """Of a file, and of the weights of OpenVINO beside it."""
    path = next((path for path in files if path.name == name), None)
    if path is None:
        return None
    beside = path.with_suffix(".bin") if path.suffix == ".xml" else None
    return path.stat().st_size + (beside.stat().st_size if beside else 0)


if __name__ == "__main__":
    main()

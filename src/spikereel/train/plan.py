"""What a run will need, before it is begun: memory at most and time, and which options fit a memory that is given.

Memory and time of a step are straight lines in the number of clips: weights, gradients and the optimizer's state stay,
all else is there once for each clip. Dry steps on few clips give the lines (`spikereel.train.dry`); on a GPU that is
not here they are put together from what is kept and stated figures, and marked as estimates.
"""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch

from spikereel.errors import ConfigError, SpikereelError
from spikereel.layers.fused import Memory
from spikereel.runs.config import Recipe
from spikereel.train.meter import free_memory

MODES: dict[str, dict[str, Any]] = {name: {"memory": name, "checkpointing": False} for name in get_args(Memory)}
MODES["checkpointing"] = {"memory": "plain", "checkpointing": True}
"""Options of a run that keep more or less of a step, in the order in which they are tried."""

SECONDS = 12.0
"""Of dry steps for each mode."""

SPARE = 0.05
"""Share of the memory that is left free: lines are not that straight."""

GPU = {"tflops": 60.0, "terabytes": 1.5, "context": 0.7 * 2**30}
"""Of a GPU that is not here, in use and not on paper: operations and bytes a second, and what CUDA itself takes."""


LAUNCHES = 0.06
"""Seconds to start the kernels of a step, some ten thousand of 6 microseconds."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A mode of memory: peak and time as straight lines in the clips of a batch."""

    peak_at: tuple[int, float, float]
    """Clips, bytes, and bytes for each clip more."""
    time_at: tuple[int, float, float]
    cpu_at: tuple[int, float, float]
    kept: float
    """Bytes a clip that backward passes wait for."""

    def peak(self, clips: int) -> float:
        """Bytes at most, of the whole process on a CPU."""
        return _on(self.peak_at, clips)

    def seconds(self, clips: int) -> float:
        """Of a step, by the clock."""
        return _on(self.time_at, clips)

    def cpu_seconds(self, clips: int) -> float:
        """Of a step, of all threads together."""
        return _on(self.cpu_at, clips)

    def most(self, memory: float) -> int:
        """Clips that fit; 0 where none does."""
        clips, peak, each = self.peak_at
        room = memory - peak
        return max(clips + math.floor(room / max(each, 1.0)), 0)


def _on(line: tuple[int, float, float], clips: int) -> float:
    at, value, each = line
    return value + each * (clips - at)


def lines_of(points: Sequence[dict[str, Any]], before: float) -> Lines:
    """Through the two largest steps of a mode; through one alone, from what the process had before."""
    last = points[-1]
    n = last["clips"]

    def line(name: str, start: float) -> tuple[int, float, float]:
        if len(points) == 1:
            return n, last[name], max(last[name] - start, 0.0) / n
        other = points[-2]
        return n, last[name], max(last[name] - other[name], 0.0) / (n - other["clips"])

    return Lines(
        peak_at=line("peak", before),
        time_at=line("seconds", 0.0),
        cpu_at=line("cpu_seconds", 0.0),
        kept=last["kept"] / n,
    )


@dataclass(frozen=True, kw_only=True)
class Option:
    """A way to run a recipe."""

    memory: str
    """The mode, of MODES."""
    batch: int
    accumulate: int
    peak: float
    """Bytes at most."""
    seconds: float
    """Of a batch: forward and backward."""
    cpu_seconds: float
    fits: bool

    @property
    def assignments(self) -> dict[str, Any]:
        """The options of the recipe that say it."""
        run = {f"run.{name}": value for name, value in MODES[self.memory].items()}
        return {"optim.batch": self.batch, "optim.accumulate": self.accumulate, **run}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a recipe needs, and what to run."""

    recipe: str
    device: str
    precision: str
    memory: float
    """Bytes that there are."""
    options: tuple[Option, ...]
    chosen: int | None
    """Of the options; None where none fits."""
    batches: float | None
    """Of the whole run, with the batch of the chosen option; None where the data is not here."""
    run_seconds: float | None
    estimate: bool
    """Whether times are from stated figures, and nothing was timed."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types, schema `spikereel.plan/1`."""
        values = dataclasses.asdict(self)
        options = [
            {**row, "assignments": option.assignments}
            for row, option in zip(values["options"], self.options, strict=True)
        ]
        return {"schema": "spikereel.plan/1", **values, "options": options}


def plan(recipe: Recipe, *, memory: float | None = None, device: str = "cpu") -> Plan:
    """What a recipe needs on a device, and of batch, accumulation, mode and precision those that fit its memory.

    The clips of a step stay as many; a smaller batch is added up more often. Batch norms then see fewer clips at a
    time, so that modes that keep less are taken first. memory: bytes; None is what is free.

    Raises ConfigError for a recipe that cannot be run, or a GPU of unknown memory.
    """
    here = device != "cuda" or torch.cuda.is_available()
    if memory is None:
        if not here:
            raise ConfigError("--device cuda: there is no GPU here, so give its memory, such as --memory 24GB")
        memory = free_memory(torch.device(device))
    if device == "cuda" and recipe.run.precision == "auto":
        recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, precision="bf16"))
    found = {name: dry(recipe, name, memory=memory, device=device if here else "cpu") for name in _modes(recipe)}
    lines = {name: lines_of(x["points"], x["before"]) for name, x in found.items()}
    if not here:
        lines = {name: _on_gpu(lines[name], found[name]) for name in lines}
    first = next(iter(found.values()))
    options = _options(recipe, lines, memory)
    chosen = _choice(options)
    batches = seconds = None
    if first["clips"] is not None:
        own = options[chosen] if chosen is not None else options[0]
        batches = max(first["clips"] // own.batch, 1) * recipe.optim.epochs
        seconds = batches * _with_data(own, first["item_seconds"], recipe.data.workers)
    return Plan(
        recipe=recipe.name,
        device=device,
        precision="32" if recipe.run.precision == "auto" else recipe.run.precision,
        memory=memory,
        options=tuple(options),
        chosen=chosen,
        batches=batches,
        run_seconds=seconds,
        estimate=not here,
        notes=(*first["said"], *_notes(recipe, options, chosen, here)),
    )


def dry(recipe: Recipe, mode: str, *, memory: float, device: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Dry steps of a mode, in a process of its own. Raises what training would raise."""
    asked = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, **MODES[mode]))
    limits = {"most": recipe.optim.batch, "seconds": seconds, "memory": 0.8 * memory, "device": device}
    question = json.dumps({"recipe": dataclasses.asdict(asked), "limits": limits})
    done = subprocess.run(
        [sys.executable, "-m", "spikereel.train.dry"], input=question, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    last = (done.stderr.strip().splitlines() or ["it was ended, perhaps for want of memory"])[-1]
    kind, _, text = last.partition(": ")
    raise (ConfigError if kind.endswith("Error") and "spikereel" in kind else SpikereelError)(
        text or f"a dry step failed: {last}"
    )


def _modes(recipe: Recipe) -> list[str]:
    """That of the recipe first; with a loss that needs all of a step, that one alone."""
    own = "checkpointing" if recipe.run.checkpointing else recipe.run.memory
    # what checkpointing does, lean does with less
    return [own] if recipe.optim.energy_weight else [own, *(name for name in get_args(Memory) if name != own)]


def _options(recipe: Recipe, lines: dict[str, Lines], memory: float) -> list[Option]:
    """Of each mode the batch of the recipe, and where that does not fit the largest part of it that does."""
    whole, room, found = recipe.optim.batch, (1.0 - SPARE) * memory, []
    parts = [n for n in range(whole, 0, -1) if whole % n == 0]
    for name, line in lines.items():
        for batch in (whole, next((n for n in parts if n <= line.most(room)), parts[-1])):
            option = Option(
                memory=name,
                batch=batch,
                accumulate=recipe.optim.accumulate * (whole // batch),
                peak=line.peak(batch),
                seconds=line.seconds(batch),
                cpu_seconds=line.cpu_seconds(batch),
                fits=line.peak(batch) <= room,
            )
            if option not in found:
                found.append(option)
    return found


def _choice(options: Sequence[Option]) -> int | None:
    """The largest batch that fits, since norms see it whole; of these the fastest."""
    fitting = [i for i, option in enumerate(options) if option.fits]
    return max(fitting, key=lambda i: (options[i].batch, -options[i].seconds)) if fitting else None


def _with_data(option: Option, item_seconds: float, workers: int) -> float:
    """Seconds of a batch and of preparing its clips, by workers at the same time or between steps."""
    data = option.batch * item_seconds
    return max(option.seconds, data / workers) if workers else option.seconds + data


def _on_gpu(lines: Lines, found: dict[str, Any]) -> Lines:
    """What a GPU that is not here would take, from what is kept of a clip and its operations."""
    # weights, gradients, and two means for each
    fixed = 16.0 * found["parameters"] + GPU["context"]
    # beside what is kept, the layer that is worked on, its gradient and the workspaces of convolutions
    each = 1.35 * lines.kept
    # a value that is kept is read and written some eight times on the way
    moved, done = 8.0 * lines.kept, 6.0 * found["macs"]
    seconds = moved / (GPU["terabytes"] * 1e12) + done / (GPU["tflops"] * 1e12)
    return Lines(peak_at=(0, fixed, each), time_at=(0, LAUNCHES, seconds), cpu_at=(0, LAUNCHES, 0.0), kept=lines.kept)


def _notes(recipe: Recipe, options: Sequence[Option], chosen: int | None, here: bool) -> list[str]:
    said = []
    if chosen is None:
        least = min(options, key=lambda option: option.peak)
        cut = "" if recipe.optim.truncate else "; optim.truncate=8 cuts clips into windows"
        said.append(f"nothing fits: the least is {in_gib(least.peak)} with one clip at a time{cut}")
    elif options[chosen].batch < recipe.optim.batch:
        said.append(
            f"batch norms see {options[chosen].batch} clips at a time in place of {recipe.optim.batch}: "
            "figures may differ from the recipe's"
        )
    if not here:
        said.append(
            f"an estimate, nothing timed on a GPU: {GPU['tflops']:g} TFLOP/s and {GPU['terabytes']:g} TB/s taken"
        )
    return said


def in_gib(size: float) -> str:
    """A size in memory, such as "0.6 GiB"."""
    return f"{size / 2**30:.2f} GiB"


def bytes_of(text: str) -> float:
    """Bytes of "24GB", "512 MiB" or "8G". Raises ConfigError for anything else."""
    units = {
        "": 1,
        "b": 1,
        "k": 1e3,
        "m": 1e6,
        "g": 1e9,
        "t": 1e12,
        "kib": 2**10,
        "mib": 2**20,
        "gib": 2**30,
        "tib": 2**40,
    }
    number = text.strip().rstrip("abgikmtABGIKMT ")
    unit = text.strip()[len(number) :].strip().lower()
    factor = units.get(unit if unit.endswith("ib") else unit.removesuffix("b"))
    try:
        value = float(number) * (math.nan if factor is None else factor)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"--memory {text!r} is no size of memory; give one such as 24GB or 16GiB")
    return value

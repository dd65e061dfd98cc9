"""Joules from counters of the machine, where it has any: RAPL of the processor, NVML of an NVIDIA GPU.

These are joules of this machine running a dense simulation, idle power taken off; they say nothing of neuromorphic
hardware, and stand beside counted energies, never in a ratio with them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows RAPL: one folder a package, its energy in microjoules."""


class Counter(Protocol):
    """Energy that only grows."""

    name: str

    def joules(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Joules of one run on this machine."""

    joules: dict[str, float] = field(default_factory=dict)
    """{counter: joules a run, idle subtracted}."""
    idle_watts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    """Of one run."""
    runs: int = 0
    absent: tuple[str, ...] = ()
    """Counters that this machine does not offer, and why."""

    def lines(self) -> list[str]:
        """What to print."""
        shown = [
            f"measured on this machine by {name}: {1e3 * x:.4g} mJ a clip above idle ({self.idle_watts[name]:.3g} W), "
            f"{self.seconds:.3g} s, mean of {self.runs}"
            for name, x in self.joules.items()
        ]
        return [*shown, *(f"not measured: {reason}" for reason in self.absent)]


class Rapl:
    """One package of the processor; the counter wraps around."""

    def __init__(self, folder: Path):
        self.file, self.name = folder / "energy_uj", f"RAPL {(folder / 'name').read_text().strip()}"
        self.range = int((folder / "max_energy_range_uj").read_text())
        self.before, self.wraps = int(self.file.read_text()), 0

    def joules(self) -> float:
        """Since some time in the past; to be read at least once a wrap (about a minute)."""
        now = int(self.file.read_text())
        self.wraps += now < self.before
        self.before = now
        return (now + self.wraps * self.range) * 1e-6


class Nvml:
    """One GPU."""

    def __init__(self, pynvml: Any, index: int):
        self.pynvml, self.handle = pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)
        self.name = f"NVML {pynvml.nvmlDeviceGetName(self.handle)}"

    def joules(self) -> float:
        """Since the driver was loaded."""
        return self.pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) * 1e-3


def counters(powercap: Path = POWERCAP) -> tuple[list[Counter], tuple[str, ...]]:
    """Those that can be read here, and why the others cannot."""
    found, absent = [], []
    for kind, look in (("RAPL", lambda: _rapl(powercap)), ("NVML", _nvml)):
        some, reason = look()
        found += some
        if not some:
            absent.append(f"{kind}: {reason}")
    return found, tuple(absent)


def measure_joules(
    run: Callable[[], object], *, seconds: float = 5.0, idle_seconds: float = 2.0, powercap: Path = POWERCAP
) -> Measured:
    """Energy of one `run`: repeated for some seconds, less what the idle machine takes in the same time.

    run: has to wait for the GPU where it uses one. Without counters nothing is run.
    """
    found, absent = counters(powercap)
    if not found:
        return Measured(absent=absent)
    run()
    idle, idle_time = _spent(found, lambda: time.sleep(idle_seconds))
    watts = [x / idle_time for x in idle]
    total, elapsed, runs = [0.0] * len(found), 0.0, 0
    while elapsed < seconds:
        spent, took = _spent(found, run)
        total, elapsed, runs = [a + b for a, b in zip(total, spent, strict=True)], elapsed + took, runs + 1
    joules = {c.name: (x - w * elapsed) / runs for c, x, w in zip(found, total, watts, strict=True)}
    return Measured(
        joules=joules,
        idle_watts={c.name: w for c, w in zip(found, watts, strict=True)},
        seconds=elapsed / runs,
        runs=runs,
        absent=absent,
    )


def _spent(found: list[Counter], run: Callable[[], object]) -> tuple[list[float], float]:
    started, before = time.monotonic(), [c.joules() for c in found]
    run()
    return [c.joules() - x for c, x in zip(found, before, strict=True)], time.monotonic() - started


def _rapl(powercap: Path) -> tuple[list[Counter], str]:
    # one colon: packages; their parts would be counted twice
    folders = sorted(p for p in powercap.glob("intel-rapl:*") if p.name.count(":") == 1)
    if not folders:
        return [], f"no intel-rapl under {powercap}; the machine or its container does not show one"
    try:
        return [Rapl(folder) for folder in folders], ""
    except OSError as error:
        return [], f"{error.filename} cannot be read ({error.strerror}); it needs root since Linux 5.10"


def _nvml() -> tuple[list[Counter], str]:
    try:
        import pynvml  # ty: ignore[import-not-found]
    except ImportError:
        return [], "nvidia-ml-py is not installed; run: pip install 'spikereel[energy]'"
    try:
        pynvml.nvmlInit()
        return [Nvml(pynvml, i) for i in range(pynvml.nvmlDeviceGetCount())], "no GPU"
    except pynvml.NVMLError as error:
        return [], f"{error}"

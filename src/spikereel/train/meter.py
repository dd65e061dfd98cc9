"""What a step costs: memory of the process at most, tensors kept for its backward pass, and time."""

import resource
import sys
import weakref
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """The most memory since it was made, in bytes: of the whole process on a CPU, of its tensors on a GPU."""

    def __init__(self, device: torch.device | None = None):
        self.cuda = device is not None and device.type == "cuda"
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        elif FORGET.exists():
            try:
                # the kernel forgets the highest mark of this process, and nothing else
                FORGET.write_text("5")
            except OSError:
                # a mark that nobody may take back: then it is that of the process from its start
                return

    def read(self) -> int:
        """So far."""
        return torch.cuda.max_memory_allocated() if self.cuda else _resident("VmHWM:")


def resident() -> int:
    """Bytes of memory that this process has now."""
    return _resident("VmRSS:")


def _resident(name: str) -> int:
    if STATUS.exists():
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(name))
        return 1024 * int(line.split()[1])
    # no Linux: the highest mark of the process, in bytes on macOS and else in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_memory(device: torch.device) -> int:
    """Bytes that a run may have: what is free, and what this process has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0]
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1]) + resident()
    return 8 * 2**30


class Kept:
    """Bytes of tensors that backward passes wait for: now, and at most; each memory counts once, parameters never."""

    def __init__(self, parameters: Iterable[Tensor]):
        self.now = self.most = 0
        self._own = {p.untyped_storage().data_ptr() for p in parameters}
        self._counted: dict[int, int] = {}

    def add(self, x: Tensor) -> "_Held":
        """Count a tensor until autograd lets go of what is returned."""
        storage = x.untyped_storage()
        key = storage.data_ptr()
        held = _Held(x)
        if key not in self._own:
            users = self._counted[key] = self._counted.get(key, 0) + 1
            if users == 1:
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
            weakref.finalize(held, self._release, key, storage.nbytes())
        return held

    def _release(self, key: int, size: int) -> None:
        self._counted[key] -= 1
        if not self._counted[key]:
            del self._counted[key]
            self.now -= size


class _Held:
    def __init__(self, x: Tensor):
        self.x = x


@contextmanager
def kept_for_backward(parameters: Iterable[Tensor]) -> Generator[Kept, None, None]:
    """Count what is kept for backward passes inside the block."""
    kept = Kept(parameters)
    unpack: Any = lambda held: held.x  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(kept.add, unpack):
        yield kept

"""Errors of our own, carried out of the workers of a DataLoader as they are."""

import atexit
import signal
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from spikereel.errors import SpikereelError


class CarryingLoader(DataLoader):
    """A DataLoader that raises errors of ours as without workers, with their type and one line.

    torch would put the traceback of the worker into their message. Takes a `Carrying` dataset with a `CarryingCollate`.
    """

    keep_numbers = False
    """Whether `numbers` is kept."""

    def __iter__(self) -> Any:
        self.numbers: deque[list[int]] = deque()
        """Of the items of each batch that was given, as they came out of the workers; for who takes them out again."""
        batches = super().__iter__()
        if self.num_workers:
            # anew each time, so that it comes before what torch and multiprocessing do at exit
            atexit.unregister(end_workers)
            atexit.register(end_workers)
        return self._raised(batches)

    def _raised(self, batches: Iterator) -> Iterator:
        for numbers, batch in batches:
            if isinstance(batch, SpikereelError):
                raise batch
            if self.keep_numbers:
                self.numbers.append(numbers)
            yield batch


def go_on_working(_worker: int) -> None:
    """Let a worker pass over what tells a run to save: torchrun and Slurm send it to all processes, and a run whose
    workers died of it could not take its last step. Workers end with the run."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def end_workers() -> None:
    """End the workers that are still there when the interpreter stops, such as those of batches that a traceback holds.

    multiprocessing would send them SIGTERM, which they pass over, and wait for them without end.
    """
    for child in active_children():
        if child.daemon:
            child.kill()


class Carrying(Dataset):
    """(number, item) of a dataset, or the error of ours that an item ends in."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return index, self.dataset[index]
        except SpikereelError as error:
            return index, error


class CarryingCollate:
    """(numbers, batch) of (number, item): `collate`, torch's own unless given, of items; the first error among them
    instead, or that of `collate`."""

    def __init__(self, collate: Callable[[list], Any] | None = None):
        self.collate = collate or default_collate

    def __call__(self, pairs: list) -> Any:
        numbers, items = zip(*pairs, strict=True)
        try:
            found = next((item for item in items if isinstance(item, SpikereelError)), None)
            return list(numbers), found or self.collate(list(items))
        except SpikereelError as error:
            return list(numbers), error

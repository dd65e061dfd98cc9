"""Errors of our own, carried out of the workers of a DataLoader as they are."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from spikereel.errors import SpikereelError


class CarryingLoader(DataLoader):
    """A DataLoader that raises errors of ours as without workers, with their type and one line.

    torch would put the traceback of the worker into their message. Takes a `Carrying` dataset with a `CarryingCollate`.
    """

    def __iter__(self) -> Any:
        return _raised(super().__iter__())


class Carrying(Dataset):
    """The items of a dataset, or the error of ours that an item ends in."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except SpikereelError as error:
            return error


class CarryingCollate:
    """`collate`, torch's own unless given, of items; the first error among them instead, or that of `collate`."""

    def __init__(self, collate: Callable[[list], Any] | None = None):
        self.collate = collate or default_collate

    def __call__(self, items: list) -> Any:
        try:
            return next((item for item in items if isinstance(item, SpikereelError)), None) or self.collate(items)
        except SpikereelError as error:
            return error


def _raised(batches: Iterator) -> Iterator:
    for batch in batches:
        if isinstance(batch, SpikereelError):
            raise batch
        yield batch

"""Which clips make a batch: in the order of an epoch, all of one size, from any batch on."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch.distributed as dist
from torch.utils.data import Sampler

from spikereel.data.clips import Part, WrappedClips
from spikereel.data.mask_clips import MaskClips, short_side
from spikereel.data.pictures import picture_size
from spikereel.errors import ConfigError


class EpochOrder(Sampler[int]):
    """All items in an order that depends on seed and epoch, whatever was drawn before."""

    def __init__(self, length: int, seed: int, batch: int = 1):
        self.length, self.seed, self.batch, self.epoch, self.skip = length, seed, batch, 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of what is read from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        # a run that goes on in the middle of an epoch has seen so many batches of it
        first, self.skip = self.skip * self.batch, 0
        yield from self.order()[first:]

    def order(self) -> list[int]:
        """The items of this epoch."""
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.length).tolist()


class Shares(Sampler[list[int]]):
    """The share of this process of every batch: the clips of a step are the same whatever the number of processes.

    Process r of w has the clips from r n // w to (r + 1) n // w of a batch of n; alone, all of them.
    """

    def __init__(self, batches: Sampler[list[int]]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)  # ty: ignore[invalid-argument-type]

    def __iter__(self) -> Iterator[list[int]]:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        for batch in self.batches:
            n = len(batch)
            if n < world:
                raise ConfigError(
                    f"a batch has {n} clips for {world} devices; give fewer devices or a larger optim.batch"
                )
            yield batch[rank * n // world : (rank + 1) * n // world]

    @property
    def order(self) -> EpochOrder | None:
        """The order that batches are made of."""
        return getattr(self.batches, "order", None) or getattr(self.batches, "sampler", None)


class SameSize(Sampler[list[int]]):
    """Batches of items of one size: padding would change what a network makes of them.

    Without an order, items follow each other, and a batch ends where the size changes. With one, a batch is made when
    so many of its size have come; what is left of a size at the end of an epoch is a smaller batch.
    """

    def __init__(self, sizes: Sequence[tuple[int, ...]], batch: int, order: EpochOrder | None = None):
        self.sizes, self.batch, self.order = list(sizes), batch, order

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        first = 0
        if self.order is not None:
            first, self.order.skip = self.order.skip, 0
        yield from self._batches()[first:]

    def _batches(self) -> list[list[int]]:
        if self.order is None:
            return self._runs()
        waiting: dict[tuple[int, ...], list[int]] = {}
        batches = []
        for i in self.order.order():
            own = waiting.setdefault(self.sizes[i], [])
            own.append(i)
            if len(own) == self.batch:
                batches.append(waiting.pop(self.sizes[i]))
        return batches + list(waiting.values())

    def _runs(self) -> list[list[int]]:
        batches: list[list[int]] = []
        for i, size in enumerate(self.sizes):
            if batches and len(batches[-1]) < self.batch and self.sizes[batches[-1][0]] == size:
                batches[-1].append(i)
            else:
                batches.append([i])
        return batches


def sizes_of(clips: object) -> list[tuple[int, ...]] | None:
    """Height and width of every item; None where all items are of one size by the way they are made."""
    if isinstance(clips, Part):
        whole = sizes_of(clips.clips)
        return None if whole is None else [whole[i] for i in clips.kept]
    if isinstance(clips, WrappedClips):
        return sizes_of(clips.clips)
    if not isinstance(clips, MaskClips) or (clips.reading.train and clips.reading.crop):
        return None
    sizes = [picture_size(clips.videos[video].frames[at]) for video, at in clips.anchors]
    return [short_side(size, clips.reading.size) if clips.reading.size else size for size in sizes]

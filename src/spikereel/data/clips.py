"""What every dataset of labelled clips offers."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LabelledClips(Protocol):
    """What training and evaluation ask of a dataset; items are `(video, label)`."""

    @property
    def classes(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, int]: ...

    def set_epoch(self, epoch: int) -> None: ...

    def fingerprint(self) -> str: ...

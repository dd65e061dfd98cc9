"""Clips of which half are mirrored, with the class that a mirror makes of theirs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikereel.data.clips import Clips, WrappedClips
from spikereel.data.transforms import horizontal_flip

IGNORE = 255
"""Label of pixels without a class, which stays."""


class MirroredClips(WrappedClips[Any]):
    """Half of the clips are mirrored, and their labels, or the pixels of their masks, are of the mirrored class.

    others: of each class the one that its mirror image is of; None for none: what shows such a class is not mirrored.
    Of several copies [copies, T, C, H, W] each has a draw and a label of its own: labels int64 [copies].
    """

    def __init__(self, clips: Clips, others: Sequence[int | None], *, seed: int = 0):
        super().__init__(clips, seed)
        self.others = list(others)
        self.collate = getattr(clips, "collate", None)

    def item(self, index: int) -> tuple[Tensor, Any]:
        """The clip of that index, mirrored or not."""
        clip, target = self.clips[index]
        generator = self.random(index)
        if isinstance(target, Tensor):
            return self._masked(clip, target) if generator.random() < 0.5 else (clip, target)
        copies = clip.unbind() if clip.ndim == 5 else [clip]
        done = [self._labelled(copy, target) if generator.random() < 0.5 else (copy, target) for copy in copies]
        if clip.ndim == 5:
            return torch.stack([copy for copy, _ in done]), torch.tensor([label for _, label in done])
        return done[0]

    def fingerprint(self) -> str:
        """That of the clips: what is changed at random is no part of it."""
        return self.clips.fingerprint()

    def _labelled(self, clip: Tensor, label: int) -> tuple[Tensor, int]:
        other = self.others[label]
        return (clip, label) if other is None else (horizontal_flip(clip), other)

    def _masked(self, clip: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        table = torch.arange(max(IGNORE, len(self.others)) + 1)
        for label, other in enumerate(self.others):
            if other is not None:
                table[label] = other
            elif bool((masks == label).any()):
                return clip, masks
        return horizontal_flip(clip), table[horizontal_flip(masks)]

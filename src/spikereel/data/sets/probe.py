"""Temporal probes as a data set: `length` clips an epoch, every epoch with clips of its own."""

from torch import Tensor

from spikereel.data.made.probes import ProbeClips
from spikereel.data.sets.motion import Generated


class ProbeVideos(Generated[ProbeClips, int]):
    """`length` clips an epoch of a probe: items `(video float32 [T, C, H, W], label)`.

    clips: a generator of as many clips as all epochs need. mean, std: the normalisation of colours.
    """

    def __init__(self, clips: ProbeClips, length: int, *, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__(clips, length, mean, std)
        self.classes, self.simulated = clips.classes, clips.modality == "events"

    def item(self, index: int) -> tuple[Tensor, int]:
        """A clip and its label."""
        video, label = self.clips[self.number(index)]
        return self.normal(video), label

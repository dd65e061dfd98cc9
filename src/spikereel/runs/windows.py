"""Windows of a clip, each of which is learnt from by itself: which frames they have, and what share of the loss."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Frames `first` to `end` of a clip, `end` not among them."""

    first: int
    end: int
    ends: tuple[int, ...]
    """`end` of all windows of the clip; the last one is its length."""

    @property
    def frames(self) -> slice:
        """Of the clip, on its first axis."""
        return slice(self.first, self.end)

    @property
    def last(self) -> bool:
        """Whether the clip ends with it."""
        return self.end == self.ends[-1]

    @property
    def share(self) -> float:
        """Of the frames of the clip."""
        return (self.end - self.first) / self.ends[-1]

    @property
    def share_so_far(self) -> float:
        """Of all frames that answers to all windows are the mean of, those of the answer after this one.

        With it every frame of a clip weighs the same in the gradient: the mean of n frames gives each 1 / n of it.
        """
        return self.end / sum(self.ends)


def windows_of(frames: int, size: int) -> list[Window]:
    """Windows of `size` frames, the last one of what is left."""
    ends = (*range(size, frames, size), frames)
    return [Window(first, end, ends) for first, end in zip((0, *ends), ends, strict=False)]

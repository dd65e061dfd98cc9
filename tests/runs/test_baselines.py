"""The simple models that stand beside a network, and the clips that they see."""

import torch

from spikereel.runs.baselines import MOST_CLIPS, features


class _InTurn(list):
    """Clips whose classes follow one another, as those that are made do."""

    def __init__(self, length: int, classes: int):
        super().__init__((torch.full((1,), float(i)), i % classes) for i in range(length))


def test_some_of_many_clips_show_every_class():
    for classes in (2, 4, 5, 8, 10):
        seen, labels = features(_InTurn(1000, classes), lambda video: video, MOST_CLIPS)
        assert len(labels) == len(set(seen.flatten().tolist())) == MOST_CLIPS
        counts = torch.bincount(labels, minlength=classes)
        # evenly spread clips had 0 of some of ten classes and 67 of others, of 40 expected
        assert counts.min() > 0.6 * MOST_CLIPS / classes
        assert counts.max() < 1.4 * MOST_CLIPS / classes


def test_they_are_the_same_every_time_and_all_of_few():
    one, two = (features(_InTurn(1000, 10), lambda video: video, MOST_CLIPS)[0] for _ in range(2))
    assert torch.equal(one, two)
    assert features(_InTurn(30, 3), lambda video: video, MOST_CLIPS)[1].tolist() == [0, 1, 2] * 10

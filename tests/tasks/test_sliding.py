"""Sliding windows: they cover every pixel, average where they overlap, and labels at any size."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from spikereel.errors import ConfigError
from spikereel.tasks.sliding import labels_at, segment, window_starts


class Pointwise(nn.Module):
    """Logits of each pixel by itself."""

    def __init__(self):
        super().__init__()
        self.out = nn.Conv2d(3, 5, 1)
        self.seen = []

    def forward(self, video, state=None):
        self.seen.append(tuple(video.shape[-2:]))
        frames = self.out(video.flatten(0, 1))
        return frames.unflatten(0, video.shape[:2]), state


@given(st.integers(1, 90), st.integers(1, 40), st.floats(0, 0.9))
def test_windows_cover_everything(length, window, overlap):
    starts = window_starts(length, window, overlap)
    seen = {pixel for start in starts for pixel in range(start, min(start + window, length))}
    assert seen == set(range(length))
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert starts[-1] == max(length - window, 0)
    for a, b in pairwise(starts):
        assert b - a <= max(int(window * (1 - overlap)), 1)


@pytest.mark.parametrize("window", [(8, 8), (7, 50), (50, 9), (50, 50)])
@torch.inference_mode()
def test_windows_of_a_pointwise_network_change_nothing(window):
    model, video = Pointwise(), torch.rand(2, 3, 3, 21, 33)
    whole = segment(model, video)
    assert whole.shape == (2, 3, 5, 21, 33)
    model.seen.clear()
    torch.testing.assert_close(segment(model, video, window=window, overlap=0.3), whole)
    assert set(model.seen) == {(min(window[0], 21), min(window[1], 33))}


def test_overlaps_are_averaged():
    class Counting(nn.Module):
        calls = 0

        def forward(self, video, state=None):
            self.calls += 1
            return torch.full_like(video[:, :, :1], float(self.calls)), state

    logits = segment(Counting(), torch.zeros(1, 1, 3, 2, 6), window=(2, 4), overlap=0.5)
    assert logits[0, 0, 0].tolist() == [[1.0, 1.0, 1.5, 1.5, 2.0, 2.0]] * 2


@pytest.mark.parametrize(("window", "overlap"), [((4,), 0.5), ((0, 4), 0.5), ((4, 4), 1.0), ((4, 4), -0.1)])
def test_windows_out_of_range(window, overlap):
    with pytest.raises(ConfigError, match="height and width in pixels"):
        segment(Pointwise(), torch.rand(1, 1, 3, 8, 8), window=window, overlap=overlap)


@pytest.mark.parametrize("classes", [1, 5, 8, 21])
def test_labels_are_those_of_the_enlarged_logits(classes):
    logits = torch.randn(classes, 5, 7)
    expected = F.interpolate(logits[None], (13, 24), mode="bilinear")[0].argmax(0)
    assert torch.equal(labels_at(logits, (13, 24)).long(), expected)

"""Segmentation figures by hand: confusion, IoU, and consistency over windows."""

import math

import pytest
import torch

from spikereel.data.mask_clips import IGNORE as DATA_IGNORE
from spikereel.errors import DataError
from spikereel.tasks.segmentation import IGNORE, SegmentationScore, VideoConsistency


def test_one_value_means_ignore():
    assert IGNORE == DATA_IGNORE == 255


def test_iou_by_hand():
    score = SegmentationScore(("a", "b", "c", "never"))
    truth = torch.tensor([[[0, 0, 0, 1], [1, 1, 255, 2]]])
    labels = torch.tensor([[[0, 0, 1, 1], [1, 0, 2, 2]]])
    score.add(labels, truth)
    assert score.confusion[:3, :3].tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert score.iou()[:3] == pytest.approx([50.0, 50.0, 100.0])
    assert math.isnan(score.iou()[3])
    assert score.miou == pytest.approx(200 / 3)
    assert score.pixel_accuracy == pytest.approx(500 / 7)
    found = score.to_json()
    assert found["per_class_iou"]["never"] is None
    assert (found["frames"], found["pixels"], found["vc8"]) == (1, 7, None)


def test_counts_stream():
    whole, parts = SegmentationScore(("a", "b", "c")), SegmentationScore(("a", "b", "c"))
    labels, truth = torch.randint(0, 3, (2, 5, 4, 6)), torch.randint(0, 3, (2, 5, 4, 6))
    truth[0, 1] = IGNORE
    whole.add(labels, truth)
    for x, y in zip(labels.flatten(0, 1), truth.flatten(0, 1), strict=True):
        parts.add(x, y)
    assert torch.equal(whole.confusion, parts.confusion)
    assert whole.frames == parts.frames == 9


def test_labels_beyond_the_classes():
    with pytest.raises(DataError, match="from 0 to 2; there are 2 classes"):
        SegmentationScore(("a", "b")).add(torch.zeros(1, 1, 2).long(), torch.tensor([[[0, 2]]]))


def reference(n, labels, truth):
    """As the papers write it, window by window."""
    shares = []
    for i in range(len(truth) - n + 1):
        t, x = truth[i : i + n], labels[i : i + n]
        constant = (t == t[0]).all(0) & (t[0] != IGNORE)
        if constant.any():
            right, steady = (x == t).all(0), (x == x[0]).all(0)
            shares.append([float((constant & s).sum() / constant.sum()) for s in (right, steady)])
    return torch.tensor(shares, dtype=torch.float64).mean(0)


def test_consistency_is_that_of_the_windows():
    generator = torch.Generator().manual_seed(0)
    rare = torch.rand(20, 8, 9, generator=generator) < 0.05
    truth = rare.long().cumsum(0) % 3
    labels = torch.where(torch.rand(20, 8, 9, generator=generator) < 0.1, 1, truth)
    truth[7, :2] = IGNORE
    score = SegmentationScore(("a", "b", "c"), consistency=VideoConsistency(lengths=(3, 8)))
    score.add_clip(labels[:12], truth[:12], "one")
    # a frame before, seen again for context, has no label
    context = torch.full_like(truth[11:12], IGNORE)
    score.add_clip(labels[11:], torch.cat([context, truth[12:]]), "one")
    score.add_clip(labels[:9], truth[:9], "two")
    score.add_clip(labels[:9], truth[:9])
    found = score.consistency.to_json()
    for n in (3, 8):
        expected = (reference(n, labels, truth) + reference(n, labels[:9], truth[:9])) / 2
        assert [found[f"vc{n}"], found[f"vc{n}_steady"]] == pytest.approx((100 * expected).tolist(), rel=1e-6)


def test_constantly_wrong_is_steady_and_not_right():
    score = SegmentationScore(("a", "b"))
    score.add_clip(torch.ones(8, 2, 2).long(), torch.zeros(8, 2, 2).long(), "v")
    found = score.consistency.to_json()
    assert (found["vc8"], found["vc8_steady"], found["vc16"]) == (0.0, 100.0, None)

"""Loss and score by hand."""

import math

import pytest
import torch

from spikereel.errors import DataError
from spikereel.tasks.classification import ClassificationScore, classification_loss, view_scores


def test_loss_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0]])
    label = torch.tensor([0])
    assert float(classification_loss(logits, label)) == pytest.approx(-math.log(0.75))
    smoothed = -0.95 * math.log(0.75) - 0.05 * math.log(0.25)
    assert float(classification_loss(logits, label, smoothing=0.1)) == pytest.approx(smoothed)


def test_soft_targets_are_not_smoothed_again():
    logits, soft = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.7, 0.3]])
    assert torch.equal(classification_loss(logits, soft, smoothing=0.1), classification_loss(logits, soft))


def test_loss_is_float32_from_bfloat16():
    assert classification_loss(torch.zeros(2, 3, dtype=torch.bfloat16), torch.tensor([0, 1])).dtype == torch.float32


def test_score_over_batches():
    score = ClassificationScore(6)
    eye = torch.eye(6)
    # 0 right, 1 taken for 2, and 5 last of six
    score.add(eye[[0]], torch.tensor([0]))
    score.add(torch.stack([eye[2] + 0.5 * eye[1], 6.0 - torch.arange(6.0)]), torch.tensor([1, 5]))
    assert score.clips == 3
    assert score.top1 == pytest.approx(100 / 3)
    assert score.top5 == pytest.approx(200 / 3)
    assert score.confusion[1, 2] == 1
    assert score.confusion[5, 0] == 1
    assert score.per_class() == [100.0, 0.0, None, None, None, 0.0]


@pytest.mark.parametrize("classes", [2, 5])
def test_of_five_classes_or_fewer_there_is_no_top5(classes):
    score = ClassificationScore(classes)
    score.add(torch.arange(float(classes))[None], torch.tensor([0]))
    assert (score.top1, score.top5) == (0.0, None)


def test_of_equal_scores_the_first_is_the_best():
    score = ClassificationScore(7)
    score.add(torch.zeros(7, 7), torch.arange(7))
    assert score.confusion[:, 0].tolist() == [1] * 7
    assert score.top5 == pytest.approx(500 / 7)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_that_are_not_finite_are_refused(value):
    with pytest.raises(DataError, match="scores are not finite"):
        ClassificationScore(2).add(torch.tensor([[0.0, value]]), torch.tensor([0]))


class MeanOfVideo(torch.nn.Module):
    def forward(self, video):
        return video.mean((0, 3, 4)), None


def test_logits_of_views_are_averaged():
    videos = torch.rand(2, 3, 4, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    each = torch.stack([view_scores(MeanOfVideo(), videos[:, i]) for i in range(3)])
    assert each.shape == (3, 2, 5)
    torch.testing.assert_close(view_scores(MeanOfVideo(), videos), each.mean(0))
    probabilities = view_scores(MeanOfVideo(), videos, "softmax")
    torch.testing.assert_close(probabilities, each.softmax(2).mean(0))
    assert not torch.allclose(probabilities, each.mean(0).softmax(1))

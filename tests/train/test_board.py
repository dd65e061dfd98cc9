"""What a run leaves for TensorBoard, read back from its files."""

import pytest
import torch
from small import small_recipe
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikereel.train.board import CELL, confusion_picture
from spikereel.train.module import warmup_decay
from spikereel.train.run import train


def test_tensorboard_has_learning_rate_firing_confusion_and_clips(tmp_path):
    recipe = small_recipe(tmp_path)
    result = train(recipe)
    log = EventAccumulator(str(result.folder / "log"), size_guidance={"images": 0}).Reload()
    tags = log.Tags()
    (last,) = {log.Scalars(tag)[-1].value for tag in tags["scalars"] if tag.startswith("lr-")}
    o = recipe.optim
    assert last == pytest.approx(o.lr * warmup_decay(2, 3, o.warmup, o.min_lr / o.lr))
    layers = [tag for tag in tags["scalars"] if tag.startswith("firing by layer/")]
    assert len(layers) > 10
    mean = sum(log.Scalars(tag)[-1].value for tag in layers) / len(layers)
    assert mean == pytest.approx(result.history[-1]["firing"], rel=1e-5)
    (confusion,) = log.Images("confusion (rows are true)")
    assert (confusion.height, confusion.width) == (10 * CELL, 10 * CELL)
    clips = [tag for tag in tags["images"] if tag.startswith("training clips/")]
    assert len(clips) == 4
    assert log.Images(clips[0])[0].width == recipe.data.frames * recipe.data.size


def test_a_row_of_the_confusion_is_white_where_all_clips_of_a_class_went():
    picture = confusion_picture(torch.tensor([[3, 1], [0, 0]]))
    assert picture.shape == (1, 2 * CELL, 2 * CELL)
    assert picture[0, 0, 0] == 0.75
    assert not picture[0, CELL:].any()

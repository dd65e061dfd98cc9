"""Learning from another network's answers: the loss, the order of classes, what is refused, and what a run keeps."""

from dataclasses import replace

import pytest
import torch
from small import DATA, small_recipe, video_folder
from tiny import clip, tiny_model

from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata, create_model, load_model, save_model
from spikereel.runs.config import DistillSpec, OptimSpec, Recipe
from spikereel.runs.distill import Teacher
from spikereel.runs.origins import trained_on
from spikereel.runs.recipes import get_recipe
from spikereel.train.run import train


@pytest.fixture
def teacher(tmp_path):
    """Weights of two classes, and the model."""
    model = tiny_model(num_classes=2)
    path = tmp_path / "teacher.safetensors"
    save_model(model, path, Metadata(name="spikevideoformer_ti", classes=("left", "right")))
    return path, model


def _of(path, **more):
    return DistillSpec(weights=str(path), **more)


@pytest.mark.parametrize("heat", [1.0, 3.0])
def test_the_gradient_is_that_of_soft_targets(teacher, heat):
    own = Teacher(_of(teacher[0], weight=0.25, temperature=heat), classes=("left", "right"), channels=3)
    output = torch.tensor([[0.3, -1.2], [2.0, 0.1], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    answers = torch.tensor([[1.0, 0.0], [0.5, 0.7], [-2.0, 3.0]])
    (own.loss(output, answers, output.square().sum())).backward()
    said, wanted = (output / heat).softmax(1), (answers.double() / heat).softmax(1)
    assert torch.allclose(output.grad, 0.75 * 2 * output + 0.25 * heat * (said - wanted) / 3, rtol=1e-6)


def test_the_same_answers_cost_nothing(teacher):
    own = Teacher(_of(teacher[0], weight=1.0), classes=("left", "right"), channels=3)
    output = torch.randn(4, 2)
    assert float(own.loss(output, output.clone(), torch.tensor(7.0))) == pytest.approx(0.0, abs=1e-6)


def test_answers_come_in_the_order_of_the_students_classes(teacher):
    path, model = teacher
    straight = Teacher(_of(path), classes=("left", "right"), channels=3).answers(clip())
    turned = Teacher(_of(path), classes=("right", "left"), channels=3).answers(clip())
    assert torch.equal(straight, turned.flip(1))
    assert not torch.equal(straight, turned)
    with torch.no_grad():
        assert torch.equal(straight, model.float().eval()(clip().float())[0])


def test_a_run_learns_from_both_and_passes_on_what_the_teacher_saw(tmp_path):
    def ran(name, **distill):
        data = replace(DATA, kind="folder", root=str(video_folder(tmp_path / "videos", each=3)), frames=2)
        recipe = replace(small_recipe(tmp_path / name, batch=2), data=data, distill=DistillSpec(**distill))
        return load_model(train(recipe).last)

    first = small_recipe(tmp_path / "first", batch=2)
    other = replace(DATA, kind="folder", root=str(video_folder(tmp_path / "others", each=4)), frames=2)
    weights = str(train(replace(first, data=other)).last)
    plain, labels, taught = ran("a"), ran("b", weights=weights, weight=0.0), ran("c", weights=weights, weight=1.0)
    # a share of 0 is labels alone, to the last bit
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), labels.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(plain.parameters(), taught.parameters(), strict=True))
    assert taught.state_dict().keys() == plain.state_dict().keys()
    known, own, seen = (trained_on(x.metadata.training) for x in (load_model(weights), plain, taught))
    assert known - own
    assert seen == known | own


def test_what_cannot_teach_is_refused(teacher, tmp_path):
    path, _ = teacher
    with pytest.raises(DataError, match="classes"):
        Teacher(_of(path), classes=("left", "right", "up"), channels=3)
    with pytest.raises(DataError, match="see 3 channels, these clips have 2"):
        Teacher(_of(path), classes=("left", "right"), channels=2)
    pose = create_model("spikevideoformer_ti", task="pose", joints=20)
    save_model(pose, tmp_path / "pose.safetensors", Metadata(name="spikevideoformer_ti"))
    with pytest.raises(DataError, match="task=pose"):
        Teacher(_of(tmp_path / "pose.safetensors"), classes=("left", "right"), channels=3)
    with pytest.raises(ConfigError, match="task=pose"):
        replace(get_recipe("synthetic_pose"), distill=_of(path))
    with pytest.raises(ConfigError, match="whole ones"):
        Recipe(name="r", distill=_of(path), optim=OptimSpec(truncate=2))
    for wrong in ({"weight": 1.5}, {"temperature": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            DistillSpec(**wrong)

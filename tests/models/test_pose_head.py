"""The second task of SpikeVideoFormer: sizes, outputs, streaming, files."""

import pytest
import torch

from spikereel.errors import ConfigError, StateError
from spikereel.hub import create_model, load_model, save_model
from spikereel.models.pose_head import BodyPose, JointPose, PoseConfig, PoseHead
from tests.tiny import clip, tiny_model

KINDS = [{"body": "joints", "joints": 20}, {"body": "smpl"}, {"body": "joints", "joints": 5, "regressor": "linear"}]


def pose_model(video=None, *, attention="joint", **pose):
    model = tiny_model(video, task="pose", pose=PoseConfig(dropout=0.0, **pose), attention=attention)
    for layer in model.head.out.values():
        torch.nn.init.normal_(layer.weight, std=0.1)
    return model


def parameters(name, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name, task="pose", **options).parameters())


def test_published_size():
    # spec 8.2: backbone 54,717,952; iterative regressor of width 640; three linear layers
    assert parameters("spikevideoformer_b", body="smpl") == 54_717_952 + 1_021_597
    assert parameters("spikevideoformer_b", body="smpl", regressor="linear") == 54_717_952 + 157 * 641
    assert parameters("spikevideoformer_b", body="smpl", hidden=512) < parameters("spikevideoformer_b", body="smpl")


@pytest.mark.parametrize("pose", KINDS)
def test_a_pose_at_every_frame(pose):
    model, video = pose_model(**pose), clip()
    output, state = model(video)
    j = pose.get("joints", 24)
    assert output.translation.shape == (4, 2, 3)
    if pose["body"] == "smpl":
        assert isinstance(output, BodyPose)
        assert (output.rotations.shape, output.shape.shape) == ((4, 2, 24, 6), (4, 2, 10))
    else:
        assert isinstance(output, JointPose)
        assert output.joints.shape == (4, 2, j, 3)
    assert "head" not in state
    first = output[0]
    assert not torch.equal(first[0], first[1]), "frames differ"
    assert not torch.equal(first[:, 0], first[:, 1]), "clips differ"


@pytest.mark.parametrize("attention", ["spatial", "causal"])
def test_frame_by_frame_is_the_clip(attention):
    model, video = pose_model(attention=attention, joints=20), clip()
    whole, _ = model(video)
    state, parts = None, []
    for frame in video:
        output, state = model(frame[None], state)
        parts.append(output.joints)
    torch.testing.assert_close(torch.cat(parts), whole.joints, rtol=0, atol=1e-12)


def test_joint_attention_goes_on_from_no_state():
    model, video = pose_model(joints=20), clip()
    with pytest.raises(StateError, match="whole clip"):
        model(video, model(video)[1])


def test_iterations_by_hand():
    torch.manual_seed(0)
    head = PoseHead(3, PoseConfig(joints=2, iterations=2, hidden=4)).double().eval()
    for p in head.parameters():
        torch.nn.init.normal_(p)
    head.start_from(joints=torch.arange(6.0), translation=torch.tensor([0.0, 1.0, 2.0]))
    x = torch.randn(1, 1, 3, dtype=torch.float64)
    theta = torch.tensor([0.0, 1, 2, 3, 4, 5, 0, 1, 2], dtype=torch.float64)
    w, b = (torch.cat([getattr(head.out[k], n) for k in ("joints", "translation")]) for n in ("weight", "bias"))
    for _ in range(2):
        h = head.fc1.weight @ torch.cat([x[0, 0], theta]) + head.fc1.bias
        theta = theta + w @ (head.fc2.weight @ h + head.fc2.bias) + b
    joints, translation = head(x)
    torch.testing.assert_close(torch.cat([joints.flatten(), translation.flatten()]), theta)


@pytest.mark.parametrize("pose", KINDS)
def test_every_parameter_learns(pose):
    model, video = pose_model(**pose).train(), clip()
    output, _ = model(video)
    sum(part.square().sum() for part in output).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize("pose", KINDS)
def test_the_configuration_travels_in_the_file(tmp_path, pose):
    model = create_model("spikevideoformer_ti", task="pose", in_channels=1, **pose).eval()
    model.head.start.normal_()
    save_model(model, tmp_path / "pose.safetensors")
    again = load_model(tmp_path / "pose.safetensors")
    assert again.config == model.config
    assert again.config.pose == PoseConfig(**pose)
    assert torch.equal(again.head.start, model.head.start)


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="SMPL has 24 joints"):
        create_model("spikevideoformer_ti", task="pose", body="smpl", joints=20)
    with pytest.raises(ConfigError, match="'joints' belongs to task='pose'"):
        create_model("spikevideoformer_ti", joints=20)
    with pytest.raises(ConfigError, match="did you mean 'regressor'"):
        create_model("spikevideoformer_ti", task="pose", regresor="linear")
    with pytest.raises(ConfigError, match="task"):
        create_model("spikevideoformer_ti", task="poses")
    with pytest.raises(ConfigError, match="task"):
        create_model("svformer", task="pose")
    for wrong in ({"joints": 1}, {"iterations": 0}, {"hidden": 0}, {"dropout": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PoseConfig(**wrong)

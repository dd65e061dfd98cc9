"""Energy of a model by name: trained weights on their own kind of clips, or an architecture on stand-ins."""

import torch

from spikereel.apps.predict import predict
from spikereel.data.motion import MotionClips
from spikereel.errors import ConfigError
from spikereel.hub import ARCHITECTURES, architecture, create_model, load_model
from spikereel.layers.calibrate import calibrate
from spikereel.models.base import VideoModel
from spikereel.models.svformer import SVFormerConfig
from spikereel.runtime.energy import Passport, measure
from spikereel.train.clips import build_dataset
from spikereel.train.config import data_spec_of
from spikereel.train.pose import build_pose_dataset

CLIPS = 10


def energy_of(
    name: str, *, video: str | None = None, frames: int | None = None, size: int | None = None
) -> tuple[Passport, str]:
    """Passport, and a sentence that says what the firing rates were measured on.

    An architecture without weights runs with random ones and norms calibrated on procedural clips: operations are
    exact, firing rates are those of an untrained network.
    """
    if name in ARCHITECTURES:
        if video is not None:
            raise ConfigError(f"{name} has no trained weights to run on {video}; give weights, or leave --video out")
        return _untrained(name, frames or 4, size or 224)
    model = load_model(name)
    if frames is not None or size is not None:
        raise ConfigError("trained weights are measured at the frames and size they were trained for; leave both out")
    if model.task == "pose":
        return _of_poses(model, name, video)
    if video is not None:
        return predict(model, video, views=1).passport, f"firing rates measured on {video}"
    spec = data_spec_of(model.metadata)
    if spec.kind != "motion":
        raise ConfigError(f"{name} was trained on {spec.kind} clips; give one of them with --video")
    dataset = build_dataset(spec, "test")
    clips = torch.stack([dataset[i][0] for i in range(CLIPS)], dim=1)
    return measure(model, clips), f"firing rates measured on {CLIPS} fresh procedural clips"


def _of_poses(model: VideoModel, name: str, video: str | None) -> tuple[Passport, str]:
    """Measured on clips that training did not see."""
    if video is not None:
        raise ConfigError(f"{name} is for pose, which is measured on the held-out clips of its data; leave --video out")
    spec = data_spec_of(model.metadata)
    dataset = build_pose_dataset(spec, "val")
    count = min(CLIPS, len(dataset))
    clips = torch.stack([dataset[i * len(dataset) // count][0] for i in range(count)], dim=1)
    return measure(model, clips), f"firing rates measured on {count} held-out clips of data.kind={spec.kind}"


def _untrained(name: str, frames: int, size: int) -> tuple[Passport, str]:
    if frames < 1 or size < 16:
        raise ConfigError(f"--frames must be at least 1 and --size at least 16, got {frames} and {size}")
    torch.manual_seed(0)
    tied = isinstance(architecture(name).config, SVFormerConfig)
    model = create_model(name, **({"frames": frames, "image_size": size} if tied else {}))
    dataset = MotionClips(2, frames=frames, height=size, width=size)
    clips = torch.stack([dataset[i][0] for i in range(2)], dim=1) * 2 - 1
    calibrate(model, [clips])
    return measure(model, clips[:, :1]), (
        f"random weights, norms calibrated on 2 procedural clips of {frames} x {size} x {size}: operations are exact, "
        "firing rates are those of an untrained network"
    )

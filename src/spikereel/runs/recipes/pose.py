"""Recipes of poses, one function a run."""

from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, PoseSpec, Recipe, RunSpec
from spikereel.tasks.pose import PoseWeights


def synthetic_pose() -> Recipe:
    """3D pose of an articulated figure in depth, 20 joints: the default data of pose, minutes on a CPU.

    Beside depth the network sees its changes, from which it learns faster.
    """
    return Recipe(
        name="synthetic_pose",
        task="pose",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, dropout=0.0),
        data=DataSpec(
            kind="figure",
            modality="depth",
            depth_motion=True,
            frames=8,
            size=48,
            train_length=1600,
            test_length=200,
            workers=0,
        ),
        optim=OptimSpec(lr=3e-3, epochs=10, batch=16, weight_decay=0.02, clip_norm=10.0),
        pose=PoseSpec(weights=PoseWeights(joints=100.0, translation=1.0)),
    )


def utd_mhad_pose() -> Recipe:
    """UTD-MHAD, 20 joints in depth: leaves out the subject `data.fold`; `data.protocol=official` for the published.

    `data.modality=events` sees events simulated from the depth instead. Neurons are Integer-LIF, as the paper has them
    for segmentation, and the regressor the linear one: what it gets are spikes, and no real numbers.
    """
    return Recipe(
        name="utd_mhad_pose",
        task="pose",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, neuron="ilif", regressor="linear"),
        data=DataSpec(
            kind="utd_mhad",
            modality="depth",
            depth_motion=True,
            frames=8,
            size=48,
            rotate=5.0,
            zoom=0.15,
            shift=1,
            workers=0,
        ),
        optim=OptimSpec(lr=3e-3, epochs=80, batch=8, weight_decay=0.02, clip_norm=10.0),
        pose=PoseSpec(weights=PoseWeights(joints=0.0, distance=10.0, translation=1.0)),
        run=RunSpec(validate_every=10),
    )


def mmhpsd_pose() -> Recipe:
    """SpikeVideoFormer-b on MMHPSD, T = 8 event frames, SMPL (`data.smpl=FILE`); `data.frames=32` for the long clips.

    `data.modality=grey` sees the video. Weights of the loss, epochs (25 for T = 32) and augmentation are those of the
    paper's predecessor; the paper's own are not published. Its Adam at 0.01 was for another network.
    """
    return Recipe(
        name="mmhpsd_pose",
        task="pose",
        model=ModelSpec(name="spikevideoformer_b", body="smpl"),
        data=DataSpec(
            kind="mmhpsd", modality="events", frames=8, size=256, rotate=20.0, zoom=0.3, shift=26, flip=True, workers=8
        ),
        optim=OptimSpec(lr=1e-4, epochs=20, batch=8, weight_decay=0.05),
        pose=PoseSpec(best="pa_mpjpe"),
        run=RunSpec(seed=666),
    )

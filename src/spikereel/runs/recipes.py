"""Recipes: one function a run, named for what it trains. `spikereel train NAME key=value ...` changes any field."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spikereel.config import unknown_key
from spikereel.models.svformer import SVFormerConfig
from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, PoseSpec, Recipe, RunSpec, SegmentationSpec
from spikereel.tasks.pose import PoseWeights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def motion() -> Recipe:
    """Ten motions of procedural clips, joint Hamming attention: the default task, and the weights that ship.

    The network sees the time surface of ON and OFF events. Half the usual threshold: at 1.0 a small network fires too
    little to learn quickly.
    """
    return Recipe(
        name="motion",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(kind="motion", modality="surface", frames=8, stride=2, size=32, train_length=4000, workers=0),
        optim=OptimSpec(lr=3e-3, epochs=32, batch=32, weight_decay=0.02, smoothing=0.05, clip_norm=10.0),
    )


def motion_spatial() -> Recipe:
    """The same with attention inside each frame only."""
    return _variant(motion(), "motion_spatial", attention="spatial")


def motion_causal() -> Recipe:
    """The same where each frame attends to the past alone: for a camera, frame by frame (`spikereel stream`)."""
    return _variant(motion(), "motion_causal", attention="causal")


def motion_svformer() -> Recipe:
    """The same clips for a small SVFormer."""
    return _variant(motion(), "motion_svformer", name="svformer_ti")


def ut_interaction() -> Recipe:
    """UT-Interaction set 1, leave one sequence out (`data.fold`): six interactions of two people, 50 training clips."""
    return Recipe(
        name="ut_interaction",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(
            kind="ut_interaction",
            frames=12,
            size=48,
            whole=True,
            trails=0.33,
            time_warp=0.5,
            crop_area=(0.6, 1.0),
            flip=True,
        ),
        optim=OptimSpec(
            lr=3e-3, epochs=120, batch=9, weight_decay=0.05, smoothing=0.1, clip_norm=10.0, precise_norms=54
        ),
        run=RunSpec(validate_every=10),
    )


def ut_interaction_causal() -> Recipe:
    """The same where each frame attends to the past alone: for a camera, frame by frame (`spikereel stream`)."""
    return _variant(ut_interaction(), "ut_interaction_causal", attention="causal")


def ut_interaction_svformer() -> Recipe:
    """The same clips for a small SVFormer, whose pictures are multiples of 32 pixels."""
    recipe = _variant(ut_interaction(), "ut_interaction_svformer", name="svformer_ti")
    return replace(recipe, data=replace(recipe.data, size=64))


def utd_mhad_action() -> Recipe:
    """UTD-MHAD, 27 actions in depth: leaves out the subject `data.fold`; `data.protocol=official` for the published.

    Beside depth the network sees the trails of what moved, over all frames of the video: from depth alone it learns far
    slower, and from the changes between the frames of the clip less. Neurons are Integer-LIF; `model.neuron=lif` brings
    the binary ones back.
    """
    return Recipe(
        name="utd_mhad_action",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, neuron="ilif"),
        data=DataSpec(kind="utd_mhad", frames=12, size=48, trails=0.33, shift=4, rotate=8.0, zoom=0.2, workers=0),
        optim=OptimSpec(
            lr=3e-3, epochs=40, batch=8, weight_decay=0.05, smoothing=0.1, clip_norm=10.0, precise_norms=324
        ),
        run=RunSpec(validate_every=4),
    )


def utd_mhad_action_causal() -> Recipe:
    """The same where each frame attends to the past alone, frame by frame."""
    return _variant(utd_mhad_action(), "utd_mhad_action_causal", attention="causal")


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


def camvid_frames() -> Recipe:
    """CamVid, 11 classes, single frames of 224 x 168: where `camvid_vss` starts best, with `model.start=WEIGHTS`.

    Trains without one sequence (`data.held_out`). Every frame is normalised by itself, and its gamma varies, since one
    sequence was taken at dusk. Crops, width and head are small, for one CPU core and half an hour:
    `data.crop=[] model.width=128` where there is a GPU.
    """
    return Recipe(
        name="camvid_frames",
        task="segmentation",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, neuron="ilif", width=64),
        data=DataSpec(
            kind="camvid",
            frames=1,
            offsets=(0,),
            size=168,
            crop=(144, 192),
            scale=(0.7, 1.7),
            flip=True,
            jitter=0.4,
            gamma=1.0,
            mean=(),
            std=(),
        ),
        optim=OptimSpec(
            lr=2e-3, epochs=80, batch=4, weight_decay=0.02, smoothing=0.0, clip_norm=10.0, cutmix=1.0, precise_norms=128
        ),
        segmentation=SegmentationSpec(all_frames=1.0, balance=0.3),
        run=RunSpec(validate_every=5),
    )


def camvid_vss() -> Recipe:
    """CamVid in clips of four frames a second apart, which start best from the weights of `camvid_frames`.

    From those, `optim.lr=1e-3 optim.epochs=10` are enough, a quarter of an hour of one CPU core; from fresh weights
    about an hour, by the time of its first epochs. Integer-LIF 4, as the paper has for segmentation
    (`model.neuron=lif` for binary spikes).
    """
    base = camvid_frames()
    return replace(
        base,
        name="camvid_vss",
        data=replace(base.data, frames=4, offsets=(-90, -60, -30, 0), offset_unit="numbers"),
        optim=replace(base.optim, epochs=40, batch=2),
    )


def synthetic_vss() -> Recipe:
    """What moves in procedural clips, every pixel of every frame: the default data of segmentation."""
    return Recipe(
        name="synthetic_vss",
        task="segmentation",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, width=32),
        data=DataSpec(kind="motion", frames=4, size=64, train_length=1600, test_length=200, workers=0),
        optim=OptimSpec(lr=3e-3, epochs=5, batch=16, weight_decay=0.02, smoothing=0.0, clip_norm=10.0),
        segmentation=SegmentationSpec(all_frames=1.0, balance=0.3),
    )


def cityscapes_vss() -> Recipe:
    """SpikeVideoFormer-s with Integer-LIF 4 on Cityscapes, 512 x 1024, 19 classes: 160,000 steps of 8 clips.

    Clips and loss are those of CFFM, the optimiser is that of BICLab's segmentation; the paper's own are not published.
    One device takes 4 batches a step; four: `run.devices=4 run.strategy=ddp optim.accumulate=1`. Every tenth training
    video is to choose by. `model.head=fpn` for the other head, `model.neuron=lif` for binary spikes.
    """
    return Recipe(
        name="cityscapes_vss",
        task="segmentation",
        model=ModelSpec(name="spikevideoformer_s", neuron="ilif", levels=4, head="mlp", width=768),
        data=DataSpec(
            kind="cityscapes",
            frames=4,
            offsets=(-9, -6, -3, 0),
            size=512,
            scale=(0.5, 2.0),
            crop=(512, 1024),
            flip=True,
            jitter=0.5,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            workers=8,
        ),
        optim=OptimSpec(
            lr=1e-3,
            head_lr=2.0,
            weight_decay=0.005,
            schedule="linear",
            epochs=480,
            warmup=1500 / 160_000,
            batch=2,
            accumulate=4,
            smoothing=0.0,
        ),
        segmentation=SegmentationSpec(all_frames=0.5),
        run=RunSpec(validate_every=10),
    )


def vspw_vss() -> Recipe:
    """The same on VSPW at 480p, crops of 480 x 480, 124 classes: 160,000 steps are 7 times its 198,000 frames."""
    base = cityscapes_vss()
    return replace(
        base,
        name="vspw_vss",
        data=replace(base.data, kind="vspw", size=480, crop=(480, 480)),
        optim=replace(base.optim, epochs=7),
        run=RunSpec(),
    )


def nmnist() -> Recipe:
    """N-MNIST, 800 of the 1,000 recordings of a list (`data.fold` chooses the 200 others), or the official Train/."""
    return Recipe(
        name="nmnist",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(
            kind="nmnist", frames=6, size=32, counts="binary", shift=2, rotate=12.0, zoom=0.15, drop=0.3, workers=0
        ),
        optim=OptimSpec(lr=3e-3, epochs=45, batch=16, weight_decay=0.05, smoothing=0.1, clip_norm=10.0),
        run=RunSpec(validate_every=5),
    )


def dvs128_objects() -> Recipe:
    """Six objects before a DVS128 in windows of half a second; the last quarter of each recording is held out.

    Statistics of norms taken anew help with a recording that was not trained on.
    """
    return Recipe(
        name="dvs128_objects",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(
            kind="dvs128_objects",
            frames=6,
            size=48,
            counts="binary",
            flip=True,
            shift=12,
            rotate=15.0,
            zoom=0.25,
            drop=0.3,
            workers=0,
        ),
        optim=OptimSpec(
            lr=3e-3, epochs=70, batch=16, weight_decay=0.05, smoothing=0.1, clip_norm=10.0, precise_norms=320
        ),
        run=RunSpec(validate_every=5),
    )


def video_folder() -> Recipe:
    """Your own videos: `data.root=FOLDER` with a sub-folder per class.

    These values are for some 24 short videos; the command line fits them to yours (`spikereel.runs.own`).
    """
    return Recipe(
        name="video_folder",
        model=ModelSpec(
            name="spikevideoformer_ti", start="auto", threshold=0.5, contrast="beside", contrast_form="on_off"
        ),
        data=DataSpec(kind="folder", frames=8, size=48, whole=True, crop_area=(0.6, 1.0), time_warp=0.5, flip=True),
        optim=OptimSpec(lr=3e-3, epochs=67, batch=8, clip_norm=10.0, start_norms=24, precise_norms=24),
        run=RunSpec(validate_every=6),
    )


def kinetics400() -> Recipe:
    """SpikeVideoFormer-b on Kinetics-400, 32 x 2 frames at 224: the paper's recipe is not published, this is ours.

    After Video Swin, the paper's ANN baseline: AdamW, cosine, 2.5 of 30 epochs of warm-up, 4 x 3 views. Batch 64.
    """
    return Recipe(
        name="kinetics400",
        model=ModelSpec(name="spikevideoformer_b"),
        data=DataSpec(
            kind="kinetics400",
            frames=32,
            stride=2,
            size=224,
            crop_area=(0.08, 1.0),
            flip=True,
            clips=4,
            crops=3,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            on_error="skip",
            workers=8,
        ),
        optim=OptimSpec(lr=3e-4, epochs=30, warmup=2.5 / 30, batch=8, accumulate=8, mixup=0.8, cutmix=1.0),
        run=RunSpec(precision="bf16"),
    )


def ucf101_svformer() -> Recipe:
    """SVFormer on UCF101 split 1 from scratch, every value that of the published 84.03 %; made for 4 GPUs of 32 GB.

    A device sees 16 videos in 2 augmented copies at a time: norms see 32 clips, as published, and 4 devices make the
    128 of a step (`run.devices=4 run.strategy=ddp optim.accumulate=1`); one device takes 4 such batches a step.
    Faults of the published code that are off here: `optim.decay_time_constants`, `data.select_on_test`,
    `model.drop_path_over_time` (with `model.drop_path`). Autocast is bfloat16; theirs was `run.precision=16`.
    """
    return Recipe(
        name="ucf101_svformer",
        model=ModelSpec(name="svformer"),
        data=DataSpec(
            kind="ucf101",
            frames=16,
            stride=4,
            size=224,
            mean=(0.45,),
            std=(0.225,),
            crop_area=(0.08, 1.0),
            flip=True,
            randaugment="m5-n2-mstd0.25",
            erasing=0.25,
            copies=2,
            antialias=False,
            clips=5,
            crops=3,
            workers=8,
        ),
        optim=OptimSpec(
            lr=6e-3,
            min_lr=1e-6,
            epochs=600,
            warmup=30 / 600,
            batch=16,
            accumulate=4,
            weight_decay=0.05,
            clip_norm=20.0,
            smoothing=0.1,
            mixup=0.8,
            cutmix=1.0,
        ),
        run=RunSpec(seed=6666, validate_every=5),
    )


def ntu60_svformer() -> Recipe:
    """SVFormer on the colour videos of NTU RGB+D 60 (`data.protocol`), as on UCF101: no other recipe is published."""
    base = ucf101_svformer()
    return replace(base, name="ntu60_svformer", data=replace(base.data, kind="ntu60"))


def dvs128_gesture_svformer() -> Recipe:
    """SVFormer on DVS128-Gesture: T = 16 bins of ON and OFF counts at 128 px; the paper's recipe is not published.

    Optimiser, schedule and mixing are those of UCF101; colour augmentation, crops and views make no sense on events.
    """
    base = ucf101_svformer()
    return replace(
        base,
        name="dvs128_gesture_svformer",
        data=DataSpec(kind="dvs128_gesture", frames=16, size=128, shift=8, drop=0.2, workers=8),
        optim=replace(base.optim, batch=32, accumulate=1),
    )


def ucf101_svformer_small() -> Recipe:
    """A narrower SVFormer on UCF101 for one small GPU: 8 frames of 128 px, 200 epochs."""
    return _small(ucf101_svformer())


def ntu60_svformer_small() -> Recipe:
    """A narrower SVFormer on NTU RGB+D 60 for one small GPU: 8 frames of 128 px, 200 epochs."""
    return _small(ntu60_svformer())


def dvs128_gesture_svformer_small() -> Recipe:
    """A narrower SVFormer on DVS128-Gesture for one small GPU: 8 bins of 64 px, 200 epochs."""
    return _small(dvs128_gesture_svformer(), size=64)


RECIPES: dict[str, Callable[[], Recipe]] = {
    f.__name__: f
    for f in (
        motion,
        motion_spatial,
        motion_causal,
        motion_svformer,
        ut_interaction,
        ut_interaction_causal,
        ut_interaction_svformer,
        utd_mhad_action,
        utd_mhad_action_causal,
        synthetic_pose,
        utd_mhad_pose,
        mmhpsd_pose,
        camvid_frames,
        camvid_vss,
        synthetic_vss,
        cityscapes_vss,
        vspw_vss,
        nmnist,
        dvs128_objects,
        video_folder,
        kinetics400,
        ucf101_svformer,
        ntu60_svformer,
        dvs128_gesture_svformer,
        ucf101_svformer_small,
        ntu60_svformer_small,
        dvs128_gesture_svformer_small,
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ConfigError names the nearest one."""
    if name not in RECIPES:
        raise unknown_key(name, RECIPES, "recipe")
    return RECIPES[name]()


def published_data(config: Any) -> DataSpec:
    """How the authors made the clips that weights of this configuration saw; for your own files, `data.root=FOLDER`."""
    own = {"frames": config.frames, "size": config.image_size} if isinstance(config, SVFormerConfig) else {}
    if config.in_channels == 2:
        return replace(dvs128_gesture_svformer().data, kind="events", workers=1, **own)
    recipe = ucf101_svformer() if own else kinetics400()
    return replace(recipe.data, kind="folder", copies=1, workers=1, **own)


def _variant(recipe: Recipe, called: str, **model) -> Recipe:
    return replace(recipe, name=called, model=replace(recipe.model, **model))


def _small(recipe: Recipe, size: int = 128) -> Recipe:
    """About 3 GB at batch 32: half the widths, half the frames, a smaller picture, a third of the epochs."""
    return replace(
        recipe,
        name=recipe.name + "_small",
        model=replace(recipe.model, widths=(64, 128, 192, 256), head_dim=32),
        data=replace(recipe.data, frames=8, size=size, stride=recipe.data.stride and 2 * recipe.data.stride),
        optim=replace(recipe.optim, epochs=200, lr=3e-3, accumulate=1),
    )

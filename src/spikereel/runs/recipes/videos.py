"""Recipes on videos of actions, one function a run."""

from dataclasses import replace

from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec
from spikereel.runs.recipes.variants import IMAGENET_MEAN, IMAGENET_STD, narrow, variant


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
            cache="memory",
        ),
        optim=OptimSpec(
            lr=3e-3, epochs=120, batch=9, weight_decay=0.05, smoothing=0.1, clip_norm=10.0, precise_norms=54
        ),
        run=RunSpec(validate_every=10),
    )


def ut_interaction_causal() -> Recipe:
    """The same where each frame attends to the past alone: for a camera, frame by frame (`spikereel stream`)."""
    return variant(ut_interaction(), "ut_interaction_causal", attention="causal")


def ut_interaction_svformer() -> Recipe:
    """The same clips for a small SVFormer, whose pictures are multiples of 32 pixels."""
    recipe = variant(ut_interaction(), "ut_interaction_svformer", name="svformer_ti")
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
    """The same where each frame attends to the past alone: for a camera, frame by frame (`spikereel stream`)."""
    return variant(utd_mhad_action(), "utd_mhad_action_causal", attention="causal")


def video_folder() -> Recipe:
    """Your own videos: `data.root=FOLDER` with a sub-folder per class.

    These values are for some 24 short videos; the command line fits them to yours (`spikereel.runs.own`).
    """
    return Recipe(
        name="video_folder",
        model=ModelSpec(
            name="spikevideoformer_ti", start="auto", threshold=0.5, contrast="none", contrast_form="on_off"
        ),
        data=DataSpec(
            kind="folder", frames=8, size=48, whole=True, trails=0.33, crop_area=(0.6, 1.0), time_warp=0.5, flip=True
        ),
        optim=OptimSpec(lr=1e-3, head_lr=3.0, epochs=67, batch=8, clip_norm=10.0, start_norms=24, precise_norms=24),
        run=RunSpec(validate_every=13, keep="last", refit=True),
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


def ucf101_svformer_small() -> Recipe:
    """A narrower SVFormer on UCF101 for one small GPU: 8 frames of 128 px, 200 epochs."""
    return narrow(ucf101_svformer())


def ntu60_svformer_small() -> Recipe:
    """A narrower SVFormer on NTU RGB+D 60 for one small GPU: 8 frames of 128 px, 200 epochs."""
    return narrow(ntu60_svformer())

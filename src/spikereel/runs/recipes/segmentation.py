"""Recipes of segmentation, one function a run."""

from dataclasses import replace

from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec, SegmentationSpec
from spikereel.runs.recipes.variants import IMAGENET_MEAN, IMAGENET_STD


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

"""Recipes on event recordings, one function a run."""

from dataclasses import replace

from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec
from spikereel.runs.recipes.variants import narrow


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


def dvs128_gesture_svformer_small() -> Recipe:
    """A narrower SVFormer on DVS128-Gesture for one small GPU: 8 bins of 64 px, 200 epochs."""
    return narrow(dvs128_gesture_svformer(), size=64)

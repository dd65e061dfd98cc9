"""Recipes: one function a run, named for what it trains. `spikereel train NAME key=value ...` changes any field."""

from collections.abc import Callable
from dataclasses import replace

from spikereel.config import unknown_key
from spikereel.train.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec

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
        optim=OptimSpec(lr=3e-3, epochs=18, batch=16, weight_decay=0.02, smoothing=0.05, clip_norm=10.0),
    )


def motion_spatial() -> Recipe:
    """The same with attention inside each frame only."""
    return _variant(motion(), "motion_spatial", attention="spatial")


def ut_interaction() -> Recipe:
    """UT-Interaction set 1, leave one sequence out (`data.fold`): six interactions of two people, 50 training clips."""
    return Recipe(
        name="ut_interaction",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(kind="ut_interaction", frames=12, size=64, crop_area=(0.6, 1.0), flip=True),
        optim=OptimSpec(lr=3e-3, epochs=60, batch=9, weight_decay=0.05, smoothing=0.1, clip_norm=10.0),
    )


def video_folder() -> Recipe:
    """Your own videos: `data.root=FOLDER` with a sub-folder per class."""
    return Recipe(
        name="video_folder",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(kind="folder", frames=16, size=112, flip=True),
        optim=OptimSpec(lr=1e-3, epochs=30, batch=8),
    )


def kinetics400() -> Recipe:
    """SpikeVideoFormer-b on Kinetics-400, 32 x 2 frames at 224: the paper's recipe is not published, this is ours.

    After Video Swin, the paper's ANN baseline: AdamW, cosine, 2.5 of 30 epochs of warm-up, 4 x 3 views. Batch 64.
    """
    return Recipe(
        name="kinetics400",
        model=ModelSpec(name="spikevideoformer_b"),
        data=DataSpec(
            kind="folder", frames=32, stride=2, size=224, crop_area=(0.08, 1.0), flip=True, clips=4, crops=3,
            mean=IMAGENET_MEAN, std=IMAGENET_STD, on_error="skip", workers=8,
        ),
        optim=OptimSpec(lr=3e-4, epochs=30, warmup=2.5 / 30, batch=8, accumulate=8, mixup=0.8, cutmix=1.0),
        run=RunSpec(precision="bf16"),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {
    f.__name__: f for f in (motion, motion_spatial, ut_interaction, video_folder, kinetics400)
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ConfigError names the nearest one."""
    if name not in RECIPES:
        raise unknown_key(name, RECIPES, "recipe")
    return RECIPES[name]()


def _variant(recipe: Recipe, name: str, **model) -> Recipe:
    return replace(recipe, name=name, model=replace(recipe.model, **model))

"""Recipes: one function a run, named for what it trains. `spikereel train NAME key=value ...` changes any field."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spikereel.config import unknown_key
from spikereel.models.svformer import SVFormerConfig
from spikereel.runs.config import DataSpec, Recipe
from spikereel.runs.recipes.events import (
    cifar10_dvs,
    dailydvs200,
    dvs128_gesture_svformer,
    dvs128_gesture_svformer_small,
    dvs128_objects,
    dvs_gesture,
    dvs_gesture_chain,
    hardvs,
    nmnist,
)
from spikereel.runs.recipes.made import actions, motion, motion_causal, motion_spatial, motion_svformer, probe
from spikereel.runs.recipes.pose import mmhpsd_pose, synthetic_pose, utd_mhad_pose
from spikereel.runs.recipes.segmentation import camvid_frames, camvid_vss, cityscapes_vss, synthetic_vss, vspw_vss
from spikereel.runs.recipes.variants import IMAGENET_MEAN as IMAGENET_MEAN
from spikereel.runs.recipes.variants import IMAGENET_STD as IMAGENET_STD
from spikereel.runs.recipes.videos import (
    kinetics400,
    ntu60_svformer,
    ntu60_svformer_small,
    ucf101_svformer,
    ucf101_svformer_small,
    ut_interaction,
    ut_interaction_causal,
    ut_interaction_svformer,
    utd_mhad_action,
    utd_mhad_action_causal,
    video_folder,
)

RECIPES: dict[str, Callable[[], Recipe]] = {
    f.__name__: f
    for f in (
        motion,
        motion_spatial,
        motion_causal,
        motion_svformer,
        probe,
        actions,
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
        cifar10_dvs,
        dvs_gesture,
        dvs_gesture_chain,
        hardvs,
        dailydvs200,
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

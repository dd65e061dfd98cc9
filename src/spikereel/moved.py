"""Modules that have moved: their old addresses work as well."""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

MOVED = {
    "apps.annotate": "show.annotate",
    "apps.data": "apps.check",
    "apps.draw": "show.picture",
    "apps.draw_pose": "show.pose",
    "apps.draw_segmentation": "show.segmentation",
    "apps.extras": "extras",
    "apps.versions": "versions",
    "apps.energy": "inference.passports",
    "apps.files": "files",
    "apps.importer": "inference.authors",
    "apps.look": "inference.look",
    "apps.predict": "inference.predict",
    "apps.segment": "inference.segment",
    "apps.tables": "show.tables",
    "apps.track": "inference.track",
    "data.cache": "data.video.cache",
    "data.camvid": "data.sets.camvid",
    "data.cityscapes": "data.sets.cityscapes",
    "data.containers": "data.video.containers data.video.matroska",
    "data.events.cifar10_dvs": "data.sets.cifar10_dvs",
    "data.events.digits": "data.sets.nmnist",
    "data.events.files": "data.events.reading data.sets.events data.clips",
    "data.events.gesture": "data.sets.dvs128_gesture",
    "data.events.hardvs": "data.sets.hardvs",
    "data.events.objects": "data.sets.dvs128_objects",
    "data.figure": "data.made.people",
    "data.figure_clips": "data.sets.figure",
    "data.folder": "data.sets.folder data.sets.list data.video.clip data.text",
    "data.hmdb51": "data.sets.hmdb51",
    "data.jpegs": "data.video.jpegs",
    "data.kinetics": "data.sets.kinetics",
    "data.labelled": "data.masked",
    "data.mask_folder": "data.sets.masks",
    "data.mmhpsd": "data.sets.mmhpsd",
    "data.motion": "data.made.scenes",
    "data.motion_masks": "data.sets.motion",
    "data.ntu": "data.sets.ntu",
    "data.orientation": "data.video.orientation",
    "data.packed": "data.sets.shards",
    "data.segmentation": "data.mask_clips",
    "data.shapes": "data.made.shapes",
    "data.streams": "data.video.streams",
    "data.timeline": "data.video.timeline",
    "data.twentybn": "data.sets.something_v2 data.sets.jester",
    "data.ucf101": "data.sets.ucf101",
    "data.ut_interaction": "data.sets.ut_interaction",
    "data.utd_mhad": "data.sets.utd_mhad",
    "data.utd_mhad_pose": "data.sets.utd_mhad_pose",
    "data.vspw": "data.sets.vspw",
    "data.write": "data.video.write",
    "models.heads": "models.pose_head",
    "models.segmentation": "models.segmentation_head",
    "train.carry": "runs.carry",
    "train.clips": "runs.clips runs.kinds runs.readings data.sets.motion",
    "train.config": "runs.config",
    "train.datasets": "runs.tasks",
    "train.evaluate": "runs.evaluate",
    "train.event_clips": "runs.kinds runs.readings",
    "train.idle": "runs.clips",
    "train.pose": "runs.pose runs.clips runs.readings",
    "train.recipes": "runs.recipes",
    "train.segmentation_data": "runs.clips runs.kinds runs.readings",
    "train.segmentation": "runs.segmentation",
    "train.splits": "runs.splits",
}
"""Old module: new module, or all those that its names are in now; below `spikereel`."""


class MovedModules:
    """Finds a module at its old address: the very same object as at the new one, or names of several new ones."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a module that has moved, None for all others."""
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, cast(Any, self)) if package == "spikereel" and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """None: a plain module, for now."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of the new address in place, or fill one with the names of several."""
        old = module.__name__.partition(".")[2]
        places = [import_module(f"spikereel.{place}") for place in MOVED[old].split()]
        if len(places) == 1:
            sys.modules[module.__name__] = places[0]
            return
        for place in places:
            vars(module).update({name: value for name, value in vars(place).items() if not name.startswith("_")})

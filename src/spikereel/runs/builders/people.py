"""Who builds clips of people in depth and events, for actions and poses."""

from typing import Any

from spikereel.data.pose import PoseClips
from spikereel.data.sets import mmhpsd, utd_mhad
from spikereel.data.sets.chains import Chains
from spikereel.data.sets.utd_mhad_pose import UTDMHADPose
from spikereel.errors import ConfigError
from spikereel.runs import readings, splits
from spikereel.runs.builders.recordings import chained
from spikereel.runs.data import DataSpec, Split
from spikereel.runs.kind import Ask
from spikereel.runs.splits import official, own_split, root_of


def actions(spec: DataSpec, ask: Ask) -> Any:
    """UTD-MHAD in depth, for its actions."""
    if spec.protocol == "official":
        root, reading = root_of(spec), readings.depth_reading(spec, train=ask.split == "train", seed=ask.seed)
        load = lambda own: utd_mhad.UTDMHAD(root, reading, subjects=utd_mhad.OFFICIAL[own])  # noqa: E731
        return official(spec, ask.split, load)
    return _of_others(spec, ask)


def _of_others(spec: DataSpec, ask: Ask) -> utd_mhad.UTDMHAD:
    """Actions, one subject left out."""
    root, reading = root_of(spec), readings.depth_reading(spec, train=ask.split == "train", seed=ask.seed)
    return utd_mhad.UTDMHAD(root, reading, subjects=_subjects(spec, ask.split))


def chains(spec: DataSpec, ask: Ask) -> Chains:
    """Chains of the actions of one person each."""
    return chained(spec, ask, _of_others, lambda clips: clips.subjects)


def poses(spec: DataSpec, ask: Ask) -> PoseClips:
    """UTD-MHAD in depth, for the joints."""
    root, reading = root_of(spec), readings.window_reading(spec, ask.split, ask.seed)
    if spec.protocol != "official":
        return UTDMHADPose(root, reading, subjects=_subjects(spec, ask.split))
    own = own_split(spec, ask.split)
    # windows of a recording stay together, so that recordings are what is held out
    keep = splits.everything
    if own == "train" and not spec.select_on_test:
        found = [x for x in utd_mhad.find_clips(root) if x[2] in utd_mhad.OFFICIAL[own]]
        keep = splits.recordings_of([path for path, _, _ in found], [label for _, label, _ in found], ask.split)
    return UTDMHADPose(root, reading, subjects=utd_mhad.OFFICIAL[own], keep=keep)


def _subjects(spec: DataSpec, split: Split) -> set[int] | None:
    """Subjects of UTD-MHAD: the one `data.fold` to judge on, all others that are there to train on, all for test."""
    if split == "test":
        return None
    present = {subject for _, _, subject in utd_mhad.find_clips(root_of(spec))}
    if spec.fold not in present:
        raise ConfigError(
            f"data.fold is {spec.fold}: the subjects in {spec.root} are {', '.join(map(str, sorted(present)))}"
        )
    return present - {spec.fold} if split == "train" else {spec.fold}


def streams(spec: DataSpec, ask: Ask) -> PoseClips:
    """MMHPSD."""
    root, test = root_of(spec), mmhpsd.TEST_SUBJECTS
    reading = readings.stream_reading(spec, ask.split, ask.seed)
    if spec.depth_motion:
        raise ConfigError("data.depth_motion is for utd_mhad and the figure; of mmhpsd leave it false")
    others = {subject for _, subject in mmhpsd.find_streams(root)} - set(test)
    return mmhpsd.MMHPSD(root, reading, subjects=others if ask.split == "train" else test)

"""UT-Interaction (Ryoo and Aggarwal 2010): six actions of two people, leave one sequence out."""

import re
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.text import require_choice
from spikereel.data.video.clip import Reading
from spikereel.data.walk import visible
from spikereel.errors import ConfigError, DataError

CLASSES = ("handshake", "hug", "kick", "point", "punch", "push")

_NAME = re.compile(r"\d+_(?P<sequence>\d+)_(?P<label>[0-5])\.avi")


class UTInteraction(VideoFiles):
    """The segmented clips `<number>_<sequence>_<class>.avi` of one set; see `VideoFiles`.

    The protocol leaves one sequence out: with `fold=k`, "test" is sequence k (1 to 10 in set 1, 11 to 20 in set 2) and
    "train" all others. "all", or "test" without a fold, is every clip, for training on one set and testing on the
    other. Raises DataError for a folder without such clips or with other .avi files; ConfigError for a fold that is
    not in the folder, "train" without a fold, or "all" with one.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: Reading,
        *,
        split: Literal["train", "test", "all"] = "all",
        fold: int | None = None,
    ):
        root = Path(root)
        clips = _clips(root)
        sequences = sorted({sequence for _, sequence, _ in clips})
        require_choice("split", split, ("train", "test", "all"))
        if (split, fold is None) in (("train", True), ("all", False)):
            raise ConfigError(f"split is {split!r} and fold is {fold}: 'train' needs a fold, 'all' takes none")
        if fold is not None and fold not in sequences:
            raise ConfigError(f"fold is {fold}: the sequences in {root} are {', '.join(map(str, sequences))}")
        if fold is not None:
            clips = [clip for clip in clips if (clip[1] == fold) == (split == "test")]
        samples = [(path, label) for path, _, label in clips]
        super().__init__(samples, reading, classes=CLASSES, root=root)


def _clips(root: Path) -> list[tuple[Path, int, int]]:
    """(path, sequence, label) of every clip in the folder."""
    clips = []
    for path in visible(root) if root.is_dir() else ():
        if path.suffix.lower() != ".avi":
            continue
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise DataError(f"{path}: is not named <number>_<sequence>_<class 0-5>.avi; remove or rename it")
        clips.append((path, int(name["sequence"]), int(name["label"])))
    if not clips:
        raise DataError(f"{root}: has no clips <number>_<sequence>_<class>.avi; give the folder of a set")
    return clips

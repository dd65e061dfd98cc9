"""Where clips come from: what tells that two of them are the same, wherever they lie and whatever they are called."""

import base64
import hashlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from pathlib import Path
from typing import Any

from spikereel.data.clips import Part, WrappedClips
from spikereel.data.mask_clips import MaskClips
from spikereel.data.sets.chains import Chains
from spikereel.data.sets.dvs128_objects import DVS128Objects
from spikereel.data.sets.dvs_gesture_chain import DVSGestureChain
from spikereel.data.sets.events import EventFiles, EventRows
from spikereel.data.sets.folder import VideoFiles
from spikereel.data.sets.mmhpsd import MMHPSD
from spikereel.data.sets.shards import PackedClips
from spikereel.data.sets.utd_mhad import UTDMHAD
from spikereel.data.sets.utd_mhad_pose import UTDMHADPose

WHOLE = 2**18
"""Bytes of a file that is read whole; of a larger one SAMPLES pieces are."""

SAMPLES, PIECE = 5, 2**14

KEPT = 6
"""Bytes of the identity of a clip in the metadata of weights."""

_FAMILIES = (
    # UCF101: v_Class_gGROUP_cCLIP; the clips of a group are cut out of one video
    re.compile(r"(?P<source>v_.+_g\d+)_c\d+"),
    # HMDB51: SOURCE_class_BODY_CAMERA_PEOPLE_VIEW_QUALITY_NUMBER
    re.compile(r"(?P<source>.+)_[a-z]_[a-z]{2}_np\d_[a-z]{2}_[a-z]{3}_\d+"),
    # Kinetics: VIDEO_START_STOP
    re.compile(r"(?P<source>[\w-]{11})_\d{6}_\d{6}"),
    # NTU: the cameras C see one performance
    re.compile(r"(?P<source>S\d{3})C\d{3}(?P<rest>P\d{3}R\d{3}A\d{3}).*"),
    # anybody's own: a word for what was filmed and its number, such as person03_boxing_2 or walk-scene-4
    re.compile(
        r"(?:.*[_\-. ])?(?P<source>(?:person|subject|actor|scene|session|recording|group)[_\-. ]?\d+)(?:[_\-. ].*)?",
        re.IGNORECASE,
    ),
)


@dataclass(frozen=True)
class Origin:
    """The file of a clip."""

    place: str
    """A file, or a folder of pictures; a shard, or its URL."""
    part: str = ""
    """Which part of it, where several clips are cut out of one."""
    start: int = 0
    size: int | None = None
    """The bytes of it that are the file; all of them, unless it is packed."""
    name: str = ""
    """What it is called, where that is not the name of `place`."""

    @property
    def source(self) -> str:
        """What was filmed, by the name: a video that several clips are cut out of has one name for all of them."""
        stem = Path(self.name or self.place).stem
        for family in _FAMILIES:
            if found := family.fullmatch(stem):
                return "_".join(found.groups())
        return ""

    def content(self) -> str:
        """sha256 (hex) of what is in the file, of a large one of pieces of it."""
        return _content(self.place, self.start, self.size)

    def identity(self) -> bytes:
        """The same for the same clip."""
        return hashlib.sha256(f"{self.content()} {self.part}".encode()).digest()[:KEPT]


@singledispatch
def origins_of(clips: Any) -> list[Origin] | None:
    """Where every item comes from, of chains every clip that they are made of; None for clips that are made."""
    return None


@origins_of.register(VideoFiles)
@origins_of.register(EventFiles)
@origins_of.register(UTDMHAD)
def _files(clips: Any) -> list[Origin]:
    return [Origin(str(path)) for path, _ in clips.samples]


@origins_of.register
def _windows(clips: UTDMHADPose) -> list[Origin]:
    return [Origin(str(clips.samples[recording][0])) for recording, *_ in clips.windows]


@origins_of.register
def _streams(clips: MMHPSD) -> list[Origin]:
    return [Origin(str(clips.streams[stream][0])) for stream, _ in clips.clips]


@origins_of.register
def _rows(clips: EventRows) -> list[Origin]:
    return [Origin(str(x.path), f"{x.start}-{x.stop}") for x in clips.trials]


@origins_of.register
def _chains(clips: DVSGestureChain) -> list[Origin]:
    rows = clips.rows.trials
    return [
        Origin(str(rows[chain[0]].path), ",".join(f"{rows[row].start}-{rows[row].stop}" for row in chain))
        for _, chain in clips.chains
    ]


@origins_of.register
def _objects(clips: DVS128Objects) -> list[Origin]:
    return [Origin(str(path), str(start)) for path, start, _ in clips.windows]


@origins_of.register
def _packed(clips: PackedClips) -> list[Origin]:
    files = zip(clips.members, clips.called, strict=True)
    return [Origin(place, start=offset, size=size, name=name) for (place, _, offset, size, _), name in files]


@origins_of.register
def _frames(clips: MaskClips) -> list[Origin]:
    return [Origin(str(clips.videos[video].frames[at])) for video, at in clips.anchors]


@origins_of.register
def _part(clips: Part) -> list[Origin] | None:
    whole = origins_of(clips.clips)
    return None if whole is None else [whole[i] for i in clips.kept]


@origins_of.register
def _wrapped(clips: WrappedClips) -> list[Origin] | None:
    return origins_of(clips.clips)


def labels_of(clips: Any) -> list[int] | None:
    """The class of every item; None where items have no single one, or are made."""
    if isinstance(clips, Chains):
        return list(clips.labels)
    if isinstance(clips, Part):
        whole = labels_of(clips.clips)
        return None if whole is None else [whole[i] for i in clips.kept]
    if isinstance(clips, WrappedClips):
        return labels_of(clips.clips)
    if isinstance(clips, PackedClips):
        return [member[-1] for member in clips.members]
    if isinstance(clips, VideoFiles):
        return [label for _, label in clips.samples]
    labels = getattr(clips, "labels", None)
    return list(labels) if isinstance(labels, list) else None


def identities(clips: Any) -> list[bytes] | None:
    """Of every item what is the same for the same clip; None for clips that are made."""
    origins = origins_of(clips)
    return None if origins is None else [x.identity() for x in origins]


def as_text(known: Collection[bytes]) -> str:
    """Identities for the metadata of weights."""
    return base64.b64encode(b"".join(sorted(set(known)))).decode()


def from_text(text: str) -> set[bytes]:
    """What `as_text` wrote."""
    joined = base64.b64decode(text)
    return {joined[i : i + KEPT] for i in range(0, len(joined), KEPT)}


def trained_on(training: dict[str, Any]) -> set[bytes] | None:
    """Identities of the clips that weights were trained on, by their `metadata.training`; None where it says nothing.

    Norms that were calibrated afterwards keep what was said before.
    """
    while "trained_on" not in training and isinstance(training.get("before"), dict):
        training = training["before"]
    return from_text(training["trained_on"]) if "trained_on" in training else None


def one_source(origins: Sequence[Origin], others: Sequence[Collection[str]] = ()) -> list[int]:
    """The number of the source of every origin: the same file by any path, the same content, the same video.

    others: more that origins of one source have in common.
    """
    owner: dict[str, int] = {}
    parents = list(range(len(origins)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for i, origin in enumerate(origins):
        keys = {f"content {origin.content()}", *(others[i] if others else ())}
        keys |= {f"source {origin.source}"} if origin.source else set()
        for key in keys:
            parents[root(i)] = root(owner.setdefault(key, i))
    return [root(i) for i in range(len(origins))]


@lru_cache(maxsize=1_000_000)
def _content(place: str, start: int, size: int | None) -> str:
    path, digest = Path(place), hashlib.sha256()
    if not path.exists():
        # a URL, or a file that is missing: that is said when it is read
        digest.update(f"{place} {start} {size}".encode())
    elif path.is_dir():
        files = sorted(x for x in path.rglob("*") if x.is_file())
        digest.update(repr([x.stat().st_size for x in files]).encode())
        for x in sorted({*files[:1], *files[len(files) // 2 :][:1], *files[-1:]}):
            digest.update(_content(str(x), 0, None).encode())
    else:
        for piece in _pieces(path, start, size):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path, start: int, size: int | None) -> Iterator[bytes]:
    """The bytes of a small file; of a large one its size, and pieces evenly apart."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size - start if size is None else size
        yield str(length).encode()
        at = [0] if length <= WHOLE else [i * (length - PIECE) // (SAMPLES - 1) for i in range(SAMPLES)]
        for place in at:
            file.seek(start + place)
            yield file.read(length if length <= WHOLE else PIECE)

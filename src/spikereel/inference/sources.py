"""What `predict` goes through: files, and folders of them, with a name for the results of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import path as paths
from pathlib import Path
from typing import Any

from spikereel.data.events.readers import SUFFIXES as RECORDINGS
from spikereel.data.pictures import PICTURES
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.data.walk import find, said, visible
from spikereel.errors import DataError
from spikereel.exporting.targets import target_by_suffix
from spikereel.hub import ARCHITECTURES
from spikereel.runs.config import data_spec_of
from spikereel.runs.kinds import KINDS, sees_recordings

WEIGHTS = ".safetensors"
DEPTH = frozenset({".npz", ".npy", ".mat"})


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file, or a folder of pictures."""

    path: str
    name: str
    """Of its results, unlike that of any other."""


def sources_of(given: Sequence[str], model: Any) -> tuple[list[Source], list[str]]:
    """What the paths name, folders in the order of their files, and one line for each folder with files left out.

    model: a network, or an exported file. A folder of pictures is one source; of any other it is every file below that
    the model may see. Raises DataError for a folder that has none, and for weights.
    """
    wanted, found, notes = _suffixes(model), [], []
    for text in given:
        folder = Path(text)
        if folder.suffix == WEIGHTS and folder.is_file():
            raise DataError(f"{folder}: holds weights and no clip; give it as --model {folder}, and a clip beside it")
        if text in _listed() and not folder.exists():
            raise DataError(f"{text}: names weights and no clip; give it as --model {text}, and a clip beside it")
        if target_by_suffix(folder) and folder.is_file():
            raise DataError(f"{folder}: holds a network and no clip; give one as --model, and clips beside it")
        if not folder.is_dir() or _is_pictures(folder):
            found.append((text, folder.stem))
            continue
        below = find(folder, wanted)
        if not below.files and (len(given) > 1 or not below.left_out):
            # the reader says what it lacks, when its turn comes
            found.append((text, folder.stem))
            continue
        if not below.files:
            known, more = " ".join(sorted(wanted)), said(below.left_out, folder)
            raise DataError(f"{folder}: holds nothing that these weights see ({known}); {more}")
        if below.left_out:
            notes.append(f"{folder}: {said(below.left_out, folder)}")
        stems = ["_".join(path.relative_to(folder).with_suffix("").parts) for path in below.files]
        found += [
            (paths.join(text, path.relative_to(folder)), stem) for path, stem in zip(below.files, stems, strict=True)
        ]
    names = distinct([stem for _, stem in found])
    return [Source(path=path, name=name) for (path, _), name in zip(found, names, strict=True)], notes


def _listed() -> set[str]:
    return {f"{name}.{tag}" for name, entry in ARCHITECTURES.items() for tag in entry.weights}


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with numbers behind those that come several times; no two are alike, in small letters either."""
    low = [name.casefold() for name in names]
    taken = {name for name in low if low.count(name) == 1}
    result, numbers = [], dict.fromkeys(low, 0)
    for name, key in zip(names, low, strict=True):
        if key in taken:
            result.append(name)
            continue
        while (candidate := f"{name}_{numbers[key]}").casefold() in taken:
            numbers[key] += 1
        numbers[key] += 1
        taken.add(candidate.casefold())
        result.append(candidate)
    return result


def _suffixes(model: Any) -> frozenset[str]:
    if model.task == "pose":
        return VIDEOS | RECORDINGS | DEPTH
    if not model.metadata.preprocess:
        return VIDEOS
    spec = data_spec_of(model.metadata)
    if KINDS[spec.kind].films_depth:
        return DEPTH
    return RECORDINGS | KINDS[spec.kind].suffixes if sees_recordings(spec) else VIDEOS | {".npy"}


def _is_pictures(folder: Path) -> bool:
    """Whether a folder holds pictures, and neither videos nor folders."""
    inside = visible(folder)
    endings = {path.suffix.lower() for path in inside}
    return not PICTURES.isdisjoint(endings) and VIDEOS.isdisjoint(endings) and not any(p.is_dir() for p in inside)

"""Folders of numbered JPEG files that are a video, and whether they are whole, seen without decoding."""

from pathlib import Path

from spikereel.errors import DataError

_START, _SCAN, _END = b"\xff\xd8", 0xDA, b"\xff\xd9"
_TAIL = 16
"""Bytes that are searched for the mark of the end; where more follows it, such as a camera's notes, all is read."""


def require_pictures(folder: Path) -> tuple[int, int]:
    """The first number and the digits of the pictures 00001.jpg, ... (or from 00000.jpg on) of a folder.

    Raises DataError, which names the picture, for a number that is missing at the start or between others, and for a
    picture that is empty, no JPEG or cut short; also for a folder without pictures, and for a device.
    """
    numbered = sorted((x.stem for x in folder.glob("*.jpg") if x.stem.isascii() and x.stem.isdecimal()), key=int)
    if not folder.is_dir():
        raise DataError(f"{folder}: is a device; give a video file or a folder of pictures 00001.jpg, ...")
    if not numbered:
        raise DataError(f"{folder}: is a folder without pictures 00001.jpg, ...; name a video file in it")
    digits, first = len(numbered[0]), min(int(numbered[0]), 1)
    for number, stem in enumerate(numbered, start=first):
        # ffmpeg would end at a gap without a word.
        if stem != f"{number:0{digits}}":
            missing = folder / f"{number:0{digits}}.jpg"
            raise DataError(f"{missing}: no such picture, but {stem}.jpg; copy the folder again")
    for stem in numbered:
        _require_whole(folder / f"{stem}.jpg")
    return first, digits


def _require_whole(path: Path) -> None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(len(_START))
            file.seek(max(size - _TAIL, 0))
            whole = _END in file.read()
            if head == _START and not whole:
                file.seek(0)
                whole = _has_end(file.read())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not size:
        raise DataError(f"{path}: is empty (0 bytes); copy the folder again")
    if head != _START:
        raise DataError(f"{path}: is no JPEG, whatever its name; copy the folder again")
    if not whole:
        raise DataError(f"{path}: is cut short, its end is missing; copy the folder again")


def _has_end(data: bytes) -> bool:
    """Whether the picture ends; a preview inside its header has an end of its own."""
    at = len(_START)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return _END in data[at:]

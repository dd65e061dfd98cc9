"""Which way up a still picture is by its EXIF (CIPA DC-008, 4.6.4: the tag Orientation)."""

import struct
from collections.abc import Iterator

_ORIENTATION, _SHORT = 0x0112, 3
_EXIF = b"Exif\x00\x00"
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_SCAN, _APP1 = 0xDA, 0xE1


def exif_orientation(picture: bytes) -> int:
    """1 to 8 of a JPEG or PNG file; 1, as it is stored, where it does not say or says it in no readable way."""
    if picture[:2] == _JPEG:
        notes = [part.removeprefix(_EXIF) for kind, part in _segments(picture) if kind == _APP1 and part[:6] == _EXIF]
    elif picture[:8] == _PNG:
        notes = [part for kind, part in _chunks(picture) if kind == b"eXIf"]
    else:
        notes = []
    return tiff_orientation(notes[0]) if notes else 1


def tiff_orientation(notes: bytes) -> int:
    """1 to 8 of the TIFF structure that EXIF is, with or without the word Exif before it; 1 where it does not say."""
    notes = notes.removeprefix(_EXIF)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(notes[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", notes, 4)
        (count,) = struct.unpack_from(f"{order}H", notes, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", notes, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _segments(picture: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the content of each segment of a JPEG file before its pixels."""
    at = 2
    while at + 4 <= len(picture) and picture[at] == 0xFF and picture[at + 1] != _SCAN:
        length = int.from_bytes(picture[at + 2 : at + 4], "big")
        yield picture[at + 1], picture[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 8 <= len(picture):
        length = int.from_bytes(picture[at : at + 4], "big")
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += 12 + length

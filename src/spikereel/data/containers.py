"""How long a video file should be by its own headers, read without decoding anything.

ffmpeg stops without a word at the end of a cut file, and the frame counts in headers are no proof either: AVI counts
the gaps between frames, MP4 counts frames that an edit list hides, Matroska and WebM count nothing. What all of them
do declare is the size in bytes of their outermost boxes, so a cut file is one that ends before its last box does.
"""

from pathlib import Path
from typing import BinaryIO

_UNKNOWN_32 = 0xFFFFFFFF


def missing_bytes(path: Path) -> int:
    """Bytes that the outermost boxes of an MP4, MOV, AVI, Matroska or WebM file declare past its end; 0 if complete.

    0 also where the file does not say: other containers (TS, MPEG, FLV ...), and streams written with an unknown size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            end = _riff_end(file, size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _matroska_end(file)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _iso_end(file, size)
        else:
            end = 0
    return max(0, end - size)


def _iso_end(file: BinaryIO, size: int) -> int:
    """End of the last top-level box (ISO/IEC 14496-12, 4.2): 32-bit big-endian size, type; size 1: 64 bits follow."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return size
        at += length
    return at


def _riff_end(file: BinaryIO, size: int) -> int:
    """End of the last RIFF chunk; large AVI files are a row of them (OpenDML)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in (0, _UNKNOWN_32):
            return at
        at += 8 + length
    return at


def _matroska_end(file: BinaryIO) -> int:
    """End of the segment, the element after the EBML header (RFC 8794); 0 if its size is unknown."""
    file.seek(4)
    header = _variable_int(file)
    if header is None:
        return 0
    file.seek(file.tell() + header)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    segment = _variable_int(file)
    return 0 if segment is None else file.tell() + segment


def _variable_int(file: BinaryIO) -> int | None:
    """EBML size: as many leading zero bits as bytes that follow the first; None if unknown (all ones) or malformed."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(extra), "big") - (1 << (7 * (extra + 1)))
    return None if value == (1 << (7 * (extra + 1))) - 1 else value

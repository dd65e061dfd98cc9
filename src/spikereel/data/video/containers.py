"""How long a video file should be by its own headers, read without decoding anything.

ffmpeg stops without a word at the end of a cut file, and the frame counts in headers are no proof either: AVI counts
the gaps between frames, MP4 counts frames that an edit list hides, Matroska and WebM count nothing. What all of them
do declare is the size in bytes of their outermost boxes, so a cut file is one that ends before its last box does.
Whatever follows a complete file, such as the zeros of a card reader, is no part of it.
"""

from pathlib import Path
from typing import BinaryIO

from spikereel.data.video.matroska import EBML, matroska_end

_ISO_NEEDED = frozenset({b"moov", b"mdat"})
_ISO_BOXES = _ISO_NEEDED | frozenset(
    b"ftyp moof mfra free skip wide udta meta uuid sidx ssix styp emsg prft pdin pnot junk PICT".split()
)
_UNKNOWN_32 = 0xFFFFFFFF
_TS, _TS_PACKET = b"\x47", 188
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_OBJECTS = frozenset(
    bytes.fromhex(kind)  # header, data, and four kinds of index
    for kind in (
        "3026b2758e66cf11a6d900aa0062ce6c",
        "3626b2758e66cf11a6d900aa0062ce6c",
        "90080033b1e5cf1189f400a0c90349cb",
        "d329e2d6da35d111903400a0c90349be",
        "f803b1fead12644c840f2a1d2f7ad48c",
        "d03fb73c4a0c0348953dedf7b6228f0c",
    )
)
_FLV_HEADER = 13
"""Bytes of the header, with the size of the tag before the first, 0."""
_FLV_TAGS = frozenset({8, 9, 15, 18})
"""Types of tags: sound, pictures and data."""
_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21


def missing_bytes(path: Path) -> int:
    """Bytes that the outermost boxes of an MP4, MOV, AVI, Matroska or WebM file declare past its end; 0 if complete.

    Likewise the objects of ASF (WMV), the tags of FLV and the blocks of GIF; of a TS file the rest of its last packet
    of 188 bytes. 0 also where the file does not say: FLV and TS cut between two tags or packets, other containers
    (MPEG ...), and streams written with an unknown size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            end = _riff_end(file, size)
        elif head[:4] == EBML:
            end = matroska_end(file)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _iso_end(file, size)
        elif head[:1] == _TS and file.seek(_TS_PACKET) and file.read(1) == _TS:
            end = size + -size % _TS_PACKET
        elif head == _ASF_HEADER[:12]:
            end = _asf_end(file, size)
        elif head[:3] == b"FLV":
            end = _flv_end(file, size)
        elif head[:6] in (b"GIF87a", b"GIF89a"):
            end = _gif_end(file)
        else:
            end = 0
    return max(0, end - size)


def _iso_end(file: BinaryIO, size: int) -> int:
    """End of the last top-level box (ISO/IEC 14496-12, 4.2): 32-bit big-endian size, type; size 1: 64 bits follow."""
    at, seen = 0, set()
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        rubbish = kind not in _ISO_BOXES and seen.issuperset(_ISO_NEEDED)
        if length < 8 or (rubbish and at + length > size):
            return size
        seen.add(kind)
        at += length
    # In a file of fragments the rest may be the beginning of the next one's size.
    return at + 8 if at < size and b"moof" in seen and b"mfra" not in seen else at


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


def _asf_end(file: BinaryIO, size: int) -> int:
    """End of the last object of an ASF file (ASF specification, 2.1): a GUID of 16 bytes and a 64-bit size."""
    at = 0
    while at + 24 <= size:
        file.seek(at)
        kind, length = file.read(16), int.from_bytes(file.read(8), "little")
        # Broadcasts leave the size of the data open.
        if kind not in _ASF_OBJECTS or length < 24:
            return size
        at += length
    return at


def _flv_end(file: BinaryIO, size: int) -> int:
    """End of the last tag of an FLV file (Adobe FLV 10.1, E.3 and E.4): type, 24-bit size, 7 more bytes, the data, and
    the size of all that in 32 bits, by which the last tag is found; without it the tags are walked from the start.
    """
    if size < _FLV_HEADER:
        return _FLV_HEADER
    file.seek(size - 4)
    last = int.from_bytes(file.read(4), "big")
    if 11 <= last <= size - 4 - _FLV_HEADER and _flv_tag(file, size - 4 - last) == last:
        return size
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    while at < size:
        length = _flv_tag(file, at)
        if not length:
            return size
        at += length + 4
    return at


def _flv_tag(file: BinaryIO, at: int) -> int:
    """Bytes of the tag that starts here, 11 of them if the file ends before it says; 0 for no tag."""
    file.seek(at)
    head = file.read(4)
    if not head or head[0] & 0x1F not in _FLV_TAGS:
        return 0
    return 11 + (int.from_bytes(head[1:], "big") if len(head) == 4 else 0)


def _gif_end(file: BinaryIO) -> int:
    """End of the blocks of a GIF file (GIF89a, 17 to 27): at its trailer, or where the next block would be."""
    file.seek(0)
    content = file.read()
    size = len(content)
    at = 13 + _gif_colours(content, 10)
    while at < size:
        kind = content[at]
        if kind == _GIF_IMAGE:
            at += 11 + _gif_colours(content, at + 9)
        elif kind == _GIF_EXTENSION:
            at += 2
        else:
            # The trailer, or damage, which is the decoder's to judge.
            return size
        while at < size and content[at]:
            at += 1 + content[at]
        at += 1
    return max(at, size + 1)


def _gif_colours(content: bytes, at: int) -> int:
    """Bytes of the colour table that the flags at this place promise."""
    flags = content[at] if at < len(content) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0

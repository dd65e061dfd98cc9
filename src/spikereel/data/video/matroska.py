"""Whether a Matroska or WebM file is whole by its own elements, read without decoding anything.

Over damage in the middle of a file ffmpeg is silent in this format alone: it skips to the next part it understands.
Source: RFC 9559 (Matroska) and RFC 8794 (EBML).
"""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_CLUSTER = b"\x1f\x43\xb6\x75"
_ENTERED = frozenset({_SEGMENT, _CLUSTER})
_TRACKS, _TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE = b"\x16\x54\xae\x6b", b"\xae", b"\xd7", b"\x83"
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _LACING = b"\xa3", b"\xa0", b"\xa1", 0b110
_WITH_BLOCK = frozenset({_SIMPLE_BLOCK, _BLOCK_GROUP})
_PADDING = frozenset({b"\xec", b"\xbf"})
"""Elements that hold nothing, and checksums."""
_NUMBERS = frozenset({b"\xe7", b"\xa7", b"\xab"})
_IN_CLUSTER = _PADDING | {bytes.fromhex(kind) for kind in ("e7", "5854", "a7", "ab", "a3", "a0", "af")}
_IN_SEGMENT = frozenset(
    bytes.fromhex(kind) for kind in ("114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1941a469", "1043a770", "1254c367")
)
_KNOWN = _ENTERED | _IN_CLUSTER | _IN_SEGMENT | {EBML}


def matroska_break(path: Path) -> int | None:
    """Where, in bytes, the chain of elements of a Matroska or WebM file breaks (RFC 9559); None for a sound one.

    Segment and clusters are entered and all else is stepped over, so that 100,000 frames take about a second. A block
    of a track that does not exist is a break, after which ffmpeg reads nothing more; and one of video that claims to
    hold several frames: lacing is for sound, and ffmpeg drops such a block. None for other files too, and for what
    follows the end of the segment.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != EBML:
            return None
        at, cluster_end, segment_end = 0, None, None
        tracks: dict[int | None, bool] = {}
        while at < size:
            file.seek(at)
            kind, length = _element(file)
            body = file.tell()
            if at == segment_end:
                # A segment whose size was damaged ends inside a cluster, or before more of its elements.
                return at if cluster_end not in (None, at) or kind in _KNOWN - {EBML} else None
            if kind not in _KNOWN or (length is None and kind not in _ENTERED) or (length or 0) < 0:
                return at
            if kind not in _IN_CLUSTER and cluster_end not in (None, at):
                return at
            if kind in _NUMBERS and (length or 0) > 8:
                return at
            if segment_end is not None and body + (length or 0) > segment_end:
                return at
            if kind == _TRACKS:
                tracks = _tracks(BytesIO(file.read(length or 0)))
            if kind in _WITH_BLOCK and tracks and not _is_block(file, kind, body + (length or 0), tracks):
                return at
            if kind == _SEGMENT:
                segment_end = None if length is None else body + length
            if kind == _CLUSTER:
                cluster_end = None if length is None else body + length
            elif kind not in _IN_CLUSTER:
                cluster_end = None
            at = body + (0 if kind in _ENTERED else length or 0)
    return None if at == size else at


def _tracks(file: BinaryIO) -> dict[int | None, bool]:
    """Whether each track in the body of a Tracks element is of video, by its number, as blocks write it."""
    entries: list[dict[bytes, int]] = [{}]
    while (element := _element(file))[0]:
        kind, length = element
        if kind == _TRACK_ENTRY:
            entries.append({})
        else:
            entries[-1][kind] = int.from_bytes(file.read(length or 0))
    return {entry[_TRACK_NUMBER]: entry.get(_TRACK_TYPE) == 1 for entry in entries if _TRACK_NUMBER in entry}


def _is_block(file: BinaryIO, kind: bytes, end: int, tracks: dict[int | None, bool]) -> bool:
    """Whether what begins here and goes on to `end` is a block of one of the tracks, or a group that has one inside;
    one of video without lacing.
    """
    while kind not in (_SIMPLE_BLOCK, _BLOCK):
        kind, length = _element(file)
        if kind != _BLOCK:
            file.seek(max(length or 0, 0), 1)
        if not kind or file.tell() >= end:
            return False
    track = _variable_int(file)
    return track in tracks and not (tracks[track] and int.from_bytes(file.read(3)) & _LACING)


def _element(file: BinaryIO) -> tuple[bytes, int | None]:
    """The id of the element that starts here, and the length of its body; None if unknown. No id at the end."""
    first = file.read(1)
    kind = first + file.read(8 - first[0].bit_length() if first and first[0] else 0)
    return kind, _variable_int(file)


def matroska_end(file: BinaryIO) -> int:
    """End of the segment, the element after the EBML header (RFC 8794); 0 if its size is unknown."""
    file.seek(4)
    header = _variable_int(file)
    if header is None or header < 0:
        return 0
    file.seek(file.tell() + header)
    if file.read(4) != _SEGMENT:
        return 0
    segment = _variable_int(file)
    return 0 if segment is None else file.tell() + segment


def _variable_int(file: BinaryIO) -> int | None:
    """EBML size: as many leading zero bits as bytes that follow the first; None if unknown (all ones) or malformed, and
    negative where the file ends inside it.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    rest = file.read(extra)
    if len(rest) < extra:
        return -1
    value = int.from_bytes(first + rest, "big") - (1 << (7 * (extra + 1)))
    return None if value == (1 << (7 * (extra + 1))) - 1 else value

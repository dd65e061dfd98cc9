"""Where a stream comes from: what a text names, what to call it without its secrets, and how ffmpeg is to open it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from spikereel.data.events.readers import SUFFIXES as RECORDINGS
from spikereel.errors import ConfigError

What = Literal["file", "folder", "events", "pipe", "camera", "network", "sensor"]
EVENT_SCHEME = "events"
PIPE = "pipe:0"
NETWORK = frozenset({"rtsp", "rtsps", "http", "https", "tcp", "udp", "rtp", "rtmp", "rtmps"})
HIDDEN = "***"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One source of a stream."""

    text: str
    """As it was given; never to be printed."""
    name: str
    """The same without user, password and query."""
    what: What

    @property
    def live(self) -> bool:
        """Whether it goes on by itself, so that whoever is slow loses something, and its end is a loss."""
        return self.what in ("camera", "network", "sensor")

    @property
    def scheme(self) -> str:
        """Of the address, in small letters; empty for files."""
        return urlsplit(self.text).scheme.lower() if self.what in ("network", "sensor") else ""

    def clean(self, text: str) -> str:
        """A text of another library with nothing in it that `name` hides."""
        parts = urlsplit(self.text) if self.scheme else None
        secrets = [self.text]
        if parts is not None:
            secrets += [parts.netloc.rpartition("@")[0], parts.query, parts.password or "", parts.username or ""]
            secrets += [unquote(x) for x in secrets]
        for secret in sorted({x for x in secrets if x}, key=len, reverse=True):
            text = text.replace(secret, self.name if secret == self.text else HIDDEN)
        return " ".join(text.split())


def place_of(text: str) -> Place:
    """What a text names. Raises ConfigError for an address of a kind that cannot be opened."""
    if text in ("-", PIPE):
        return Place(text=PIPE, name="pipe", what="pipe")
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+)://", text)
    if scheme is not None:
        kind = scheme[1].lower()
        if kind not in NETWORK | {EVENT_SCHEME, "file"}:
            known = ", ".join(sorted(NETWORK | {EVENT_SCHEME}))
            raise ConfigError(f"{kind}:// cannot be opened; give one of {known}, a file, a folder, /dev/video0 or -")
        if kind == "file":
            return place_of(unquote(urlsplit(text).path))
        return Place(text=text, name=_redacted(text), what="sensor" if kind == EVENT_SCHEME else "network")
    path = Path(text)
    if re.fullmatch(r"/dev/video\d+", text):
        return Place(text=text, name=text, what="camera")
    if text.isdecimal() and not path.exists():
        raise ConfigError(f"{text}: no such file; a camera is named by its device, such as /dev/video{text}")
    if path.is_dir():
        return Place(text=text, name=text, what="folder")
    return Place(text=text, name=text, what="events" if path.suffix.lower() in RECORDINGS - {".npy"} else "file")


def _redacted(text: str) -> str:
    parts = urlsplit(text)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def options_of(place: Place, patience: float) -> dict[str, str]:
    """Options of ffmpeg for a live source that may be silent for so many seconds.

    Each protocol has a name and a unit of its own for it, and `timeout` makes a listening server of an RTMP reader.
    """
    micros = str(int(patience * 1e6))
    own = {
        "rtsp": {"rtsp_transport": "tcp", "timeout": micros},
        "rtsps": {"rtsp_transport": "tcp", "timeout": micros},
        "rtmp": {"rw_timeout": micros, "analyzeduration": "500000"},
        "rtmps": {"rw_timeout": micros, "analyzeduration": "500000"},
    }
    options = dict(own.get(place.scheme, {"timeout": micros} if place.what == "network" else {}))
    if place.scheme in ("http", "https") and urlsplit(place.text).path.endswith((".m3u8", ".m3u")):
        options["live_start_index"] = "-1"
    return options

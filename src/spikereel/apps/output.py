"""What a command prints: never the end of its work. A full or closed output loses words, and no results."""

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from spikereel.errors import SpikereelError

_PLAIN = str.maketrans("█▉▊▋▌▍▎▏─━…²", "######||--.2")
"""What stands for bars and lines where they cannot be printed."""


class OutputError(SpikereelError):
    """Not all could be printed; files are written."""


class Steady(io.TextIOBase):
    """A stream that takes every character, and remembers what went wrong in place of raising it."""

    def __init__(self, stream: Any):
        super().__init__()
        self.stream = stream
        self.trouble: OSError | None = None

    def write(self, text: str) -> int:
        """Print; characters that the encoding has not become question marks."""
        if self.trouble is None:
            try:
                self.stream.write(self._printable(text))
            except OSError as error:
                self.trouble = error
        return len(text)

    def _printable(self, text: str) -> str:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return text.translate(_PLAIN).encode(self.encoding, "replace").decode(self.encoding)
        return text

    def flush(self) -> None:
        """Hand on what was printed."""
        if self.trouble is None:
            try:
                self.stream.flush()
            except OSError as error:
                self.trouble = error

    def close(self) -> None:
        """Nothing: the stream is not ours, and may be closed already when this object goes."""

    def isatty(self) -> bool:
        """Whether somebody looks on."""
        return self.trouble is None and self.stream.isatty()

    def fileno(self) -> int:
        """Of the stream; raises as it does where there is none."""
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # ty: ignore[incompatible-property-override]
        """Of the stream."""
        return self.stream.encoding or "utf-8"

    @property
    def buffer(self) -> Any:
        """Of the stream, for those who print bytes."""
        return self.stream.buffer


@contextmanager
def steady() -> Generator[None, None, None]:
    """Standard output and error that end no work; a closed one takes everything and shows nothing.

    Raises OutputError at the end where something could not be printed, but for a reader that went away.
    """
    kept = sys.stdout, sys.stderr
    out, err = (Steady(io.StringIO() if stream is None else stream) for stream in kept)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = kept
        for steady_one in (out, err):
            if steady_one.trouble is not None:
                _close(steady_one.stream)
    if out.trouble is not None and not isinstance(out.trouble, BrokenPipeError):
        raise OutputError(f"cannot print ({out.trouble.strerror}); all files that were asked for are written")


def _close(stream: Any) -> None:
    """The rest of a stream to nowhere, or Python would try once more at its end, with a traceback."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

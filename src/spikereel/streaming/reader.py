"""One source in a thread of its own: read, kept in a short queue, dropped by rule, counted, and connected again.

A thread always reads and decodes, so that nothing piles up in sockets where nobody sees it; whoever wants frames takes
them from the queue.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from torch import Tensor

from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError, SpikereelError
from spikereel.streaming.feeds import FeedOptions, Lost, Over, Shot, feed
from spikereel.streaming.places import Place

Drop = Literal["every_frame", "freshest"]
Torn = Literal["use", "skip"]
TORN = frozenset({"rtsp", "rtsps", "rtp", "udp"})
"""Schemes whose lost packets leave torn pictures until the next key frame, a hole in the times their only sign."""
HOLE = 1.8
"""Usual steps of time from which on it is a hole."""

REORDERED = 16
"""Usual steps back in time up to which stamps are out of order, which codecs allow; further back a clock began anew."""

TICK = 1e-4
"""Seconds after the frame before that a frame is said to be at whose stamp is out of order."""


@dataclass(frozen=True, kw_only=True)
class ReaderOptions:
    """What becomes of frames that nobody took, and of a source that is lost. Raises ConfigError for other values."""

    drop: Drop = "every_frame"
    """every_frame: all in order, as far as the queue holds them; freshest: the last one alone."""
    queue: int = 64
    """Frames that wait at most; a file waits for room, of a live source the oldest goes."""
    max_age: float | None = None
    """Seconds from arrival after which a frame is not answered any more."""
    realtime: bool = False
    """Play files as fast as they were filmed, as if they were live."""
    retries: int | None = None
    """Attempts to connect again before it is given up; None never gives up."""
    backoff: tuple[float, float] = (0.5, 30.0)
    """Seconds before the first attempt, doubled with each, and at most."""
    hole: float = 1.0
    """Seconds in the times of a source from which on it is a gap; so is a clock that begins anew, not a stamp that is
    out of order."""
    torn: Torn = "use"
    """Pictures after lost packets: use them, or skip to the next key frame."""

    def __post_init__(self) -> None:
        if self.drop not in get_args(Drop) or self.torn not in get_args(Torn):
            raise ConfigError(f"drop {self.drop!r}, torn {self.torn!r}: choose every_frame or freshest; use or skip")
        if self.queue < 1 or (self.max_age is not None and not self.max_age > 0) or not self.hole > 0:
            raise ConfigError(f"queue {self.queue}, max_age {self.max_age}, hole {self.hole}: give values above 0")
        if not 0 < self.backoff[0] <= self.backoff[1]:
            raise ConfigError(f"backoff is {self.backoff}: give seconds, the first above 0 and at most the last")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of a source."""

    number: int
    time: float
    """Seconds of the session, which rise whatever the source says."""
    arrival: float
    """time.monotonic() when it was decoded."""
    content: Tensor | Events
    gap: bool
    """Whether something was lost before it: a connection, or a stretch of time."""


@dataclass(kw_only=True)
class Counts:
    """What happened to a source."""

    frames: int = 0
    """Decoded."""
    dropped: Counter = field(default_factory=Counter)
    """By reason: replaced by a fresher one, no room in the queue, too old, torn."""
    troubles: Counter = field(default_factory=Counter)
    """By name, see `Trouble`."""
    connections: int = 0
    gaps: int = 0
    holes: int = 0
    """Steps of time that were too long by a frame or more: the only sign of lost packets."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Heights and widths, each time they changed."""
    last_trouble: str = ""


class Reader:
    """Frames of a place: `start`, then `take` until `finished`."""

    def __init__(
        self,
        place: Place,
        options: ReaderOptions | None = None,
        feeds: FeedOptions | None = None,
        *,
        wake: threading.Condition | None = None,
        open_: Callable[[Place, FeedOptions], Iterator[Shot]] = feed,
    ):
        self.place, self.options, self.feeds = place, options or ReaderOptions(), feeds or FeedOptions()
        self.wake = wake or threading.Condition()
        """Told of each frame and of the end."""
        self.counts = Counts()
        self.error: SpikereelError | None = None
        """Why nothing more will come, where that is no orderly end."""
        self._open = open_
        self._queue: deque[Frame] = deque()
        self._over, self._finished, self._stopped = False, False, threading.Event()
        self._clock = _Clock(self.options.hole)
        self._thread = threading.Thread(target=self._run, name=f"reader of {place.name}", daemon=True)

    @property
    def finished(self) -> bool:
        """Whether nothing is there and nothing will come."""
        with self.wake:
            return self._over and not self._queue

    @property
    def paced(self) -> bool:
        """Whether frames come by themselves, and wait for nobody."""
        return self.place.live or self.options.realtime

    def start(self) -> "Reader":
        """Begin to read."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Read no more; the thread ends with its time-out."""
        self._stopped.set()
        with self.wake:
            self.wake.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the thread; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def take(self, most: int = 1) -> list[Frame]:
        """Frames that wait, oldest first; those that are too old are dropped and counted."""
        oldest = None if self.options.max_age is None else time.monotonic() - self.options.max_age
        with self.wake:
            while self._queue and oldest is not None and self._queue[0].arrival < oldest:
                self._queue.popleft()
                self.counts.dropped["too old"] += 1
            taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            if taken:
                self.wake.notify_all()
        return taken

    def _run(self) -> None:
        attempt = 0
        try:
            while not self._stopped.is_set():
                before = self.counts.frames
                trouble = self._connect()
                if self._stopped.is_set() or self._finished or (trouble is None and not self.place.live):
                    return
                self.feeds = replace(self.feeds, after_end=trouble is None)
                attempt = 1 if self.counts.frames > before else attempt + 1
                if not self.place.live or (self.options.retries is not None and attempt > self.options.retries):
                    self.error = SpikereelError(self.counts.last_trouble or f"{self.place.name}: ended")
                    return
                first, most = self.options.backoff
                self._stopped.wait(min(first * 2 ** (attempt - 1), most))
        except SpikereelError as error:
            self.counts.troubles["unreadable"] += 1
            self.counts.last_trouble = str(error)
            self.error = error
        finally:
            with self.wake:
                self._over = True
                self.wake.notify_all()

    def _connect(self) -> Lost | None:
        """Read one connection to its end; what broke it, or None."""
        self.counts.connections += 1
        self._clock.connect(time.monotonic())
        try:
            for shot in self._open(self.place, self.feeds):
                if self._stopped.is_set():
                    return None
                self._put(shot)
        except Over:
            self._finished = True
            return None
        except Lost as error:
            self.counts.troubles[error.trouble] += 1
            self.counts.last_trouble = str(error)
            return error
        if self.place.live:
            self.counts.troubles["ended"] += 1
            self.counts.last_trouble = f"{self.place.name}: ended"
        return None

    def _put(self, shot: Shot) -> None:
        arrival = time.monotonic()
        stamp, gap, hole = self._clock.stamp(shot, arrival)
        if self.options.realtime and not self.place.live:
            self._stopped.wait(max(self._clock.began + stamp - arrival, 0.0))
            arrival = time.monotonic()
        counts = self.counts
        counts.frames += 1
        counts.gaps += gap
        counts.holes += hole
        size = _size(shot.content)
        if not counts.sizes or counts.sizes[-1] != size:
            counts.sizes.append(size)
        if self.place.scheme in TORN and self.options.torn == "skip" and self._clock.torn(hole, shot.key):
            counts.dropped["torn"] += 1
            return
        frame = Frame(number=counts.frames - 1, time=stamp, arrival=arrival, content=shot.content, gap=gap)
        with self.wake:
            if self.options.drop == "freshest" and self._queue:
                frame = self._fresher(frame)
            while len(self._queue) >= self.options.queue and not self._stopped.is_set():
                if self.paced and not shot.recorded:
                    self._queue.popleft()
                    counts.dropped["no room"] += 1
                else:
                    self.wake.wait(0.5)
            self._queue.append(frame)
            self.wake.notify_all()

    def _fresher(self, frame: Frame) -> Frame:
        """The frame in the place of those that wait; a gap before them is one before it."""
        gap = frame.gap or any(old.gap for old in self._queue)
        self.counts.dropped["fresher one"] += len(self._queue)
        self._queue.clear()
        return Frame(number=frame.number, time=frame.time, arrival=frame.arrival, content=frame.content, gap=gap)


class _Clock:
    """Times that rise, from those of a source, which may lack, jump and begin anew."""

    def __init__(self, hole: float):
        self.hole, self.began = hole, 0.0
        self._last: float | None = None
        self._raw: float | None = None
        self._elapsed, self._usual = 0.0, 0.0
        self._fresh, self._skipping = True, False

    def connect(self, now: float) -> None:
        self.began = self.began or now
        self._fresh, self._skipping = True, False

    def stamp(self, shot: Shot, arrival: float) -> tuple[float, bool, bool]:
        """(seconds, whether a gap comes before, whether frames are missing before)."""
        elapsed, gap, missing, mixed = arrival - self.began, False, False, False
        if self._last is None:
            stamp = 0.0
        elif self._fresh:
            # a new connection took the time it took
            stamp, gap = max(elapsed, self._last + self._usual), True
        else:
            step = self._step(shot.time, elapsed)
            mixed = -min(self.hole, REORDERED * self._usual) <= step < 0
            gap = not mixed and not 0 <= step <= self.hole
            told = shot.time is not None and self._raw is not None
            missing = told and bool(self._usual) and not gap and step > HOLE * self._usual
            if told and 0 < step <= self.hole and not missing:
                self._usual = 0.9 * self._usual + 0.1 * step if self._usual else step
            # a clock that begins anew lost no time
            stamp = self._last + (TICK if mixed else step if step >= 0 else self._usual)
        # the next step is one from the latest time that was seen
        self._raw = self._raw if mixed else shot.time
        self._last, self._elapsed, self._fresh = stamp, elapsed, False
        return stamp, gap, missing

    def _step(self, time: float | None, elapsed: float) -> float:
        """Seconds since the frame before."""
        if time is None:
            return elapsed - self._elapsed
        if self._raw is not None:
            return time - self._raw
        # RTSP has no time for its first frame, and counts from it or from the second
        return time if 0 < time <= self.hole else min(max(elapsed - self._elapsed, 1e-3), self.hole)

    def torn(self, hole: bool, key: bool) -> bool:
        """Whether this picture may be torn by a hole before it."""
        self._skipping = (self._skipping or hole) and not key
        return self._skipping


def _size(content: Tensor | Events) -> tuple[int, int]:
    if isinstance(content, Events):
        return content.height, content.width
    return content.shape[0], content.shape[1]

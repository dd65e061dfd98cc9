"""Sources, one network, sinks: the loop that `spikereel stream` runs."""

import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from spikereel.errors import ConfigError, SpikereelError
from spikereel.inference.classify import classes_of
from spikereel.inference.sources import distinct
from spikereel.streaming.answer import Answer, Sink
from spikereel.streaming.batch import Batch
from spikereel.streaming.feeds import FeedOptions
from spikereel.streaming.places import Place
from spikereel.streaming.reader import Frame, Reader, ReaderOptions
from spikereel.streaming.result import Result
from spikereel.streaming.seen import Seer, seer_of
from spikereel.streaming.session import Session
from spikereel.streaming.vital import Vital, declared_rate, metered

AfterGap = Literal["reset", "bridge"]
ENDING = 0.5
"""Seconds besides the patience for a connection (twice that of a read) after which a reader is not waited for."""
AT_ONCE = 4
"""Frames of a source that go through the network together, where so many wait."""
METER_EVERY = 5.0
"""Seconds between looks at firing rate and energy, which cost a frame of the plain model."""
BEST = 5
STEPS = 16
"""Frames after which it is known whether they come at equal steps."""
UNEVEN = 1.5
"""Longest step over the median from which on steps are uneven."""


@dataclass(kw_only=True)
class Channel:
    """One source on its way."""

    name: str
    reader: Reader
    seer: Seer
    vital: Vital = field(default_factory=Vital)
    last: Answer | None = None
    waiting: dict[int, Frame] = field(default_factory=dict)
    """Frames that went in and are not answered, by the number of the network's frame."""
    times: list[float] = field(default_factory=list)
    troubles: int = 0
    dead: bool = False


@dataclass(kw_only=True)
class Live:
    """`live.run(sinks)` until all sources end or `live.stop()`."""

    session: Session
    places: Sequence[Place]
    reading: ReaderOptions = field(default_factory=ReaderOptions)
    feeds: FeedOptions = field(default_factory=FeedOptions)
    rate: float | None = None
    """Frames a second that the network sees; None: as in training, where a source says how fast it is."""
    after_gap: AfterGap = "reset"
    """What follows a gap: the network begins anew, or goes on as if there were none."""
    together: bool = False
    meter: bool = True
    most: int | None = None
    """Answers of each source after which it ends."""
    channels: list[Channel] = field(default_factory=list)
    note: str | None = None
    open_: Callable[..., Iterator] | None = None
    """In place of `feed`, for tests."""

    def __post_init__(self) -> None:
        if self.after_gap not in get_args(AfterGap):
            raise ConfigError(f"after_gap is {self.after_gap!r}: choose reset or bridge")
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            raise ConfigError(f"rate is {self.rate}: give frames a second above 0")
        self.wake, self._stopped = threading.Condition(), threading.Event()
        self.batch = Batch(template=self.session, together=self.together)
        model = self.session.model
        self.classes = classes_of(model.metadata, model.config.num_classes) if model.task == "classification" else ()
        names = distinct([place.name for place in self.places])
        for name, place in zip(names, self.places, strict=True):
            seer, self.note = seer_of(model, rate=self.rate)
            own = {} if self.open_ is None else {"open_": self.open_}
            reader = Reader(place, self.reading, self.feeds, wake=self.wake, **own)
            self.channels.append(Channel(name=name, reader=reader, seer=seer))
            self.batch.join(name)
        self._metered = 0.0

    def stop(self) -> None:
        """End after the frames at hand."""
        self._stopped.set()
        with self.wake:
            self.wake.notify_all()

    def run(self, sinks: Sequence[Sink] = (), *, tick: Callable[[], None] | None = None) -> None:
        """Read, answer and hand on; tick is called several times a second."""
        self._sinks = list(sinks)
        for channel in self.channels:
            channel.reader.start()
        try:
            while not self._stopped.is_set() and not all(self._over(x) for x in self.channels):
                if not self._round():
                    with self.wake:
                        self.wake.wait(0.1)
                if tick is not None:
                    tick()
        finally:
            for channel in self.channels:
                self._watch(channel)
                channel.reader.stop()
            for channel in self.channels:
                self._tell({"event": "end", "source": channel.name, **counts_of(channel)})
            for sink in self._sinks:
                with suppress(OSError, SpikereelError):
                    sink.close()
            # a thread that comes back from its decoder into an interpreter that has ended takes the process with it
            last = time.monotonic() + 2 * self.feeds.patience + ENDING
            for channel in self.channels:
                channel.reader.join(max(last - time.monotonic(), 0.0))

    def _over(self, channel: Channel) -> bool:
        return channel.dead or channel.reader.finished or self._enough(channel)

    def _enough(self, channel: Channel) -> bool:
        return (self.most or math.inf) <= channel.vital.answers

    def _round(self) -> bool:
        """Frames that wait, of all sources; whether there were any."""
        videos: dict[str, Tensor] = {}
        taken: dict[str, list[Frame]] = {}
        for channel in self.channels:
            self._watch(channel)
            if self._over(channel):
                continue
            frames = channel.reader.take(AT_ONCE)
            views = self._see(channel, frames)
            taken[channel.name] = frames
            if views:
                videos[channel.name] = torch.stack(views)
        if videos:
            self._answer(videos)
        return any(taken.values())

    def _see(self, channel: Channel, frames: list[Frame]) -> list[Tensor]:
        views: list[Tensor] = []
        session = self.batch.sessions[channel.name]
        for frame in frames:
            started = time.monotonic()
            channel.vital.latency["wait"].add(started - frame.arrival)
            channel.vital.arrived.add(frame.arrival)
            channel.times = [*channel.times[-31:], frame.time]
            channel.vital.declared = declared_rate(channel.times)
            if frame.gap:
                self._tell({"event": "gap", "source": channel.name, "frame": frame.number, "then": self.after_gap})
                if self.after_gap == "reset":
                    if views:
                        self._answer({channel.name: torch.stack(views)})
                        views = []
                    session.reset()
                    channel.seer.reset()
                    channel.waiting.clear()
            self._pace(channel)
            try:
                new = channel.seer(frame)
            except SpikereelError as error:
                self._fail(channel, error)
                continue
            channel.vital.latency["see"].add(time.monotonic() - started)
            for i in range(len(new)):
                channel.waiting[session.number + len(views) + i] = frame
            views += new
        return views

    def _pace(self, channel: Channel) -> None:
        """By time in place of by number, where frames do not come at equal steps: dropped ones, cameras in the dark."""
        seer, times = channel.seer, channel.times
        if seer.rate is None and seer.stride > 1 and len(times) >= STEPS:
            steps = [b - a for a, b in pairwise(times)]
            if max(steps) > UNEVEN * max(statistics.median(steps), 1e-6):
                seer.rate = 1 / (seer.stride * statistics.median(steps)) if statistics.median(steps) else None

    def _answer(self, videos: dict[str, Tensor]) -> None:
        dtype = next(self.session.model.parameters()).dtype
        device = next(self.session.model.parameters()).device
        channels = {x.name: x for x in self.channels}
        videos = {name: video.to(device, dtype) for name, video in videos.items()}
        self._meter(channels, videos)
        for name, video in videos.items() if not self.together else [("", torch.empty(0))]:
            started = time.monotonic()
            results = self.batch.push({name: video} if not self.together else videos)
            seconds = time.monotonic() - started
            for own, result in results.items():
                channel = channels[own]
                if isinstance(result, SpikereelError):
                    self._fail(channel, result)
                    continue
                for _ in range(len(videos[own])):
                    channel.vital.latency["model"].add(seconds / len(videos[own]))
                self._hand_on(channel, result)

    def _hand_on(self, channel: Channel, result: Result) -> None:
        now = time.monotonic()
        best = min(BEST, len(self.classes))
        chances = result.probabilities if self.classes and len(result) else None
        for i, number in enumerate(result.frames):
            frame = channel.waiting.pop(number, None)
            # several frames are answered at once, and the last of them may be one too many
            if frame is None or self._enough(channel):
                continue
            top: tuple[tuple[str, float], ...] = ()
            if chances is not None:
                values, which = chances[i].topk(best)
                top = tuple((self.classes[k], p) for k, p in zip(which.tolist(), values.tolist(), strict=True))
            output = result.output
            own = output[i] if isinstance(output, Tensor) else type(output)(*(part[i] for part in output))
            answer = Answer(
                source=channel.name,
                frame=frame.number,
                time=frame.time,
                age=now - frame.arrival,
                content=frame.content,
                output=own,
                top=top,
            )
            channel.last = answer
            channel.vital.answers += 1
            channel.vital.answered.add(now)
            channel.vital.latency["age"].add(answer.age)
            self._each_sink(lambda sink, answer=answer: sink.answer(answer))
            channel.vital.latency["sinks"].add(time.monotonic() - now)
        # frames of windows that answer every so often never have an answer of their own
        while len(channel.waiting) > 4 * (getattr(self.session.mode, "window", None) or 1) + AT_ONCE:
            channel.waiting.pop(next(iter(channel.waiting)))

    def _meter(self, channels: dict[str, Channel], videos: dict[str, Tensor]) -> None:
        now = time.monotonic()
        if not self.meter or now - self._metered < METER_EVERY:
            return
        name = next(iter(videos))
        session = self.batch.sessions[name]
        if not session.number:
            return
        self._metered = now
        vital = channels[name].vital
        vital.rate, vital.mj_per_frame = metered(session, videos[name][:1, None])
        for other in channels.values():
            if other.vital.rate is None:
                other.vital.rate, other.vital.mj_per_frame = vital.rate, vital.mj_per_frame

    def _watch(self, channel: Channel) -> None:
        """Tell of troubles of the source since the last look."""
        counts = channel.reader.counts
        total = sum(counts.troubles.values())
        if total != channel.troubles:
            channel.troubles = total
            self._tell({"event": "lost", "source": channel.name, "why": counts.last_trouble, "times": total})
        error = channel.reader.error
        if error is not None and not channel.dead and channel.reader.finished:
            channel.dead = True
            self._fail(channel, error)

    def _fail(self, channel: Channel, error: SpikereelError) -> None:
        channel.vital.errors += 1
        said = channel.reader.place.clean(str(error))
        if said != channel.vital.last_error:
            channel.vital.last_error = said
            self._tell({"event": "error", "source": channel.name, "why": said})

    def _tell(self, event: dict[str, Any]) -> None:
        self._each_sink(lambda sink: sink.event(event))

    def _each_sink(self, call: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                call(sink)
            except (OSError, SpikereelError) as error:
                self._sinks.remove(sink)
                said = f"{type(sink).__name__}: {error}"
                for other in self._sinks:
                    with suppress(OSError, SpikereelError):
                        other.event({"event": "error", "source": "sink", "why": said})


def counts_of(channel: Channel) -> dict[str, Any]:
    """What happened to a source, plain types."""
    counts = channel.reader.counts
    return {
        "frames": counts.frames,
        "dropped": dict(counts.dropped),
        "troubles": dict(counts.troubles),
        "reconnects": max(counts.connections - 1, 0),
        "gaps": counts.gaps,
        "holes": counts.holes,
        "sizes": [list(size) for size in counts.sizes[-8:]],
        **channel.vital.to_json(),
    }

"""Many sessions of one network: they join and leave at any time, at rates of their own, each as if it were alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spikereel.errors import ConfigError, DataError, SpikereelError
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.streaming.modes import Answers, FrameByFrame
from spikereel.streaming.result import Result
from spikereel.streaming.session import Given, Session
from spikereel.streaming.states import joined, share


@dataclass(kw_only=True, repr=False)
class Batch:
    """Sessions by name: `results = batch.push({"door": frames, "yard": frames})`."""

    template: Session
    """What sessions begin as; it sees nothing itself."""
    together: bool = False
    """Frames of several sessions go through the backbone at once: faster on small networks and GPUs. Answers are those
    of a run alone to the last bit wherever the convolutions of the device do not depend on the batch, as those of
    PyTorch on the CPU did not here. False: one session after the other, exact everywhere."""
    sessions: dict[str, Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = self.template
        if self.together and not (isinstance(own.mode, FrameByFrame) and isinstance(own.network, VideoModel)):
            raise ConfigError(f"together is for models frame by frame, this is {own.settings()}; leave it out")

    def join(self, name: str, session: Session | None = None) -> Session:
        """A session from here on: a new one, or one that has a past. Raises ConfigError for a name that is taken."""
        if name in self.sessions:
            raise ConfigError(f"session {name!r} is there already; choose another name")
        session = session or self.template.fork()
        if session.model is not self.template.model or session.settings() != self.template.settings():
            raise ConfigError(f"session {name!r} is of another network or of {session.settings()}; make them alike")
        self.sessions[name] = session
        return session

    def leave(self, name: str) -> Session:
        """The session, which goes on alone. Raises ConfigError for a name that is not there."""
        self._known(name)
        return self.sessions.pop(name)

    def push(
        self, frames: Mapping[str, Tensor], times: Mapping[str, Sequence[float]] | None = None
    ) -> dict[str, Result | SpikereelError]:
        """Results by name, for those that have frames, as many as they have; see `Session.push`.

        The error of a session whose frames are none is its result: it stays as it was, and the others go on.
        """
        for name in frames:
            self._known(name)
        results: dict[str, Result | SpikereelError] = {}
        given: dict[str, Given] = {}
        for name, video in frames.items():
            try:
                given[name] = self._given(name, video, (times or {}).get(name))
                if not self.together:
                    results[name] = self.sessions[name].push(video, (times or {}).get(name))
            except SpikereelError as error:
                results[name] = error
                given.pop(name, None)
        if self.together:
            results |= self._together(given)
        return {name: results[name] for name in frames}

    def _known(self, name: str) -> None:
        if name not in self.sessions:
            raise ConfigError(f"no session {name!r}; there are {', '.join(self.sessions) or 'none'}: join first")

    def _given(self, name: str, video: Tensor, times: Sequence[float] | None) -> Given:
        given = Given.of(video, times)
        if given.video.shape[1] != 1:
            raise DataError(f"session {name!r} got {given.video.shape[1]} clips at once; give it one, [T, C, H, W]")
        self.template.model.check_video(given.video)
        return given

    def _together(self, given: dict[str, Given]) -> dict[str, Result | SpikereelError]:
        states = {name: self.sessions[name].state for name in given}
        answers: dict[str, Answers] = {name: [] for name in given}
        gaps = {name: {a for a, _, broken in self.sessions[name].spans(x) if broken} for name, x in given.items()}
        failed: dict[str, Result | SpikereelError] = {}
        with torch.no_grad():
            for i in range(max((len(x.video) for x in given.values()), default=0)):
                now = {name: x.video[i : i + 1] for name, x in given.items() if i < len(x.video) and name not in failed}
                for name in now:
                    if i in gaps[name] and self.sessions[name].on_gap == "reset":
                        states[name] = State()
                for group in self._groups(now, states):
                    try:
                        self._advance(i, group, now, states, answers)
                    except SpikereelError:
                        # one of them is at fault: each by itself, so that it alone is told
                        for name in group:
                            try:
                                self._advance(i, [name], now, states, answers)
                            except SpikereelError as error:
                                failed[name] = error
        return failed | {
            name: self._concluded(name, x, answers, states, gaps) for name, x in given.items() if name not in failed
        }

    def _concluded(
        self, name: str, given: Given, answers: dict[str, Answers], states: dict[str, State], gaps: dict[str, set[int]]
    ) -> Result:
        session = self.sessions[name]
        result, after = session.concluded(given, answers[name], states[name], len(gaps[name]))
        vars(session).update(after)
        return result

    def _groups(self, now: dict[str, Tensor], states: dict[str, State]) -> list[list[str]]:
        """Names whose frames and states fit together."""
        groups: dict[Any, list[str]] = {}
        restart = self.template.mode.restart if isinstance(self.template.mode, FrameByFrame) else None
        for name, video in now.items():
            flat = states[name].flat()
            kind = frozenset((key, x.shape) for key, x in flat.items() if not key.startswith("readout.recent"))
            recent = flat["readout.recent"].shape if "readout.recent" in flat else None
            phase = int(flat.get("seen", torch.tensor(0))) % restart if restart else 0
            clip = int(flat.get("model.clip.frames", torch.tensor(0)))
            smooth = frozenset(key for key in flat if key.startswith("smooth."))
            groups.setdefault((video.shape, kind, recent, phase, clip, smooth), []).append(name)
        return list(groups.values())

    def _advance(
        self,
        position: int,
        group: list[str],
        now: dict[str, Tensor],
        states: dict[str, State],
        answers: dict[str, Answers],
    ) -> None:
        """One frame of each of a group, in one call of the network."""
        kept = [{key: x for key, x in states[name].items() if key == "smooth"} for name in group]
        state = joined([State({k: x for k, x in states[name].items() if k != "smooth"}) for name in group])
        found, after = self.template.mode.step(torch.cat([now[name] for name in group], dim=1), state)
        for b, (name, smooth) in enumerate(zip(group, kept, strict=True)):
            before = int(states[name].get("seen", torch.tensor(0)))
            states[name] = State({**share(after, b, len(group)), "seen": torch.tensor(before + 1), **smooth})
            answers[name] += [(position, _own(x, b)) for _, x in found]


def _own(output: Any, b: int) -> Any:
    if isinstance(output, Tensor):
        return output[b : b + 1]
    return type(output)(*(part[b : b + 1] for part in output))

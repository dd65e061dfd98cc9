"""Which time steps a call of a module saw: all of them, folded into its first axes, or the one whose turn it was."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikereel.energy.contents import Contents

Form = Literal["time, batch", "batch, time", "time", "folded", "one"]

ORDER = "the order of time and batch inside this model could not be told: figures of single steps may be mixed"


class Place(NamedTuple):
    """Where the figures of a call belong: to all time steps (`form` says how they lie), to one, or to all alike."""

    form: Form
    step: int | None = None
    time_first: bool = True
    """Where time and batch are folded: which comes first."""


class Axes:
    """Where time and batch are in the tensors of one model; decided once a model.

    looped: the model goes through time step by step; False: all steps at once; None: not decided, or both.
    time_first: the order of time and batch where both are folded into one axis; `orders` of single modules go before.
    """

    def __init__(self, steps: int, *, looped: bool | None, time_first: bool):
        self.steps, self.looped, self.time_first = steps, looped, time_first
        self.decided = looped is not None
        self.orders: dict[str, bool] = {}
        """Modules of which the order was found out: whether time comes first."""
        self._known: dict[tuple[tuple[int, ...], int, bool], list[Form]] = {}

    def forms(self, lead: Sequence[int], batch: int, first: bool | None = None) -> list[Form]:
        """Every reading that the sizes of the first axes allow, the more telling ones first."""
        key = tuple(lead), batch, self.time_first if first is None else first
        if key not in self._known:
            self._known[key] = self._readings(*key)
        return self._known[key]

    def _readings(self, lead: tuple[int, ...], batch: int, first: bool) -> list[Form]:
        t = self.steps
        if t == 1:
            return ["one"]
        found: list[Form] = []
        if lead[:2] == (t, batch):
            found.append("time, batch")
        if lead[:2] == (batch, t):
            found.append("batch, time")
        if not first:
            found.reverse()
        if lead and lead[0] % (t * batch) == 0:
            found.append("folded")
        if lead and lead[0] == batch:
            found.append("one")
        if lead and lead[0] == t and batch > 1:
            found.append("time")
        return found or ["one"]

    def decide(self, calls: Sequence[Sequence[tuple[int, ...]]], batch: int) -> None:
        """Learn from all calls of a clip, one list of first axes for each module, whether the model is looped."""
        if self.decided:
            return
        self.decided = True
        looped = whole = False
        for leads in calls:
            forms = {form for lead in leads for form in self.forms(lead, batch)}
            looped |= forms == {"one"} and len(leads) % self.steps == 0
            whole |= "one" not in forms
        self.looped = None if looped == whole else looped

    def doubtful(self, lead: Sequence[int], batch: int) -> bool:
        """Whether the order of time and batch decides what these first axes mean."""
        if self.steps == 1 or batch == 1:
            return False
        forms = self.forms(lead, batch)
        return "folded" in forms or {"time, batch", "batch, time"} <= set(forms)

    def places(
        self,
        leads: Sequence[tuple[int, ...]],
        at: Sequence[int],
        pace: Sequence[int],
        batch: int,
        names: Sequence[str] = (),
    ) -> list[Place]:
        """Where each call of one module belongs.

        leads: the first axes of each call; at: when each came; pace: when the steps of the model began, if it shows;
        names: of the module and others whose order it has.
        """
        first = self.time_first
        if self.orders:
            first = next((self.orders[name] for name in names if name in self.orders), first)
        if len(leads) == 1 and (form := self._form(leads[0], batch, 1, first)) != "one":
            return [Place(form, None, first)]
        forms = [self._form(lead, batch, len(leads), first) for lead in leads]
        single = [i for i, form in enumerate(forms) if form == "one"]
        steps = self._steps([at[i] for i in single], pace)
        found = dict(zip(single, steps, strict=True))
        return [Place(form, found.get(i), first) for i, form in enumerate(forms)]

    def _form(self, lead: tuple[int, ...], batch: int, calls: int, first: bool) -> Form:
        forms = self.forms(lead, batch, first)
        single, whole = "one" in forms, [form for form in forms if form != "one"]
        if not (single and whole):
            return forms[0]
        looped = calls % self.steps == 0 if self.looped is None else self.looped
        return "one" if looped else whole[0]

    def _steps(self, at: Sequence[int], pace: Sequence[int]) -> list[int | None]:
        """The time step of each call that saw one; None: it cannot be told, or there is none."""
        t, calls = self.steps, len(at)
        if t == 1:
            return [0] * calls
        if calls == t:
            return list(range(t))
        begun = [max(sum(start <= moment for start in pace) - 1, 0) for moment in at]
        share = calls // t
        if calls and calls % t == 0:
            if not pace:
                return [i // share for i in range(calls)]
            even = all(begun.count(step) == share for step in range(t))
            return list(begun) if even else [i % t for i in range(calls)]
        return list(begun) if len(set(begun)) > 1 else [None] * calls

    def spikes(self, contents: Contents, place: Place, batch: int) -> NDArray[np.float64]:
        """`by_step` of the spikes of what was seen; do not write into it."""
        if place.form == "time, batch" or (place.form == "folded" and place.time_first):
            return contents.first_axis(self.steps)
        return self.by_step(contents.spikes, place, batch)

    def by_step(self, values: NDArray[np.float64], place: Place, batch: int) -> NDArray[np.float64]:
        """Sums of values [*lead] for each time step, [T], or [1] for a call that saw one."""
        t = self.steps
        if place.form == "one":
            return values.sum().reshape(1)
        first = place.time_first if place.form == "folded" else place.form != "batch, time"
        # whole numbers, of which a sum is the same in any order
        return np.add.reduce(values.reshape(t, -1), 1) if first else values.reshape(batch, t, -1).sum((0, 2))

"""The one thread that networks run in, and the weights that are loaded."""

import hashlib
import threading
import traceback
from collections import OrderedDict
from pathlib import Path
from typing import Any

from spikereel.errors import DataError
from spikereel.hub import load_model
from spikereel.models.base import VideoModel
from spikereel.studio.analysis import Analysis
from spikereel.studio.opened import Opened
from spikereel.studio.recorded import Recorded
from spikereel.studio.turns import Turns
from spikereel.studio.windows import windows_of

MOST = 6
"""Analyses that are kept."""


class Worker:
    """Computes one window at a time, of the analysis that was looked at last."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._kept: OrderedDict[str, Analysis] = OrderedDict()
        self._models: OrderedDict[tuple[str, int], VideoModel] = OrderedDict()
        self._wake = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="studio networks", daemon=True)
        self._thread.start()

    def begin(
        self,
        opened: Opened,
        weights: str,
        path: Path | None = None,
        every: float | None = None,
        frame: int | None = None,
    ) -> Analysis:
        """An analysis of a source by weights, by name or of a file; the one there is, if it is there. frame: where
        somebody looks, which is computed first."""
        model = self.model(weights, path) if opened.trace is None else Recorded(opened.trace)
        # weights that were trained on since are others
        changed = path.stat().st_mtime_ns if path else 0
        key = hashlib.sha256(f"{opened.id}\0{weights}\0{changed}\0{every}".encode()).hexdigest()[:16]
        with self._wake:
            known = self._kept.get(key)
        if known is None:
            windows = model if isinstance(model, Recorded) else windows_of(model, opened, every)
            known = Analysis(id=key, model=model, weights=weights, opened=opened, windows=windows, turns=self.turns)
        return self.look(known, frame)

    def model(self, weights: str, path: Path | None = None) -> VideoModel:
        """Weights by name, or of a file, loaded once as long as the file does not change."""
        key = (str(path or weights), path.stat().st_mtime_ns if path else 0)
        with self._wake:
            if key in self._models:
                return self._models[key]
        model = load_model(path or weights)
        with self._wake:
            self._models[key] = model
            while len(self._models) > MOST:
                self._models.popitem(last=False)
        return model

    def look(self, analysis: Analysis, frame: int | None = None) -> Analysis:
        """Somebody looks at an analysis, at a frame: it goes on from there."""
        with self._wake:
            analysis = self._kept.setdefault(analysis.id, analysis)
            self._kept.move_to_end(analysis.id)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
            if frame is not None:
                analysis.playhead = frame
            self._wake.notify_all()
        return analysis

    def wake(self) -> None:
        """There is more to compute, as of a camera."""
        with self._wake:
            self._wake.notify_all()

    def get(self, key: str) -> Analysis:
        """The analysis of an id. Raises DataError where there is none (any more)."""
        with self._wake:
            if key not in self._kept:
                raise DataError("this analysis is not kept any more; start it again")
            return self._kept[key]

    def state(self) -> dict[str, Any]:
        """How many analyses are kept, and how many windows are left."""
        with self._wake:
            return {"analyses": len(self._kept), "left": sum(len(x.spans) - len(x.found) for x in self._kept.values())}

    def close(self) -> None:
        """End after the window in progress."""
        with self._wake:
            self._ended = True
            self._wake.notify_all()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            with self._wake:
                while (analysis := self._next()) is None and not self._ended:
                    self._wake.wait()
                if self._ended or analysis is None:
                    return
            try:
                analysis.step()
            except Exception as error:  # noqa: BLE001 - a fault of one analysis must not end those of others
                traceback.print_exc()
                analysis.fail(f"{type(error).__name__}: {error}")

    def _next(self) -> Analysis | None:
        return next((x for x in reversed(self._kept.values()) if not x.done), None)

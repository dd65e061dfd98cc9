"""Memory that is taken ahead of whoever fills it."""

import sys
from pathlib import Path

import event_writers as write
import numpy as np
import pytest

from spikereel.data.events import pages, stream
from spikereel.data.events.readers import read_events


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux alone")
def test_pages_are_taken_and_hold_what_they_held():
    column = np.empty(3 << 24, np.uint8)
    column[: 1 << 20], column[-100:] = 7, 9
    before = _resident()
    pages._take([(column.ctypes.data, column.nbytes)], [column])
    if _resident() - before < column.nbytes // 2:
        pytest.skip("this kernel does not take pages ahead")
    assert (column[: 1 << 20] == 7).all()
    assert (column[-100:] == 9).all()


def test_events_are_the_same_with_pages_taken_ahead(save, monkeypatch):
    events = [(i, i % 40, i % 39, i % 2) for i in range(3000)]
    path = save("a.raw", write.evt3(events))
    monkeypatch.setattr(stream, "PART", 64)
    asked = []
    monkeypatch.setattr(pages, "LARGE", 1)
    monkeypatch.setattr(stream, "ahead", lambda columns, share: asked.append(share) or pages.ahead(columns, share))
    assert write.rows_of(read_events(path)) == events
    assert asked
    assert set(asked) == {1 / stream.SPARE}

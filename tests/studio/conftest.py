"""A studio in a process of its own, and a page of it in Debian's chromium; every request that a page makes is noted."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from films import film, uneven

WEIGHTS = "spikevideoformer_ti.motion"
CHROMIUM = shutil.which("chromium")
AXE = Path(os.environ.get("SPIKEREEL_AXE", "nowhere"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("browser") and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="needs Debian's chromium"))


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film of constant rate, and one whose rate varies."""
    folder = tmp_path_factory.mktemp("films")
    film(folder / "round.mp4", 96)
    film(folder / "uneven.mp4", 70, times=uneven(70))
    return folder


@pytest.fixture(scope="session")
def address(films: Path) -> Iterator[str]:
    """Where a studio answers."""
    command = [sys.executable, "-m", "spikereel.apps.cli", "studio", "--port", "0", "--root", f"films={films}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=films) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.send_signal(signal.SIGINT)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a screen, with a camera that is made up."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page of the studio; fails at the end where it asked another host for anything, or raised an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found, foreign, faults = context.new_page(), [], []
    own = (address, "data:", f"blob:{address}")
    found.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.set_default_timeout(60_000)
    found.goto(address)
    yield found
    context.close()
    assert not foreign
    assert not faults

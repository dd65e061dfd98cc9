"""A studio in a process of its own, and a page of it in Debian's chromium; every request that a page makes is noted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import CHROMIUM, studio_in
from films import film, uneven
from small import KINDS, small_recipe, video_folder

from spikereel.energy import measure
from spikereel.hub import load_model
from spikereel.train.run import train


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
    """Where the studio of these films answers."""
    with studio_in(films, "--root", f"films={films}") as found:
        yield found


@pytest.fixture(scope="session")
def run_of_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips/ of two kinds, and a run that was trained on them, runs/small."""
    root = tmp_path_factory.mktemp("own")
    clips = video_folder(root / "clips", each=3)
    train(small_recipe(root / "runs", kind="folder", root=str(clips), stride=None, epochs=1))
    report = {"top1": 50.0, "confusion": [[1, 0], [1, 0]], "classes": list(KINDS), "energy": {"snn": 1.0}}
    (root / "runs" / "small" / "report.json").write_text(json.dumps({**report, "seconds": 3.0}))
    model = load_model(root / "runs" / "small" / "best.safetensors")
    passport = measure(model, torch.rand(4, 1, model.config.in_channels, 32, 32)).to_json()
    (root / "runs" / "small" / "passport.json").write_text(json.dumps({**passport, "model": "small"}))
    (root / "runs" / "small" / "two.json").write_text(json.dumps({"passports": {"a": passport, "b": passport}}))
    return root


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
    own = ("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:", "about:")
    found.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.set_default_timeout(60_000)
    found.goto(address)
    yield found
    context.close()
    assert not foreign
    assert not faults

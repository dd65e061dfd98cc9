"""Run-time shape checks for the whole package, and the markers that need something this machine may not have."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import jaxtyping
import pytest

# has to come before the first import of these packages, and so before everything below
CHECKED = [f"spikereel.{package}" for package in ("ops", "layers", "models", "tasks")]
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402
from processor_time import at_most  # noqa: E402

torch.set_num_threads(1)
settings.register_profile("spikereel", deadline=None, derandomize=True)
settings.load_profile("spikereel")

SECONDS = {"slow": 600, "packages": 1800, "side": 1200}
"""Of processor time: what a long test may take, and each process that it starts."""
HUNG = 6 * 3600
"""Seconds by the clock after which a long test waits for what does not come. Others have the timeout in pyproject."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        "slow": None if config.getoption("--slow") else "slow; give --slow to run it",
        "parity": _without_folder("SPIKEREEL_PARITY", "the authors' fixtures"),
        "realdata": _without_folder("SPIKEREEL_DATA", "the real recordings"),
        "side": _without_folder("SPIKEREEL_SIDE", "the side environments"),
        "packages": None if os.environ.get("SPIKEREEL_PACKAGES") else "SPIKEREEL_PACKAGES names no folder",
        "gpu": None if torch.cuda.is_available() else "no CUDA device",
        "triton": _without_triton(),
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
        if any(item.get_closest_marker(marker) for marker in SECONDS):
            item.add_marker(pytest.mark.timeout(HUNG))


@pytest.fixture(autouse=True)
def share(request: pytest.FixtureRequest) -> Iterator[None]:
    """A long test ends after its share of processor time."""
    seconds = [limit for marker, limit in SECONDS.items() if request.node.get_closest_marker(marker)]
    with at_most(max(seconds)) if seconds else nullcontext():
        yield


def _without_triton() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "no Triton: pip install triton==3.6.0"
    there = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"
    return None if there else "no CUDA device; TRITON_INTERPRET=1 runs the kernels without one"


def _without_folder(variable: str, content: str) -> str | None:
    folder = os.environ.get(variable)
    return None if folder and Path(folder).is_dir() else f"{variable} names no folder with {content}"


@pytest.fixture(scope="session")
def parity_folder() -> Path:
    """The folder of the authors' fixtures; only for tests marked `parity`."""
    return Path(os.environ["SPIKEREEL_PARITY"])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with ut_interaction_set1/ and video_zoo/."""
    folder = os.environ.get("SPIKEREEL_DATA")
    if not folder or not Path(folder, "video_zoo").is_dir():
        pytest.skip("SPIKEREEL_DATA names no folder with video_zoo/ and ut_interaction_set1/")
    return Path(folder)


@pytest.fixture
def as_user() -> Iterator[None]:
    """Without the run-time shape checks, as users run the package: for errors that the checks would forestall."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

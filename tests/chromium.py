"""Debian's chromium on an address, with nothing left of it afterwards."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def chromium_at(address: str, profile: Path, *options: str) -> Iterator[None]:
    """It is open within the block. Killed with all of its processes: asked to stop, a hung one may never end."""
    program = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", *options]
    program += [f"--user-data-dir={profile}", address]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(program, start_new_session=True, **quiet) as browser:
        try:
            yield
        finally:
            os.killpg(browser.pid, signal.SIGKILL)

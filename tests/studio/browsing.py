"""What the tests in a browser share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = "spikevideoformer_ti.motion"
CHROMIUM = shutil.which("chromium")
AXE = Path(os.environ.get("SPIKEREEL_AXE", "nowhere"))
"""axe.min.js of npm's axe-core."""


@contextmanager
def studio_in(folder: Path, *arguments: str) -> Iterator[str]:
    """Where a studio of its own answers, started in a folder."""
    command = [sys.executable, "-m", "spikereel.apps.cli", "studio", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.send_signal(signal.SIGINT)

"""Where a number comes from: versions, hardware and command, for every JSON that is written."""

import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

from spikereel import __version__


def provenance() -> dict[str, Any]:
    """Versions, device and command line of this process."""
    return {
        "versions": {
            "spikereel": __version__,
            "python": platform.python_version(),
            **_versions("torch", "numpy", "av"),
        },
        "hardware": hardware(),
        "command": " ".join(["spikereel", *sys.argv[1:]]),
    }


def hardware() -> str:
    """Processor and threads, and the GPU if there is one."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{_processor()}, {torch.get_num_threads()} threads{gpu}"


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux; the platform's own answer serves
    return platform.processor() or platform.machine()

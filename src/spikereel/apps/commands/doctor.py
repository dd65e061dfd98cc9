"""`spikereel doctor`: whether the installation is in order."""

import argparse
from typing import Any

from spikereel.apps.commands.common import command, entry


def add(commands: Any) -> None:
    """Register doctor."""
    command(commands, "doctor", _doctor, "print versions, devices and active kernels")


def _doctor(_options: argparse.Namespace) -> None:
    from spikereel.apps.doctor import report

    for name, value in report().items():
        print(entry(name, value, indent=24))

"""`spikereel demo`: the whole library in three minutes."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, new_console


def add(commands: Any) -> None:
    """Register demo."""
    demo = command(
        commands,
        "demo",
        _demo,
        "train a small model, judge it, classify clips and draw what it cost",
        reads=("videos",),
        folders=("out",),
    )
    demo.add_argument("videos", nargs="*", help="videos of your own to classify as well")
    demo.add_argument("--out", default="demo", help="folder for the picture, the video and report.json (default: demo)")
    demo.add_argument("--from-scratch", action="store_true", help="start from fresh weights, not from those that ship")


def _demo(options: argparse.Namespace) -> None:
    from spikereel.apps.demo import demo

    demo(Path(options.out), videos=options.videos, from_scratch=options.from_scratch, console=new_console())

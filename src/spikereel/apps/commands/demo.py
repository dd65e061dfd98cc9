"""`spikereel demo`: the whole library in three minutes."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, new_console
from spikereel.errors import ConfigError


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
    demo.add_argument(
        "--task",
        choices=("classification", "pose", "segmentation", "stream", "all"),
        default="classification",
        help="pose, segmentation and stream use weights that ship, and take no videos (default: classification)",
    )
    demo.add_argument("videos", nargs="*", help="videos of your own to classify as well")
    demo.add_argument("--out", default="demo", help="folder for the picture, the video and report.json (default: demo)")
    demo.add_argument("--from-scratch", action="store_true", help="start from fresh weights, not from those that ship")


def _demo(options: argparse.Namespace) -> None:
    from spikereel.apps.demo import demo
    from spikereel.apps.demo_tasks import DEMOS, demo_of

    console, out = new_console(), Path(options.out)
    if options.task in ("classification", "all"):
        demo(out, videos=options.videos, from_scratch=options.from_scratch, console=console)
    elif options.videos or options.from_scratch:
        raise ConfigError(f"demo --task {options.task} takes no videos and no --from-scratch; see spikereel predict")
    for task in DEMOS if options.task == "all" else [task for task in DEMOS if task == options.task]:
        demo_of(task, out, console)

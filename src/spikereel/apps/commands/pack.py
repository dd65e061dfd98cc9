"""`spikereel data pack`: a folder or list of files into shards."""

import argparse
import math
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, new_console, progress
from spikereel.errors import ConfigError


def add_pack(commands: Any) -> None:
    """Register `pack` among the sub-commands of `spikereel data`."""
    text = "pack a folder with a subfolder per class, or a list, into tar shards; goes on where it stopped"
    sub = command(commands, "pack", _pack, text, reads=("source",), folders=("out",))
    sub.add_argument(
        "source", metavar="SRC", help="the folder of videos or event files, or a list of lines 'path label'"
    )
    sub.add_argument("out", metavar="OUT", help="folder for the shards and index.json")
    sub.add_argument("--shard-mb", type=float, default=64, metavar="MB", help="size of a shard (default: %(default)s)")


def _pack(options: argparse.Namespace) -> None:
    from spikereel.data.shards import pack
    from spikereel.data.walk import said

    size = options.shard_mb * 2**20
    if not 0 < size < math.inf:
        raise ConfigError(f"--shard-mb is {options.shard_mb}: give a number of MiB above 0, such as 64")
    source, out = Path(options.source), Path(options.out)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{out}: lies in {source}, which is packed; choose a folder outside")
    classes, samples, left_out = sources(source)
    console = new_console()
    with progress() as bar:
        packing = bar.add_task("packing", total=len(samples))
        index = pack(
            samples,
            classes,
            options.out,
            shard_bytes=max(int(size), 1),
            progress=lambda done, total: bar.update(packing, completed=done, total=total),
        )
    packed = sum(shard["bytes"] for shard in index["shards"])
    console.print(
        f"{index['samples']} samples of {len(classes)} classes in {len(index['shards'])} shards, "
        f"{packed / 2**20:.1f} MiB: {options.out}"
    )
    if left_out:
        console.print(said(left_out, source), style="yellow")


def sources(source: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]], list[Path]]:
    """Classes, (path, label) of every video and event file of a folder or of what a list names, and what is left out;
    folders of pictures are, since a shard holds files.
    """
    from spikereel.data.clips import class_files
    from spikereel.data.events.readers import SUFFIXES as EVENTS
    from spikereel.data.sets.list import VideoList
    from spikereel.data.transforms import EvalTransform
    from spikereel.data.video.clip import SUFFIXES as VIDEOS
    from spikereel.data.video.clip import Reading

    if source.is_file():
        listed = VideoList(source, Reading(frames=1, transform=EvalTransform()))
        return tuple(listed.classes), listed.samples, []
    classes, samples, left_out = class_files(source, None, suffixes=VIDEOS | EVENTS)
    folders = [path for path, _ in samples if path.is_dir()]
    return classes, [sample for sample in samples if sample[0] not in folders], [*left_out, *folders]

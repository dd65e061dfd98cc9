"""`spikereel data`: inspect, check, repair and pack."""

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console, progress
from spikereel.apps.commands.pack import add_pack
from spikereel.errors import ConfigError
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register data and its actions."""
    data = commands.add_parser(
        "data",
        help="look into files, repair and pack them",
        description="Look into files of videos and events, repair and pack them.",
    )
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    about = command(actions, "inspect", _data_inspect, "say what one file is", reads=("file",))
    about.add_argument("file", metavar="FILE", help="a video or a recording of an event camera")
    _reading_options(about)
    json_option(about)
    text = (
        "decode all files of a folder; report broken, short, duplicate and missing ones; exit code 1 if any is broken"
    )
    look = command(actions, "check", _data_check, text, reads=("root",))
    look.add_argument("root", metavar="ROOT", help="folder of videos, recordings and the lists that name them")
    _reading_options(look)
    look.add_argument(
        "--min-frames", type=int, default=8, metavar="N", help="report videos with fewer frames as short (default: 8)"
    )
    look.add_argument(
        "--workers", type=int, metavar="N", help="read so many files at a time (default: one for each processor)"
    )
    json_option(look)
    text = "sort the events of a recording by time, drop those outside the sensor, and write them as NPZ"
    mend = command(actions, "repair", _data_repair, text, reads=("file",), writes={"out": "OUT"})
    mend.add_argument("file", metavar="IN", help="a recording of an event camera; it is not changed")
    mend.add_argument("out", metavar="OUT", help="the file to write, such as repaired.npz")
    _reading_options(mend)
    json_option(mend)
    add_pack(actions)


def _reading_options(parser: argparse.ArgumentParser) -> None:
    text = "give width and height in pixels to recordings that do not state them, such as 128,128 for CIFAR10-DVS"
    parser.add_argument("--sensor", metavar="W,H", help=text)
    text = "name the columns of one array or of text, in their order, such as x,y,t,p; - passes one over"
    parser.add_argument("--columns", default="", metavar="NAMES", help=text)
    text = "say what the times of arrays and text are in; the default is microseconds, or what the file states"
    parser.add_argument("--time-unit", choices=("s", "ms", "us", "ns"), help=text)
    text = "count times as the camera does, or from the first event (default: camera)"
    parser.add_argument("--time-origin", choices=("camera", "first"), default="camera", help=text)


def _sensor(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6},\d{1,6}", text):
        raise ConfigError(f"--sensor is {text!r}: give width and height in pixels, such as 128,128")
    width, height = map(int, text.split(","))
    return width, height


def _told(options: argparse.Namespace) -> Any:
    from spikereel.data.events.source import Told

    return Told(columns=options.columns, time_unit=options.time_unit, time_origin=options.time_origin)


def _data_inspect(options: argparse.Namespace) -> None:
    from spikereel.apps.check import described, info_table, inspect

    found = inspect(options.file, sensor=_sensor(options.sensor), told=_told(options))
    if options.json:
        write_json(options.json, described(found))
    new_console().print(info_table(options.file, found))


def _data_repair(options: argparse.Namespace) -> None:
    from spikereel.data.events.repair import repair

    done = repair(options.file, options.out, sensor=_sensor(options.sensor), told=_told(options))
    times = "time" if done.backwards == 1 else "times"
    if options.json:
        write_json(options.json, dataclasses.asdict(done))
    new_console().print(
        f"{options.out}: {done.events} events; {done.dropped} outside the sensor dropped; time went backwards "
        f"{done.backwards} {times} before",
        soft_wrap=True,
    )


def _data_check(options: argparse.Namespace) -> int:
    from spikereel.apps.check import check, report_table
    from spikereel.apps.check_shards import check_shards, shard_folders

    if options.workers is not None and options.workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {options.workers}")
    with progress() as bar:
        task = bar.add_task("decoding files", total=None)
        look = check_shards if shard_folders(Path(options.root)) else check
        report = look(
            options.root,
            sensor=_sensor(options.sensor),
            told=_told(options),
            min_frames=options.min_frames,
            workers=options.workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if options.json:
        write_json(options.json, report.to_json())
    new_console().print(report_table(report))
    return int(not report.ok)

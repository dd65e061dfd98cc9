"""`spikereel studio`: a local page that shows what a network does with a video."""

import argparse
import re
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command
from spikereel.errors import ConfigError


def add(commands: Any) -> None:
    """Register studio."""
    text = "a local page: videos and what networks make of them on one clock, comparisons, runs"
    studio = command(commands, "studio", _studio, text, reads=("runs", "root"))
    studio.add_argument("runs", nargs="*", metavar="RUN", help="folder of a run, or of several (default: runs)")
    studio.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="folder whose files may be opened, several times (default: the current one)",
    )
    studio.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    studio.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    studio.add_argument("--token", help="asked of every request (default: a new one where others reach the server)")
    studio.add_argument(
        "--name", dest="hosts", action="append", default=[], metavar="HOST", help="a further host name of this server"
    )
    studio.add_argument(
        "--upload-limit", type=float, default=2048, metavar="MB", help="of one upload (default: %(default)g)"
    )


def _studio(options: argparse.Namespace) -> None:
    from spikereel.extras import need

    need("studio")
    from spikereel.studio.guard import is_loopback
    from spikereel.studio.roots import Roots
    from spikereel.studio.server import application, listening, serve
    from spikereel.studio.state import Studio, new_token

    if not 0 <= options.port < 65536 or not options.upload_limit > 0:
        raise ConfigError(
            f"port is {options.port}, upload-limit {options.upload_limit:g}: give 0 to 65535, and above 0"
        )
    if options.token is not None and not re.fullmatch(r"[\w-]{16,}", options.token, re.ASCII):
        raise ConfigError("a token is 16 or more of letters, digits, - and _; leave --token out for a good one")
    runs = options.runs or (["runs"] if Path("runs").is_dir() else [])
    roots = Roots.of([*(options.root or ["."]), *[x for x in runs if options.runs]])
    try:
        at = listening(options.host, options.port)
    except OSError as error:
        raise ConfigError(f"cannot listen at {options.host}:{options.port}: {error.strerror}; give --port 0") from None
    token = options.token or (None if is_loopback(options.host) else new_token())
    places = tuple(x for x in map(roots.place, runs) if x is not None)
    studio = Studio(roots=roots, runs=places, upload_limit=int(options.upload_limit * 2**20))
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{at.getsockname()[1]}/" + (f"?token={token}" if token else "")
    print(
        f"studio: {address}\nreads {', '.join(f'{k} = {v}' for k, v in roots.folders.items())}; Ctrl-C ends it",
        flush=True,
    )
    app = application(studio, host=options.host, token=token, names=frozenset(options.hosts))
    try:
        serve(app, at)
    except KeyboardInterrupt:
        print("studio: ended")
    finally:
        studio.close()

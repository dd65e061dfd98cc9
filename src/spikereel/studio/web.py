"""What the handlers share: parameters that are checked, work in threads, and errors of one line."""

import functools
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from spikereel.errors import ConfigError, SpikereelError
from spikereel.studio.state import Studio
from spikereel.studio.uploads import TooLarge

Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


def studio_of(request: Request) -> Studio:
    """The state of the server."""
    return request.app.state.studio


def answers(handler: Handler) -> Handler:
    """A handler whose errors are JSON of one line: {"error": text}."""

    @functools.wraps(handler)
    async def answering(request: Request) -> Response:
        try:
            return await handler(request)
        except TooLarge as error:
            return refused(413, error)
        except SpikereelError as error:
            return refused(400, error)
        except ClientDisconnect:
            return refused(400, "the request ended early, or is too large")
        except OSError as error:
            return refused(507 if error.errno == 28 else 500, error.strerror or type(error).__name__)

    return answering


def refused(status: int, error: object) -> Response:
    """An error as JSON."""
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=status)


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Work that waits for disks or networks, away from the loop."""
    return await anyio.to_thread.run_sync(functools.partial(work, *arguments))


async def sent(request: Request, **kinds: type) -> dict[str, Any]:
    """The JSON object of a request; each value is of the kind that is named, or None. ConfigError for anything else."""
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        raise ConfigError("the request is no JSON") from None
    if not isinstance(body, dict):
        raise ConfigError("the request is no JSON object")
    for name, value in body.items():
        if name not in kinds:
            raise ConfigError(f"{name[:40]!r} means nothing here; give {', '.join(kinds)}")
        if kinds[name] is float and type(value) is int:
            body[name] = value = float(value)
        if value is not None and (not isinstance(value, kinds[name]) or isinstance(value, bool)):
            raise ConfigError(f"{name} is a {type(value).__name__}; give {kinds[name].__name__}")
    return {name: body.get(name) for name in kinds}


def number(request: Request, name: str, default: int | None = None) -> int:
    """A whole number of the query. Raises ConfigError where there is none."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise ConfigError(f"{name} is {(text or '')[:40]!r}; give a whole number") from None


def real(request: Request, name: str) -> float:
    """A finite number of the query. Raises ConfigError where there is none."""
    text = request.query_params.get(name, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name} is {text[:40]!r}; give a number")
    return value

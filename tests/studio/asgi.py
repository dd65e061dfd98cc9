"""A client of an ASGI application without a network: what a browser, or somebody worse, sends."""

import asyncio
import json
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

OWN = {"host": "127.0.0.1:8765"}
CHANGES = {**OWN, "x-spikereel": "1"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]


def run(work: Coroutine) -> Any:
    """What it comes to, on a loop of a thread of its own: a browser that another test has open runs one in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def ask(
    app: Any,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: Any = b"",
    *,
    raw: bool = False,
    gone: int = 0,
) -> Answer:
    """One request; a body that is no bytes is sent as JSON, a list of bytes in so many parts. raw: headers as they
    are, without a length. gone: how often the client is asked for more before it goes away."""
    parts = body if isinstance(body, list) else [body if isinstance(body, bytes) else json.dumps(body).encode()]
    head = dict(CHANGES if headers is None and method != "GET" else OWN if headers is None else headers)
    if not raw:
        head.setdefault("content-length", str(sum(map(len, parts))))
    return run(_ask(app, method, path, head, parts, gone))


async def _ask(app: Any, method: str, path: str, headers: dict[str, str], parts: Iterable[bytes], gone: int) -> Answer:
    place, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(place),
        "raw_path": place.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8765),
    }
    waiting = [*parts]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal gone
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        while gone > 0:
            gone -= 1
            await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(m.get("body", b"") for m in sent[1:]))

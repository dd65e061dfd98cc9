"""Who may ask the studio for what: hosts, origins, the token, and how much may be sent.

A page of another site can make a browser send requests here, and a name of its own can be made to point here (DNS
rebinding). So the Host must be one that this server is known by, an Origin must be that host, what changes something
needs a header that forms cannot send, and a token is asked for where others can reach the server.
"""

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE, HEADER = "spikereel_token", b"x-spikereel"
SMALL = 64 << 10
"""Bytes of a request that is no upload."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Guard:
    """ASGI middleware; refuses before the application sees a request."""

    app: App
    inner: Any = None
    """State of the application, for who serves it."""
    host: str
    """What the server is bound to."""
    token: str | None = None
    """What every request must bring, as cookie, as `Authorization: Bearer`, or once as ?token=."""
    names: frozenset[str] = frozenset()
    """Further names that the server is known by."""
    uploads: tuple[str, ...] = ()
    """Beginnings of the paths whose bodies may be larger than `SMALL`; they count for themselves."""
    _own: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        own = {"localhost"} if is_loopback(self.host) else {self.host, socket.gethostname(), socket.getfqdn()}
        object.__setattr__(self, "_own", frozenset(x.lower() for x in own | self.names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with an error of one line."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            # there are no sockets here
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        fault = self._fault(scope, headers)
        if fault is not None:
            await _refuse(send, *fault)
            return
        if self._welcomes(scope):
            await _redirect(send, scope["path"], self._cookie(scope))
            return
        await self.app(scope, self._counted(scope, receive), _with_headers(send))

    def _fault(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._known(host):
            return 421, f"this server is not called {host[:80]!r}; open it by the address that it printed"
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() != host.lower():
            return 403, "requests from other sites are refused"
        fetched = headers.get(b"sec-fetch-site", b"none")
        opening = scope["path"] == "/" and headers.get(b"sec-fetch-mode") == b"navigate" and scope["method"] == "GET"
        if fetched not in (b"same-origin", b"none") and not opening:
            return 403, "requests from other sites are refused"
        if scope["method"] not in ("GET", "HEAD") and HEADER not in headers:
            return 403, "requests that change something need the header X-Spikereel"
        if not self._may(scope, headers):
            return 401, "a token is needed: open the address with ?token= that the server printed"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return 400, "content-length is no number"
        if int(length) > SMALL and not scope["path"].startswith(self.uploads or ("\0",)):
            return 413, f"a request has at most {SMALL} bytes"
        return None

    def _known(self, host: str) -> bool:
        """Whether a Host header names this server: by an address, or by a name of its own."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        if name in self._own:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self.host)

    def _may(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        if self.token is None:
            return True
        given = [headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")]
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            cookie = None
        given.append(cookie.value if cookie else "")
        given += self._asked(scope)
        return any(secrets.compare_digest(x.encode(), self.token.encode()) for x in given)

    def _welcomes(self, scope: Scope) -> bool:
        """Whether the token stands in the address, from where it goes into a cookie."""
        return self.token is not None and bool(self._asked(scope))

    def _asked(self, scope: Scope) -> list[str]:
        if scope["path"] != "/":
            return []
        return parse_qs(scope["query_string"].decode("latin-1")).get("token", [])

    def _cookie(self, scope: Scope) -> str:
        return f"{COOKIE}={self._asked(scope)[0]}; HttpOnly; SameSite=Strict; Path=/"

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """A body that is cut off where it grows too large, whatever its header said."""
        if scope["path"].startswith(self.uploads or ("\0",)):
            return receive
        seen = 0

        async def counting() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= SMALL else {"type": "http.disconnect"}

        return counting


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            own = {**HEADERS, "cache-control": "no-store"}
            more = [(k.encode(), v.encode()) for k, v in own.items() if k.encode() not in given]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, reason: str) -> None:
    sending = _with_headers(send)
    head = [(b"content-type", b"text/plain; charset=utf-8")]
    await sending({"type": "http.response.start", "status": status, "headers": head})
    await sending({"type": "http.response.body", "body": f"error: {reason}\n".encode()})


async def _redirect(send: Send, path: str, cookie: str) -> None:
    sending = _with_headers(send)
    head = [(b"location", path.encode()), (b"set-cookie", cookie.encode("latin-1"))]
    await sending({"type": "http.response.start", "status": 303, "headers": head})
    await sending({"type": "http.response.body", "body": b""})

"""The ASGI application of the studio, and how it is served."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from spikereel.studio import manage, watch
from spikereel.studio.guard import Guard
from spikereel.studio.state import Studio
from spikereel.studio.web import Handler, answers, refused

PAGE = Path(__file__).parent / "page"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = {path.name: path for path in PAGE.iterdir() if path.suffix in KINDS} if PAGE.is_dir() else {}
"""All files of the page: names are looked up, never joined to a path."""

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/files", watch.listing),
    ("GET", "/api/weights", watch.weights),
    ("POST", "/api/uploads", watch.upload),
    ("DELETE", "/api/uploads", watch.drop),
    ("POST", "/api/sources", watch.open_source),
    ("POST", "/api/compare", watch.compare),
    ("GET", "/api/runs", manage.listing),
    ("GET", "/api/runs/details", manage.details),
    ("GET", "/api/runs/curves", manage.curves),
    ("GET", "/api/runs/cell", manage.cell),
    ("GET", "/api/runs/strip", manage.strip),
    ("GET", "/api/recipes", manage.recipes),
    ("GET", "/api/trainings", manage.trainings),
    ("POST", "/api/trainings", manage.train),
    ("POST", "/api/trainings/{id}/stop", manage.stop),
    ("POST", "/api/trainings/{id}/resume", manage.resume),
    ("POST", "/api/cameras", watch.open_camera),
    ("POST", "/api/cameras/{id}/frames", watch.camera_frame),
    ("DELETE", "/api/cameras/{id}", watch.camera_stop),
    ("GET", "/api/sources/{id}", watch.source),
    ("GET", "/api/sources/{id}/times", watch.times),
    ("GET", "/api/sources/{id}/frames/{number:int}", watch.frame),
    ("POST", "/api/analyses", watch.analyse),
    ("GET", "/api/analyses/{id}", watch.analysis),
    ("POST", "/api/analyses/{id}/look", watch.look),
    ("GET", "/api/analyses/{id}/events", watch.events),
    ("GET", "/api/analyses/{id}/raster", watch.tile),
    ("GET", "/api/analyses/{id}/attention", watch.attention),
    ("GET", "/api/analyses/{id}/membranes", watch.membranes),
    ("GET", "/api/analyses/{id}/points", watch.points),
    ("GET", "/api/analyses/{id}/mask", watch.mask),
)
UPLOADS = ("/api/uploads", "/api/cameras/")
"""Beginnings of paths whose handlers count the bytes themselves."""


async def _page(request: Request) -> Response:
    path = FILES.get(request.path_params.get("file", "index.html"))
    if path is None:
        return refused(404, "there is no such page")
    return FileResponse(path, media_type=KINDS[path.suffix])


def application(studio: Studio, *, host: str, token: str | None = None, names: frozenset[str] = frozenset()) -> Guard:
    """The application behind its guard; `studio` is closed when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            app.state.ending = True
            studio.close()

    routes = [Route(path, answers(handler), methods=[method]) for method, path, handler in ROUTES]
    routes += [Route("/", _page), Route("/page/{file}", _page)]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.studio, app.state.ending = studio, False
    return Guard(app=app, inner=app.state, host=host, token=token, names=names, uploads=UPLOADS)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises OSError where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(64)
    except OSError:
        found.close()
        raise
    return found


def serve(app: Guard, at: socket.socket) -> None:
    """Serve until a signal ends it."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # streams of events end by themselves, and nothing has to be cut off
            app.inner.ending = True
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=4, server_header=False, ws="none"
    )
    Server(config).run(sockets=[at])

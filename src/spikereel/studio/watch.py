"""Handlers of one source: opening, frames, and what a network makes of it."""

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from spikereel.errors import ConfigError
from spikereel.studio import overlays
from spikereel.studio.analysis import Analysis
from spikereel.studio.comparing import compared
from spikereel.studio.state import Studio
from spikereel.studio.tiles import raster
from spikereel.studio.uploads import TooLarge
from spikereel.studio.web import in_thread, number, real, sent, studio_of

MOST_AHEAD = 48
"""Frames that are read ahead at most."""

MOST_NEURONS = 12

WAIT = 0.5
"""Seconds between two looks whether a reader went away."""


async def listing(request: Request) -> Response:
    """GET: what lies in a folder; without ?place= the folders themselves."""
    studio = studio_of(request)
    return JSONResponse({"entries": await in_thread(studio.roots.listing, request.query_params.get("place", ""))})


async def weights(request: Request) -> Response:
    """GET: names of weights that come with the package."""
    return JSONResponse({"weights": await in_thread(studio_of(request).listed)})


async def upload(request: Request) -> Response:
    """POST a file as the body, ?name= its name: {place}."""
    studio = studio_of(request)
    return JSONResponse({"place": await studio.uploads.take(request.query_params.get("name", ""), request.stream())})


async def drop(request: Request) -> Response:
    """DELETE an upload, ?place=."""
    studio_of(request).uploads.drop(request.query_params.get("place", ""))
    return JSONResponse({})


async def open_source(request: Request) -> Response:
    """POST {place}: what the source holds, by its index alone."""
    body = await sent(request, place=str)
    opened = await in_thread(studio_of(request).open, body["place"] or "")
    return JSONResponse(opened.to_json())


async def open_camera(request: Request) -> Response:
    """POST {height, width, fps}: a source that frames of the browser's camera are sent to."""
    body = await sent(request, height=int, width=int, fps=float)
    camera = studio_of(request).camera(body["height"] or 0, body["width"] or 0, body["fps"] or 0.0)
    return JSONResponse(camera.opened.to_json())


async def camera_frame(request: Request) -> Response:
    """POST one frame as RGB bytes, ?repeats= steps that it was shown for: {frames}."""
    studio = studio_of(request)
    camera = studio.cameras.get(request.path_params["id"])
    if camera is None:
        raise ConfigError("this camera is not there any more; start it again")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > camera.frame_bytes:
            raise TooLarge(f"a frame of this camera has {camera.frame_bytes} bytes")
    camera.add(bytes(content), number(request, "repeats", 1))
    studio.worker.wake()
    return JSONResponse({"frames": len(camera.opened.frames)})


async def camera_stop(request: Request) -> Response:
    """DELETE: no more frames come; the source stays open."""
    camera = studio_of(request).cameras.get(request.path_params["id"])
    if camera is not None:
        camera.stop()
        studio_of(request).worker.wake()
    return JSONResponse({})


async def source(request: Request) -> Response:
    """GET: what an open source holds now."""
    return JSONResponse(studio_of(request).library.get(request.path_params["id"]).to_json())


async def times(request: Request) -> Response:
    """GET: float64 seconds at which frames begin, of a rate that varies."""
    found = await in_thread(studio_of(request).library.get(request.path_params["id"]).times)
    if found is None:
        raise ConfigError("the frames of this source follow each other at equal steps")
    return Response(found.astype("<f8").tobytes(), media_type="application/octet-stream")


async def frame(request: Request) -> Response:
    """GET frame ?side=&ahead=: RGB bytes; X-Frame, X-Width and X-Height say of what."""
    opened = studio_of(request).library.get(request.path_params["id"])
    ahead = min(max(number(request, "ahead", 0), 0), MOST_AHEAD)
    which = request.path_params["number"]
    picture = await in_thread(opened.picture, which, number(request, "side", 640), ahead)
    height, width, _ = picture.shape
    headers = {"x-frame": str(which), "x-width": str(width), "x-height": str(height)}
    return Response(picture.tobytes(), media_type="application/octet-stream", headers=headers)


async def analyse(request: Request) -> Response:
    """POST {source, weights, every, frame}: an analysis, which goes on by itself; of a trace there are no weights."""
    body = await sent(request, source=str, weights=str, every=float, frame=int)
    studio = studio_of(request)
    opened = studio.library.get(body["source"] or "")
    name, path = ("", None) if opened.trace else studio.weights(body["weights"] or "")
    found = await in_thread(studio.worker.begin, opened, name, path, body["every"], body["frame"])
    return JSONResponse(await in_thread(_said, found))


async def look(request: Request) -> Response:
    """POST {frame}: the analysis goes on from there."""
    body = await sent(request, frame=int)
    studio = studio_of(request)
    studio.worker.look(analysis_of(request), body["frame"])
    return JSONResponse({})


async def analysis(request: Request) -> Response:
    """GET: what an analysis knows of its network."""
    return JSONResponse(await in_thread(_said, analysis_of(request)))


async def events(request: Request) -> Response:
    """GET: server-sent events, "window" for each result as it comes, "about" before the first, "fault" at the end."""
    found = analysis_of(request)
    text = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    after = int(text) if text.isdigit() else 0
    return StreamingResponse(_events(request, found, after), media_type="text/event-stream")


async def _events(request: Request, found: Analysis, after: int) -> AsyncIterator[str]:
    about, quiet = False, 0
    while not request.app.state.ending and not await request.is_disconnected():
        if not about and (found.about or found.fault):
            about = True
            yield f"event: about\ndata: {json.dumps(await in_thread(_said, found))}\n\n"
        if found.fault:
            yield f"event: fault\ndata: {json.dumps(found.fault)}\n\n"
            return
        news = found.order[after : after + 64]
        for window in news:
            after += 1
            yield f"id: {after}\nevent: window\ndata: {json.dumps(found.found[window])}\n\n"
        if not news:
            quiet += 1
            await in_thread(found.wait, after, WAIT)
            if quiet % 20 == 0:
                yield ": still here\n\n"


async def tile(request: Request) -> Response:
    """GET ?layer=&low=&high=&first=&stop=&rows=&columns=: bytes of a tile of spikes, see `raster`."""
    found = analysis_of(request)
    picture = await in_thread(
        raster,
        found,
        request.query_params.get("layer", ""),
        (number(request, "low"), number(request, "high")),
        (real(request, "first"), real(request, "stop")),
        (number(request, "rows", 128), number(request, "columns", 512)),
    )
    rows, columns = picture.shape
    headers = {"x-rows": str(rows), "x-columns": str(columns)}
    return Response(picture.tobytes(), media_type="application/octet-stream", headers=headers)


def _said(found: Analysis) -> dict[str, Any]:
    return {**found.to_json(), "drawn": overlays.drawn(found)}


def analysis_of(request: Request) -> Analysis:
    """The one that the path names."""
    return studio_of(request).worker.get(request.path_params["id"])


async def attention(request: Request) -> Response:
    """GET ?number=&step=&y=&x=&layer=: what a token looks at, see `overlays.attention`."""
    token = number(request, "step"), number(request, "y"), number(request, "x")
    layer = request.query_params.get("layer")
    found = await in_thread(overlays.attention, analysis_of(request), number(request, "number"), token, layer)
    return JSONResponse(found)


async def membranes(request: Request) -> Response:
    """GET ?number=&layer=&neurons=1,2: membranes of a window, see `Analysis.membranes`."""
    text = request.query_params.get("neurons", "")
    try:
        neurons = [int(x) for x in text.split(",") if x.strip()]
    except ValueError:
        raise ConfigError(f"neurons are {text[:80]!r}; give numbers with commas between them") from None
    if len(neurons) > MOST_NEURONS:
        raise ConfigError(f"{len(neurons)} neurons are too many to draw; give at most {MOST_NEURONS}")
    layer = request.query_params.get("layer", "")
    found = await in_thread(analysis_of(request).membranes, number(request, "number"), layer, neurons)
    return JSONResponse(found)


async def points(request: Request) -> Response:
    """GET ?number=: joints of every step of a window in pixels of the source."""
    return JSONResponse({"points": await in_thread(overlays.points, analysis_of(request), number(request, "number"))})


async def mask(request: Request) -> Response:
    """GET ?number=&step=: a class for every pixel that the network saw, a byte each."""
    labels = await in_thread(overlays.mask, analysis_of(request), number(request, "number"), number(request, "step"))
    headers = {"x-height": str(labels.shape[0]), "x-width": str(labels.shape[1])}
    return Response(labels.tobytes(), media_type="application/octet-stream", headers=headers)


async def compare(request: Request) -> Response:
    """POST {place, a, b}: how two networks differ on a clip, see `comparing.compared`."""
    body = await sent(request, place=str, a=str, b=str)
    studio = studio_of(request)
    return JSONResponse(await in_thread(_compare, studio, body["place"] or "", body["a"] or "", body["b"] or ""))


def _compare(studio: Studio, place: str, a: str, b: str) -> dict[str, Any]:
    opened = studio.open(place)
    first, second = (studio.worker.model(*studio.weights(x)) for x in (a, b))
    with studio.comparing, studio.worker.turns.now():
        return compared(opened, (first, second))

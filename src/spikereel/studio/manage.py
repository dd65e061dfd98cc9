"""Handlers of runs: lists, curves, cells of the confusion matrix, and recipes that are started here."""

import dataclasses
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from spikereel.config import flat
from spikereel.errors import ConfigError
from spikereel.runs.recipes import RECIPES, get_recipe
from spikereel.studio import runs
from spikereel.studio.state import Studio
from spikereel.studio.web import in_thread, number, sent, studio_of


async def listing(request: Request) -> Response:
    """GET: all runs in the folders that were given."""
    return JSONResponse({"runs": await in_thread(_listed, studio_of(request))})


def _listed(studio: Studio) -> list[dict[str, Any]]:
    folders = dict.fromkeys(path for folder in studio.run_folders() for path in runs.run_folders(folder))
    return [runs.summary(path, studio.roots) for path in folders]


async def details(request: Request) -> Response:
    """GET ?place=: recipe, report and passports of a run."""
    studio = studio_of(request)
    path = studio.roots.path(request.query_params.get("place", ""))
    return JSONResponse(await in_thread(runs.details, path, studio.roots))


async def curves(request: Request) -> Response:
    """GET ?place=: the curves of its TensorBoard log."""
    path = studio_of(request).roots.path(request.query_params.get("place", ""))
    return JSONResponse({"curves": await in_thread(runs.curves, path)})


async def cell(request: Request) -> Response:
    """GET ?place=&truth=&guess=: the held-out clips behind a cell, by the weights that are there now."""
    studio = studio_of(request)
    found = await in_thread(studio.judged, request.query_params.get("place", ""))
    clips = found.cell(number(request, "truth"), number(request, "guess"), studio.roots)
    return JSONResponse({"clips": clips, "confusion": found.confusion(), "classes": list(found.classes)})


async def strip(request: Request) -> Response:
    """GET ?place=&index=: frames of a held-out clip side by side, RGB bytes."""
    found = await in_thread(studio_of(request).judged, request.query_params.get("place", ""))
    picture = await in_thread(found.strip, number(request, "index"))
    headers = {"x-height": str(picture.shape[0]), "x-width": str(picture.shape[1])}
    return Response(picture.tobytes(), media_type="application/octet-stream", headers=headers)


async def recipes(request: Request) -> Response:
    """GET: recipes by name, with what they train; ?name= the fields of one."""
    name = request.query_params.get("name")
    if name is not None:
        return JSONResponse({"fields": dict(flat(dataclasses.asdict(get_recipe(name))))})
    return JSONResponse({"recipes": {x: (f.__doc__ or "").splitlines()[0] for x, f in RECIPES.items()}})


async def trainings(request: Request) -> Response:
    """GET: runs that this studio started."""
    studio = studio_of(request)
    return JSONResponse({"trainings": [x.to_json(studio.roots) for x in studio.trainings.all.values()]})


async def train(request: Request) -> Response:
    """POST {recipe, changes: [key=value]}: start it."""
    body = await sent(request, recipe=str, changes=list)
    changes = body["changes"] or []
    if not all(isinstance(x, str) and len(x) < 2000 and x.isprintable() for x in changes):
        raise ConfigError("changes are key=value, in words")
    studio = studio_of(request)
    training = await in_thread(studio.trainings.begin, body["recipe"] or "", changes)
    return JSONResponse(training.to_json(studio.roots))


async def stop(request: Request) -> Response:
    """POST: a run writes its checkpoint and ends."""
    studio = studio_of(request)
    training = studio.trainings.get(request.path_params["id"])
    training.stop()
    return JSONResponse(training.to_json(studio.roots))


async def resume(request: Request) -> Response:
    """POST: a run that was stopped goes on."""
    studio = studio_of(request)
    training = studio.trainings.get(request.path_params["id"])
    if not training.to_json(studio.roots)["resumable"]:
        raise ConfigError("there is nothing to go on with: the run is going on, is done, or wrote no checkpoint")
    await in_thread(lambda: training.start(resume=True))
    return JSONResponse(training.to_json(studio.roots))

"""Spikereel: spike-driven video transformers to train, measure and run.

model = spikereel.create_model("spikevideoformer_s", num_classes=400)
logits, state = model(video)          # video [T, B, C, H, W]
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikereel.moved import MovedModules

__version__ = "0.1.0"

_WHERE = {
    "compile": "spikereel.engine.engine",
    "create_model": "spikereel.hub",
    "export": "spikereel.exporting.export",
    "open_export": "spikereel.exporting.run",
    "list_models": "spikereel.hub",
    "load_model": "spikereel.hub",
    "save_model": "spikereel.hub",
    "load_authors_weights": "spikereel.models.authors",
    "predict": "spikereel.inference.predict",
    "predict_many": "spikereel.bulk.run",
    "read_results": "spikereel.bulk.table",
    "State": "spikereel.layers.state",
    "stream": "spikereel.streaming.session",
    "to_binary": "spikereel.models.binary",
    "Trace": "spikereel.tracing.traces",
    "trace": "spikereel.tracing.make",
}
_ELSEWHERE = {"train": "spikereel.train.run", "evaluate": "spikereel.runs.evaluate"}
"""Of the reference, at their own addresses: they bring what only training and judging need."""
_MODULES = {"energy": "spikereel.energy", "plot": "spikereel.plot"}

__all__ = [
    "State",
    "Trace",
    "compile",
    "create_model",
    "energy",
    "export",
    "list_models",
    "load_authors_weights",
    "load_model",
    "open_export",
    "plot",
    "predict",
    "predict_many",
    "read_results",
    "save_model",
    "stream",
    "to_binary",
    "trace",
]

if TYPE_CHECKING:
    from spikereel import energy, plot
    from spikereel.bulk.run import predict_many
    from spikereel.bulk.table import read_results
    from spikereel.engine.engine import compile
    from spikereel.exporting.export import export
    from spikereel.exporting.run import open_export
    from spikereel.hub import create_model, list_models, load_model, save_model
    from spikereel.inference.predict import predict
    from spikereel.layers.state import State
    from spikereel.models.authors import load_authors_weights
    from spikereel.models.binary import to_binary
    from spikereel.streaming.session import stream
    from spikereel.tracing.make import trace
    from spikereel.tracing.traces import Trace

# old addresses of modules keep working, in this process alone and behind all other finders
sys.meta_path.append(MovedModules())


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=1)
    hint = f"; did you mean spikereel.{near[0]}?" if near else ""
    if name in _ELSEWHERE:
        hint = f"; from {_ELSEWHERE[name]} import {name}"
    raise AttributeError(f"module 'spikereel' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

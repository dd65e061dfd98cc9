"""Every model exported, run and compared: `python benchmarks/export_models.py [--targets onnx ...] [--every]`.

A cell is a model of `list_models()`, its task, its attention, its neuron, and a target. Each is written by
`spikereel.export` and judged by its certificate, at a small size, with norms calibrated on the clip that is compared.
Rows are added to --rows as they come, cells that are there are left out: a run can be stopped and gone on with, and
several may run at once (`--share 0/2`, `--share 1/2`). `--table` writes benchmarks/results/export_models_*.json and the
table of docs/export.md from the rows that are there.

Which cells: the small models run the whole product on targets that need no tracing (c, nir) and on torch; on onnx a
part of it that has all pairs of attention, neuron and task; on openvino and executorch each of them once. Larger models
are the same graph with more blocks and wider layers: each runs as it is listed, on torch and onnx, and with all neurons
in C. `--every` is the whole product. Targets whose packages are missing are left out: run it in several environments.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import torch
from export_models_table import table as table_of
from porting import insert
from side.environments import ROOT
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.errors import ConfigError
from spikereel.exporting.certificate import TOLERANCE, Certificate
from spikereel.exporting.export import export
from spikereel.exporting.flat import sees_whole_clips
from spikereel.exporting.part import Beginning, last_without_attention
from spikereel.exporting.run import open_export
from spikereel.exporting.targets import TARGETS
from spikereel.extras import missing
from spikereel.files import write_json
from spikereel.hub import create_model
from spikereel.layers.attention import Attention
from spikereel.layers.calibrate import wake
from spikereel.layers.observe import firing_rates
from spikereel.models.architectures import ANN, ARCHITECTURES, list_models
from spikereel.models.base import Task
from spikereel.versions import hardware

SCHEMES, TASKS = get_args(Attention), get_args(Task)
NEURONS = ("lif", "plif", "ilif", "relu")
"""relu is the twin NAME.ann."""
OWN, SHARED = "own", "shared norms"
"""Attention of SVFormer, which has one scheme: as published, over whole clips, or with norms that let it stream."""
SMALL = ("spikevideoformer_ti", "svformer_ti")
PRODUCTS = tuple(f"{part}_conv{ending}.1" for part in "qkv" for ending in ("", "_t"))
"""Endings of the names of norms before q, k and v."""
CHEAP = ("c", "nir")
"""Targets that are written without tracing: every cell, and a network of ties as well."""
FRAMES, CLASSES = 4, 5
TIE = 1e-3
"""Of a threshold: a charge so near to it falls on the other side by rounding."""
MOST = 60e6
"""Parameters of the largest model that is traced."""
START = "<!-- made by benchmarks/export_models.py -->"


@dataclass(frozen=True)
class Cell:
    """One export."""

    model: str
    scheme: str
    neuron: str
    task: str
    target: str


def bases() -> list[str]:
    """Models without their twins, which are the neuron relu."""
    return [name for name in ARCHITECTURES if not name.endswith(ANN)]


def product(name: str) -> Iterator[tuple[str, str, str]]:
    """Attention, neuron and task of a model, all of them, in an order that mixes them."""
    if name.startswith("svformer"):
        yield from ((scheme, neuron, TASKS[0]) for neuron in NEURONS for scheme in (SHARED, OWN))
        return
    for shift in range(len(TASKS)):
        for i, scheme in enumerate(SCHEMES):
            for j, neuron in enumerate(NEURONS):
                yield scheme, neuron, TASKS[(i + j + shift) % len(TASKS)]


def pairs(name: str) -> list[tuple[str, str, str]]:
    """The first third of the product: each scheme with each neuron, and each task with each of both."""
    cells = list(product(name))
    return cells if name.startswith("svformer") else cells[: len(SCHEMES) * len(NEURONS)]


def diagonal(name: str) -> list[tuple[str, str, str]]:
    """Each attention, each neuron and each task at least once."""
    if name.startswith("svformer"):
        return [(SHARED, "plif", TASKS[0]), (OWN, "lif", TASKS[0])]
    return [(x, NEURONS[i % len(NEURONS)], TASKS[i % len(TASKS)]) for i, x in enumerate(SCHEMES)]


def listed(name: str) -> tuple[str, str, str]:
    """A model as `list_models` has it."""
    c = ARCHITECTURES[name].config
    return (OWN if name.startswith("svformer") else c.attention), c.neuron.kind, TASKS[0]


def cells_of(target: str, *, every: bool) -> Iterator[Cell]:
    """Cells of a target, small models first."""
    for name in sorted(bases(), key=lambda name: (name not in SMALL, list_models()[name].parameters)):
        if every or (name in SMALL and target in (*CHEAP, "torch")):
            chosen = list(product(name))
        elif name in SMALL:
            chosen = pairs(name) if target == "onnx" else diagonal(name)
        elif target in CHEAP:
            schemes = (SHARED,) if name.startswith("svformer") else ("spatial", "causal")
            chosen = [(scheme, neuron, TASKS[0]) for scheme in schemes for neuron in NEURONS]
        else:
            chosen = [listed(name)] if target in ("onnx", "torch") else []
        if target == "nir":
            # what is before the first attention has neither attention nor task
            scheme = SHARED if name.startswith("svformer") else listed(name)[0]
            chosen = [(scheme, neuron, TASKS[0]) for neuron in NEURONS]
        if target in CHEAP or list_models()[name].parameters <= MOST:
            yield from (Cell(name, *rest, target) for rest in chosen)


def built(cell: Cell) -> tuple[Any, Tensor, list[str]]:
    """The model, calibrated on a clip [T, 1, C, H, W], the clip, and names of neurons that do not fire on it."""
    options: dict[str, Any] = {"num_classes": CLASSES, "neuron": cell.neuron}
    if cell.model.startswith("svformer"):
        # four stages halve the frame five times, and norms of a clip need more than one pixel
        options |= {"frames": FRAMES, "image_size": 64, "time_norm": cell.scheme == OWN}
        options["head"] = "conv" if cell.scheme == OWN else "mean"
    else:
        options |= {"attention": cell.scheme, "task": cell.task}
    torch.manual_seed(0)
    model = create_model(cell.model, **options).eval()
    side, generator = getattr(model.config, "image_size", 32), torch.Generator().manual_seed(0)
    video = torch.rand(FRAMES, 2, model.config.in_channels, side, side, generator=generator)
    for name, norm in model.named_modules():
        if isinstance(norm, _BatchNorm):
            # some weights begin at 0, and what is behind them would be at nothing
            norm.weight.data.uniform_(0.8, 1.6, generator=generator)
            norm.bias.data.uniform_(0.0, 0.6, generator=generator)
            if name.endswith(PRODUCTS) and getattr(model.config, "similarity", "hamming") == "dot":
                # few tokens bring a product without a norm to its threshold where q, k and v are busy
                norm.bias.data += 0.9
    wake(model, video)
    with torch.no_grad(), firing_rates(model) as rates:
        model(video)
    return model, video[:, :1].contiguous(), rates.silent()


def run(cell: Cell) -> dict[str, Any]:
    """A row: what the certificate says, and whether calls of parts of a clip give what the clip gives."""
    began = time.process_time()
    model, clip, silent = built(cell)
    part = last_without_attention(model) if cell.target == "nir" else None
    with TemporaryDirectory() as folder:
        path = Path(folder, f"net{TARGETS[cell.target].suffix}")
        try:
            seen = model if part is None else Beginning(model, part)
            whole, size = sees_whole_clips(seen), tuple(clip.shape[3:])
            options = {"steps": FRAMES if whole else 1, "batch": 1, "part": part, "grid": cell.target in CHEAP}
            certificate = export(model, path, size=size, clips=[clip], **options)
        except ConfigError as error:
            return {"verdict": "refused", "why": str(error)}
        written = sum(file.stat().st_size for file in TARGETS[cell.target].files(path))
        chunks = None if whole else chunked(seen, path, clip, certificate)
    return judged(certificate) | {
        "chunks_are_the_clip": chunks,
        "silent": silent,
        "bytes": written,
        "seconds": round(time.process_time() - began, 1),
    }


def judged(certificate: Certificate) -> dict[str, Any]:
    """The certificate in a row; layers that are not faithful by name."""
    found: dict[str, Any] = {"runtime": certificate.runtime}
    for title, layers in (("", certificate.layers), ("grid_", certificate.grid)):
        found |= {
            f"{title}layers": len(layers),
            f"{title}decisions": sum(x.decisions for x in layers),
            f"{title}differ": sum(x.from_zero for x in layers),
            f"{title}differ_from_states": sum(x.from_states for x in layers),
        }
    begins = [x for x in (*certificate.layers, *certificate.grid) if x.first]
    # of a call of several steps, the model says what float32 leaves open before the last one
    tie = certificate.ties or (begins and max(x.distance for x in begins) < TIE)
    named = [f"{x.layer}, step {x.step}: within {x.distance:.1g}" for x in certificate.ties]
    return {
        "verdict": "equal" if certificate.faithful else "ties" if tie else "approximate",
        "why": "; ".join(named or [f"{x.name}: {x.first} within {x.distance:.1g}" for x in begins]),
        **found,
        "outputs_off": certificate.largest,
        "outputs_size": certificate.size,
    }


def chunked(model: Any, path: Path, clip: Tensor, certificate: Certificate) -> bool:
    """The file in two parts, and the model in one call: one output, and states that continue each other."""
    exported = open_export(path)
    with torch.no_grad():
        expected, _ = model(clip)
    once, _ = exported(clip)
    first, state = exported(clip[:1])
    rest, _ = exported(clip[1:], state)
    close = TOLERANCE * max(1.0, certificate.size)
    good = True
    for a, b, c, d in zip(*(x if isinstance(x, tuple) else (x,) for x in (expected, once, first, rest)), strict=True):
        # an answer for each frame, or one for all frames so far
        parts = torch.cat([c, d]) if a.ndim > 2 and len(a) == len(clip) else d
        good = good and torch.equal(parts, b) and (not certificate.faithful or float((a - b).abs().max()) <= close)
    return good


def ready(target: str) -> bool:
    """Whether a target can be written and run here."""
    extra = TARGETS[target].extra
    return extra is None or not missing(extra)


def known(path: Path) -> dict[Cell, dict[str, Any]]:
    """Rows by cell."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {Cell(**{name: row[name] for name in Cell.__dataclass_fields__}): row for row in rows}


def main() -> int:
    """Run the cells that are missing; 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS), metavar="TARGET")
    parser.add_argument("--models", nargs="+", default=bases(), choices=bases(), metavar="NAME")
    parser.add_argument("--every", action="store_true", help="the whole product for every model: days")
    parser.add_argument("--rows", type=Path, default=ROOT / "build" / "export_models.jsonl")
    parser.add_argument("--share", default="0/1", metavar="K/N", help="of the cells, so that N may run at once")
    parser.add_argument("--most", type=int, help="cells to run at most")
    parser.add_argument("--table", action="store_true", help="run nothing: results and page from the rows")
    options = parser.parse_args()
    if options.table:
        return save(options.rows)
    share, of = map(int, options.share.split("/"))
    wanted = [cell for target in options.targets if ready(target) for cell in cells_of(target, every=options.every)]
    wanted = [cell for cell in wanted if cell.model in options.models]
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    done = known(options.rows)
    for cell in [cell for cell in wanted[share::of] if cell not in done][: options.most]:
        found = {"verdict": "failed"}
        try:
            found = run(cell)
        finally:
            # the next run goes on behind a cell that fails
            found.setdefault("why", repr(sys.exception()))
            line = json.dumps({**asdict(cell), **found})
            with options.rows.open("a") as file:
                file.write(line + "\n")
            print(line, flush=True)
    return any(row["verdict"] == "failed" for row in known(options.rows).values())


def save(path: Path) -> int:
    """Results and the table of the page."""
    rows = list(known(path).values())
    content = {
        "benchmark": "export_models",
        "command": "python benchmarks/export_models.py; python benchmarks/export_models.py --table",
        "date": str(date.today()),
        "hardware": hardware(),
        "torch": torch.__version__,
        "frames": FRAMES,
        "left_out": {
            f"{name}{ending}": f"{1e-6 * info.parameters:.0f} M parameters: not traced, C and NIR alone"
            for name, info in list_models().items()
            if not name.endswith(ANN) and info.parameters > MOST
            for ending in ("", ANN)
        },
        "rows": rows,
    }
    write_json(ROOT / "benchmarks" / "results" / f"export_models_{date.today()}.json", content)
    text = table_of(rows, SMALL)
    insert(ROOT / "docs" / "export.md", text, START)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`spikereel export`: weights as a file of another runtime, with a certificate; or a look whether a file still keeps
what its certificate says."""

import argparse
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from spikereel.apps.commands.common import command, new_console, progress, ready
from spikereel.errors import ConfigError

BY_STEP = ("onnx", "openvino", "executorch")
"""Targets whose exporter goes through every step of a call anew, some 20 s of a core for a small network."""


def add(commands: Any) -> None:
    """Register export."""
    export = command(
        commands,
        "export",
        _export,
        "write weights as a file of another runtime, and say how faithful it is",
        reads=("model", "videos", "check"),
        writes={"out": "--out", "certificate": "the certificate"},
    )
    export.set_defaults(mistake=export.error, certificate=None)
    export.add_argument("model", metavar="WEIGHTS", nargs="?", help="a .safetensors file, a folder or a listed name")
    export.add_argument(
        "--to",
        metavar="TARGET",
        help="onnx, torch, openvino, executorch, c, nir (default: by the suffix of --out, else onnx)",
    )
    export.add_argument("--out", metavar="PATH", help="file to write (default: WEIGHTS with the target's suffix, here)")
    export.add_argument("--steps", type=int, help="time steps of one call (default: 1, or the frames of a clip)")
    export.add_argument(
        "--size", metavar="H,W", help="pixels of the frames, or any: all sizes that 32 divides (default: training's)"
    )
    export.add_argument("--batch", type=int, help="clips of one call (default: any)")
    export.add_argument("--part", metavar="STAGE", help="write the stages up to this one alone, such as downsample3")
    export.add_argument("--dt", type=float, metavar="SECONDS", help="nir: length of a time step (default: 1e-4)")
    export.add_argument("--opset", type=int, help="onnx: operator set (default: 20)")
    export.add_argument(
        "--precision", default="float32", metavar="TYPE", help="onnx: int8 for weights of convolutions; needs --clips"
    )
    export.add_argument("--no-fold", action="store_true", help="leave norms as they are")
    export.add_argument("--no-grid", action="store_true", help="leave out the network of many ties: half the time")
    export.add_argument(
        "--clips", dest="videos", nargs="+", default=[], metavar="VIDEO", help="compare on these (default: noise)"
    )
    export.add_argument("--check", metavar="FILE", help="repeat the certificate of an exported file, on this machine")


def _export(options: argparse.Namespace) -> int:
    if options.check:
        if options.model:
            options.mistake("--check takes no WEIGHTS: the certificate has all it needs")
        return _check(Path(options.check))
    if not options.model:
        options.mistake("export needs WEIGHTS, or --check FILE")
    from spikereel.exporting.export import certificate_of, export
    from spikereel.exporting.targets import target_by_suffix, target_of
    from spikereel.hub import load_model
    from spikereel.inference.exported import clips_to_compare

    if target_by_suffix(options.model):
        raise ConfigError(f"{options.model} is exported already; give the weights it was made of")
    named = target_by_suffix(options.out or "")
    row = target_of(options.to) if options.to else named or target_of("onnx")
    name = Path(options.model).name.removesuffix(".safetensors")
    out = options.out = options.out or f"{name}{row.suffix}"
    options.certificate = str(certificate_of(out))
    ready(options)
    for side in ("steps", "batch"):
        if getattr(options, side) is not None and getattr(options, side) < 1:
            raise ConfigError(f"--{side} must be at least 1, got {getattr(options, side)}")
    model = load_model(options.model)
    console = new_console()
    extra = {name: getattr(options, name) for name in ("opset", "dt") if getattr(options, name) is not None}
    with progress(clock=True) as bar:
        certificate = export(
            model,
            out,
            to=row.name,
            steps=options.steps,
            size=_size(options.size),
            batch=options.batch,
            fold=not options.no_fold,
            precision=options.precision,
            part=options.part,
            grid=not options.no_grid,
            clips=clips_to_compare(model, options.videos),
            progress=_Line(bar, console, row.name),
            **extra,
        )
    files = row.files(Path(out))
    size = sum(file.stat().st_size for file in files)
    console.print(f"written: {' and '.join(map(str, files))} ({size / 1e6:.1f} MB)")
    for line in certificate.lines():
        console.print(line)
    eight = "weights of convolutions, which are rounded to 8 bits, and "
    changes = (eight if options.precision == "int8" else "") + row.changes
    console.print(f"certificate: {options.certificate}; {row.title} may change {changes}", style="dim")
    return 0


class _Line:
    """The progress of an export; before one that takes minutes, a sentence that says so."""

    def __init__(self, bar: Any, console: Any, target: str) -> None:
        self.bar, self.console, self.target = bar, console, target
        self.task, self.begun, self.wrote = bar.add_task("export", total=None), monotonic(), 0.0

    def __call__(self, what: str, done: int, pieces: int, steps: int) -> None:
        if done == 0 and steps > 1 and self.target in BY_STEP:
            twice = "; --no-grid halves that" if pieces == 3 else ""
            said = f"{steps} time steps in one file: writing takes minutes, {steps} times as long as one step{twice}"
            self.console.print(said, style="dim")
        if done == 1:
            self.wrote = monotonic() - self.begun
        text = f"{what}: {self.wrote:.0f} s and more" if done == 2 else what
        self.bar.update(self.task, description=text, completed=done, total=pieces)


def _check(path: Path) -> int:
    from spikereel.exporting.certificate import Certificate, check, made_with
    from spikereel.exporting.export import certificate_of
    from spikereel.exporting.run import open_export

    exported = open_export(path)
    certificate = Certificate.load(certificate_of(path))
    wrong = check(exported, path, certificate)
    for line in wrong or [f"{path}: as its certificate says, by {exported.runtime}"]:
        new_console().print(line, style="yellow" if wrong else None)
    if other := made_with(exported, certificate):
        new_console().print(other, style="dim")
    return 1 if wrong else 0


def _size(text: str | None) -> tuple[int, int] | Literal["any"] | None:
    if text is None or text == "any":
        return text
    try:
        height, width = (int(x) for x in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--size {text}: give height and width with a comma between, such as 224,224, or any"
        ) from None
    if height < 16 or width < 16:
        raise ConfigError(f"--size must be at least 16,16, got {text}")
    return height, width

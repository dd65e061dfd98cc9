"""Tables of models and weights: what is listed, what was imported, what calibration moved."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spikereel.hub import ModelInfo
from spikereel.inference.authors import Imported
from spikereel.inference.calibrate import Move
from spikereel.models.architectures import ANN as TWIN
from spikereel.models.authors import first_few


def models_table(models: Mapping[str, ModelInfo]) -> RenderableType:
    """The outcome of `list_models`: sizes and schemes, published figures, and where weights can be had.

    The twins with ReLU are one line: they differ from their models in nothing that is shown here.
    """
    twins = [name for name in models if name.endswith(TWIN)]
    shown = {name: info for name, info in models.items() if name not in twins}
    table = _narrow()
    table.add_column("model", no_wrap=True)
    for name in ("M\nparam.", "GMAC\na clip"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("clip\nT x H x W", "attention", "weights"):
        table.add_column(name, no_wrap=True)
    for name, info in shown.items():
        t, _, h, w = info.clip
        weights = Text("\n".join(full.removeprefix(name) for full in info.weights) or "-", "green")
        table.add_row(
            Text(name, "bold"),
            f"{info.parameters * 1e-6:.1f}",
            f"{float(f'{info.macs * 1e-9:.3g}'):,g}",
            f"{t}x{h}x{w}",
            f"{info.attention}, {info.similarity}",
            weights,
        )
    lines: list[RenderableType] = [table]
    if twins:
        lines.append(
            Text(f"\nEvery one has a twin, NAME{TWIN}: the same network with ReLU in place of spiking neurons.")
        )
    sources = sorted({info.source for info in shown.values()})
    return Group(*lines, *_published(shown), *_obtain(shown), Text("\nsources: " + "; ".join(sources), "dim"))


def _published(models: Mapping[str, ModelInfo]) -> Iterator[RenderableType]:
    table = _narrow()
    table.add_column("\npublished", no_wrap=True)
    for name, ratio in (("figure", 6), ("protocol", 5), ("source", 6)):
        table.add_column(name, ratio=ratio)
    for name, info in models.items():
        for i, x in enumerate(info.published):
            table.add_row(Text("" if i else name, "bold"), Text(x.figure), Text(x.protocol), Text(x.source, "dim"))
    if table.row_count:
        yield table


def _obtain(models: Mapping[str, ModelInfo]) -> Iterator[RenderableType]:
    """Models in groups that say the same but for their names."""
    groups: dict[str, list[str]] = {}
    for name, info in models.items():
        groups.setdefault(info.obtain.replace(f"--as {name}", "--as NAME"), []).append(name)
    table = _narrow()
    table.add_column("\nmore weights", no_wrap=True)
    table.add_column("where", ratio=1)
    for where, names in groups.items():
        table.add_row(Text(_together(names), "bold"), Text(where if names[1:] else where.replace("NAME", names[0])))
    yield table


def _together(names: Sequence[str]) -> str:
    """ "a_s, _m, b": what names share with the one before is said once."""
    stems = [name.rpartition("_")[0] for name in names]
    shared = [bool(stem) and stem == before for stem, before in zip(stems, ["", *stems], strict=False)]
    return ", ".join(name.removeprefix(stem) if s else name for name, stem, s in zip(names, stems, shared, strict=True))


def _narrow() -> Table:
    """A table that leaves the width of a terminal to its content."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))


def import_table(imported: Imported) -> RenderableType:
    """Entries of a checkpoint by how they met those of the model, and the fields that its shapes decided."""
    found, table = imported.found, Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("entries", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    table.add_row("matched", Text(str(len(found.matched)), "bold green"), "")
    for kind, names in found.problems().items():
        table.add_row(kind, Text(str(len(names)), "bold yellow"), Text(first_few(names), "dim"))
    c = imported.model.config
    fields = {x: getattr(c, x) for x in ("num_classes", "in_channels", "frames", "image_size") if hasattr(c, x)}
    facts = ", ".join(f"{key} {value}" for key, value in fields.items())
    lines: list[RenderableType] = [Text(f"{imported.source} as {imported.name}: {facts}"), table]
    if imported.others:
        taken = imported.taken or "the weights at its top"
        others = ", ".join(imported.others)
        lines.append(
            Text(f"took {taken}; the file has other weights too: {others} (--weights KEY takes them)", "yellow")
        )
    return Group(*lines)


def moves_table(moves: Sequence[Move], most: int = 5) -> RenderableType:
    """Batch norms whose statistics moved farthest in calibration, and the median of all."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("batch norm", overflow="fold")
    for name in ("mean moved, in std", "std x"):
        table.add_column(name, justify="right", no_wrap=True)
    for x in moves[:most]:
        table.add_row(Text(x.name), f"{x.mean:.3g}", f"{x.scale:.3g}")
    means, scales = ([getattr(x, field) for x in moves] for field in ("mean", "scale"))
    table.add_row(f"median of {len(moves)}", f"{median(means):.3g}", f"{median(scales):.3g}", style="bold")
    return table

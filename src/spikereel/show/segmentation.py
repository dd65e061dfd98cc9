"""Labels drawn: over a video, as palette pictures, as a time line, and beside the truth."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.mask_clips import IGNORE, Colour, SegmentationClips
from spikereel.data.pictures import read_mask
from spikereel.data.transforms import MEAN, STD
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.files import write_json, write_text, write_whole
from spikereel.inference.coco import label_map, write_masks
from spikereel.inference.segment import Segments
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec
from spikereel.runs.kinds import palette_of
from spikereel.show.style import BACK, CORRECT, FAINT, TEXT, UNJUDGED, WRONG, save, unit
from spikereel.tasks.segmentation import SegmentationScore
from spikereel.tasks.sliding import segment

OPACITY = 0.4
"""Of the colours over the frames."""
_MOST_NAMED = 20
_CELL = 150
"""Pixels that a name in a legend has at least."""
_ROWS = 2
_DPI = 90


def coloured(labels: Tensor, palette: Sequence[Colour]) -> Tensor:
    """Labels [H, W] as a picture uint8 [3, H, W]; IGNORE is black."""
    table = torch.zeros(256, 3, dtype=torch.uint8)
    table[: len(palette)] = torch.tensor(palette, dtype=torch.uint8)
    return table[labels.long()].permute(2, 0, 1)


def overlay(picture: Tensor, labels: Tensor, palette: Sequence[Colour]) -> Tensor:
    """A picture uint8 [3, H, W] under the colours of its labels [H, W], with dark lines between classes."""
    mixed = torch.lerp(picture.float(), coloured(labels, palette).float(), OPACITY)
    edge = torch.zeros_like(labels, dtype=torch.bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return torch.where(edge, 0.4 * mixed, mixed).round().to(torch.uint8)


def write_mask(path: Path, labels: Tensor, palette: Sequence[Colour]) -> None:
    """Write labels uint8 [H, W] as a palette PNG: the value of a pixel is its class."""
    need("draw")
    from PIL import Image

    picture = Image.fromarray(labels.contiguous().numpy())
    picture.putpalette([level for colour in palette for level in colour])
    content = BytesIO()
    picture.save(content, format="PNG")
    write_whole(path, content.getvalue())


def write_segments(
    folder: Path, name: str, found: Segments, *, video: bool = True, progress: Callable[[int, int], None] | None = None
) -> None:
    """Label a source frame by frame and write, whole or not at all, into `folder`: <name>_masks/<number>.png,
    <name>.mp4 with the colours over the frames, <name>.png with the classes over time, and <name>.json.

    Memory does not grow with the length. Raises ConfigError without the extra "draw"; else as what is read.
    """
    need("draw")
    source, palette = found.source, found.segmenter.palette
    folder.mkdir(parents=True, exist_ok=True)
    masks = folder / f"{name}_masks"
    if masks.exists():
        _require_ours(masks, folder / f"{name}.json")

    with TemporaryDirectory(prefix=f".{name}_masks.", dir=folder) as hidden:
        unfinished = Path(hidden, "masks")

        def drawn() -> Iterator[Tensor]:
            for position, picture, labels in found.labelled():
                write_mask(unfinished / f"{source.numbers[position]:06d}.png", labels, palette)
                if progress is not None:
                    progress(position + 1, len(source))
                yield with_legend(overlay(picture, labels, palette), labels, found.segmenter.classes, palette)

        if video:
            write_video(folder / f"{name}.mp4", drawn(), found.fps, times=source.during(), aspect=source.info.aspect)
        else:
            deque(drawn(), maxlen=0)
        if masks.exists():
            _require_ours(masks, folder / f"{name}.json")
            rmtree(masks)
        unfinished.rename(masks)
    stored = ((n, read_mask(masks / f"{n:06d}.png")) for n in source.numbers)
    write_masks(folder / f"{name}.coco.json", ((n, torch.from_numpy(x)) for n, x in stored), found.segmenter.classes)
    write_text(folder / f"{name}_labelmap.txt", label_map(found.segmenter.classes, palette))
    write_timeline(folder / f"{name}.png", found)
    write_json(folder / f"{name}.json", found.to_json() | {"masks": str(masks)})


def _require_ours(masks: Path, result: Path) -> None:
    """Raises ConfigError for a folder of masks that no earlier result beside it names: it may be the user's own."""
    try:
        ours = json.loads(result.read_text()).get("masks")
    except (OSError, ValueError, AttributeError):
        ours = None
    if ours is None or Path(ours).name != masks.name:
        raise ConfigError(f"{masks} is there and was not written by predict; move it, or choose another --out")


def with_legend(picture: Tensor, labels: Tensor, classes: Sequence[str], palette: Sequence[Colour]) -> Tensor:
    """A picture uint8 [3, H, W] above the names of its largest classes [3, H + h, W]; h depends on W alone.

    A picture that is too narrow for names stays as it is.
    """
    from PIL import Image, ImageDraw, ImageFont

    width = picture.shape[2]
    columns = width // _CELL
    if columns < 2:
        return picture
    size = max(13, round(width / 70))
    cell, line = width // columns, size + 8
    shares = torch.bincount(labels.flatten().long(), minlength=len(classes))[: len(classes)]
    largest = [i for i in shares.argsort(descending=True).tolist() if shares[i]][: columns * _ROWS]
    strip = Image.new("RGB", (width, _ROWS * line + 8), BACK)
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(size)
    for place, i in enumerate(sorted(largest)):
        left, top = place % columns * cell + 8, place // columns * line + 6
        pen.rectangle([left, top + 1, left + size, top + 1 + size], fill=palette[i], outline=FAINT)
        name = f"{classes[i]} {100 * float(shares[i]) / labels.numel():.0f} %"
        while len(name) > 4 and pen.textlength(name, font=font) > cell - size - 20:
            name = name[:-2] + "\N{HORIZONTAL ELLIPSIS}"
        pen.text((left + size + 6, top), name, fill=TEXT, font=font)
    return torch.cat([picture, torch.from_numpy(np.array(strip)).permute(2, 0, 1)], dim=1)


def draw_segments(path: str | PathLike, found: Segments) -> None:
    """Write an mp4 of a labelled source under the colours of its classes; of a name in .png the classes over time.

    Raises ConfigError without the extra "draw", and for labels that were not kept.
    """
    need("draw")
    if Path(path).suffix.lower() == ".png":
        write_timeline(path, found)
        return
    pairs = enumerate(found.source.pictures())
    how = found.segmenter

    def drawn() -> Iterator[Tensor]:
        for i, picture in pairs:
            labels = found.labels(i)
            yield with_legend(overlay(picture, labels, how.palette), labels, how.classes, how.palette)

    write_video(path, drawn(), found.fps, times=found.source.during(), aspect=found.source.info.aspect)


def write_timeline(path: str | PathLike, found: Segments) -> None:
    """Write a PNG of the share of every class over time, the largest classes by name."""
    need("draw")
    from matplotlib.figure import Figure

    how, shares = found.segmenter, 100.0 * np.array(found.shares)
    order = [i for i in np.argsort(-shares.mean(0), kind="stable") if shares[:, i].any()]
    # one frame has an extent too
    during = found.source.during()
    times = np.arange(len(shares) + 1) / found.fps if during is None else during
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.add_subplot()
    below = np.zeros(len(shares) + 1)
    for rank, i in enumerate(order):
        above = below + np.append(shares[:, i], shares[-1, i])
        name = f"{how.classes[i]}, {shares[:, i].mean():.1f} %" if rank < _MOST_NAMED else None
        axes.fill_between(times, below, above, step="post", color=unit(how.palette[i]), linewidth=0, label=name)
        below = above
    axes.set(xlim=(0, times[-1]), ylim=(0, 100), xlabel="seconds", ylabel="share of pixels, %")
    axes.set_title(f"{Path(found.source.name).name}: classes over time", loc="left")
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    save(figure, path, dpi=_DPI)


def draw_clips(
    path: str | PathLike, model: VideoModel, dataset: SegmentationClips, spec: DataSpec, indices: Iterable[int]
) -> SegmentationScore:
    """Write a PNG of the last labelled frame of some clips: frame, truth, prediction, and where they differ.

    spec: that of the dataset. Returns the score of these frames. Raises ConfigError without the extra "draw".
    """
    classes = tuple(dataset.classes)
    rows, score = [], SegmentationScore(classes)
    device = next(model.parameters()).device
    model = model.eval()
    for index in indices:
        clip, masks = dataset[index]
        with torch.inference_mode():
            logits = segment(model, clip[:, None].to(device), window=spec.window, overlap=spec.overlap)
        last = int((masks != IGNORE).flatten(1).any(1).nonzero()[-1])
        labels = logits[last, 0].argmax(0).cpu()
        score.add(labels, masks[last])
        rows.append((f"clip {index}", _picture(clip[last], spec), masks[last], labels))
    compare(path, rows, classes, palette_of(spec, classes))
    return score


def compare(
    path: str | PathLike,
    rows: Sequence[tuple[str, Tensor, Tensor, Tensor]],
    classes: Sequence[str],
    palette: Sequence[Colour],
) -> None:
    """Write a PNG with a row for each `(title, frame uint8 [3, H, W], truth [H, W], prediction [H, W])`: the frame, the
    truth and the prediction over it, and the errors in red. Raises ConfigError without the extra "draw".
    """
    need("draw")
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height, width = rows[0][1].shape[1:]
    figure = Figure(figsize=(14, (14 / 4 * height / width + 0.25) * len(rows) + 0.7), layout="constrained")
    panels: Any = figure.subplots(len(rows), 4, squeeze=False)
    shown: set[int] = set()
    for axes, (title, frame, truth, labels) in zip(panels, rows, strict=True):
        known = truth != IGNORE
        errors = torch.tensor([WRONG, CORRECT, UNJUDGED])[torch.where(known, (truth == labels).long(), 2)]
        accuracy = 100.0 * float((truth == labels)[known].float().mean())
        pictures = (frame, overlay(frame, truth, palette), overlay(frame, labels, palette), errors.permute(2, 0, 1))
        titles = (title, "truth", "prediction", f"errors: {accuracy:.1f} % of pixels right")
        for panel, picture, name in zip(axes, pictures, titles, strict=True):
            panel.imshow(picture.permute(1, 2, 0).to(torch.uint8).numpy(), interpolation="nearest")
            panel.set_title(name, fontsize=9, loc="left")
            panel.axis("off")
        shown |= set(truth[known].tolist()) | set(labels.flatten().tolist())
    patches = [Patch(color=unit(palette[i]), label=classes[i]) for i in sorted(shown)][:_MOST_NAMED]
    figure.legend(handles=patches, loc="outside lower center", ncols=11, frameon=False, fontsize=9)
    save(figure, path, dpi=_DPI)


def _picture(frame: Tensor, spec: DataSpec) -> Tensor:
    """A frame of a clip as uint8 [3, H, W]; channels other than rgb as their mean.

    The light of a frame that was normalised by itself is gone: it gets a usual one.
    """
    if len(frame) == 3:
        mean, std = (torch.tensor(x).reshape(-1, 1, 1) for x in (spec.mean or MEAN, spec.std or STD))
        frame = frame * std + mean
    else:
        frame = frame.mean(0, keepdim=True).expand(3, -1, -1)
    return (255 * frame.clamp(0, 1)).round().to(torch.uint8)

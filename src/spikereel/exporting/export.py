"""`spikereel.export`: a trained model leaves the library, with its state and what is sure of it."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from spikereel.errors import ConfigError, DataError
from spikereel.exporting.certificate import Certificate, calls_of, certify
from spikereel.exporting.contract import contract_of
from spikereel.exporting.flat import DIVIDES, TRACED, Flat, flat, sees_whole_clips
from spikereel.exporting.fold import folded
from spikereel.exporting.grid import grid_model
from spikereel.exporting.part import Beginning
from spikereel.exporting.run import check_video, open_export
from spikereel.exporting.targets import target_of, target_of_file
from spikereel.files import writable
from spikereel.models.base import VideoModel
from spikereel.models.files import weights_hash
from spikereel.models.wrappers import unwrapped

Precision = Literal["float32", "int8"]
Told = Callable[[str, int, int, int], None]
"""Told what begins, how much of how much is done, and the time steps of a call."""


def export(
    model: VideoModel,
    path: str | Path,
    *,
    to: str | None = None,
    steps: int | None = None,
    size: tuple[int, int] | Literal["any"] | None = None,
    batch: int | None = None,
    fold: bool = True,
    precision: Precision = "float32",
    part: str | None = None,
    clips: Sequence[Tensor] = (),
    grid: bool = True,
    progress: Told | None = None,
    **options: Any,
) -> Certificate:
    """Write a model to a file of another runtime, run it there, and say how faithful it is.

    to: a row of `spikereel.exporting.targets.TARGETS`; by the suffix of the path where it is not said.
    steps: time steps of one call; 1 where the model streams, else the frames of a clip.
    size: height and width of the frames; by default those that the weights were trained on; "any" for one file that
    takes all sizes that 32 divides, where target and weights do.
    batch: clips of a call, None for any. fold: norms into weights.
    precision: int8, of onnx, rounds the weights of convolutions that take spikes to 8 bits, and needs clips.
    part: the last stage that is written, such as downsample3, for its features in place of the model's output.
    clips: float32 [T, B, C, H, W] to compare on; noise where none is given. grid: compare a network of many ties as
    well, exported beside and thrown away; of float32 alone. progress: see `Told`. options: of the target: `opset` of
    onnx, `dt` of nir.

    The file and `<path>.certificate.json` are written, each whole or not at all.
    Raises ConfigError for what the target cannot take and for a path that cannot be written, DataError for clips that
    do not fit.
    """
    inner = unwrapped(model, VideoModel)
    if not isinstance(inner, VideoModel):
        raise ConfigError(f"export writes models of spikereel, this is a {type(model).__name__}; see torch.onnx.export")
    model = inner
    _require_clips(clips)
    path = Path(path)
    row = target_of_file(path) if to is None else target_of(to)
    if path.suffix != row.suffix:
        raise ConfigError(f"{path}: a file for {to} ends in {row.suffix}")
    _require_precision(precision, row.name, clips)
    for file in (*row.files(path), certificate_of(path)):
        writable(file)
    model = copy.deepcopy(model).float().eval()
    seen, weights = model.metadata.preprocess, weights_hash(model)
    model = model if part is None else Beginning(model, part)
    steps = steps or (frames_of(model) if sees_whole_clips(model) else 1)
    side = getattr(model.config, "image_size", None) or int(seen.get("size") or 224)
    if batch is None and not row.free_batch:
        batch = 1
    # an example of one clip would pin the batch
    shapes: dict[str, Any] = {"steps": steps, "batch": 2 if batch is None else batch, "size": size or (side, side)}
    if size == "any":
        if not row.any_size:
            raise ConfigError(f"{row.name} is written for one size of frames; give it, such as --size {side},{side}")
        side += -side % DIVIDES
        shapes |= {"size": (side, side), "any_size": True}
    plain = flat(model, **shapes)
    contract = contract_of(model, plain, target=row.name, batch=batch, folded=fold)
    contract = replace(contract, precision=precision, part=part, weights=weights)
    for clip in clips:
        check_video(contract, clip)
    clips = [clip.detach().float() for clip in clips]
    own = _for_export(model, plain, shapes, fold)
    if precision == "int8":
        options["calibration"] = [call for clip in clips for call in calls_of(plain, clip)]
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = grid and precision == "float32"
    tell = _teller(progress, 3 if grid else 2, steps)
    tell(f"writing {path.name}", 0)
    _write(row, own, contract, path, options)
    exported = open_export(path)
    tell(f"running {path.name} and the model", 1)
    certificate = certify(model, exported, path, clips=clips)
    if grid:
        tell("writing and running a network of many ties", 2)
        certificate = replace(certificate, grid=_on_a_grid(model, path, contract, row, shapes, options))
    certificate.save(certificate_of(path))
    return certificate


def _teller(progress: Told | None, pieces: int, steps: int) -> Callable[[str, int], None]:
    def tell(what: str, done: int) -> None:
        if progress:
            progress(what, done, pieces, steps)

    return tell


def certificate_of(path: str | Path) -> Path:
    """Where the certificate of an exported file lies."""
    return Path(f"{path}.certificate.json")


def frames_of(model: VideoModel) -> int:
    """Frames of a clip: those that the weights are tied to, or were trained on."""
    return getattr(model.config, "frames", None) or int(model.metadata.preprocess.get("frames", 8))


def _require_clips(clips: Sequence[Tensor]) -> None:
    if isinstance(clips, Tensor):
        raise DataError("clips is one tensor; give a list of clips [T, B, C, H, W]: clips=[video]")
    for clip in clips:
        if not isinstance(clip, Tensor):
            raise DataError(f"a clip is a {type(clip).__name__}; give tensors: torch.as_tensor(clip).float()")


def _require_precision(precision: str, target: str, clips: Sequence[Tensor]) -> None:
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {precision!r}: choose one of {', '.join(get_args(Precision))}")
    if precision == "int8" and target != "onnx":
        raise ConfigError(f"int8 is written for onnx, not for {target}; leave the precision out")
    if precision == "int8" and not clips:
        raise ConfigError("int8 is calibrated and judged on clips: give some (--clips A.mp4 B.mp4)")


def _write(row: Any, own: Flat, contract: Any, path: Path, options: dict[str, Any]) -> None:
    known = inspect.signature(row.write).parameters
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(f"{row.name} has no option {unknown[0]!r}; see the arguments of spikereel.export")
    row.write(own, contract, path, **options)


def _for_export(model: VideoModel, plain: Flat, shapes: dict[str, Any], fold: bool) -> Flat:
    if shapes.get("any_size"):
        shapes = {**shapes, "size": TRACED}
        return flat(folded(model) if fold else model, **shapes)
    return flat(folded(model), **shapes) if fold else plain


def _on_a_grid(model: VideoModel, path: Path, contract: Any, row: Any, shapes: dict, options: dict) -> Any:
    """Fidelity of a network of the same shape whose sums often meet the threshold exactly."""
    from tempfile import TemporaryDirectory

    batch = shapes["batch"]
    clip = torch.rand(
        shapes["steps"], batch, contract.channels, *shapes["size"], generator=torch.Generator().manual_seed(0)
    )
    twin = grid_model(model, (clip * 16).round() / 16)
    with TemporaryDirectory() as folder:
        file = Path(folder, path.name)
        row.write(_for_export(twin, flat(twin, **shapes), shapes, fold=False), contract, file, **options)
        return certify(twin, open_export(file), file, clips=()).layers

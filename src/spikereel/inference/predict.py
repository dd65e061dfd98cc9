"""`spikereel.predict`: a trained model on a file, for each task; what differs between tasks is a row of `TASKS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from spikereel.body.camera import Camera
from spikereel.engine.choose import Choice, Reference, engine_for
from spikereel.errors import ConfigError, DataError
from spikereel.exporting.run import Exported
from spikereel.inference.classify import Prediction, classify
from spikereel.inference.exported import Answer, classify_exported, runnable
from spikereel.inference.segment import Segments, label, segments
from spikereel.inference.timeline import Timeline, timeline_of
from spikereel.inference.track import Box, Track, track_file
from spikereel.models.base import VideoModel

Progress = Callable[[int, int], None]


class Result(Protocol):
    """What a model says of a file: it prints, draws, and turns into JSON."""

    @property
    def path(self) -> str:
        """The file; "clip" for a tensor."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        ...

    def draw(self, path: str | PathLike) -> None:
        """Write an mp4 of the source with the answer in it."""
        ...

    def tables(self) -> list[Any]:
        """What a terminal shows, for `rich`."""
        ...

    def brief(self) -> tuple[str, str]:
        """The answer in few words, and how sure it is, or of how much."""
        ...

    def write(self, folder: Path, name: str, *, video: bool = True, progress: Progress | None = None) -> list[str]:
        """Write all there is into a folder, each file whole or not at all; lines that say what was written."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """How a model of one task sees a file."""

    begin: Callable[..., Any]
    """(model, source, **options) -> a result, which `write` may have to finish."""
    finish: Callable[[Any, Progress | None], Result] = lambda result, _progress: result
    """A result with all of its parts."""
    options: tuple[str, ...]
    """Options of `predict` that mean something here."""
    follows: bool = False
    """Whether `begin` takes `progress`."""
    endings: tuple[str, ...]
    """Of the files that `Result.write` may make."""
    doing: str
    """What the progress bar says."""


def _classes_of_file(
    model: VideoModel | Exported,
    source: str | PathLike | Tensor,
    *,
    views: int | None = None,
    every: float | None = None,
    progress: Progress | None = None,
) -> Prediction | Timeline | Answer:
    if isinstance(model, Exported):
        if every is not None:
            raise ConfigError("an exported file gives one answer a video; leave every out, or predict with the weights")
        return classify_exported(model, source, views=views)
    if every is None:
        return classify(model, source, views=views)
    if views not in (None, 1):
        raise ConfigError("views and every exclude each other: windows are one view each; leave one out")
    if isinstance(source, Tensor):
        raise ConfigError("clip: is a tensor; windows of so many seconds are for files")
    return timeline_of(model, source, every=every, progress=progress)


TASKS = {
    "classification": Task(
        begin=_classes_of_file,
        options=("views", "every"),
        follows=True,
        endings=(".json", ".mp4", ".png"),
        doing="classifying",
    ),
    "pose": Task(
        begin=track_file,
        options=("box", "camera", "smooth", "smpl", "bvh_positions"),
        follows=True,
        endings=(".json", ".coco.json", ".npz", ".bvh", ".mp4", ".png"),
        doing="tracking",
    ),
    "segmentation": Task(
        begin=segments,
        finish=label,
        options=("size", "window", "overlap", "offsets"),
        endings=(".json", ".coco.json", "_labelmap.txt", ".mp4", ".png", "_masks"),
        doing="labelling",
    ),
}


def predict(
    model: VideoModel | Exported | str | PathLike,
    source: str | PathLike | Tensor,
    *,
    views: int | None = None,
    every: float | None = None,
    box: Box | None = None,
    camera: Camera | None = None,
    smooth: bool = False,
    smpl: str | None = None,
    bvh_positions: bool = False,
    size: int | None = None,
    window: Sequence[int] | None = None,
    overlap: float | None = None,
    offsets: Sequence[int] | None = None,
    engine: Choice = "auto",
    progress: Progress | None = None,
) -> Prediction | Timeline | Track | Segments | Answer:
    """What a trained model says of one file: classes, the joints of a person, or the class of every pixel.

        result = spikereel.predict("spikevideoformer_ti.motion", "clip.mp4")
        print(result); result.draw("annotated.mp4"); result.to_json()

    model: weights by name or path, a model, or an exported file.
    source: a video, an event recording, depth, a `.npy` clip, or a folder
    of pictures, whichever the weights were trained on; for classes also a tensor [T, C, H, W].
    Classes: `views` clips in time are averaged; None takes those the model is evaluated with.
    `every` gives one answer for each window of so many seconds instead, a `Timeline`.
    Pose: `box` is left, top, width and height of the person in pixels, `camera` that of the frames, `smooth` a one-euro
    filter, `smpl` the file of the body model, `bvh_positions` gives every joint of the BVH file its position.
    Segmentation: `size` is the short side that the network sees, `window` the height and width of windows that slide
    over the frames and overlap by the share `overlap`, `offsets` the frames of a clip from the labelled one at 0.
    engine: what runs the network, see `engine_for`; the result has it as `engine`. While energy is counted, modules run
    under `auto`; with `native` the energy of a video is that of its firing rates.
    progress: called with frames done and frames in all.

    Raises DataError, in one line, for a file that is not a good one of its kind; ConfigError for weights that do not
    say how clips were made, and for an option of another task.
    """
    if isinstance(source, VideoModel):
        raise ConfigError("the model comes first: spikereel.predict(model, file)")
    if not isinstance(source, str | PathLike | Tensor):
        raise DataError(
            f"source is a {type(source).__name__}; give the path of one file, or pictures as a tensor [T, C, H, W]; "
            "many files go through spikereel.predict_many"
        )
    model = runnable(fspath(model)) if isinstance(model, str | PathLike) else model
    options = {
        "views": views,
        "every": every,
        "box": box,
        "camera": camera,
        "smooth": smooth or None,
        "smpl": smpl,
        "bvh_positions": bvh_positions or None,
        "size": size,
        "window": window,
        "overlap": overlap,
        "offsets": offsets,
    }
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in TASKS[model.task].options:
            raise ConfigError(f"{name} means nothing for {model.task}, which these weights are for; leave it out")
    model, _ = running(model, engine)
    result = begin(model, source, given, progress)
    return TASKS[model.task].finish(result, progress)  # ty: ignore[invalid-explicit-return]


def running(model: VideoModel | Exported, engine: Choice) -> tuple[VideoModel | Exported, str | None]:
    """A model as the engine of choice runs it, and why that is not the native one where it was not asked for.

    Raises ConfigError for the native engine where it cannot be had, as for a file that a foreign runtime runs.
    """
    if isinstance(model, Exported):
        if engine == "native":
            raise ConfigError("an exported file is run by its own runtime; give the weights, or leave --engine out")
        return model, None
    runner = engine_for(model, engine)
    return runner.front, runner.why if isinstance(runner, Reference) else None


def begin(
    model: VideoModel | Exported,
    source: str | PathLike | Tensor,
    options: dict[str, Any],
    progress: Progress | None = None,
) -> Any:
    """The result of a file as far as it goes before anything is written; see `Task.begin`."""
    task = TASKS[model.task]
    if isinstance(source, Tensor) and "views" not in task.options:
        raise ConfigError(f"clip: is a tensor; give the file for {model.task}")
    following = {"progress": progress} if task.follows else {}
    return task.begin(model, source, **options, **following)

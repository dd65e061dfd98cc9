"""A video with what the network made of it drawn in: label, firing rates of every block, energy so far."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.video.rendering import shown_size
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.inference.classify import Prediction
from spikereel.inference.frames import Frames, drawn_frames, info_of, open_frames, to_pictures
from spikereel.show.style import ANN_ON_BLACK, BACK, FAINT, HEAT, PANEL, SNN_ON_BLACK, TEXT, Colour
from spikereel.show.tables import by_block

MOST_FRAMES = 240
SLOWEST_FPS = 10.0
CLIP_FPS = 8.0
"""Of clips that do not say how fast they are."""

_LEVELS = np.array(HEAT)

# Pixels. The canvas is never narrower than its text needs, and never larger than a browser shows well.
_MARGIN, _HEADER, _ROW, _NAME, _VALUE = 16, 84, 16, 116, 92
_LEAST_WIDTH, _MOST_WIDTH, _LEAST_HEIGHT, _MOST_HEIGHT = 640, 960, 360, 720


def annotate(
    path: str | PathLike, prediction: Prediction, frames: str | PathLike | Tensor | Frames, *, fps: float | None = None
) -> None:
    """Write an mp4 of the video with label, firing rates per block and energy so far, as the frames go by.

    frames: those of the prediction, the file that was predicted, or a tensor [T, C, H, W], uint8 or float in [0, 1];
    two channels are drawn as ON and OFF events. fps: frames a second, where the source does not say. Of a long video
    240 frames are shown.
    Energies are counted up to the time step that has been seen; the bar is the reading "paper".

    Raises ConfigError without the extra "draw", and for a prediction of several clips; else as `write_video`.
    """
    need("draw")
    if prediction.clips > 1:
        raise ConfigError(f"this prediction is of {prediction.clips} clips; annotate one: predict(..., views=1)")
    film = _Film.of(_frames(frames), fps)
    scene = _Scene(prediction, *shown_size(*film.frames.size, film.frames.info.aspect))
    total = len(film.frames)

    def drawn() -> Iterator[Tensor]:
        for number, picture in zip(film.numbers, film.frames.pictures(film.numbers), strict=True):
            yield torch.from_numpy(scene.draw(picture.permute(1, 2, 0).numpy(), number, total)).permute(2, 0, 1)

    write_video(path, drawn(), film.fps, times=film.times)


@dataclass(frozen=True, kw_only=True)
class _Film:
    """Which frames are shown, and how fast."""

    frames: Frames
    numbers: list[int]
    fps: float
    times: list[float] | None = None
    """Seconds at which each begins to be shown, and at which the last one ends, where steps are not equal."""

    @classmethod
    def of(cls, frames: Frames, fps: float | None) -> "_Film":
        """The whole source, or frames spread over it, in its true duration unless that would make a slide show."""
        total, rate = len(frames), fps or frames.info.fps or CLIP_FPS
        numbers = torch.linspace(0, total - 1, min(total, MOST_FRAMES)).round().long().tolist()
        during = None if fps else frames.during()
        if during is not None:
            numbers = sorted(set(frames.sampled(numbers))) if total > MOST_FRAMES else numbers
        shown = rate * len(numbers) / total
        rate = max(shown, min(rate, SLOWEST_FPS))
        if during is None:
            return cls(frames=frames, numbers=numbers, fps=rate)
        times = (np.append(during[numbers], during[-1]) - during[numbers[0]]) * shown / rate
        return cls(frames=frames, numbers=numbers, fps=rate, times=times.tolist())


def _frames(source: str | PathLike | Tensor | Frames) -> Frames:
    if isinstance(source, Frames):
        return source
    if isinstance(source, Tensor):
        return drawn_frames("clip", to_pictures(source), info_of(source.shape, "tensor"))
    return open_frames(source)


class _Scene:
    """Everything that does not change from frame to frame, and how one frame is drawn."""

    def __init__(self, prediction: Prediction, height: int, width: int):
        self.prediction, self.indices = prediction, prediction.indices
        self.steps = len(self.indices)
        blocks = by_block(prediction.passport.firing)
        self.names = list(blocks)
        self.rates = np.array([np.mean(list(neurons.values()), axis=0) for neurons in blocks.values()])
        self.top = _round_up(float(self.rates.max()))
        passport = prediction.passport
        self.energy, self.ann = (
            {cost: np.cumsum(passport.energy_per_frame_mj(cost, ann=ann)) for cost in ("paper", "executed")}
            for ann in (False, True)
        )
        self.size = _shown_size(height, width)
        self.enlarged = self.size[1] >= 3 * height
        self.width = max(self.size[0] + self.size[0] % 2, _LEAST_WIDTH)
        self.strip_top = _HEADER + self.size[1] + 34
        self.energy_top = self.strip_top + _ROW * len(self.names) + 16
        self.height = self.energy_top + 96
        self.height += self.height % 2

    def draw(self, picture: np.ndarray, number: int, total: int) -> np.ndarray:
        """uint8 [height, width, 3] of frame `number` of `total`."""
        from PIL import Image, ImageDraw

        canvas = Image.new("RGB", (self.width, self.height), BACK)
        filter_ = Image.Resampling.NEAREST if self.enlarged else Image.Resampling.BICUBIC
        shown = Image.fromarray(np.ascontiguousarray(picture)).resize(self.size, filter_)
        canvas.paste(shown, ((self.width - self.size[0]) // 2, _HEADER))
        pen = _Pen(ImageDraw.Draw(canvas))
        step = int(np.searchsorted(self.indices, number, side="right")) - 1
        self._header(pen, step, f"frame {number + 1} of {total}")
        self._strip(pen, step)
        self._energy(pen, step)
        return np.array(canvas)

    def _header(self, pen: "_Pen", step: int, place: str) -> None:
        right = self.width - _MARGIN
        label, probability, kind = self._answer(step)
        percent = "" if probability is None else f"{100 * probability:.0f} %"
        middle = right - pen.width(percent, 30) - _MARGIN
        pen.write((_MARGIN, 22), kind, 13, FAINT, right - _MARGIN - pen.width(place, 13) - 12)
        pen.write((right, 22), place, 13, FAINT, anchor="rs")
        pen.write((_MARGIN, 56), label, 30, TEXT, middle - _MARGIN)
        pen.write((right, 56), percent, 30, SNN_ON_BLACK, anchor="rs")
        pen.bar((_MARGIN, 66, right, 74), probability or 0.0, SNN_ON_BLACK)

    def _answer(self, step: int) -> tuple[str, float | None, str]:
        p = self.prediction
        if p.running is None:
            return p.label, p.top5[0][1], "whole clip" + "".join(f" · {note}" for note in p.notes)
        if step < 0:
            return "...", None, "before the first frame that is seen"
        best = int(np.argmax(p.running[step]))
        return p.classes[best], p.running[step][best], "so far" + "".join(f" · {note}" for note in p.notes)

    def _strip(self, pen: "_Pen", step: int) -> None:
        left, right, top = _MARGIN + _NAME, self.width - _MARGIN - _VALUE, self.strip_top
        title = f"firing rate per block, time step {step + 1} of {self.steps}"
        pen.write((_MARGIN, top - 12), title, 13, FAINT, self.width - 2 * _MARGIN - 210)
        self._legend(pen, top - 21)
        edges = np.linspace(left, right, self.steps + 1).round().astype(int).tolist()
        gap = int(edges[1] - edges[0] > 4)
        for i, name in enumerate(self.names):
            y = top + i * _ROW
            pen.write((_MARGIN, y + 12), name, 13, TEXT, _NAME - 8)
            for t in range(self.steps):
                colour = _heat(self.rates[i, t] / self.top) if t <= step else PANEL
                pen.box((edges[t], y + 1, max(edges[t + 1] - gap, edges[t] + 1), y + _ROW - 1), colour)
            if step >= 0:
                pen.write((right + 10, y + 12), f"{100 * self.rates[i, step]:.1f} %", 13, FAINT)
        if step >= 0:
            pen.frame((edges[step] - 1, top - 1, edges[step + 1], top + len(self.names) * _ROW), TEXT)

    def _legend(self, pen: "_Pen", y: int) -> None:
        right = self.width - _MARGIN
        high = f"{100 * self.top:g} %"
        end = right - pen.width(high, 13) - 6
        pen.write((right, y + 9), high, 13, FAINT, anchor="rs")
        for x in range(120):
            pen.box((end - 120 + x, y, end - 119 + x, y + 10), _heat(x / 119))
        pen.write((end - 126, y + 9), "0", 13, FAINT, anchor="rs")

    def _energy(self, pen: "_Pen", step: int) -> None:
        left, right, total = _MARGIN + _NAME, self.width - _MARGIN - _VALUE, float(self.ann["paper"][-1])
        digits = max(0, 2 - int(np.floor(np.log10(self.energy["paper"][-1]))))
        for i, (curve, name, colour) in enumerate(
            ((self.energy, "this network", SNN_ON_BLACK), (self.ann, "ANN twin", ANN_ON_BLACK))
        ):
            spent = float(curve["paper"][step]) if step >= 0 else 0.0
            y = self.energy_top + 24 * i
            pen.write((_MARGIN, y + 14), name, 14, colour, _NAME - 8)
            pen.bar((left, y + 2, right, y + 17), spent / total, colour)
            pen.write((right + 10, y + 14), f"{spent:.{digits}f} mJ", 14, colour, _VALUE - 10)
        y, text = self.energy_top + 64, "energy so far"
        if step >= 0:
            paper, executed = (f"{self.ann[cost][step] / self.energy[cost][step]:.3g}" for cost in self.energy)
            text += f"; ANN / network: {paper} as the papers count, {executed} as it runs"
        pen.write((_MARGIN, y), text, 13, TEXT, self.width - 2 * _MARGIN)
        how = "4.6 pJ a MAC, 0.9 pJ an AC; counted, not measured; the bar is the papers' count"
        pen.write((_MARGIN, y + 18), how, 12, FAINT, self.width - 2 * _MARGIN)


class _Pen:
    """Text that never runs past its width, and boxes with half-open corners."""

    def __init__(self, draw: Any):
        self.draw = draw

    def width(self, text: str, size: int) -> int:
        return int(np.ceil(self.draw.textlength(text, font=_font(size))))

    def write(
        self, at: tuple[int, int], text: str, size: int, colour: Colour, most: int | None = None, *, anchor: str = "ls"
    ) -> None:
        """Text at a point of its baseline, cut with "..." where it is wider than `most`."""
        if most is not None and self.width(text, size) > most:
            while text and self.width(text + "...", size) > most:
                text = text[:-1]
            text = text.rstrip() + "..."
        self.draw.text(at, text, font=_font(size), fill=colour, anchor=anchor)

    def box(self, corners: tuple[int, int, int, int], colour: Colour) -> None:
        left, top, right, bottom = (int(x) for x in corners)
        self.draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def frame(self, corners: tuple[int, int, int, int], colour: Colour) -> None:
        self.draw.rectangle(tuple(int(x) for x in corners), outline=colour)

    def bar(self, corners: tuple[int, int, int, int], share: float, colour: Colour) -> None:
        left, top, right, bottom = corners
        self.box(corners, PANEL)
        if share > 0:
            self.box((left, top, left + max(round((right - left) * min(share, 1.0)), 1), bottom), colour)


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _heat(share: float) -> Colour:
    """Dark violet at 0, light yellow at 1."""
    at = min(max(float(share), 0.0), 1.0) * (len(_LEVELS) - 1)
    low = min(int(at), len(_LEVELS) - 2)
    return tuple(int(x) for x in (_LEVELS[low] + (at - low) * (_LEVELS[low + 1] - _LEVELS[low])).round())  # type: ignore


def _round_up(rate: float) -> float:
    """The top of the scale: 5, 10, 20, ... per cent."""
    return next((x for x in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75) if rate <= x), max(rate, 1.0))


def _shown_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) on the canvas: whole multiples for small videos, never past the largest picture."""
    if height < _LEAST_HEIGHT:
        factor = max(min(-(-_LEAST_HEIGHT // height), _MOST_HEIGHT // height, _MOST_WIDTH // width), 1)
        height, width = height * factor, width * factor
    scale = min(_MOST_HEIGHT / height, _MOST_WIDTH / width, 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)

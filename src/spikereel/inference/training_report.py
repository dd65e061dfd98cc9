"""What a training came to, in plain words and beside simple models: `training_report` after a run."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel.data.transforms import shown_frames
from spikereel.energy import measure
from spikereel.hub import load_model
from spikereel.layers.observe import firing_rates
from spikereel.models.base import VideoModel
from spikereel.runs.baselines import Baselines, baselines
from spikereel.runs.clips import build_dataset, options_of
from spikereel.runs.config import Recipe
from spikereel.runs.own import LR, RULED
from spikereel.tasks.classification import view_scores

SHOWN, PICTURES = 4, 6
"""Clips that are shown of the best and of the worst, and frames of each."""

MOST_TRAINED = 64
"""Training clips that the network is judged on, to tell what it has learnt by heart."""

CHANCE = 0.05
"""Probability from which a figure may be chance."""


@dataclass(frozen=True, kw_only=True)
class JudgedClip:
    """What the network made of one held-out clip."""

    name: str
    truth: str
    guess: str
    share: float
    """Probability of the true class, 0 to 1."""
    strip: Tensor = field(repr=False)
    """Frames as the network sees them, uint8 [N, 3, H, W]."""


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """A finished training."""

    name: str
    classes: tuple[str, ...]
    confusion: list[list[int]]
    """[true][predicted] of the held-out clips."""
    top1: float
    trained: float
    """Accuracy on training clips without random changes, per cent."""
    beside: Baselines | None
    """None for data that is no video."""
    losses: list[float]
    history: list[dict[str, float]]
    firing: dict[str, float]
    """By neuron, on the held-out clips."""
    energy: dict[str, float]
    """Millijoules of a clip: as the spiking network, and as an ANN, by the counting of the papers."""
    seconds: float
    skipped: tuple[tuple[str, str], ...]
    settings: tuple[str, ...]
    notes: tuple[str, ...]
    worst: tuple[JudgedClip, ...]
    best: tuple[JudgedClip, ...]
    chosen: bool = True
    """Whether the held-out clips chose the weights, the best of several validations."""
    refitted: int | None = None
    """Clips of a second training, whose weights are kept; the figures are of the first."""
    trailed: bool = False
    """Whether the network saw trails of motion."""
    rates: tuple[float, float] | None = None
    """The learning rate, and that of the rule for such clips; None where there is no rule."""

    @property
    def clips(self) -> int:
        """Held-out clips."""
        return sum(map(sum, self.confusion))

    @property
    def silent(self) -> list[str]:
        """Neurons that never fired on the held-out clips."""
        return [name for name, rate in self.firing.items() if rate == 0.0]

    @property
    def chance(self) -> float:
        """Probability that one who knows only the commonest class gets as many right or more; where these very clips
        chose the weights, in the best of as many validations, taken as independent."""
        commonest = max(map(sum, self.confusion)) / self.clips
        once = at_least(round(self.top1 * self.clips / 100), self.clips, commonest)
        return 1.0 - (1.0 - once) ** (max(len(self.history), 1) if self.chosen else 1)

    def verdict(self) -> list[str]:
        """Better than simple models or not, and how sure that is, a sentence each."""
        n, beside = self.clips, self.beside
        lines = [f"The network is right on {_of(self.top1, n)}; one clip is {100 / n:.1f} points."]
        lines.append(self._luck())
        if self.refitted is not None:
            lines.append(
                f"The weights that are kept were then trained anew on all {self.refitted} clips, these among them, so "
                "only other videos can judge them."
            )
        if beside is None:
            return lines
        lines.append(
            f"Always answering {beside.majority_class} is right on {beside.majority:.0f} %. A ridge regression that "
            f"sees only where something moved is right on {beside.ridge:.0f} %."
        )
        ahead = round((self.top1 - beside.ridge) * n / 100)
        clips = f"{abs(ahead)} clip{'s' if abs(ahead) != 1 else ''}"
        word = "as good as" if ahead == 0 else f"{clips} better than" if ahead > 0 else f"{clips} worse than"
        sure = "" if abs(ahead) >= 2 * math.sqrt(n) / 2 else ", which is within what another split would change"
        lines.append(f"The network is {word} that baseline{sure}.")
        return lines

    def _luck(self) -> str:
        """Whether the figure may be chance, and what it does not say."""
        if self.chance > CHANCE:
            best = f", as the weights are the best of {len(self.history)} validations on them" if self.chosen else ""
            return (
                "This may be chance: guessing by the commonest class gets there with a probability of "
                f"{100 * self.chance:.0f} %{best}."
            )
        flatters = "It flatters: these clips chose the weights, too, and clips" if self.chosen else "Clips"
        return f"This is better than chance. {flatters} of people and places that training never saw are harder."

    def advice(self) -> list[str]:
        """What to try next, the likeliest first."""
        found = []
        if self.beside is not None and self.beside.still:
            found.append(
                "Nothing moves in these videos: they are stills, and a video network has nothing to go by. Classes "
                "that one picture tells apart need a network for pictures."
            )
        if self.silent:
            found.append(
                f"{len(self.silent)} layer(s) never fired, first {self.silent[0]}: give a lower model.threshold or "
                "optim.lr, or optim.precise_norms=64."
            )
        found += self._learnt()
        if self.beside is not None and self.beside.ridge > self.top1:
            more = "" if self.trailed else ", data.trails=0.33"
            found.append(
                "The baseline is better: where things move tells the classes. Do not trust the network over it yet: "
                f"try more clips{more} or twice the optim.epochs."
            )
        if self.clips < 30:
            found.append(
                f"{self.clips} held-out clips say little: train with other data.fold=2 ... 5 and take the mean."
            )
        return found or ["More clips, more optim.epochs, or a larger data.size may bring the next points."]

    def _learnt(self) -> list[str]:
        """What to try after a comparison of training and held-out clips; stills cannot be learnt."""
        if self.beside is not None and self.beside.still:
            return []
        if self.chance > CHANCE and self.trained >= 90 and self.trained - self.top1 > 20:
            return [
                f"It has learnt its training clips by heart ({self.trained:.0f} %) and nothing that holds for others: "
                "look whether the labels are right, and add clips."
            ]
        if self.chance > CHANCE and self.trained < 90:
            used, usual = self.rates or (1.0, 1.0)
            if not usual / 10 < used < usual * 10:
                size = "large" if used > usual else "small"
                return [
                    f"It has not learnt its training clips either ({self.trained:.0f} %): optim.lr={used:g} is too "
                    f"{size}, give {usual:g}."
                ]
            return [
                f"It has not fully learnt its training clips either ({self.trained:.0f} %): look whether labels are "
                "right; then give more optim.epochs, or another optim.lr by a factor of 3."
            ]
        if self.trained - self.top1 > 20:
            more = "" if self.trailed else ", data.jitter=0.3"
            return [
                f"It knows its training clips far better ({self.trained:.0f} %) than others: more clips help most; "
                f"then a wider data.crop_area or data.time_warp=0.5{more}."
            ]
        return []

    def to_json(self) -> dict[str, Any]:
        """All but the pictures, in plain types."""
        plain = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("worst", "best", "beside")
        }
        shown = [{k: v for k, v in vars(x).items() if k != "strip"} for x in (*self.worst, *self.best)]
        beside = None if self.beside is None else dataclasses.asdict(self.beside)
        said = {"verdict": self.verdict(), "advice": self.advice(), "chance": self.chance}
        return {**plain, "baselines": beside, "shown": shown, **said}


def training_report(
    recipe: Recipe,
    weights: str | Path,
    *,
    losses: Sequence[float] = (),
    history: Sequence[Mapping[str, float]] = (),
    seconds: float = 0.0,
    skipped: Sequence[tuple[str, str]] = (),
    settings: Sequence[str] = (),
    notes: Sequence[str] = (),
    refitted: int | None = None,
) -> TrainingReport:
    """Judge the weights of a classification run on its held-out clips, beside simple models on the same split.

    refitted: clips of a second training, on all, whose weights are kept.
    """
    model, spec = load_model(weights), recipe.data
    classes, seed = tuple(model.metadata.classes), recipe.run.seed
    held = build_dataset(spec, "val", seed=seed, classes=classes)
    # as they are judged later; strips show one view
    judged = build_dataset(spec, "val", seed=seed, classes=classes, views=True)
    with firing_rates(model) as rates:
        scores, labels = _scores(model, judged, range(len(judged)))
    guesses = scores.argmax(1)
    confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    confusion.index_put_((labels, guesses), torch.ones_like(labels), accumulate=True)
    videos = "trails" in options_of(spec, recipe.task) and spec.simulate is None
    passport = measure(model, held[0][0][:, None])
    shares = scores.softmax(1)[torch.arange(len(labels)), labels]
    order = shares.argsort().tolist()
    few = min(SHOWN, len(order) // 2 or 1)
    clips = {
        i: JudgedClip(
            name=_name(held, i),
            truth=classes[int(labels[i])],
            guess=classes[int(guesses[i])],
            share=float(shares[i]),
            strip=(255 * shown_frames(held[i][0], PICTURES)).round().to(torch.uint8),
        )
        for i in {*order[:few], *order[-few:]}
    }
    return TrainingReport(
        name=recipe.name,
        classes=classes,
        confusion=confusion.tolist(),
        top1=100.0 * float((guesses == labels).float().mean()),
        trained=_trained(model, recipe, classes),
        beside=baselines(spec, seed=seed, classes=classes) if videos else None,
        losses=list(losses),
        history=[dict(x) for x in history],
        firing=rates.means(),
        energy={"snn": passport.energy_mj("paper"), "ann": passport.ann_mj("paper")},
        seconds=seconds,
        skipped=tuple(skipped),
        settings=tuple(settings),
        notes=tuple(notes),
        worst=tuple(clips[i] for i in order[:few]),
        best=tuple(clips[i] for i in reversed(order[-few:])),
        chosen=recipe.run.keep == "best",
        refitted=refitted,
        trailed=spec.trails > 0,
        rates=(recipe.optim.lr, LR) if recipe.name in RULED else None,
    )


def at_least(hits: int, clips: int, share: float) -> float:
    """Probability of so many hits or more, each with the probability `share`: the tail of a binomial distribution."""
    return min(sum(math.comb(clips, k) * share**k * (1 - share) ** (clips - k) for k in range(hits, clips + 1)), 1.0)


def _scores(model: VideoModel, clips: Any, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
    scores, labels = [], []
    with torch.inference_mode():
        for i in chosen:
            video, label = clips[i]
            scores.append(view_scores(model, video[None]))
            labels.append(label)
    return torch.cat(scores).float(), torch.tensor(labels)


def _trained(model: VideoModel, recipe: Recipe, classes: tuple[str, ...]) -> float:
    """Accuracy on training clips, evenly spread, as they are."""
    plain = dataclasses.replace(
        recipe.data,
        copies=1,
        flip=False,
        crop_area=(1.0, 1.0),
        time_warp=0.0,
        randaugment=None,
        jitter=0.0,
        erasing=0.0,
    )
    clips = build_dataset(plain, "train", seed=recipe.run.seed, classes=classes)
    chosen = sorted(set(torch.linspace(0, len(clips) - 1, min(MOST_TRAINED, len(clips))).long().tolist()))
    scores, labels = _scores(model, clips, chosen)
    return 100.0 * float((scores.argmax(1) == labels).float().mean())


def _name(clips: Any, index: int) -> str:
    """The file of a clip, where there is one."""
    while hasattr(clips, "clips"):
        index, clips = (clips.kept[index] if hasattr(clips, "kept") else index), clips.clips
    samples = getattr(clips, "samples", None)
    return Path(samples[index][0]).name if samples else f"clip {index}"


def _of(top1: float, clips: int) -> str:
    return f"{round(top1 * clips / 100)} of {clips} held-out clips ({top1:.0f} %)"

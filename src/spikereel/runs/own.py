"""Videos of one's own: what a run should be like for so many clips, classes and seconds, and why.

The rule was chosen on folders of 24 to 50 clips, that of many classes on 216 clips of 27; every value can be changed by
its key, and then stays.
"""

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spikereel.config import override
from spikereel.hub import architecture, load_model
from spikereel.models.svformer import SVFormerConfig
from spikereel.runs.config import Recipe
from spikereel.runs.facts import Facts, facts_of
from spikereel.runs.start import AUTO

RULED = frozenset({"video_folder"})
"""Recipes whose values follow from the clips when they are trained from the command line."""

PASSES, CLIPS, POWER = 67, 24, 0.4
"""Passes over so many training clips, and the power of their number by which passes become fewer."""
LEAST_PASSES, MOST_PASSES = 8, 120

FEW_GROUPS = 10
"""Persons, scenes or recordings up to which each counts so much that clips of all of them are trained on in the end."""

LR = 3e-3
"""The learning rate at its highest."""

KNOWN_LR, HEAD_LR = 1e-3, 3.0
"""That of weights that know people already, in a small folder, and how much higher that of the last layer is."""

FEW, MANY = 200, 800
"""Clips up to which each counts so much that all are trained on in the end, and up to which a fifth of them is too few
to choose weights by and start weights have to know people."""

MANY_CLASSES = 16
"""Classes from which a folder of at most `MANY` clips is learnt anew: start weights know fewer, and hold them dear."""
ANEW_PASSES, ANEW_FRAMES = 40, 12
"""Least passes of such a folder, and frames of a clip."""

TRAILS = 0.33
"""Seconds of the past that a frame is held against, over all frames of a video."""

VALIDATIONS = 5
"""Times a run."""

LONG, MINUTES = 8.0, 30.0
"""Seconds of a video from which a clip has more frames, and from which it is cut into several."""

DISK = 4e9
"""Bytes of decoded frames that a run may keep."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One value of a run."""

    key: str
    value: Any
    reason: str
    given: bool = False
    """Whether the user gave it."""

    def __str__(self) -> str:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return f"{self.key}={value}: {'as given' if self.given else self.reason}"


def suited(recipe: Recipe, facts: Facts, given: Collection[str] = ()) -> tuple[Recipe, tuple[Choice, ...]]:
    """The recipe with every value of the rule that no key of `given` names, and all these values with their reasons."""
    # what the network sees decides whether it needs a front; steps follow from the batch, and the frames kept from
    # their size; and any of these may be given
    recipe, seen = _applied(recipe, _inputs(recipe), given)
    recipe, first = _applied(recipe, _rule(recipe, facts), given)
    then = (*_judged(recipe, facts), *_steps(recipe, facts, given), *_kept(facts), *_cache(recipe, facts))
    recipe, last = _applied(recipe, then, given)
    return recipe, (*seen, *first, *last)


def _applied(recipe: Recipe, choices: Iterable[Choice], given: Collection[str]) -> tuple[Recipe, list[Choice]]:
    made = []
    for choice in choices:
        section, name = choice.key.split(".")
        part = getattr(recipe, section)
        if choice.key in given:
            choice = dataclasses.replace(choice, value=getattr(part, name), given=True)
        recipe = dataclasses.replace(recipe, **{section: dataclasses.replace(part, **{name: choice.value})})
        made.append(choice)
    return recipe, made


def batch_of(clips: int, *, anew: bool = False) -> int:
    """Clips a step: 8 up to 200 clips, and where all is learnt anew; 16 up to 2,000, then 32."""
    return min(8 if anew or clips <= 200 else 16 if clips <= 2000 else 32, max(clips, 1))


def passes_of(clips: int, *, anew: bool = False) -> int:
    """Passes over all clips: 67 of 24 clips, fewer by the power 0.4 of their number, 8 to 120; anew at least 40."""
    passes = min(max(round(PASSES * (CLIPS / max(clips, 1)) ** POWER), LEAST_PASSES), MOST_PASSES)
    return max(passes, ANEW_PASSES) if anew else passes


def learns_anew(recipe: Recipe, facts: Facts) -> bool:
    """Whether few clips are of so many classes that fresh weights learn them better, and no weights were named."""
    few_of_many = facts.clips <= MANY and facts.classes >= MANY_CLASSES and recipe.model.start in (AUTO, None)
    return few_of_many and not isinstance(architecture(recipe.model.name).config, SVFormerConfig)


def _rule(recipe: Recipe, facts: Facts) -> Iterator[Choice]:
    """Values that do not follow from others."""
    yield from _model(recipe, facts)
    n, seconds, anew = facts.clips, facts.seconds, learns_anew(recipe, facts)
    long = seconds is not None and seconds > LONG
    reason = f"a video of {'more' if long else 'up to'} {'than ' if long else ''}{LONG:g} s"
    short, reason = (ANEW_FRAMES, f"{reason}, of many classes") if anew and not long else (8, reason)
    yield Choice(key="data.frames", value=16 if long else short, reason=reason)
    tied = isinstance(architecture(recipe.model.name).config, SVFormerConfig)
    side = 64 if tied or n > 500 else 48
    yield Choice(
        key="data.size", value=side, reason="a multiple of 32" if tied else "enough for large motions, and quick"
    )
    if seconds is not None and facts.rate is not None and seconds > MINUTES:
        yield Choice(
            key="data.stride", value=max(round(facts.rate / 2), 1), reason="two frames a second of a long video"
        )
        yield Choice(key="data.clips", value=4, reason="views that are averaged when a long video is judged")
    yield Choice(key="data.whole", value=True, reason="nothing at the edge of the picture is lost")
    if facts.in_mirror is not None:
        yield Choice(key="data.flip", value=not facts.in_mirror.handed, reason=str(facts.in_mirror))
    why = "random boxes of the frame" + (", large ones: small differences tell many classes apart" if anew else "")
    yield Choice(key="data.crop_area", value=(0.8 if anew else 0.6, 1.0), reason=why)
    warp = 0.3 if anew else 0.5 if n <= 2000 else 0.2
    yield Choice(key="data.time_warp", value=warp, reason="people do not move at one speed")
    knows = n <= FEW and not anew and _knows_people(recipe)
    why = "the start weights know what people do" if knows else "with lower ones a folder needs more steps than it has"
    yield Choice(key="optim.lr", value=KNOWN_LR if knows else LR, reason=why)
    why = "times as much for the last layer, which is new" if knows else "all layers learn alike"
    yield Choice(key="optim.head_lr", value=HEAD_LR if knows else 1.0, reason=why)
    yield Choice(key="optim.clip_norm", value=10.0, reason="gradients of small spiking networks are large")
    yield Choice(key="optim.batch", value=batch_of(n, anew=anew), reason=f"{n} training clips")


def _knows_people(recipe: Recipe) -> bool:
    """Whether the start will be the weights of people: see `runs.start.chosen_start`, which has the model."""
    model = recipe.model
    listed = "actions" in architecture(model.name).weights and recipe.data.trails > 0
    return listed and model.start == "auto" and model.attention in (None, "joint") and model.neuron in (None, "lif")


def _inputs(recipe: Recipe) -> Iterator[Choice]:
    """Trails, where nothing else shows what moves and no random change is in their way."""
    data = recipe.data
    if recipe.model.contrast not in (None, "none"):
        value, reason = 0.0, "model.contrast shows what moves"
    elif data.simulate is not None or data.modality != "rgb":
        value, reason = 0.0, "events show what moves"
    elif data.randaugment is not None or data.jitter or data.erasing or not data.antialias:
        value, reason = 0.0, "they do not go with randaugment, jitter, erasing or antialias=false"
    else:
        value, reason = TRAILS, "seconds; plain frames hardly show what moves, trails of all frames do"
    yield Choice(key="data.trails", value=value, reason=reason)


def _model(recipe: Recipe, facts: Facts) -> Iterator[Choice]:
    data = recipe.data
    moving = data.trails > 0 or data.simulate is not None or data.modality != "rgb"
    yield Choice(
        key="model.contrast",
        value="none" if moving else "beside",
        reason="the clips show motion already" if moving else "plain frames do not show a network what moves",
    )
    yield Choice(key="model.contrast_form", value="on_off", reason="as the start weights see motion")
    yield _threshold(recipe.model.start)
    if learns_anew(recipe, facts):
        why = f"few clips of {facts.classes} classes"
        yield Choice(key="model.neuron", value="ilif", reason=f"counts learn {why} better than single spikes")
        value, reason = None, f"fresh weights learn {why} better"
    elif facts.clips > MANY and _knows_people(recipe):
        # what people do is learnt from so many clips, while those weights are slow to learn which way a thing turns
        value, reason = f"{recipe.model.name}.motion", "of so many clips what people do is learnt, too"
    else:
        value, reason = "auto", "weights that know motion or people, where they fit"
    yield Choice(key="model.start", value=value, reason=reason)


def _threshold(start: str | None) -> Choice:
    """With another one, weights that the user names would be another network from the first step on."""
    value, reason = 0.5, "at 1 a small network fires too little to learn quickly"
    if start not in (None, AUTO):
        value, reason = load_model(start).config.neuron.threshold, f"as {Path(start).name} has it"
    return Choice(key="model.threshold", value=value, reason=reason)


def _judged(recipe: Recipe, facts: Facts) -> Iterator[Choice]:
    """Whether a video is judged with its mirror image."""
    if recipe.data.simulate is not None:
        return
    why = "judged is the mean of a video and its mirror image" if facts.symmetric else "a mirror would change classes"
    reason = why if recipe.data.flip or not facts.symmetric else "nothing is mirrored in training"
    yield Choice(key="data.mirrored", value=facts.symmetric and recipe.data.flip, reason=reason)


def _steps(recipe: Recipe, facts: Facts, given: Collection[str]) -> Iterator[Choice]:
    """Passes, warm-up and norms."""
    each = max(facts.clips // recipe.optim.batch, 1)
    passes = passes_of(facts.clips, anew=learns_anew(recipe, facts))
    if "optim.epochs" in given:
        passes = recipe.optim.epochs
    steps = max(round(each * passes), 1)
    warmup = min(max(0.05, round(10 / steps, 3)), 0.2)
    yield Choice(key="optim.epochs", value=passes, reason=f"{steps} steps; fewer passes over more clips")
    yield Choice(key="optim.warmup", value=warmup, reason=f"{round(warmup * steps)} steps")
    norms = min(facts.clips, 256)
    yield Choice(key="optim.start_norms", value=min(norms, 64), reason="no layer is silent from the first step on")
    yield Choice(key="optim.precise_norms", value=norms, reason="weights are judged with norms that fit them")
    yield Choice(key="run.validate_every", value=max(int(passes) // VALIDATIONS, 1), reason="about five times a run")


def _kept(facts: Facts) -> Iterator[Choice]:
    """Which weights are kept."""
    if facts.clips <= MANY:
        yield Choice(key="run.keep", value="last", reason="so few held-out clips would choose weights by luck")
    else:
        yield Choice(key="run.keep", value="best", reason="there are enough held-out clips to choose weights by")
    if facts.apart:
        yield Choice(key="run.refit", value=False, reason="validation has a folder of its own")
    else:
        few, rare = facts.clips <= FEW, 0 < facts.groups <= FEW_GROUPS and facts.clips <= MANY
        why = f"{facts.groups} persons, scenes or recordings: each" if rare else "each clip"
        why = (
            f"{why} counts, so a second training has the held-out ones too" if few or rare else "a fifth is well spared"
        )
        yield Choice(key="run.refit", value=few or rare, reason=why)


def _cache(recipe: Recipe, facts: Facts) -> Iterator[Choice]:
    """Whether decoded frames are kept: for short videos, where all of them fit in `DISK`."""
    if facts.seconds is None or facts.rate is None or facts.shape is None or facts.seconds > MINUTES:
        return
    size, smallest = recipe.data.size, recipe.data.crop_area[0]
    size_on_disk = 3 * facts.shape * facts.clips * facts.seconds * facts.rate * math.ceil(size / smallest**0.5) ** 2
    fits = size_on_disk <= DISK
    if size_on_disk < 1e9:
        amount = f"{size_on_disk / 1e6:.0f} MB"
    else:
        amount = f"{size_on_disk / 1e9:.0f} GB"
    yield Choice(
        key="data.cache",
        value=str(Path(recipe.run.out) / "frames") if fits else None,
        reason=f"about {amount} of decoded frames, of {DISK / 1e9:.0f} GB at most: "
        + ("each video is decoded once" if fits else "videos are decoded every time"),
    )


def keys_given(assignments: Sequence[str]) -> set[str]:
    """The keys of `a.b=value` assignments."""
    return {assignment.partition("=")[0].strip() for assignment in assignments}


def ruled(recipe: Recipe, assignments: Sequence[str]) -> tuple[Recipe, Facts, tuple[Choice, ...]]:
    """A recipe with its assignments and, where none says otherwise, what the rule says of its clips.

    Raises ConfigError and DataError as the run would.
    """
    asked = override(recipe, assignments)
    given = keys_given(assignments)
    facts = facts_of(asked, given)
    recipe, choices = suited(asked, facts, given)
    return recipe, facts, choices

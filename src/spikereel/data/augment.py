"""RandAugment, colour jitter and random erasing of clips: one draw for a clip, the same in all its frames.

Of these, RandAugment alone needs Pillow, which it takes from the extra "train".
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spikereel.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

STRONGEST = 10.0
FILL = (128, 128, 128)
"""Colour of what a moved picture leaves bare."""

ARGUMENTS: dict[str, Callable[[float], float] | None] = {
    "AutoContrast": None,
    "Equalize": None,
    "Invert": None,
    "Rotate": lambda q: 30 * q,  # degrees counter-clockwise
    "Posterize": lambda q: int(4 * q),  # bits kept
    "Solarize": lambda q: int(256 * q),  # levels from here on are inverted
    "SolarizeAdd": lambda q: int(110 * q),  # added to levels below 128
    "Color": lambda q: 0.1 + 1.8 * q,  # 1 changes nothing, here and in the next three
    "Contrast": lambda q: 0.1 + 1.8 * q,
    "Brightness": lambda q: 0.1 + 1.8 * q,
    "Sharpness": lambda q: 0.1 + 1.8 * q,
    "ShearX": lambda q: 0.3 * q,  # columns per row
    "ShearY": lambda q: 0.3 * q,  # rows per column
    "TranslateXRel": lambda q: 0.45 * q,  # share of the width
    "TranslateYRel": lambda q: 0.45 * q,  # share of the height
}
"""The 15 operations and what the strength q = magnitude / 10 becomes for each."""

SIGNED = frozenset({"Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"})
"""Operations that go either way, by a fair coin."""

_POLICY = re.compile(r"m(\d+(?:\.\d+)?)-n(\d+)(?:-mstd(\d+(?:\.\d+)?))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What RandAugment draws from."""

    magnitude: float
    """Mean of the magnitudes, 0 to 10."""
    operations: int
    """Draws for a clip; about half of them are applied."""
    std: float = 0.0
    """Of the magnitudes, which are normal and clipped to [0, 10]."""


def read_policy(text: str) -> Policy:
    """The policy "m5-n2-mstd0.25": magnitude 5, two operations, standard deviation 0.25 (0 if left out).

    Raises ConfigError for other forms, a magnitude above 10, or no operations.
    """
    match = _POLICY.fullmatch(text)
    if match is None:
        raise ConfigError(f"randaugment is {text!r}: write it as m<magnitude>-n<operations>-mstd<std>: m5-n2-mstd0.25")
    policy = Policy(magnitude=float(match[1]), operations=int(match[2]), std=float(match[3] or 0))
    if policy.magnitude > STRONGEST or not policy.operations:
        raise ConfigError(f"randaugment is {text!r}: m goes from 0 to 10 and n from 1, such as m5-n2-mstd0.25")
    return policy


def require_pillow(what: str = "RandAugment") -> None:
    """Raises ConfigError, for what needs it, unless Pillow can be imported."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ConfigError(f"{what} needs Pillow; run pip install 'spikereel[train]'") from None


def draw_operations(policy: Policy, rng: np.random.Generator) -> list[tuple[str, float]]:
    """(operation, argument) of those to apply, in this order; the argument of one that takes none is 0.

    Each of `policy.operations` is drawn with replacement and kept with probability 1/2; its strength is
    clip(N(magnitude, std), 0, 10) / 10.
    """
    drawn = []
    for name in rng.choice(list(ARGUMENTS), size=policy.operations).tolist():
        if rng.random() >= 0.5:
            continue
        strength = float(np.clip(rng.normal(policy.magnitude, policy.std), 0, STRONGEST)) / STRONGEST
        sign = -1 if name in SIGNED and rng.random() < 0.5 else 1
        argument = ARGUMENTS[name]
        drawn.append((name, sign * argument(strength) if argument else 0.0))
    return drawn


def randaugment(video: Tensor, policy: Policy, *, generator: torch.Generator | None = None) -> Tensor:
    """Random operations of Pillow on every frame alike: uint8 [T, 3, H, W] -> uint8 [T, 3, H, W].

    Moves are bicubic and leave grey behind. AutoContrast, Contrast and Equalize still measure each frame by itself.
    Source: Cubuk et al. 2020, with the operations and strengths of timm's "rand" policies without "inc1".
    Raises ConfigError for other clips, or without Pillow.
    """
    return apply_operations(video, sample_operations(policy, generator))


def sample_operations(policy: Policy, generator: torch.Generator | None = None) -> list[tuple[str, float]]:
    """`draw_operations` by a generator of torch. Raises ConfigError without Pillow."""
    require_pillow()
    # As in mixup_cutmix: one draw of torch's generator seeds numpy's, which has the distributions.
    return draw_operations(policy, np.random.default_rng(int(torch.randint(2**62, (), generator=generator))))


def apply_operations(video: Tensor, operations: list[tuple[str, float]]) -> Tensor:
    """The operations (name, argument), in order, on each frame: uint8 [T, 3, H, W] -> uint8 [T, 3, H, W].

    Raises ConfigError for other clips.
    """
    if video.dtype != torch.uint8 or video.ndim != 4 or video.shape[1] != 3:
        raise ConfigError(
            f"RandAugment cannot take {video.dtype} {list(video.shape)}: give uint8 [T, 3, H, W], or switch it off"
        )
    if not operations:
        return video
    from PIL import Image

    frames = []
    for frame in video.permute(0, 2, 3, 1).cpu().numpy():
        image = Image.fromarray(np.ascontiguousarray(frame))
        for name, argument in operations:
            image = _apply(image, name, argument)
        frames.append(np.asarray(image))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def _apply(image: "Image.Image", name: str, argument: float) -> "Image.Image":
    from PIL import ImageEnhance, ImageOps

    match name:
        case "AutoContrast":
            return ImageOps.autocontrast(image)
        case "Equalize":
            return ImageOps.equalize(image)
        case "Invert":
            return ImageOps.invert(image)
        case "Posterize":
            return ImageOps.posterize(image, int(argument))
        case "Solarize":
            return ImageOps.solarize(image, int(argument))
        case "SolarizeAdd":
            levels = [min(255, level + int(argument)) if level < 128 else level for level in range(256)]
            return image.point(levels * 3)
        case "Color" | "Contrast" | "Brightness" | "Sharpness":
            return getattr(ImageEnhance, name)(image).enhance(argument)
    return _move(image, name, argument)


def _move(image: "Image.Image", name: str, argument: float) -> "Image.Image":
    """Rotate, shear or translate."""
    from PIL import Image

    if name == "Rotate":
        return image.rotate(argument, resample=Image.Resampling.BICUBIC, fillcolor=FILL)
    source = source_of(name, argument, image.width, image.height)
    return image.transform(
        image.size, Image.Transform.AFFINE, source, resample=Image.Resampling.BICUBIC, fillcolor=FILL
    )


def source_of(name: str, argument: float, width: int, height: int) -> tuple[float, ...]:
    """Where a pixel after one of the operations SIGNED comes from: (a, b, c, d, e, f), and (x, y) was at
    (a x + b y + c, d x + e y + f); x and y count from the corner of the picture.
    """
    if name == "Rotate":
        cos, sin = math.cos(math.radians(argument)), math.sin(math.radians(argument))
        x, y = width / 2, height / 2
        return cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y
    return {
        "ShearX": (1, argument, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, argument, 1, 0),
        "TranslateXRel": (1, 0, argument * width, 0, 1, 0),
        "TranslateYRel": (1, 0, 0, 0, 1, argument * height),
    }[name]


def color_jitter(video: Tensor, strength: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Brightness, contrast and saturation of all frames times a factor each, uniform in [1 - strength, 1 + strength].

    uint8 [T, 3, H, W], or float in [0, 1] -> the same, clipped to its range. Contrast is about the mean grey of the
    clip, so that frames keep their differences. Raises ConfigError for other channels, or strength outside [0, 1].
    """
    if video.shape[1] != 3 or not 0 <= strength <= 1:
        raise ConfigError(f"cannot jitter colours of {list(video.shape)} by {strength}: give RGB, and 0 to 1")
    bright, contrast, saturation = (1 + strength * (2 * torch.rand(3, generator=generator) - 1)).tolist()
    top = 255.0 if video.dtype == torch.uint8 else 1.0
    weights = torch.tensor([0.299, 0.587, 0.114], device=video.device).view(3, 1, 1)
    x = (video.float() * bright).clamp(0, top)
    x = torch.lerp((x * weights).sum(1).mean(), x, contrast).clamp(0, top)
    x = torch.lerp((x * weights).sum(1, keepdim=True), x, saturation).clamp(0, top)
    return x.round().to(torch.uint8) if video.dtype == torch.uint8 else x.to(video.dtype)


def gamma_jitter(video: Tensor, strength: float, *, generator: torch.Generator | None = None) -> Tensor:
    """All frames to the power gamma, log-uniform from 1 / (1 + strength) to 1 + strength: as by day or at dusk.

    uint8 of any shape -> the same. Raises ConfigError for other types, and a strength below 0.
    """
    if video.dtype != torch.uint8 or strength < 0:
        raise ConfigError(f"cannot jitter the gamma of {video.dtype} by {strength}: give uint8, and at least 0")
    gamma = (1 + strength) ** (2 * float(torch.rand((), generator=generator)) - 1)
    table = (torch.linspace(0, 1, 256, device=video.device) ** gamma * 255).round().to(torch.uint8)
    return table[video.int()]


def random_erasing(
    video: Tensor,
    *,
    probability: float = 0.25,
    area: tuple[float, float] = (0.02, 1 / 3),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
    generator: torch.Generator | None = None,
) -> Tensor:
    """One rectangle of all frames becomes noise N(0, 1), other noise in each frame: float [T, C, H, W] -> the same.

    With the given probability. The rectangle has a share of the area uniform in `area` and a height-to-width ratio
    log-uniform in `ratio`, and is smaller than the frame both ways; if 100 draws are not, nothing is erased.
    Source: Zhong et al. 2020, per pixel. Raises ConfigError for integer clips, which must be normalised first.
    """
    if not video.is_floating_point():
        raise ConfigError(f"cannot erase with noise in {video.dtype}: normalise the clip first")
    if torch.rand((), generator=generator) >= probability:
        return video
    height, width = video.shape[-2:]
    for _ in range(100):
        share, shape, down, right = torch.rand(4, generator=generator).tolist()
        pixels = height * width * (area[0] + share * (area[1] - area[0]))
        aspect = ratio[0] * (ratio[1] / ratio[0]) ** shape
        rows, columns = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
        if rows < height and columns < width:
            top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
            noise = torch.randn(*video.shape[:2], rows, columns, generator=generator)
            erased = video.clone()
            erased[..., top : top + rows, left : left + columns] = noise
            return erased
    return video

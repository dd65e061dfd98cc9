"""The start weights of own videos: `python benchmarks/people_start.py --out FOLDER`, and again to go on.

Procedural clips of people who do something are drawn once, then a network learns what they do and, as a help that is
thrown away afterwards, where their joints are in every frame and on which side who does it stands; with `--shapes`,
how shapes move in other clips of the same batch, too. The weights are a running mean over the steps, with norms taken
anew, judged on clips of other seeds.
"""

import argparse
import copy
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.config import override
from spikereel.data.made.actions import CLASSES, film_actions
from spikereel.data.made.filmed import FPS
from spikereel.data.made.people import JOINTS
from spikereel.data.made.scenes import CLASSES as MOTIONS
from spikereel.data.made.scenes import MotionClips
from spikereel.data.trails import bent, on_off
from spikereel.files import whole
from spikereel.hub import save_model
from spikereel.layers.calibrate import calibrate
from spikereel.runs.recipes import get_recipe
from spikereel.train.module import warmup_decay
from spikereel.train.run import training_parts

SEED, PER_FILE, JUDGED = 4, 700, 560
"""Of the clips; clips a file, and those of other seeds that are judged."""
FRAMES, SIZE, TRAILS = 8, 48, 0.33
HARD = frozenset({"kick", "punch", "push"})
"""Classes that are drawn twice as often, since they look alike."""
ACTED = tuple(i for i, name in enumerate(CLASSES) if name not in {"approach", "handshake", "hug", "leave", "pass_by"})
"""Classes that the first person does alone."""
LIMBS = [(JOINTS[f"left_{name}"], JOINTS[f"right_{name}"]) for name in ("hand", "foot", "knee", "elbow")]
HEAD, HIP = JOINTS["head"], JOINTS["hip_center"]
NUMBERS = 4 + 4 * len(LIMBS)
"""Numbers that say where a person is in a frame."""
SHAPES, SHAPES_SEED, SHAPES_JUDGED = 100_000, 40, 500
"""Clips of shapes, those of training and of judging by seed."""
TURNING = {MOTIONS.index("clockwise"), MOTIONS.index("counterclockwise")}
"""Motions that are drawn three times as often: they are learnt last."""
MIRRORED = {"left": "right", "right": "left", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}
LUMA = torch.tensor([0.299, 0.587, 0.114])
NEVER = -100


@dataclasses.dataclass
class Clips:
    """Videos behind each other, uint8 [N, S, S], and where joints are in them [N, 2, 20, 2], nan for nobody."""

    videos: Tensor
    joints: Tensor
    lengths: list[int]
    starts: list[int]


def drawn(path: Path, number: int, count: int) -> Clips:
    """The clips of a file, drawn if it is not there; of each class one in turn."""
    if not path.is_file():
        videos, joints = [], []
        for i in range(count):
            video, spots = film_actions(np.random.default_rng([SEED, number, i]), i % len(CLASSES), SIZE)
            videos.append((255 * video).round().byte())
            nobody = spots.new_full((len(spots), 2 - spots.shape[1], *spots.shape[2:]), math.nan)
            joints.append(torch.cat([spots, nobody], 1).half())
        lengths = torch.tensor([len(x) for x in videos])
        with whole(path) as place:
            torch.save({"videos": torch.cat(videos), "joints": torch.cat(joints), "lengths": lengths}, place)
    kept = torch.load(path, mmap=True, weights_only=True)
    ends = kept["lengths"].cumsum(0)
    return Clips(kept["videos"], kept["joints"], kept["lengths"].tolist(), (ends - kept["lengths"]).tolist())


def clip(clips: Clips, i: int, rng: np.random.Generator | None) -> tuple[Tensor, int, int, Tensor]:
    """(clip [T, 3, S, S], class, side of who acts, joints [T, 2, NUMBERS]), changed at random where there is an rng."""
    own = slice(clips.starts[i], clips.starts[i] + clips.lengths[i])
    video, joints, label = clips.videos[own].float() / 255, clips.joints[own].float(), i % len(CLASSES)
    start, stop, bend = rng.random(3) if rng else (0.0, 0.0, 0.5)
    instants = bent(FRAMES, 0.12 * start, 0.12 * stop, 0.6 * (2 * bend - 1))
    chosen = torch.round(instants * (len(video) - 1)).long()
    if rng:
        video, joints = _other_light(video, joints, rng)
    pictures, joints = _trails(video, chosen, FPS), joints[chosen]
    if rng and rng.random() < 0.6:
        pictures, joints = _nearer(pictures, joints, rng)
    first, second = joints[0, :, HIP, 0].tolist()
    side = int(first > second) if label in ACTED and not math.isnan(second) else NEVER
    return 2 * pictures - 1, label, side, wanted(joints)


def shape(clips: MotionClips, i: int, rng: np.random.Generator | None) -> tuple[Tensor, int]:
    """(clip [T, 3, S, S] of a shape that moves, motion), filmed at 10 to 30 frames a second."""
    colour, label = clips[i]
    video = torch.einsum("tchw,c->thw", colour, LUMA)
    if rng and rng.random() < 0.5:
        video, label = video.flip(-1), MOTIONS.index(MIRRORED.get(MOTIONS[label], MOTIONS[label]))
    ends, stops, bend = rng.random(3) if rng else (0.0, 0.0, 0.5)
    instants = bent(FRAMES, 0.12 * ends, 0.12 * stops, 0.6 * (2 * bend - 1))
    rate = rng.uniform(10, 30) if rng else 25.0
    pictures = _trails(video, torch.round(instants * (len(video) - 1)).long(), rate)
    if rng and rng.random() < 0.6:
        pictures, _ = _nearer(pictures, torch.zeros(0, 2), rng)
    return 2 * pictures - 1, label


def _trails(video: Tensor, chosen: Tensor, rate: float) -> Tensor:
    """Grey, ON and OFF [T, 3, S, S] of the chosen frames of a video [N, S, S]."""
    return torch.stack([video[chosen], *on_off(video[chosen] - _past(video, chosen, rate))], 1)


def _past(video: Tensor, chosen: Tensor, rate: float) -> Tensor:
    """`data.trails.past` of the chosen frames alone, as one product."""
    kept = math.exp(-1 / (TRAILS * rate))
    age = chosen[:, None] - 1 - torch.arange(len(video))
    weight = torch.where(age >= 0, (1 - kept) * kept ** age.clamp(min=0), 0.0)
    weight[:, 0] += 1 - weight.sum(1)
    return (weight @ video.flatten(1)).unflatten(1, video.shape[1:])


def _other_light(video: Tensor, joints: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Perhaps mirrored, of another contrast and brightness, and of one clip in five the negative."""
    if rng.random() < 0.5:
        video = video.flip(-1)
        joints = torch.stack([1 - joints[..., 0], joints[..., 1]], -1)
    mean = video.mean()
    video = (mean + (video - mean) * rng.uniform(0.5, 1.3) + rng.uniform(-0.1, 0.1)).clamp(0, 1)
    return (1 - video if rng.random() < 0.2 else video), joints


def _nearer(pictures: Tensor, joints: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A box of the picture, 78 to 100 % of either side."""
    wide, high = rng.uniform(0.78, 1.0, 2)
    x, y = rng.uniform(wide / 2, 1 - wide / 2), rng.uniform(high / 2, 1 - high / 2)
    box = torch.tensor([[[wide, 0, 2 * x - 1], [0, high, 2 * y - 1]]], dtype=torch.float32)
    flat = pictures.flatten(0, 1)[None]
    grid = F.affine_grid(box, [1, 1, *flat.shape[-2:]], align_corners=False)
    seen = F.grid_sample(flat, grid, align_corners=False, padding_mode="border").view_as(pictures)
    corner = torch.tensor([x - wide / 2, y - high / 2], dtype=torch.float32)
    return seen, (joints - corner) / torch.tensor([wide, high], dtype=torch.float32)


def wanted(joints: Tensor) -> Tensor:
    """[T, 2, 20, 2] to what the network says of them [T, 2, NUMBERS]: who stands on the left first.

    Hip, head, and limbs from the hip, doubled, of each pair the one farther left first.
    """
    first, second = joints[0, :, HIP, 0].tolist()
    if second < first:
        joints = joints.flip(1)
    hip = joints[:, :, HIP]
    places = [hip, joints[:, :, HEAD]]
    for a, b in LIMBS:
        swapped = (joints[:, :, a, 0] > joints[:, :, b, 0])[..., None]
        one, other = joints[:, :, a], joints[:, :, b]
        places += [2 * (torch.where(swapped, other, one) - hip), 2 * (torch.where(swapped, one, other) - hip)]
    return torch.cat(places, -1).clamp(-1.5, 1.5)


class Beside(nn.Module):
    """Joints of each frame, and the side of who acts, from features [T, B, D, h, w]; and how a shape moves."""

    def __init__(self, features: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(features)
        self.pose = nn.LazyLinear(2 * NUMBERS)
        self.side = nn.LazyLinear(2)
        self.motion = nn.Linear(features, len(MOTIONS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """([T, B, 2, NUMBERS], [B, 2])."""
        seen = self.norm(features.flatten(0, 1)).flatten(1).unflatten(0, features.shape[:2])
        return self.pose(seen).unflatten(-1, (2, NUMBERS)), self.side(seen.mean(0))


class Training:
    """All that a checkpoint holds."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        recipe = override(get_recipe("actions"), [f"model.start={options.start}"])
        torch.manual_seed(0)
        *_, module = training_parts(recipe)
        self.model: Any = module.model
        for part in self.model.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.data = part.weight.data.to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.model)
        self.beside = Beside(self.model.head.in_features)
        with torch.no_grad():
            self.beside(self.model.features(torch.zeros(FRAMES, 2, 3, SIZE, SIZE))[0])
        decay = recipe.optim.weight_decay
        groups = [{k: x for k, x in group.items() if k != "names"} for group in module._groups()]
        groups.append({"params": list(self.beside.parameters()), "weight_decay": decay})
        self.optimiser = torch.optim.AdamW(groups, lr=options.lr)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: warmup_decay(step, options.steps, 0.04, 0.0, "cosine")
        )
        self.step, self.rng = 0, np.random.default_rng(7)
        self.moving = MotionClips(SHAPES, frames=16, height=SIZE, width=SIZE, seed=SHAPES_SEED)
        self.kept = options.out / "last.pt"
        self.parts = (self.model, self.mean, self.beside, self.optimiser, self.schedule)
        if self.kept.is_file():
            self._go_on()

    def _go_on(self) -> None:
        state = torch.load(self.kept, weights_only=True)
        for part, own in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(own)
        self.step, self.rng.bit_generator.state = state["step"], state["rng"]

    def keep(self) -> None:
        """Write a checkpoint."""
        parts = [part.state_dict() for part in self.parts]
        with whole(self.kept) as place:
            torch.save({"parts": parts, "step": self.step, "rng": self.rng.bit_generator.state}, place)

    def batch(self, files: list[Clips], clips: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Random clips [T, B, 3, S, S], classes, sides and joints [T, B, 2, NUMBERS]."""
        often = np.array([2.0 if name in HARD else 1.0 for name in CLASSES])
        rows = []
        for label in self.rng.choice(len(CLASSES), clips, p=often / often.sum()):
            own = files[self.rng.integers(len(files))]
            turn = int(self.rng.integers(len(own.lengths) // len(CLASSES)))
            rows.append(clip(own, turn * len(CLASSES) + int(label), self.rng))
        videos, labels, sides, joints = zip(*rows, strict=True)
        return torch.stack(videos, 1), torch.tensor(labels), torch.tensor(sides), torch.stack(joints, 1)

    def shapes(self, clips: int) -> tuple[Tensor, Tensor]:
        """Random clips [T, B, 3, S, S] of shapes, and how they move."""
        often = np.array([3.0 if i in TURNING else 1.0 for i in range(len(MOTIONS))])
        drawn_motions = self.rng.choice(len(MOTIONS), clips, p=often / often.sum())
        turns = self.rng.integers(SHAPES // len(MOTIONS), size=clips)
        rows = [
            shape(self.moving, int(t * len(MOTIONS) + m), self.rng) for t, m in zip(turns, drawn_motions, strict=True)
        ]
        videos = [torch.zeros(FRAMES, 0, 3, SIZE, SIZE), *(video[:, None] for video, _ in rows)]
        return torch.cat(videos, 1), torch.tensor([label for _, label in rows], dtype=torch.long)

    def _shown(self, files: list[Clips]) -> Tensor:
        """Random clips of both kinds, as a step has them."""
        return torch.cat([self.batch(files, self.options.batch)[0], self.shapes(self.options.shapes)[0]], 1)

    def learn(self, files: list[Clips]) -> Tensor:
        """One step; returns the loss of classes, of joints and of motions."""
        videos, labels, sides, joints = self.batch(files, self.options.batch)
        shapes, motions = self.shapes(self.options.shapes)
        features, _ = self.model.features(torch.cat([videos, shapes], 1))
        spikes = self.model.pooled(features)[0].mean(0)
        pose, side = self.beside(features[:, : len(labels)])
        there = ~joints.isnan()
        of_classes = F.cross_entropy(self.model.head(spikes[: len(labels)]), labels, label_smoothing=0.05)
        # the sum, as there may be none
        told = self.beside.motion(spikes[len(labels) :])
        of_motions = F.cross_entropy(told, motions, label_smoothing=0.05, reduction="sum") / max(len(motions), 1)
        of_joints = F.smooth_l1_loss(pose[there], joints[there], beta=0.1)
        # a batch in which nobody acts beside another has no sides
        of_sides = F.cross_entropy(side, sides, ignore_index=NEVER) if (sides != NEVER).any() else 0.0
        self.optimiser.zero_grad()
        (of_classes + 2 * of_joints + 0.2 * of_sides + 0.5 * of_motions).backward()
        nn.utils.clip_grad_norm_([*self.model.parameters(), *self.beside.parameters()], 10.0)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        with torch.no_grad():
            share = 1 - min(0.998, (self.step + 1) / (self.step + 10))
            for mean, now in zip(self.mean.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, share)
        return torch.stack([of_classes.detach(), of_joints.detach(), of_motions.detach()])

    def judged(self, files: list[Clips], people: list[tuple], shapes: list[tuple]) -> tuple[Any, float, float]:
        """The mean of the weights with norms of its own, and its shares of other people and shapes."""
        model: Any = copy.deepcopy(self.mean)
        calibrate(model, (self._shown(files) for _ in range(8)))
        model.eval()
        return model, *(
            _share(model, head, rows) for head, rows in ((model.head, people), (self.beside.motion, shapes))
        )


def _share(model: Any, head: nn.Module, rows: list[tuple]) -> float:
    """The share of clips whose class a layer behind the spikes says."""
    right = 0
    with torch.inference_mode():
        for i in range(0, len(rows), 28):
            videos, labels, *_ = zip(*rows[i : i + 28], strict=True)
            spikes = model.pooled(model.features(torch.stack(videos, 1))[0])[0].mean(0)
            right += int((head(spikes).argmax(1) == torch.tensor(labels)).sum())
    return right / len(rows)


def main() -> None:
    """Draw, train, and write the weights of every 250 steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", default="spikevideoformer_ti.motion", help="weights to begin with")
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--shapes", type=int, default=0, help="clips of shapes beside them")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--files", type=int, default=42, help=f"of {PER_FILE} clips each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    files = [drawn(options.out / f"{k}.clips", k, PER_FILE) for k in range(options.files)]
    judged = drawn(options.out / "judged.clips", 990, JUDGED)
    people = [clip(judged, i, None) for i in range(JUDGED)]
    moving = MotionClips(SHAPES_JUDGED, frames=16, height=SIZE, width=SIZE, seed=SHAPES_SEED + 1)
    shapes = [shape(moving, i, None) for i in range(SHAPES_JUDGED)]
    training = Training(options)
    losses, since, began = torch.zeros(3), training.step, time.process_time()
    training.model.train()
    while training.step < options.steps:
        losses += training.learn(files)
        if training.step % 250 and training.step < options.steps:
            continue
        model, share, moved = training.judged(files, people, shapes)
        trained = {"command": "benchmarks/people_start.py", "steps": training.step, "val_top1": 100 * share}
        metadata = dataclasses.replace(model.metadata, classes=CLASSES, training=trained)
        save_model(model, options.out / "people.safetensors", metadata)
        training.keep()
        seconds, began = time.process_time() - began, time.process_time()
        row = {
            "step": training.step,
            "losses": (losses / (training.step - since)).tolist(),
            "top1": 100 * share,
            "shapes": 100 * moved,
            "seconds": seconds,
        }
        print(json.dumps(row), flush=True)
        losses.zero_()
        since = training.step
        training.model.train()


if __name__ == "__main__":
    main()

"""Classes that a mirror turns into each other: by their names, as they are asked for, and in the clips of all kinds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from masks import write_folder
from small import DATA, video_file

from spikereel.data.clips import SeededClips
from spikereel.data.mirrored import IGNORE, MirroredClips
from spikereel.errors import ConfigError
from spikereel.runs.classification import ClassificationObjective
from spikereel.runs.clips import build_dataset, build_loader, idle_options
from spikereel.runs.config import OptimSpec
from spikereel.runs.mirrors import Mirroring, mirror_plan, mirrored, mirroring_by, mirroring_of
from spikereel.runs.seen import unseen


@pytest.mark.parametrize(
    ("classes", "swaps", "alone"),
    [
        (["swipe_left", "swipe right", "wave"], [("swipe_left", "swipe right")], []),
        (["Swiping Left", "Swiping Right"], [("Swiping Left", "Swiping Right")], []),
        (["Turning Hand Clockwise", "Turning Hand Counterclockwise"], None, []),
        (["Pushing something from left to right", "Pushing something from right to left"], None, []),
        (
            ["Turning the camera left while filming something", "Turning the camera right while filming something"],
            None,
            [],
        ),
        # of DVS128 Gesture: the hand and the turn change
        (
            [
                "right_hand_clockwise",
                "right_hand_counter_clockwise",
                "left_hand_clockwise",
                "left_hand_counter_clockwise",
            ],
            [
                ("right_hand_clockwise", "left_hand_counter_clockwise"),
                ("right_hand_counter_clockwise", "left_hand_clockwise"),
            ],
            [],
        ),
        (["circle_cw", "circle_anticlockwise"], None, []),
        (["TurnRight", "TurnLeft"], None, []),
        (["turnleft", "turnright", "bright"], [("turnleft", "turnright")], []),
        (["kick_l", "kick_r"], None, []),
        (["hand L2R", "hand R2L"], None, []),
        (["left1", "right2", "left2"], [("right2", "left2")], ["left1"]),
        (["向左", "向右"], None, []),
        (["nach links", "nach rechts"], None, []),
        # no other side among the classes
        (["right arm swipe to the left", "clap"], [], ["right arm swipe to the left"]),
        # no side at all
        (["l", "r", "bright", "leftover", "copyright", "upright", "vitamin_r", "0", "1"], [], []),
        # two classes of one name: none of them is the mirror image
        (["left", "right", "Left"], [], ["left", "right", "Left"]),
    ],
)
def test_pairs_by_name(classes, swaps, alone):
    found = mirroring_of(classes)
    assert found == Mirroring(swaps=tuple([tuple(classes)] if swaps is None else swaps), alone=tuple(alone))
    assert sorted(mirrored(classes)) == sorted([name for pair in found.swaps for name in pair] + alone)


@given(st.lists(st.text("lrLR left_right1 cw", min_size=1, max_size=12), unique=True, min_size=1, max_size=6))
def test_a_mirror_of_a_mirror_is_the_class_itself(classes):
    labels = mirroring_of(classes).labels(classes)
    assert all(other is None or labels[other] == label for label, other in enumerate(labels))


def test_pairs_that_are_asked_for():
    classes = ["a=b", "c", "d", "left", "right"]
    assert mirroring_by(["a=b=c", "d"], classes) == Mirroring(swaps=(("a=b", "c"),), alone=("d",))
    assert mirroring_by(["a=b"], classes) == Mirroring(alone=("a=b",))
    assert not mirroring_by([], classes)
    assert not mirroring_by(["c=c"], classes)
    with pytest.raises(ConfigError, match=r"data\.mirror has 'c=e': write CLASS=CLASS or CLASS, of a=b, c"):
        mirroring_by(["c=e"], classes)
    with pytest.raises(ConfigError, match=r"data\.mirror names c twice"):
        mirroring_by(["c=d", "c"], classes)
    spec = replace(DATA, kind="folder", root="x", flip=True)
    assert mirror_plan(replace(spec, mirror=()), classes, "classification")[1:] == (Mirroring(), None)
    assert mirror_plan(spec, classes, "classification")[0].mirror == ("left=right",)
    assert "mirror" in idle_options(replace(spec, flip=False, mirror=()), "classification")


def test_numbers_are_not_mirrored_unless_asked():
    spec = replace(DATA, kind="list", root="x", flip=True)
    carried, plan, line = mirror_plan(spec, ["1", "2"], "classification")
    assert (carried.flip, bool(plan)) == (False, False)
    assert line is not None
    assert line.startswith("data.flip is off: numbers do not say")
    carried, plan, line = mirror_plan(replace(spec, mirror=("1=2",)), ["1", "2"], "classification")
    assert (carried.flip, plan.labels(["1", "2"])) == (True, [1, 0])
    assert mirror_plan(replace(spec, kind="motion"), ["left", "right"], "classification")[2] is None


class Corners(SeededClips):
    """Clips whose first column alone is 1."""

    def __init__(self, classes, *, copies=1, masks=None):
        super().__init__()
        self.classes, self.copies, self.masks = tuple(classes), copies, masks

    def __len__(self):
        return 40

    def item(self, index):
        clip = torch.zeros(2, 1, 3, 4)
        clip[..., 0] = 1
        if self.masks is not None:
            return clip, self.masks.clone()
        return (clip if self.copies == 1 else torch.stack([clip] * self.copies)), index % len(self.classes)

    def fingerprint(self):
        return "x"


def sides(clip):
    """Whether a clip is mirrored."""
    return bool(clip[0, 0, 0, -1])


def test_labels_go_with_the_clips():
    clips = MirroredClips(Corners(["left", "right", "up", "left turn"]), [1, 0, 2, None])
    seen = {}
    for index in range(40):
        clip, label = clips[index]
        seen.setdefault((index % 4, label), []).append(sides(clip))
    assert {key: set(value) for key, value in seen.items()} == {
        (0, 0): {False},
        (0, 1): {True},
        (1, 1): {False},
        (1, 0): {True},
        (2, 2): {False, True},
        (3, 3): {False},
    }
    once = [sides(clips[i][0]) for i in range(40)]
    assert once == [sides(clips[i][0]) for i in range(40)]
    clips.set_epoch(1)
    assert once != [sides(clips[i][0]) for i in range(40)]


@pytest.mark.parametrize("mixup", [0.0, 0.8])
def test_copies_have_labels_of_their_own(mixup):
    clips = MirroredClips(Corners(["left", "right"], copies=3), [1, 0])
    videos, labels = torch.utils.data.default_collate([clips[i] for i in range(40)])
    assert labels.shape == (40, 3)
    mirrored_now = videos[..., -1].flatten(2).any(2)
    assert torch.equal(labels, (torch.arange(40)[:, None] + mirrored_now) % 2)
    assert mirrored_now.any(1).logical_and(~mirrored_now.all(1)).any()
    objective = ClassificationObjective(OptimSpec(mixup=mixup), classes=2)
    prepared, target = objective.prepare((videos, labels))
    assert prepared.shape[1] == len(target) == 120
    if not mixup:
        assert torch.equal(target, labels.flatten())


def test_pixels_go_with_the_frames():
    masks = torch.tensor([0, 0, 1, IGNORE]).expand(2, 3, 4)
    clips = MirroredClips(Corners(["left lane", "right lane"], masks=masks), [1, 0])
    seen = {sides(clip): target for clip, target in (clips[i] for i in range(40))}
    assert torch.equal(seen[False], masks)
    assert seen[True][0, 0].tolist() == [IGNORE, 0, 1, 1]
    alone = MirroredClips(Corners(["left lane", "right lane"], masks=masks), [None, 1])
    assert not any(sides(alone[i][0]) for i in range(40))


@settings(max_examples=12)
@given(kind=st.sampled_from(["folder", "list"]), copies=st.sampled_from([1, 2]), epoch=st.integers(0, 3))
def test_clips_of_the_kinds(sided, kind, copies, epoch):
    root = sided if kind == "folder" else sided / "list.txt"
    spec = replace(
        DATA, kind=kind, root=str(root), flip=True, crop_area=(1.0, 1.0), whole=True, frames=2, copies=copies
    )
    clips = build_dataset(spec, "train")
    plain = build_dataset(replace(spec, flip=False, copies=1), "train")
    assert clips.fingerprint() == plain.fingerprint()
    clips.set_epoch(epoch)
    for i in range(len(clips)):
        found, labels = clips[i]
        whole, own = plain[i]
        for clip, label in zip(found.view(-1, *whole.shape), torch.as_tensor(labels).view(-1).tolist(), strict=True):
            same = (clip - whole).abs().mean() < (clip - whole.flip(-1)).abs().mean()
            assert label == (own if same else 1 - own)
    assert build_dataset(spec, "test")[0][1] in (0, 1)
    assert [x for x in clips.notes if "swipe_left <-> swipe_right" in x]


@pytest.fixture(scope="module")
def sided(tmp_path_factory):
    root = tmp_path_factory.mktemp("sided")
    lines = []
    for kind in ("swipe_left", "swipe_right"):
        for i in range(3):
            video_file(root / kind / f"{i}.mp4", seed=i + 10 * len(kind))
            lines.append(f"{kind}/{i}.mp4 {kind}\n")
    (root / "list.txt").write_text("".join(lines))
    return root


def test_recordings(tmp_path):
    for name in ("left", "right"):
        for i in range(5):
            (tmp_path / name).mkdir(exist_ok=True)
            t = np.arange(50) * 1000 + i
            # all events are in the first column
            events = {"t": t, "x": 0 * t, "y": t % 8, "p": t % 2, "width": 8, "height": 8}
            np.savez(tmp_path / name / f"{i}.npz", **events)
    clips = build_dataset(replace(DATA, kind="events", root=str(tmp_path), flip=True, size=8), "train")
    assert isinstance(clips, MirroredClips)
    changed = [clips[i][1] != clips.clips[i][1] for i in range(8)]
    assert changed == [bool(clips[i][0][..., -1].any()) for i in range(8)]
    assert 0 < sum(changed) < 8


def test_masks_of_a_folder(tmp_path):
    write_folder(tmp_path, videos=5)
    (tmp_path / "classes.txt").write_text("left lane 1 1 1\nright lane 2 2 2\nsky 3 3 3\n")
    spec = replace(DATA, kind="masks", root=str(tmp_path), flip=True, frames=1, size=36)
    train = build_dataset(spec, "train", task="segmentation")
    assert isinstance(train, MirroredClips)
    levels = []
    for i in range(len(train)):
        clip, masks = train[i]
        same = torch.equal(clip, train.clips[i][0])
        # the frames are 20 c + 10 where the class is c: of mirrored ones the lanes have the other's level
        levels.append((same, torch.equal(((clip[0, 0] * 127.5 + 127.5 - 10) / 20).round().long(), masks[0])))
    assert {x for x in levels if x[0]} == {(True, True)}
    assert (False, False) in levels
    loader = build_loader(train, spec, batch=2, shuffle=True)
    assert next(iter(loader))[1].shape == (2, 1, 36, 48)


def test_a_class_that_only_the_mirror_shows_is_seen():
    clips = MirroredClips(Corners(["left", "right"]), [1, 0])
    clips.clips.labels = [0] * 40
    assert unseen(clips) == ([], None)
    clips.others = [None, None]
    assert unseen(clips)[0] == ["right"]
    assert json.dumps(Mirroring(swaps=(("a", "b"),)).as_options()) == '["a=b"]'

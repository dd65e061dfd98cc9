"""The rule for videos of one's own: what follows from clips, classes and seconds, and that a given key wins."""

import dataclasses

import av
import numpy as np
import pytest
import torch
from small import KINDS, video_folder

from spikereel.data.video.write import write_video
from spikereel.errors import DataError
from spikereel.hub import Metadata, create_model, load_model, save_model
from spikereel.runs.clips import build_dataset
from spikereel.runs.handed import InMirror
from spikereel.runs.model import build_model
from spikereel.runs.origins import Origin, origins_of
from spikereel.runs.own import Facts, batch_of, facts_of, keys_given, passes_of, ruled, suited
from spikereel.runs.recipes import get_recipe

RECIPE = get_recipe("video_folder")


def _facts(clips, seconds=2.0, classes=3):
    return Facts(clips=clips, classes=classes, seconds=seconds, rate=30.0)


@pytest.mark.parametrize("clips", [16, 24, 50, 200, 1600, 16_000])
def test_steps_grow_with_the_clips_and_passes_fall(clips):
    recipe, _ = suited(RECIPE, _facts(clips))
    steps = recipe.optim.epochs * (clips // recipe.optim.batch)
    assert 150 <= steps <= 8000
    assert recipe.optim.epochs % 1 == 0
    assert recipe.optim.warmup * steps >= 8
    assert passes_of(clips) >= passes_of(2 * clips)
    assert batch_of(clips) <= batch_of(2 * clips) <= 32


def test_a_small_folder_gets_the_steps_it_needs():
    recipe, _ = suited(RECIPE, _facts(24))
    assert 160 <= recipe.optim.epochs * 3 <= 240
    assert recipe.optim.clip_norm == 10.0
    assert recipe.optim.start_norms
    assert recipe.optim.precise_norms
    assert (recipe.data.trails, recipe.model.contrast, recipe.model.start) == (0.33, "none", "auto")


def _suited(clips, changes):
    """What the rule makes of the recipe with values that a user gave."""
    asked = RECIPE
    for key, value in changes.items():
        part, name = key.split(".")
        asked = dataclasses.replace(asked, **{part: dataclasses.replace(getattr(asked, part), **{name: value})})
    return suited(asked, _facts(clips), changes)[0]


def test_weights_that_are_named_keep_their_threshold(tmp_path):
    """Of the authors' files it is 1: at 0.5 they would be another network."""
    path = str(tmp_path / "image.safetensors")
    save_model(create_model("spikevideoformer_ti", num_classes=6), path, Metadata(name="spikevideoformer_ti"))
    for start, threshold in (("auto", 0.5), (None, 0.5), (path, 1.0), ("spikevideoformer_ti.motion", 0.5)):
        assert _suited(24, {"model.start": start}).model.threshold == threshold
    assert _suited(24, {"model.start": path, "model.threshold": 0.7}).model.threshold == 0.7


@pytest.mark.parametrize(
    ("clips", "changes", "rates"),
    [
        (24, {}, (1e-3, 3.0)),
        (300, {}, (3e-3, 1.0)),
        (24, {"data.trails": 0.0}, (3e-3, 1.0)),
        (24, {"model.start": None}, (3e-3, 1.0)),
        (24, {"model.attention": "causal"}, (3e-3, 1.0)),
        (24, {"model.neuron": "relu"}, (3e-3, 1.0)),
        (24, {"model.name": "svformer"}, (3e-3, 1.0)),
    ],
)
def test_weights_that_know_people_are_changed_less(clips, changes, rates):
    recipe = _suited(clips, changes)
    assert (recipe.optim.lr, recipe.optim.head_lr) == rates


@pytest.mark.parametrize(
    ("clips", "changes", "start"),
    [
        (800, {}, "auto"),
        (801, {}, "spikevideoformer_ti.motion"),
        (1600, {"model.attention": "causal"}, "auto"),
        (1600, {"model.name": "svformer_ti"}, "auto"),
        (1600, {"data.trails": 0.0}, "auto"),
        (1600, {"model.start": None}, None),
    ],
)
def test_of_many_clips_the_start_knows_motion_alone(clips, changes, start):
    recipe = _suited(clips, changes)
    assert recipe.model.start == start


@pytest.mark.parametrize(
    ("clips", "classes", "name", "anew"),
    [
        (216, 27, "spikevideoformer_ti", True),
        (60, 16, "spikevideoformer_ti", True),
        (800, 16, "spikevideoformer_s", True),
        (801, 27, "spikevideoformer_ti", False),
        (216, 15, "spikevideoformer_ti", False),
        (216, 27, "svformer_ti", False),
    ],
)
def test_few_clips_of_many_classes_are_learnt_anew(clips, classes, name, anew):
    asked = dataclasses.replace(RECIPE, model=dataclasses.replace(RECIPE.model, name=name))
    recipe, _ = suited(asked, _facts(clips, classes=classes))
    assert (recipe.model.neuron == "ilif") == (recipe.model.start is None) == anew
    assert (recipe.data.frames, recipe.data.crop_area) == ((12, (0.8, 1.0)) if anew else (8, (0.6, 1.0)))
    passes, batch = max(passes_of(clips), 40), 8
    assert (recipe.optim.epochs, recipe.optim.batch) == (
        (passes, batch) if anew else (passes_of(clips), batch_of(clips))
    )
    assert not anew or (recipe.optim.lr, recipe.optim.head_lr) == (3e-3, 1.0)
    named = dataclasses.replace(asked, model=dataclasses.replace(asked.model, start="spikevideoformer_ti.motion"))
    assert suited(named, _facts(clips, classes=classes), {"model.start"})[0].model.neuron is None
    given = suited(asked, _facts(clips, classes=classes), {"model.start", "model.neuron", "data.frames"})[0]
    assert (given.model.start, given.model.neuron, given.data.frames) == ("auto", None, 8)


def test_colour_without_trails_gets_a_contrast_front():
    for part, change in (("data", {"trails": 0.0}), ("model", {"contrast": "beside"})):
        asked = dataclasses.replace(RECIPE, **{part: dataclasses.replace(getattr(RECIPE, part), **change)})
        (key,) = (f"{part}.{name}" for name in change)
        recipe, _ = suited(asked, _facts(24), {key})
        assert (recipe.data.trails, recipe.model.contrast) == (0.0, "beside")


@pytest.mark.parametrize(("clips", "keep", "refit"), [(24, "last", True), (500, "last", False), (5000, "best", False)])
def test_few_clips_do_not_choose_weights_and_all_are_trained_on(clips, keep, refit):
    recipe, _ = suited(RECIPE, _facts(clips))
    assert (recipe.run.keep, recipe.run.refit) == (keep, refit)
    assert not suited(RECIPE, dataclasses.replace(_facts(clips), apart=True))[0].run.refit


@pytest.mark.parametrize(
    ("clips", "groups", "refit"), [(24, 0, True), (216, 0, False), (216, 2, True), (216, 11, False), (1600, 2, False)]
)
def test_of_few_persons_all_are_trained_on(clips, groups, refit):
    _, choices = suited(RECIPE, dataclasses.replace(_facts(clips), groups=groups))
    (choice,) = (x for x in choices if x.key == "run.refit")
    assert choice.value is refit
    assert (f"{groups} persons" in choice.reason) == (refit and groups > 0)


def test_the_recipe_is_what_the_rule_says_of_24_clips():
    recipe, _ = suited(RECIPE, _facts(24))
    assert dataclasses.replace(recipe, optim=dataclasses.replace(recipe.optim, warmup=RECIPE.optim.warmup)) == RECIPE


def test_every_value_has_a_reason_and_stands_in_the_recipe():
    recipe, choices = suited(RECIPE, _facts(300, seconds=60.0))
    assert {"data.stride", "data.clips", "data.frames", "optim.epochs"} <= {x.key for x in choices}
    for choice in choices:
        section, name = choice.key.split(".")
        assert getattr(getattr(recipe, section), name) == choice.value
        assert choice.reason
        assert str(choice).startswith(f"{choice.key}=")


@pytest.mark.parametrize(
    ("classes", "given", "mirrored"),
    [
        (("jump", "wave"), [], True),
        (("jump", "wave"), ["data.flip=false"], False),
        (("jump", "wave"), ["data.mirrored=false"], False),
        (("swipe left", "swipe right"), [], False),
        (("point left", "wave"), [], False),
        (("1", "2"), [], False),
        (("1", "2"), ["data.mirror=[]"], True),
    ],
)
def test_videos_are_judged_with_their_mirror_image_where_that_has_the_same_class(tmp_path, classes, given, mirrored):
    made = video_folder(tmp_path / "made", each=1)
    first, second = sorted(made.iterdir())[:2]
    for name, place in zip(classes, (first, second), strict=True):
        (tmp_path / "videos").mkdir(exist_ok=True)
        place.rename(tmp_path / "videos" / name)
    recipe, _, choices = ruled(RECIPE, [f"data.root={tmp_path / 'videos'}", "data.hold_out=false", *given])
    assert recipe.data.mirrored is mirrored
    assert "data.mirrored" in {x.key for x in choices}


def _blobs(root, columns, each=10):
    """Four classes, in each something that moves at a height of its own, in one of the columns."""
    for kind in range(4):
        for i in range(each):
            video, (row, column) = (
                torch.zeros(6, 1, 32, 32, dtype=torch.uint8),
                (8 * kind, columns[i // 2 % len(columns)]),
            )
            video[i % 2 :: 2, :, row : row + 8, column : column + 4] = 255
            (root / f"kind{kind}").mkdir(parents=True, exist_ok=True)
            write_video(root / f"kind{kind}" / f"{i}.mp4", video.expand(-1, 3, -1, -1), 25)
    return root


@pytest.mark.parametrize(("columns", "flip"), [((4,), False), ((4, 24), True)])
def test_nothing_is_mirrored_where_a_mirror_shows_what_no_clip_does(tmp_path, columns, flip):
    given = [f"data.root={_blobs(tmp_path, columns)}"]
    recipe, facts, choices = ruled(RECIPE, given)
    assert facts.in_mirror is not None
    assert facts.in_mirror.plain == facts.in_mirror.clips
    assert facts.in_mirror.handed is not flip
    assert (recipe.data.flip, recipe.data.mirrored) == (flip, flip)
    assert "held-out clips, and" in next(str(x) for x in choices if x.key == "data.flip")
    for value in (True, False):
        recipe, facts, choices = ruled(RECIPE, [*given, f"data.flip={str(value).lower()}"])
        assert (recipe.data.flip, facts.in_mirror) == (value, None)


@pytest.mark.parametrize(
    ("plain", "mirrored", "either", "handed"),
    [(61, 29, 40, True), (5, 3, 2, False), (9, 7, 2, False), (60, 50, 30, False), (9, 0, 9, True), (0, 0, 0, False)],
)
def test_an_accident_is_no_reason_to_mirror_nothing(plain, mirrored, either, handed):
    assert InMirror(plain=plain, mirrored=mirrored, either=either, clips=108).handed is handed


def test_a_key_that_is_given_wins_and_what_follows_from_it_follows(tmp_path):
    root = video_folder(tmp_path / "videos", each=5)
    assignments = [f"data.root={root}", "optim.batch=2", "optim.lr=0.5", "model.start=null"]
    recipe, facts, choices = ruled(RECIPE, assignments)
    assert (recipe.optim.batch, recipe.optim.lr, recipe.model.start) == (2, 0.5, None)
    assert facts.clips == 8
    given = {x.key for x in choices if x.given}
    assert given == {"optim.batch", "optim.lr", "model.start"}
    steps = recipe.optim.epochs * 4
    assert f"{steps} steps" in next(str(x) for x in choices if x.key == "optim.epochs")


def test_the_facts_of_a_folder(tmp_path):
    root = video_folder(tmp_path / "videos", each=5)
    facts = facts_of(dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, root=str(root))))
    # 8 frames at 10 a second
    assert (facts.classes, facts.clips) == (2, 8)
    assert facts.seconds == pytest.approx(0.8)
    assert facts.rate == pytest.approx(10.0)
    assert facts.shape == pytest.approx(64 / 48)


def test_the_length_of_a_file_whose_times_only_count_its_frames_is_known(tmp_path):
    for kind in KINDS:
        for i in range(3):
            path = tmp_path / kind / f"{i}.avi"
            path.parent.mkdir(exist_ok=True)
            # 10 s; the index of an AVI has no times
            with av.open(str(path), "w") as file:
                stream = file.add_stream("mpeg4", rate=10)
                stream.width, stream.height, stream.pix_fmt, stream.max_b_frames = 48, 32, "yuv420p", 2
                for number in range(100):
                    frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 2 * number, np.uint8), format="rgb24")
                    file.mux(stream.encode(frame))
                file.mux(stream.encode(None))
    facts = facts_of(dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, root=str(tmp_path))))
    assert facts.seconds == pytest.approx(10.0)
    assert suited(RECIPE, facts)[0].data.frames == 16


def test_names_keep_clips_of_one_person_together_and_are_missed_where_they_do_not_say(tmp_path):
    plain = video_folder(tmp_path / "plain", each=5)
    recipe, facts, _ = ruled(RECIPE, [f"data.root={plain}"])
    assert "person03_wave_2.mp4" in (facts.warning or "")
    named = tmp_path / "named"
    for path in sorted(plain.rglob("*.mp4")):
        kind, number = path.parent.name, int(path.stem)
        (named / kind).mkdir(parents=True, exist_ok=True)
        path.rename(named / kind / f"person{number % 4}_{kind}_{number}.mp4")
    recipe, facts, _ = ruled(RECIPE, [f"data.root={named}"])
    assert (facts.warning, facts.groups) == (None, 3)
    held, kept = (
        {origin.source for origin in origins_of(build_dataset(recipe.data, split)) or ()} for split in ("val", "train")
    )
    assert held
    assert not held & kept


@pytest.mark.parametrize(
    ("name", "source"),
    [("person03_boxing_d1", "person03"), ("walk-Scene-4", "Scene-4"), ("a.subject 7.b", "subject 7"), ("wave_2", "")],
)
def test_words_of_names_that_say_what_was_filmed(name, source):
    assert Origin(f"{name}.mp4").source == source


def test_long_videos_are_cut_into_views_and_short_ones_are_not():
    recipe, _ = suited(RECIPE, _facts(24, seconds=3600.0))
    assert (recipe.data.frames, recipe.data.stride, recipe.data.clips) == (16, 15, 4)
    recipe, _ = suited(RECIPE, _facts(24, seconds=1.0))
    assert (recipe.data.frames, recipe.data.stride, recipe.data.clips) == (8, None, 1)


def test_clips_that_show_motion_already_get_no_front():
    for change in ({"trails": 0.33}, {"simulate": 0.2}):
        recipe = dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, **change))
        assert suited(recipe, _facts(24))[0].model.contrast == "none"


def test_frames_are_kept_where_they_fit_on_the_disk_and_videos_are_short():
    facts = dataclasses.replace(_facts(100, seconds=5.0), shape=16 / 9)
    recipe, choices = suited(RECIPE, facts)
    assert recipe.data.cache == "runs/frames"
    # 100 videos of 150 frames of 62 x 110 pixels
    assert "about 308 MB" in next(x.reason for x in choices if x.key == "data.cache")
    assert suited(RECIPE, dataclasses.replace(facts, clips=20_000))[0].data.cache is None
    assert suited(RECIPE, dataclasses.replace(facts, seconds=60.0))[0].data.cache is None
    recipe, _ = suited(RECIPE, facts, {"data.cache"})
    assert recipe.data.cache is None


def test_svformer_gets_frames_it_can_take():
    recipe = dataclasses.replace(RECIPE, model=dataclasses.replace(RECIPE.model, name="svformer_ti"))
    assert suited(recipe, _facts(24))[0].data.size % 32 == 0


def test_a_single_class_is_refused_with_a_sentence(tmp_path):
    root = video_folder(tmp_path / "videos")
    for path in (root / KINDS[1]).iterdir():
        path.unlink()
    (root / KINDS[1]).rmdir()
    with pytest.raises(DataError, match="nothing to tell apart; add a sub-folder"):
        ruled(RECIPE, [f"data.root={root}"])


def test_keys_of_assignments():
    assert keys_given(["optim.lr=1", "data.mean = [1]"]) == {"optim.lr", "data.mean"}


def test_the_model_of_the_recipe_starts_from_people_and_knows_all_its_channels():
    seen = dataclasses.asdict(RECIPE.data)
    model = build_model(RECIPE.model, frames=8, size=48, in_channels=3, num_classes=3, preprocess=seen)
    assert model.contrast is None
    stem = "downsample1_1.encode_conv.weight"
    shipped = load_model("spikevideoformer_ti.actions").get_parameter(stem)
    assert torch.equal(model.get_parameter(stem), shipped)
    assert shipped.any()
    with torch.no_grad():
        assert model.eval()(torch.rand(2, 1, 3, 48, 48))[0].shape == (1, 3)

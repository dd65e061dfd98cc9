"""Which clips weights are judged on, and what is said of those that they were trained on, for every sort of files."""

import dataclasses
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import DATA, KINDS, SMALL, video_folder

from spikereel.data.clips import Part, folder_samples
from spikereel.data.shards import pack
from spikereel.errors import DataError, WeightsError
from spikereel.hub import Metadata, create_model
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_dataset, build_loader, channels_of
from spikereel.runs.data import DataSpec
from spikereel.runs.evaluate import evaluate, split_to_judge
from spikereel.runs.origins import as_text, identities
from spikereel.runs.seen import unseen
from spikereel.runs.tasks import TASKS
from tests.masks import blocks, write_folder, write_pair


def folder(root):
    return replace(DATA, kind="folder", root=str(video_folder(root, each=5)))


def a_list(root):
    video_folder(root, each=5)
    (root / "l.txt").write_text("".join(f"{kind}/{i}.mp4 {kind}\n" for kind in KINDS for i in range(5)))
    return replace(DATA, kind="list", root=str(root / "l.txt"))


def shards(root):
    names, samples = folder_samples(video_folder(root / "videos", each=5), None, suffixes={".mp4"})
    pack(samples, names, root / "packed")
    return replace(DATA, kind="shards", root=str(root / "packed"))


def events(root):
    for i in range(10):
        path = root / KINDS[i % 2] / f"{i}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        t = np.arange(40) * 1000 + i
        np.savez(path, t=t, x=t % 30, y=t % 20, p=t % 2, width=34, height=34)
    return replace(DATA, kind="events", root=str(root))


def masks(root):
    write_folder(root, videos=5)
    return replace(DATA, kind="masks", root=str(root), frames=2)


def model_for(spec, task, training=None):
    clips = build_dataset(spec, "train", task=task)
    settled = TASKS[task].model_fields(clips)
    torch.manual_seed(0)
    model = create_model("spikevideoformer_ti", in_channels=channels_of(spec), **SMALL, **settled)
    loader = build_loader(clips, spec, batch=4, shuffle=True)
    calibrate(model, [videos.transpose(0, 1) for videos, _ in loader])
    known = {"trained_on": as_text(identities(clips))} if training is None else training
    own = dataclasses.asdict(spec)
    model.metadata = Metadata(name="small", classes=tuple(clips.classes), preprocess=own, training=known)
    return model.eval()


@pytest.mark.parametrize(
    ("make", "task"),
    [*((make, "classification") for make in (folder, a_list, shards, events)), (masks, "segmentation")],
)
def test_what_training_held_out_is_judged_where_nothing_else_is_asked_for(tmp_path, make, task):
    spec = make(tmp_path / "data")
    model = model_for(spec, task)
    whole, held = (len(build_dataset(spec, split, task=task)) for split in ("test", "val"))
    chosen, line = split_to_judge(model, spec)
    assert chosen.split == "val"
    assert line == (
        f"{whole - held} of the {whole} clips were trained on: judged are the {held} that training held out "
        "(data.split=test judges all)"
    )
    outcome = evaluate(model, build_dataset(chosen, "val", task=task), chosen)
    assert outcome.trained_on == 0
    outcome = evaluate(model, build_dataset(spec, "test", task=task), spec)
    assert (outcome.trained_on, outcome.clips) == (whole - held, whole)
    assert outcome.to_json()["notes"][0] == f"{whole - held} of the {whole} clips judged were trained on"


def test_clips_are_known_in_another_place_and_form(tmp_path):
    spec = folder(tmp_path / "data")
    model = model_for(spec, "classification")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    (tmp_path / "copy" / "dark" / "0.mp4").rename(tmp_path / "copy" / "dark" / "x.mp4")
    moved = replace(spec, root=str(tmp_path / "copy"))
    assert split_to_judge(model, moved)[0].split == "val"
    packed = shards(tmp_path / "more")
    assert evaluate(model, build_dataset(packed, "test"), packed).trained_on == 8
    fresh = replace(spec, root=str(video_folder(tmp_path / "fresh", each=1).parent / "fresh"))
    for i, kind in enumerate(KINDS):
        (tmp_path / "fresh" / kind / "0.mp4").write_bytes((tmp_path / "data" / kind / "4.mp4").read_bytes() + b"%d" % i)
    assert split_to_judge(model, fresh) == (fresh, None)
    assert evaluate(model, build_dataset(fresh, "test"), fresh).trained_on == 0


def test_weights_that_do_not_say_what_they_saw(tmp_path):
    spec = folder(tmp_path / "data")
    model = model_for(spec, "classification", training={"data_hash": "x"})
    outcome = evaluate(model, build_dataset(spec, "test"), spec)
    assert outcome.trained_on is None
    assert any("do not say which clips they were trained on" in line for line in outcome.notes)


@pytest.mark.parametrize("layer", ["head.bias", "stages.0.0.conv", None])
def test_a_network_that_is_not_finite_is_refused_by_its_layer(tmp_path, layer):
    spec = folder(tmp_path / "data")
    model = model_for(spec, "classification")
    clips = build_dataset(spec, "test")
    if layer is None:
        model.head.register_forward_hook(lambda _m, _x, out: out * torch.nan)
        with pytest.raises(
            WeightsError, match=r"the output of the network is not finite; the first such layer is head"
        ):
            evaluate(model, clips, spec)
        return
    name = next(name for name, _ in model.named_parameters() if layer in name or layer.startswith("stages"))
    with torch.no_grad():
        model.get_parameter(name).flatten()[0] = torch.inf
    with pytest.raises(WeightsError, match=rf"these weights are not finite, first in {name}"):
        evaluate(model, clips, spec)


def test_silent_neurons_are_named(tmp_path):
    spec = folder(tmp_path / "data")
    model = model_for(spec, "classification")
    for name, x in model.named_parameters():
        if "norm" in name or "bn" in name:
            x.data.zero_()
    notes = evaluate(model, build_dataset(spec, "test"), spec).notes
    assert any(line.startswith("silent: ") for line in notes)


def test_classes_are_the_same_by_name_or_are_refused(tmp_path):
    spec = folder(tmp_path / "data")
    model = model_for(spec, "classification")
    straight = evaluate(model, build_dataset(spec, "test"), spec)
    turned = evaluate(model, build_dataset(spec, "test", classes=KINDS[::-1]), spec)
    assert turned.figures["confusion"] == straight.figures["confusion"]
    assert turned.classes == KINDS
    model.metadata = replace(model.metadata, classes=("dark", "other"))
    with pytest.raises(DataError, match="the data has the class light, the model has not"):
        evaluate(model, build_dataset(spec, "test"), spec)


def test_classes_that_nothing_shows_are_named(tmp_path):
    spec = folder(tmp_path / "data")
    model = model_for(spec, "classification")
    dark = [i for i, (path, _) in enumerate(build_dataset(spec, "test").samples) if path.parent.name == "dark"]
    part = Part(build_dataset(spec, "test"), dark)
    assert unseen(part) == (["light"], "no clip is of class light")
    model.metadata = replace(model.metadata, training={"unseen_classes": ["light"], "trained_on": ""})
    notes = evaluate(model, part, spec).notes
    assert {"training saw nothing of class light", "nothing judged shows class light"} <= set(notes)


def test_masks_whose_class_is_255_are_named(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        labels = 255 * (blocks(rng, 2) > 0)
        names = [tmp_path / kind / "v" / f"{i}.png" for kind in ("frames", "masks")]
        write_pair(names[0], names[1], labels.astype(np.uint8))
    (tmp_path / "classes.txt").write_text("background 0 0 0\nperson 255 0 0\n")
    clips = build_dataset(replace(DATA, kind="masks", root=str(tmp_path)), "test", task="segmentation")
    names, line = unseen(clips)
    assert names == ["person"]
    assert "no mask shows class person" in line
    assert "% of the pixels are 255, which means to ignore" in line


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """Videos of unequal sizes, and weights for them."""
    root, rng = tmp_path_factory.mktemp("unequal"), np.random.default_rng(0)
    for v, (height, width) in enumerate([(36, 48), (36, 72), (48, 48), (36, 48), (60, 36)]):
        for i in range(3):
            names = [root / kind / f"v{v}" / f"{i}.png" for kind in ("frames", "masks")]
            write_pair(names[0], names[1], blocks(rng, 3, height, width))
    (root / "classes.txt").write_text("a 1 1 1\nb 2 2 2\nc 3 3 3\n")
    spec = replace(DATA, kind="masks", root=str(root), frames=2, size=0)
    return spec, model_for(spec, "segmentation").double()


@settings(max_examples=8)
@given(batch=st.integers(1, 8), workers=st.sampled_from([0, 0, 0, 2]))
def test_figures_do_not_depend_on_batch_and_neighbours(unequal, batch, workers):
    spec, model = unequal
    clips = build_dataset(spec, "test", task="segmentation")
    doubled = Doubled(clips)
    alone = evaluate(model, doubled, spec, batch=1)
    together = evaluate(model, doubled, replace(spec, workers=workers), batch=batch)
    assert together.figures == alone.figures


class Doubled(Part):
    """Float64 clips, with what judging asks of masks."""

    def __init__(self, clips):
        super().__init__(clips, range(len(clips)))
        self.collate, self.video_of = clips.collate, clips.video_of

    def item(self, index):
        video, mask = super().item(index)
        return video.double(), mask


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_training_batches_are_of_one_size_and_none_is_left_out(unequal, batch):
    spec, _ = unequal
    clips = build_dataset(spec, "train", task="segmentation")
    loader = build_loader(clips, spec, batch=batch, shuffle=True)
    seen = list(loader)
    assert len(seen) == len(loader)
    assert sum(len(videos) for videos, _ in seen) == len(clips)
    assert max(len(videos) for videos, _ in seen) <= batch


def test_a_clip_that_is_not_finite_is_refused(tmp_path):
    spec = folder(tmp_path / "data")
    clips = build_dataset(spec, "test")
    model = model_for(spec, "classification")
    whole = clips.item
    clips.item = lambda index: (whole(index)[0] * (torch.nan if index == 3 else 1), whole(index)[1])
    with pytest.raises(DataError, match="a clip of the data is not finite"):
        evaluate(model, clips, spec)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_output_of_several_that_is_not_finite_is_refused_by_its_layer(value):
    spec = DataSpec(kind="figure", modality="depth", frames=2, size=32, test_length=2, workers=0)
    model = create_model("spikevideoformer_ti", task="pose", joints=20, in_channels=1, **SMALL).eval()
    model.head.register_forward_hook(lambda _m, _x, out: _spoilt(out, value))
    with pytest.raises(WeightsError, match="the output of the network is not finite"):
        evaluate(model, build_dataset(spec, "test", task="pose"), spec)


def _spoilt(found, value):
    """A pose, with whatever stands around it, whose translation is not finite."""
    if hasattr(found, "translation"):
        return found._replace(translation=found.translation * value)
    return (_spoilt(found[0], value), *found[1:])

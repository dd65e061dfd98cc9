"""Folders in the layout of the hub: what is saved comes back bit by bit, and every way to miss is one clear error."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spikereel.errors import WeightsError
from spikereel.hub import Metadata, create_model, load_model, save_model
from spikereel.models import pretrained
from spikereel.models.base import VideoModel
from spikereel.models.pretrained import model_card
from spikereel.models.spikevideoformer import SpikeVideoFormer, SpikeVideoFormerConfig
from spikereel.models.svformer import SVFormer, SVFormerConfig

SMALL = {
    SVFormer: SVFormerConfig(num_classes=3, frames=4, image_size=32, widths=(8, 16, 32, 32), head_dim=8),
    SpikeVideoFormer: SpikeVideoFormerConfig(num_classes=3, widths=(8, 16, 16, 24), depths=(1, 1), heads=2),
}
METADATA = Metadata(
    name="small",
    classes=("up", "a|b`<i>"),
    preprocess={"frames": 4, "mean": [0.5], "root": "/home/me/videos"},
    training={"top1": 93.5, "recipe": {"name": "motion", "optim": {"lr": 0.125}}, "seconds": {"train": 7}},
)


@pytest.fixture(params=SMALL, ids=lambda family: family.family)
def model(request):
    torch.manual_seed(0)
    model = request.param(SMALL[request.param])
    model.metadata = METADATA
    return model


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "deep" / "model")
    return tmp_path / "deep" / "model"


def same(one, two):
    a, b = one.state_dict(), two.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def test_three_files_and_the_weights_are_those_of_save_model(model, folder, tmp_path):
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    save_model(model, tmp_path / "model.safetensors")
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    config = json.loads((folder / "config.json").read_text())
    assert (config["architecture"], config["config"]["num_classes"]) == (model.family, 3)
    assert config["metadata"]["classes"] == list(METADATA.classes)


def test_round_trip_by_family_by_base_and_by_load_model(model, folder):
    assert model.training
    for load in (type(model).from_pretrained, VideoModel.from_pretrained, load_model):
        for source in (folder, str(folder)):
            loaded = load(source)
            assert type(loaded) is type(model)
            assert same(loaded, model)
            assert (loaded.config, loaded.metadata, loaded.training) == (model.config, METADATA, False)


def test_another_family_is_named(model, folder):
    (other,) = SMALL.keys() - {type(model)}
    found = type(model).__name__
    with pytest.raises(WeightsError, match=rf"holds a {found}, not a {other.__name__}; .* {found}\.from_pretrained"):
        other.from_pretrained(folder)


def test_saving_again_replaces_the_weights_and_leaves_the_card(model, folder):
    (folder / "README.md").write_text("mine")
    torch.nn.init.normal_(model.head.weight)
    model.save_pretrained(folder)
    assert same(load_model(folder), model)
    assert (folder / "README.md").read_text() == "mine"


def test_card(model):
    card = model_card(model, "me/small")
    front = card.split("---\n")[1].splitlines()
    assert {"library_name: spikereel", "pipeline_tag: video-classification", "tags:", f"- {model.family}"} <= set(front)
    assert not any(line.startswith("license") for line in front)
    assert "license: mit" in model_card(model, "me/small", license="mit").split("---\n")[1]
    assert "Trained on my own films." in model_card(model, "me/small", data="my own films")
    parameters = sum(p.numel() for p in model.parameters())
    for words in (
        f"{parameters:,} parameters for one class of a clip, of 3",
        'from_pretrained("me/small")',
        "| top1 | 93.5 |",
        "| neuron.tau | 2 |",
        "| recipe | motion |",
        "| seconds.train | 7 |",
        "`up`, `a/b'&lt;i>`",
        "| frames | 4 |",
        "| mean | 0.5 |",
        "| widths | 8, 16, ",
    ):
        assert words in card, words
    assert "/home/me" not in card
    assert "terms of its authors" not in card
    assert "0.125" not in card
    model.metadata = Metadata(training={"before": {"origin": "run.pyth"}, "top1": 87.80000305})
    assert "Converted from `run.pyth`: the terms of its authors" in model_card(model, "me/small")
    assert "| top1 | 87.8 |" in model_card(model, "me/small")
    model.metadata = Metadata()
    assert model_card(model, "me/small").count("ot recorded.") == 4


def test_what_disagrees_or_lacks_is_named(folder):
    config = folder / "config.json"
    whole = config.read_text()
    config.write_text(whole.replace('"num_classes": 3', '"num_classes": 4'))
    with pytest.raises(WeightsError, match=r"config\.json does not say what model\.safetensors beside it says"):
        load_model(folder)
    config.write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json is not JSON"):
        load_model(folder)
    config.unlink()
    assert load_model(folder).config.num_classes == 3
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds no model\.safetensors"):
        VideoModel.from_pretrained(folder)


def test_a_folder_that_is_a_file(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WeightsError, match="it is a file"):
        model.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["nothing", "runs/motion/best", "/nowhere/at/all", "../above"])
def test_no_folder_and_no_name_of_the_hub(name):
    with pytest.raises(WeightsError, match=f'no folder at {name}, and "owner/name" is the form'):
        VideoModel.from_pretrained(name)


OFFLINE = """
from spikereel.errors import WeightsError
from spikereel.models.base import VideoModel
from spikereel.models.svformer import SVFormer, SVFormerConfig
model = SVFormer(SVFormerConfig(num_classes=3, frames=4, image_size=32, widths=(8, 16, 32, 32), head_dim=8))
for call in (VideoModel.from_pretrained, model.push_to_hub):
    try:
        call("nobody/nothing")
    except WeightsError as error:
        print(error)
"""


def test_offline_each_call_is_one_error_with_the_way_out(tmp_path):
    pytest.importorskip("huggingface_hub")
    source = str(Path(pretrained.__file__).parents[2])
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_TOKEN": "none", "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFLINE], env=environment, capture_output=True, text=True, check=True
    )
    fetch, push = done.stdout.splitlines()
    assert fetch.startswith("no folder at nobody/nothing, and nothing to be had from the hub")
    assert push.startswith("cannot push to nobody/nothing (OfflineModeIsEnabled")
    assert all("HF_HUB_OFFLINE" in line for line in (fetch, push))
    assert done.stderr == ""


def test_a_folder_needs_no_hub_library_and_a_name_says_which_extra(model, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert same(VideoModel.from_pretrained(folder), model)
    for call in (VideoModel.from_pretrained, model.push_to_hub):
        with pytest.raises(WeightsError, match=r"huggingface_hub not installed; run: pip install 'spikereel\[hub\]'"):
            call("me/small")


class Api:
    """The part of the hub's API that is used, keeping what is uploaded."""

    calls: list = []  # noqa: RUF012

    def __init__(self, **options):
        self.calls[:] = [("api", options)]

    def create_repo(self, repo_id, **options):
        self.calls.append(("repo", repo_id, options))

    def create_branch(self, repo_id, **options):
        self.calls.append(("branch", repo_id, options))

    def upload_folder(self, *, folder_path, **options):
        model = load_model(folder_path)
        with open(f"{folder_path}/README.md") as card:
            self.calls.append(("upload", model, card.read(), options))
        return "https://hub/commit"


def test_push_uploads_what_save_pretrained_writes(model, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert model.push_to_hub("me/small", private=True, token="t", branch="b") == "https://hub/commit"
    (_, api), repo, branch, (_, sent, card, options) = Api.calls
    assert api["token"] == "t"
    assert repo == ("repo", "me/small", {"private": True, "exist_ok": True})
    assert branch == ("branch", "me/small", {"branch": "b", "exist_ok": True})
    assert same(sent, model)
    assert 'from_pretrained("me/small")' in card
    assert options == {"repo_id": "me/small", "commit_message": "Upload weights", "revision": "b"}


def test_a_name_of_the_hub_fetches_the_two_files_and_no_more(model, folder, monkeypatch):
    asked = {}

    def snapshot_download(name, **options):
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr(pretrained, "_hub", lambda purpose: SimpleNamespace(snapshot_download=snapshot_download))
    pytest.importorskip("huggingface_hub")
    assert same(VideoModel.from_pretrained("me/small", revision="r", cache_dir="c"), model)
    assert (asked["name"], asked["revision"], asked["cache_dir"]) == ("me/small", "r", "c")
    assert asked["allow_patterns"] == ["model.safetensors", "config.json"]


@pytest.mark.parametrize(
    ("task", "options", "tag", "words", "call"),
    [
        ("pose", {"joints": 20}, "keypoint-detection", "the pose of a person, 20 joints", "pose, state = model"),
        ("segmentation", {"num_classes": 19}, "image-segmentation", "every pixel, of 19", "logits, state = model"),
        ("classification", {"num_classes": 7}, "video-classification", "a clip, of 7", "logits, state = model"),
    ],
)
def test_cards_say_the_task_of_the_model(task, options, tag, words, call):
    card = model_card(create_model("spikevideoformer_ti", task=task, **options), "me/x")
    assert f"pipeline_tag: {tag}" in card
    assert words in card
    assert call in card
    assert ("## Classes" in card) == (task != "pose")
    assert "1000 classes" not in card
    assert "apache" not in card


def test_a_card_of_ours_is_replaced_and_one_that_somebody_wrote_is_not(tmp_path):
    small = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 2}
    classes, pose = (
        SpikeVideoFormer(SpikeVideoFormerConfig(num_classes=3, **small)),
        create_model("spikevideoformer_ti", task="pose", joints=20, **small),
    )
    classes.save_pretrained(tmp_path, license="mit")
    card = tmp_path / "README.md"
    written = card.read_text()
    assert "license: mit" in written
    # git and editors of other systems write other ends of lines
    for kept in (written, written.replace("\n", "\r\n"), written + "\n"):
        card.write_bytes(kept.encode())
        pose.save_pretrained(tmp_path)
        assert "pipeline_tag: keypoint-detection" in card.read_text()
        assert "mit" not in card.read_text()
    for own in (written.replace("# ", "# My "), written.partition("<!--")[0]):
        card.write_text(own)
        with pytest.warns(UserWarning, match=r"README\.md is your own and stays; it says pipeline_tag video-class"):
            pose.save_pretrained(tmp_path)
        assert card.read_text() == own
        classes.save_pretrained(tmp_path)
        assert card.read_text() == own

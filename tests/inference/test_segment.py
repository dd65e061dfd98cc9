"""Labelling videos: the clip of every frame, any size, files that are written, pictures; mistakes in one line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikereel.apps.cli import main
from spikereel.data.mask_clips import IGNORE
from spikereel.data.sets.camvid import LABELS
from spikereel.data.video.read import probe
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata, create_model, save_model
from spikereel.inference.frames import open_frames
from spikereel.inference.predict import predict
from spikereel.inference.segment import CHUNK, Segments, segmenter_of
from spikereel.layers.calibrate import calibrate
from spikereel.runs.clips import build_segmentation_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.kinds import palette_of
from spikereel.show.segmentation import coloured, compare, draw_clips, overlay, write_mask
from tests.masks import blocks, write_camvid, write_folder, write_pair

SPEC = DataSpec(kind="masks", frames=2, size=32, workers=0)
CLASSES = ("road", "traffic light", "sky")


def model_of(spec=SPEC, classes=CLASSES, **config):
    """A network whose labels follow what it sees."""
    torch.manual_seed(0)
    small = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
    model = create_model("spikevideoformer_ti", task="segmentation", num_classes=len(classes), width=16, **small)
    calibrate(model, [torch.randn(spec.frames, 2, 3, 32, 48)])
    model.metadata = Metadata(name="small", classes=classes, preprocess=dataclasses.asdict(spec))
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "masks.safetensors"
    save_model(model, path)
    return path


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "street.mp4"
    write_video(path, frames(CHUNK + 3), fps=10)
    return path


def frames(count, height=40, width=56):
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (3, height // 8, width // 8)).repeat(8, 1).repeat(8, 2)
    return torch.from_numpy(np.stack([np.roll(still, 4 * i, axis=2) for i in range(count)])).to(torch.uint8)


def test_every_frame_has_the_clip_of_evaluation(model, tmp_path):
    write_folder(tmp_path, videos=1, frames=CHUNK + 5)
    spec = dataclasses.replace(SPEC, root=str(tmp_path), frames=3, stride=7)
    data = build_segmentation_dataset(spec, "test")
    source = open_frames(tmp_path / "frames" / "v0")
    found = Segments(source=source, segmenter=segmenter_of(model, source, offsets=(-14, -7, 0)))
    for (position, picture, labels), i in zip(found.labelled(), range(len(data)), strict=True):
        assert position == i
        assert picture.shape == (3, 36, 48)
        if i in (0, 8, CHUNK, CHUNK + 4):
            with torch.inference_mode():
                logits = model(data[i][0][:, None])[0][-1, 0]
            same = torch.nn.functional.interpolate(logits[None], (36, 48), mode="bilinear")[0].argmax(0)
            assert torch.equal(labels.long(), same)


@pytest.mark.realdata
def test_real_frames(real_data, tmp_path, capsys):
    camvid = DataSpec(kind="camvid", frames=2, offsets=(-30, 0), offset_unit="numbers", size=48)
    save_model(model_of(camvid, LABELS.classes), tmp_path / "w.safetensors")
    frames = tmp_path / "frames"
    frames.mkdir()
    for path in sorted((real_data / "camvid_jpg" / "val").iterdir())[:4]:
        (frames / path.name).symlink_to(path)
    clip = min((real_data / "video_zoo").glob("*.mp4"), key=lambda path: probe(path).frames)
    call = ["predict", "--task", "segmentation", str(frames), str(clip), "--model", str(tmp_path / "w.safetensors")]
    assert main([*call, "--out", str(tmp_path / "out"), "--size", "32"]) == 0
    capsys.readouterr()
    found, film = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("frames", clip.stem))
    assert (found["frames"], found["fps"], found["size"], found["offsets"]) == (4, 15.0, [360, 480], [-30, 0])
    info = probe(clip)
    assert film["frames"] == probe(tmp_path / "out" / f"{clip.stem}.mp4").frames == info.frames
    # the shortest clip of the zoo has a variable rate: a second back is a second, not a number of frames
    assert (film["offsets"], film["offset_unit"]) == ([-1.0, 0.0], "seconds")


def test_frames_before_and_after(model, video):
    source = open_frames(video)
    segmenter = segmenter_of(model, source, offsets=(-9, 0, CHUNK))
    found = [position for position, _, _ in Segments(source=source, segmenter=segmenter).labelled()]
    assert found == list(range(CHUNK + 3))


def test_offsets_keep_their_time(video, tmp_path):
    source = open_frames(video)
    camvid = DataSpec(kind="camvid", frames=3, offsets=(-60, -30, 0), offset_unit="numbers", size=32)
    camvid_model = model_of(camvid, LABELS.classes)
    segmenter = segmenter_of(camvid_model, source)
    assert (segmenter.offsets, segmenter.by_number) == ((-20, -10, 0), False), "10 frames a second, not 30"
    assert segmenter.palette == LABELS.palette
    write_camvid(tmp_path / "c")
    folder = open_frames(tmp_path / "c" / "val")
    segmenter = segmenter_of(camvid_model, folder)
    assert (segmenter.offsets, segmenter.by_number) == ((-60, -30, 0), True)
    assert segmenter.fps == pytest.approx(15)
    assert segmenter_of(camvid_model, folder, offsets=(-1, 0)).by_number is False
    unknown = segmenter_of(model_of(dataclasses.replace(camvid, offset_unit="frames"), LABELS.classes), folder)
    assert "does not say how fast" in unknown.notes[0]


@pytest.mark.parametrize("options", [[], ["--window", "32,32", "--overlap", "0.25", "--size", "36"]])
def test_predict_writes_everything(video, weights, tmp_path, options, capsys):
    out = tmp_path / "out"
    assert (
        main(
            [
                "predict",
                "--task",
                "segmentation",
                str(video),
                "--model",
                str(weights),
                "--out",
                str(out),
                "--json",
                str(tmp_path / "all.json"),
                *options,
            ]
        )
        == 0
    )
    assert sorted(p.name for p in out.iterdir()) == [
        *("street.coco.json", "street.json", "street.mp4", "street.png", "street_labelmap.txt", "street_masks")
    ]
    info = probe(out / "street.mp4")
    assert (info.frames, info.fps, info.height, info.width) == (CHUNK + 3, 10, 40, 56)
    found = json.loads((out / "street.json").read_text())
    masks = sorted((out / "street_masks").iterdir())
    assert len(masks) == found["frames"] == len(found["timeline"]) == CHUNK + 3
    with Image.open(masks[4]) as mask:
        assert (mask.mode, mask.size) == ("P", (56, 40))
        labels = np.array(mask)
        palette = mask.getpalette()[:9]
    assert palette == [level for colour in found["palette"] for level in colour]
    shares = 100 * np.bincount(labels.ravel(), minlength=3) / labels.size
    assert found["timeline"][4] == pytest.approx(shares.tolist(), abs=0.01)
    assert sum(found["share"].values()) == pytest.approx(100, abs=0.01)
    assert found["classes"] == list(CLASSES)
    assert 0 < found["same_as_frame_before"] <= 100
    assert found["energy"]["energy_mj"]
    coco = json.loads((out / "street.coco.json").read_text())
    assert [x["name"] for x in coco["categories"]] == list(CLASSES)
    assert len(coco["images"]) == CHUNK + 3
    own = [x for x in coco["annotations"] if x["image_id"] == coco["images"][4]["id"]]
    assert {x["category_id"] - 1: x["area"] for x in own} == {
        i: n for i, n in enumerate(np.bincount(labels.ravel())) if n
    }
    assert (out / "street_labelmap.txt").read_text().splitlines()[1].startswith(f"{CLASSES[0]}:")
    assert json.loads((tmp_path / "all.json").read_text())["frames"] == found["frames"]
    assert "street_masks" in capsys.readouterr().out.replace("\n", "")


def test_predict_on_a_folder_and_again(weights, tmp_path):
    write_folder(tmp_path, videos=1, frames=3)
    out = tmp_path / "out"
    call = ["predict", str(tmp_path / "frames" / "v0"), "--model", str(weights), "--out", str(out), "--no-video"]
    assert main(call) == 0
    (tmp_path / "frames" / "v0" / "00003.png").unlink()
    assert main(call) == 0
    assert sorted(p.name for p in out.iterdir()) == ["v0.coco.json", "v0.json", "v0.png", "v0_labelmap.txt", "v0_masks"]
    assert sorted(p.name for p in (out / "v0_masks").iterdir()) == ["000001.png", "000002.png"]


def no_frames(root):
    for path in (root / "frames" / "v0").iterdir():
        path.unlink()
    return []


def two_recordings(root):
    write_pair(root / "frames" / "v0" / "b_9.png", None, blocks(np.random.default_rng(0), 3))
    return []


def two_sizes(root):
    write_pair(root / "frames" / "v0" / "00002.png", None, blocks(np.random.default_rng(0), 3, 24, 24))
    return []


def torn(root):
    path = root / "frames" / "v0" / "00003.png"
    path.write_bytes(path.read_bytes()[:70])
    return []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_frames, "is a folder without frames"),
        (two_recordings, "several recordings, ... and b_..."),
        (two_sizes, "00002.png: is 24 x 24, the frames before it 48 x 36"),
        (torn, "00003.png: cannot be read as a picture"),
        (lambda _: ["--offsets=-1"], "offsets are [-1]"),
        (lambda _: ["--offsets=0,-1"], "offsets are [0, -1]"),
        (lambda _: ["--offsets=x"], "--offsets x: give whole numbers"),
        (lambda _: ["--window=5"], "window [5]"),
        (lambda _: ["--overlap=2"], "overlap 2.0"),
        (lambda _: ["--size=0"], "size is 0"),
        (lambda _: ["--task=pose"], "is for segmentation"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(weights, tmp_path, change, message, capsys):
    write_folder(tmp_path, videos=1, frames=3)
    out = tmp_path / "out"
    more = change(tmp_path)
    code = main(["predict", str(tmp_path / "frames" / "v0"), "--model", str(weights), "--out", str(out), *more])
    assert code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not out.exists() or not list(out.iterdir())


def test_other_tasks(model, video):
    with pytest.raises(ConfigError, match="views means nothing for segmentation"):
        predict(model, video, views=2)
    source = open_frames(video)
    with pytest.raises(ConfigError, match="for classification; give weights of a recipe of task segmentation"):
        segmenter_of(create_model("spikevideoformer_ti", num_classes=4), source)
    with pytest.raises(DataError, match="no such file"):
        open_frames(video.with_name("other.mp4"))


def test_colours():
    palette = [(255, 0, 0), (0, 0, 255)]
    labels = torch.tensor([[0, 0, 1, IGNORE]], dtype=torch.uint8)
    assert coloured(labels, palette).permute(1, 2, 0).tolist() == [[[255, 0, 0], [255, 0, 0], [0, 0, 255], [0, 0, 0]]]
    shown = overlay(torch.full((3, 1, 4), 100, dtype=torch.uint8), labels, palette)
    assert shown[:, 0, 0].tolist() == [162, 60, 60]
    assert shown[:, 0, 2].tolist() == [24, 24, 65], "the edge between classes is dark"


def test_palettes_of_data(tmp_path):
    write_folder(tmp_path, videos=1, frames=1)
    assert palette_of(dataclasses.replace(SPEC, root=str(tmp_path)), CLASSES)[1] == (250, 170, 30)
    assert palette_of(SPEC, CLASSES) == [(128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert len(palette_of(DataSpec(kind="camvid"), ("a", "b"))) == 2


def test_masks_are_read_back(tmp_path):
    labels = torch.randint(0, 3, (9, 13), dtype=torch.uint8)
    write_mask(tmp_path / "m" / "1.png", labels, [(1, 2, 3)] * 3)
    with Image.open(tmp_path / "m" / "1.png") as mask:
        assert np.array_equal(np.array(mask), labels.numpy())


@pytest.mark.parametrize("own", [False, True])
def test_truth_and_errors_side_by_side(model, tmp_path, own):
    write_folder(tmp_path, videos=1, frames=3)
    spec = dataclasses.replace(SPEC, root=str(tmp_path), **({"mean": (), "std": ()} if own else {}))
    data = build_segmentation_dataset(spec, "test")
    score = draw_clips(tmp_path / "a.png", model, data, spec, (0, 2))
    assert score.frames == 2
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000
    frame, truth = torch.zeros(3, 24, 24, dtype=torch.uint8), torch.zeros(24, 24, dtype=torch.long)
    truth[:, :6] = IGNORE
    labels = torch.zeros_like(truth)
    labels[:12] = 1
    compare(tmp_path / "b.png", [("x", frame, truth, labels)], ("a", "b"), [(0, 255, 0), (0, 0, 255)])
    with Image.open(tmp_path / "b.png") as picture:
        found = np.array(picture.convert("RGB"))
    shares = [(found == colour).all(-1).sum() for colour in ((214, 39, 40), (150, 150, 150), (235, 238, 240))]
    # of the last panel three eighths are wrong, three eighths right, a quarter is not judged
    assert np.array(shares) / sum(shares) == pytest.approx([0.375, 0.25, 0.375], abs=0.02)

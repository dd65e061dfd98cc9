"""What is held out: of each class, whole sources, in a seeded order; and the folders that are read for it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, KINDS, video_file, video_folder

from spikereel.data.shards import pack
from spikereel.errors import DataError
from spikereel.runs.clips import build_dataset
from spikereel.runs.origins import Origin, identities, one_source, origins_of
from spikereel.runs.splits import held_out


def origins(sources):
    """Clips of sources that are numbers, as files that are not there."""
    return [Origin(f"/nowhere/v_x_g{source:02}_c{i:02}.avi") for i, source in enumerate(sources)]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=40), st.integers(0, 9))
def test_sources_are_whole_and_no_class_is_without_a_training_clip(clips, fold):
    sources, labels = [10 * label + source for source, label in clips], [label for _, label in clips]
    held = held_out(origins(sources), labels, fold=fold)
    assert not {sources[i] for i in held} & {sources[i] for i in range(len(clips)) if i not in held}
    assert {labels[i] for i in range(len(clips)) if i not in held} == set(labels)
    several = Counter(label for label, _ in set(zip(labels, sources, strict=True)))
    assert {labels[i] for i in held} == {label for label, number in several.items() if number > 1}


@given(st.permutations(range(20)))
def test_the_order_of_the_files_does_not_matter(order):
    files = origins(range(20))
    held = held_out(files, [i % 3 for i in range(20)])
    moved = held_out([files[i] for i in order], [i % 3 for i in order])
    assert {order[i] for i in moved} == held


def test_every_fold_holds_out_others_and_together_they_are_all():
    folds = [held_out(origins(range(20)), [i % 2 for i in range(20)], fold=fold) for fold in range(5)]
    assert sorted(i for fold in folds for i in fold) == list(range(20))
    assert held_out(origins(range(20)), [0] * 20, seed=1) != held_out(origins(range(20)), [0] * 20)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("v_Bowl_g01_c01.avi", "v_Bowl_g01_c04.avi", True),
        ("v_Bowl_g01_c01.avi", "v_Bowl_g02_c01.avi", False),
        ("v_Bowl_g01_c01.avi", "v_Jump_g01_c01.avi", False),
        ("Film_brush_hair_u_nm_np1_ba_goo_0.avi", "Film_brush_hair_f_cm_np2_fr_med_3.avi", True),
        ("-abc_def123_000010_000020.mp4", "-abc_def123_000030_000040.mp4", True),
        ("S001C001P002R001A003_rgb.avi", "S001C003P002R001A003_rgb.avi", True),
        ("S001C001P002R001A003_rgb.avi", "S001C001P002R002A003_rgb.avi", False),
        ("a.mp4", "b.mp4", False),
    ],
)
def test_clips_of_one_video_are_known_by_their_names(one, other, same):
    first, second = one_source([Origin(f"/nowhere/{one}"), Origin(f"/elsewhere/{other}")])
    assert (first == second) == same


def test_one_file_by_any_path_and_copies_are_one_source(tmp_path):
    a = video_file(tmp_path / "a" / "1.mp4")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "copy.mp4").write_bytes(a.read_bytes())
    (tmp_path / "b" / "link.mp4").symlink_to(a)
    other = video_file(tmp_path / "a" / "2.mp4", seed=1)
    places = [a, tmp_path / "a" / ".." / "a" / "1.mp4", tmp_path / "b" / "copy.mp4", tmp_path / "b" / "link.mp4", other]
    assert one_source([Origin(str(x)) for x in places]) == [0, 0, 0, 0, 4]


def test_a_class_listed_three_times_is_on_one_side(tmp_path):
    root = video_folder(tmp_path, each=5)
    lines = [f"{kind}/{i}.mp4 {kind}\n" for kind in KINDS for i in range(5) for _ in range(3)]
    (root / "l.txt").write_text("".join(lines))
    spec = replace(DATA, kind="list", root=str(root / "l.txt"))
    train, val = ({x.clips.samples[i][0] for i in x.kept} for x in (build_dataset(spec, s) for s in ("train", "val")))
    assert (len(train), len(val), len(train & val)) == (8, 2, 0)


def test_a_class_that_is_too_small_is_named(tmp_path):
    root = video_folder(tmp_path, each=6)
    video_file(root / "rare" / "0.mp4", seed=99)
    spec = replace(DATA, kind="folder", root=str(root))
    assert [x.clips.samples[i][1] for x in [build_dataset(spec, "train")] for i in x.kept].count(2) == 1
    assert build_dataset(spec, "val").notes == (
        "no clip is held out of class rare: too few videos; validation is without it",
    )


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "dev"])
def test_usual_names_of_parts(tmp_path, name):
    video_folder(tmp_path / "Train", each=2)
    video_folder(tmp_path / name, each=1)
    spec = replace(DATA, kind="folder", root=str(tmp_path))
    assert [len(build_dataset(spec, split)) for split in ("train", "val", "test")] == [4, 2, 2]


def test_a_training_folder_alone_or_beside_a_test_is_held_out_from(tmp_path):
    video_folder(tmp_path / "train", each=5)
    spec = replace(DATA, kind="folder", root=str(tmp_path))
    assert [len(build_dataset(spec, split)) for split in ("train", "val", "test")] == [8, 2, 10]
    video_folder(tmp_path / "testing", each=1)
    assert [len(build_dataset(spec, split)) for split in ("train", "val", "test")] == [8, 2, 2]
    (tmp_path / "testing").rename(tmp_path / "held")
    with pytest.raises(
        DataError, match=r"beside train stands held, which is the name of no part; read are train: .*valid"
    ):
        build_dataset(spec, "train")
    (tmp_path / "held").rename(tmp_path / "val")
    video_folder(tmp_path / "Valid", each=1)
    with pytest.raises(DataError, match=r"Valid and val are both for val"):
        build_dataset(spec, "train")


def numbers(root: Path, labels, classes=None):
    for i, _ in enumerate(labels):
        video_file(root / f"{i}.mp4", seed=i)
    (root / "l.txt").write_text("".join(f"{i}.mp4 {label}\n" for i, label in enumerate(labels)))
    clips = build_dataset(replace(DATA, kind="list", root=str(root / "l.txt")), "test", classes=classes)
    return clips.classes, [label for _, label in clips.samples], clips.notes


def test_numbers_are_classes_by_name(tmp_path):
    assert numbers(tmp_path, [2, 10, 1], ("0", "1", "10", "2"))[1] == [3, 2, 1]
    assert numbers(tmp_path, [0, 1, 1]) == (("0", "1"), [0, 1, 1], ())
    classes, labels, (note,) = numbers(tmp_path, [5, 900, 5])
    assert (classes, labels) == (("5", "900"), [0, 1, 0])
    assert "labels have gaps" in note
    classes, labels, (note,) = numbers(tmp_path, [2, 1])
    assert (classes, labels) == (("1", "2"), [1, 0])
    assert "labels count from 1" in note
    assert "every class is one off" in numbers(tmp_path, [1, 2], ("run", "jump", "sit"))[2][0]
    with pytest.raises(DataError, match=r"l.txt:2: label 2 is none of the 2 classes"):
        numbers(tmp_path, [1, 2], ("run", "jump"))
    with pytest.raises(DataError, match=r"l.txt:1: label 3 is none of the 2 classes"):
        numbers(tmp_path, [3], ("1", "2"))


def test_packed_clips_keep_the_video_that_they_were_cut_out_of(tmp_path):
    names = [f"v_{kind}_g{group:02}_c{clip:02}.mp4" for kind in KINDS for group in range(5) for clip in (1, 2)]
    files = [video_file(tmp_path / name, seed=seed) for seed, name in enumerate(names)]
    samples = [(path, int("light" in path.name)) for path in files]
    # one clip is listed three times, once by another path
    samples += [samples[0], (tmp_path / "." / ".." / tmp_path.name / names[0], 0)]
    pack(samples, KINDS, tmp_path / "shards", shard_bytes=20_000)
    spec = replace(DATA, kind="shards", root=str(tmp_path / "shards"), stride=1)
    for fold in range(5):
        train, val = (build_dataset(replace(spec, fold=fold), split) for split in ("train", "val"))
        one, other = ({x.source for x in origins_of(clips)} for clips in (train, val))
        assert (len(one), len(other), one & other) == (8, 2, set())
        assert not set(identities(train)) & set(identities(val))
        assert len(train) + len(val) == 22

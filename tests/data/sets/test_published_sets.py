"""Every event set in its published form: splits, labels, axes, and what results say of the reading that was taken."""

from dataclasses import replace

import event_sets
import event_writers as write
import numpy as np
import pytest
from small import DATA

from spikereel.apps.check import check
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.asl_dvs import ASLDVS
from spikereel.data.sets.bullying10k import Bullying10K
from spikereel.data.sets.cifar10_dvs import CIFAR10DVS
from spikereel.data.sets.dailydvs200 import DailyDVS200
from spikereel.data.sets.dvs128_gesture import DVS128Gesture
from spikereel.data.sets.dvs_gesture_chain import DVSGestureChain
from spikereel.data.sets.dvs_lip import DVSLip
from spikereel.data.sets.dvs_lip import turn as crop_of_lips
from spikereel.data.sets.hardvs import HARDVS
from spikereel.data.sets.n_caltech101 import NCaltech101
from spikereel.data.sets.n_caltech101 import turn as corner_of_caltech
from spikereel.data.sets.n_cars import NCars
from spikereel.data.sets.sl_animals import SLAnimals
from spikereel.data.sets.thu_e_act_50 import THUEACT50, THUEACT50CHL
from spikereel.data.sets.ucf101_dvs import HMDB51DVS, UCF101DVS
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, data_passport
from spikereel.runs.kinds import KINDS, recording_of
from spikereel.runs.origins import identities

READING = EventReading(bins=2)
CHOICES = {
    "cifar10_dvs": {"split_rule": "spikingjelly", "axes": "spikingjelly"},
    "asl_dvs": {"split_rule": "spikingjelly", "axes": "spikingjelly", "labels": "spikingjelly"},
    "n_caltech101": {"split_rule": "spikingjelly", "axes": "spikingjelly", "labels": "with_background"},
    "n_cars": {"labels": "cars_first"},
    "hardvs": {"labels": "from_zero"},
    "dailydvs200": {"split_rule": "lists", "labels": "from_zero"},
    "thu_e_act_50": {"split_rule": "both_views", "labels": "from_zero"},
    "thu_e_act_50_chl": {"labels": "from_zero"},
    "bullying10k": {"split_rule": "every_fifth by path (ours)", "labels": "spikingjelly"},
    "sl_animals": {"split_rule": "four_sets, fold 1 by person (ours)", "axes": "address"},
    "dvs_lip": {"axes": "whole"},
    "ucf101_dvs": {"split_rule": "UCF101's split 1", "axes": "braincog"},
    "hmdb51_dvs": {"split_rule": "HMDB51's split 1 (ours)", "axes": "braincog"},
    "dvs128_gesture": {"rows": "published"},
}


@pytest.mark.parametrize("kind", event_sets.WRITERS)
def test_every_set_has_three_splits_and_says_its_choices(tmp_path, kind):
    if {"asl_dvs", "ucf101_dvs", "hmdb51_dvs"} & {kind}:
        pytest.importorskip("scipy.io")
    event_sets.WRITERS[kind](tmp_path)
    spec = replace(DATA, kind=kind, root=str(tmp_path), frames=8)
    parts = {split: build_dataset(spec, split) for split in ("train", "val", "test")}
    for part in parts.values():
        assert len(part)
        clip, label = part[0]
        assert (clip.shape[1:], bool(clip.sum() > 0)) == ((2, 32, 32), True)
        assert 0 <= label < len(part.classes)
        assert data_passport(part).choices == CHOICES.get(kind, {"durations": "drawn here, seed 0"})
    assert len({part.fingerprint() for part in parts.values()}) == 3
    # Evaluation leaves out what was trained on, so every item is known by what is in it.
    assert all(len(set(identities(part))) == len(part) for part in parts.values())
    assert check(tmp_path, workers=1, told=KINDS[kind].told).stops == []


def test_thu_csv_is_row_column_brightness_polarity_time(tmp_path):
    event_sets.thu(tmp_path)
    data = THUEACT50(tmp_path, READING)
    # the event of polarity 0 is none
    assert write.rows_of(data.events(0)) == event_sets.rows(0, 0)
    assert (data.events(0).width, data.classes[data.labels[-1]]) == (1280, "Lifting chairs (two-players)")
    event_sets.save(tmp_path / "test_view_2.txt", "test_A49P1.csv , 49\r\n")
    assert THUEACT50(tmp_path, READING, split="test", split_rule="view_2").labels == [49]
    with pytest.raises(DataError, match=r"train_view_1\.txt: no such list"):
        THUEACT50(tmp_path, READING, split_rule="view_1")
    with pytest.raises(ConfigError, match="split_rule is 'lists', which THU-E-ACT-50 has not"):
        THUEACT50(tmp_path, READING, split_rule="lists")


def test_thu_chl_takes_labels_from_the_list_and_columns_in_their_order(tmp_path):
    event_sets.chl(tmp_path)
    data = THUEACT50CHL(tmp_path, READING, split="test")
    assert data.labels == [0, 0, 1, 1, 49, 49]
    assert write.rows_of(data.events(5)) == event_sets.rows(49, 1)
    text = (tmp_path / "test.txt").read_text()
    event_sets.save(tmp_path / "test.txt", text.replace("49\n", "50\n").replace(" 1\n", " 2\n").replace(" 0\n", " 1\n"))
    with pytest.raises(DataError, match=r"test\.txt:5: .* of a list that counts from 1 say so: data\.labels=from_one"):
        THUEACT50CHL(tmp_path, READING, split="test")
    assert THUEACT50CHL(tmp_path, READING, split="test", labels="from_one").labels == [0, 0, 1, 1, 49, 49]


def test_bullying_is_read_without_unpickling_and_split_by_path(tmp_path):
    event_sets.bullying(tmp_path)
    parts = {split: Bullying10K(tmp_path, READING, split=split) for split in ("train", "test")}
    # 60 files in the order of their paths: fingerguess/set0/0.npy, then every fifth
    names = [path.relative_to(tmp_path).as_posix() for path, _ in parts["test"].samples]
    everyone = sorted([*names, *(p.relative_to(tmp_path).as_posix() for p, _ in parts["train"].samples)])
    assert names == everyone[::5]
    assert names[0] == "fingerguess/set0/0.npy"
    assert (parts["test"].labels[0], len(parts["train"])) == (4, 48)
    assert write.rows_of(parts["test"].events(0)) == event_sets.rows(4, 0)
    other = Bullying10K(tmp_path, READING, split="test", labels="alphabetical")
    assert (other.labels[0], other.classes[9]) == (0, "walking")
    assert [path for path, _ in other.samples] == [path for path, _ in parts["test"].samples]


def test_signs_are_cut_by_event_number_before_external_events_go(tmp_path):
    event_sets.signs(tmp_path)
    data = SLAnimals(tmp_path, READING, split="test")
    assert [row.path.stem for row in data.trials[::19]] == ["user00_indoor", "user04_dc"]
    assert (data.labels[:19], len(data)) == (list(range(19)), 38)
    events = data.events(4)
    assert (events.t.tolist(), set(events.y.tolist())) == ([4000 + 10 * i for i in range(10)], {5})
    assert {row.path.stem for row in SLAnimals(tmp_path, READING, split_rule="without_s3").trials} == {
        *("user02_imse", "user03_dc", "user04_dc")
    }
    folds = [{r.path.stem for r in SLAnimals(tmp_path, READING, split="test", fold=k).trials} for k in (1, 2, 3, 4)]
    assert (len(set().union(*folds)), sum(map(len, folds))) == (5, 5)


@pytest.mark.parametrize(
    ("axes", "x", "y"), [("address", 0, 1), ("upright", 0, 126), ("jaer", 127, 126), ("tonic", 1, 0)]
)
def test_axes_of_signs(tmp_path, axes, x, y):
    event_sets.signs(tmp_path)
    data = SLAnimals(tmp_path, READING, split="test", axes=axes, cache=tmp_path / "cache")
    for _ in range(2):
        events = data.events(0)
        assert (int(events.x[0]), int(events.y[0])) == (x, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("1,0,500\n", "has 380 events, its tags go to 500"),
        ("20,0,20\n", r"csv:2: class 20 from event 0 to 20"),
        ("1,20,20\n", r"csv:2: class 1 from event 20 to 20"),
        ("1,x,20\n", r"csv:2: '1,x,20' is not three whole numbers"),
        ("1,1,2\n", "has no events from number 1 to 2"),
        ("", "has no rows"),
    ],
)
def test_tags_that_make_no_sense(tmp_path, change, message):
    event_sets.signs(tmp_path)
    event_sets.save(tmp_path / "tags/user00_indoor.csv", "class,startTime_ev,endTime_ev\n" + change)
    with pytest.raises(DataError, match=message):
        SLAnimals(tmp_path, READING, split="test").events(0)


def test_lips(tmp_path):
    event_sets.lips(tmp_path)
    data = DVSLip(tmp_path, READING, split="test")
    assert (data.classes, data.labels) == (("accused", "action", "allow"), [0, 0, 1, 1, 2, 2])
    assert write.rows_of(data.events(2)) == event_sets.rows(1, 0)
    cropped = DVSLip(tmp_path / "DVS-Lip", READING, split="test", axes="official").events(4)
    inside = [(t, x - 16, y - 16, p) for t, x, y, p in event_sets.rows(2, 0) if 16 <= x < 112 and 16 <= y < 112]
    assert len(inside) > 3
    assert write.rows_of(cropped) == inside
    assert (cropped.width, cropped.height) == (96, 96)
    edges = np.array([15, 16, 111, 112], np.uint16)
    one = Events(t=np.arange(4), x=edges, y=edges, p=np.ones(4, np.bool_), width=128, height=128)
    assert crop_of_lips(one, "official").x.tolist() == [0, 95]


def test_ucf_events_follow_the_lists_and_pass_over_empty_files(tmp_path):
    pytest.importorskip("scipy.io")
    event_sets.ucf(tmp_path)
    data = UCF101DVS(tmp_path, READING, split="test")
    assert [path.stem for path, _ in data.samples] == [
        f"v_{name}_g{k:02}_c01" for name in ("ApplyEyeMakeup", "Billiards") for k in (1, 2)
    ]
    assert [e[2] for e in write.rows_of(data.events(2))] == [179 - e[2] for e in event_sets.rows(1, 1, count=60)]
    as_stored = UCF101DVS(tmp_path, READING, split="test", axes="address").events(2)
    assert write.rows_of(as_stored) == event_sets.rows(1, 1, count=60)
    event_sets.save(tmp_path / "Billiards/v_Billiards_g01_c01.mat", b"MATLAB")
    data = UCF101DVS(tmp_path, READING, split="test")
    assert ([p.stem for p, _ in data.skipped], len(data)) == (["v_Billiards_g01_c01"], 3)
    (tmp_path / "Billiards").rename(tmp_path / "billiards")
    (tmp_path / "billiards/v_Billiards_g02_c01.mat").unlink()
    with pytest.raises(DataError, match="has no recording of v_Billiards_g02_c01"):
        UCF101DVS(tmp_path, READING, split="test")
    data = UCF101DVS(tmp_path, READING, split="test", on_error="skip")
    assert (data.missing, len(data)) == (("v_Billiards_g02_c01",), 2)
    assert data_passport(data).missing == 1
    for path, _ in data.samples:
        path.write_bytes(b"MATLAB")
    event_sets.save(tmp_path / "billiards/v_Billiards_g02_c01.mat", b"MATLAB")
    with pytest.raises(DataError, match=r"all 4 recordings of the list are below 1,024 bytes"):
        UCF101DVS(tmp_path, READING, split="test", on_error="skip")


def test_hmdb_events_follow_the_official_lists(tmp_path):
    pytest.importorskip("scipy.io")
    event_sets.hmdb(tmp_path)
    parts = {split: HMDB51DVS(tmp_path, READING, split=split) for split in ("train", "test")}
    assert {split: part.labels for split, part in parts.items()} == {"train": [0] * 5 + [1] * 5, "test": [0, 0, 1, 1]}
    assert HMDB51DVS(tmp_path, READING, sensor=(128, 128)).events(0).height == 128
    with pytest.raises(ConfigError, match="fold is 4"):
        HMDB51DVS(tmp_path, READING, fold=4)


def test_tonics_cut_of_gestures_is_another_set(tmp_path):
    for part in ("Train", "Test"):
        for label in range(11):
            array = np.array([(x, y, p, 0.5 + t / 1000) for t, x, y, p in event_sets.rows(label)])
            event_sets.save(tmp_path / f"ibmGesture{part}/user01_led/{label}.npy", event_sets.npy(array))
    data = DVS128Gesture(tmp_path, READING, split="test")
    assert sorted(data.labels) == list(range(11))
    at = data.labels.index(10)
    assert write.rows_of(data.events(at)) == [(t + 500, x, y, p) for t, x, y, p in event_sets.rows(10)]
    assert data_passport(data).choices == {"rows": "tonic's cut"}
    with pytest.raises(DataError, match="chains are made of DVS128-Gesture as published"):
        DVSGestureChain(tmp_path, EventReading(bins=16), split="test")
    event_sets.save(tmp_path / "trials_to_test.txt", "user01_led.aedat")
    with pytest.raises(DataError, match="whose tests differ; keep one of them"):
        DVS128Gesture(tmp_path, READING, split="test")


def test_what_is_told_of_a_set_and_what_is_given(tmp_path):
    event_sets.chl(tmp_path)
    spec = replace(DATA, kind="thu_e_act_50_chl", time_origin="first")
    first = event_sets.rows(0)[0][0]
    expected = [(t - first, x, y, p) for t, x, y, p in event_sets.rows(0)]
    assert write.rows_of(recording_of(spec, next(tmp_path.glob("A13P0C2-train*")))) == expected
    other = event_sets.save(tmp_path / "a.aedat4", write.aedat4(write.FIVE))
    assert len(recording_of(replace(spec, sensor=(40, 34)), other)) == 5


@pytest.mark.parametrize(
    ("kind", "axes", "turned"),
    [
        ("cifar10_dvs", None, [(127 - 5, 127 - 3)]),
        ("cifar10_dvs", "address", [(3, 5)]),
        ("sl_animals", "upright", [(3, 122)]),
        ("events", None, [(3, 5)]),
    ],
)
def test_one_recording_stands_as_those_of_its_set(tmp_path, kind, axes, turned):
    path = event_sets.save(tmp_path / "a.aedat", write.aedat2([(1, 3, 5, 1)]))
    events = recording_of(replace(DATA, kind=kind, axes=axes, sensor=(128, 128)), path)
    assert [(x, y) for _, x, y, _ in write.rows_of(events)] == turned


@pytest.mark.parametrize("form", ["{}", "\ufeff{}", "{}\r\n", "\r\n{}\r\n\r\n"])
@pytest.mark.parametrize("between", [" ", "\t", "  \t "])
def test_lists_of_any_hand(tmp_path, form, between):
    event_sets.save(tmp_path / "a b/dv-1.npz", write.npz([(1, 2, 3, 1)], width=346, height=260))
    text = form.format(f"a b\\dv-1{between}8{between}4")
    event_sets.save(tmp_path / "train_label.txt", text)
    assert HARDVS(tmp_path, READING).labels == [4]
    event_sets.save(tmp_path / "train.txt", form.format(f"x/dv-1.npz{between}4"))
    assert DailyDVS200(tmp_path, READING).labels == [4]


def test_what_a_list_has_and_the_disk_has_not(tmp_path):
    event_sets.har(tmp_path)
    whole = HARDVS(tmp_path, READING).fingerprint()
    (tmp_path / "action_002/dvSave-train_1.npz").unlink()
    with pytest.raises(DataError, match=r"train_label\.txt:6: .*dvSave-train_1 is no event file"):
        HARDVS(tmp_path, READING)
    spec = replace(DATA, kind="hardvs", root=str(tmp_path), on_error="skip")
    data = build_dataset(spec, "train")
    assert (data_passport(data).missing, len(data)) == (1, 11)
    assert data.missing == ("action_002/dvSave-train_1",)
    assert data.fingerprint() != whole
    event_sets.gestures(tmp_path / "g")
    (tmp_path / "g/user02_led.aedat").unlink()
    assert DVS128Gesture(tmp_path / "g", READING, on_error="skip").missing == ("user02_led.aedat",)
    with pytest.raises(DataError, match=r"user02_led\.aedat: no such recording"):
        DVS128Gesture(tmp_path / "g", READING)


def test_the_best_weights_are_chosen_by_the_published_list_where_it_is_there(tmp_path):
    event_sets.har(tmp_path)
    spec = replace(DATA, kind="hardvs", root=str(tmp_path))
    assert [len(build_dataset(spec, split)) for split in ("train", "val", "test")] == [12, 3, 6]
    (tmp_path / "val_label.txt").unlink()
    assert [len(build_dataset(spec, split)) for split in ("train", "val", "test")] == [9, 3, 6]
    by_test = replace(spec, select_on_test=True)
    assert [len(build_dataset(by_test, split)) for split in ("train", "val", "test")] == [12, 6, 6]


def test_persons_of_two_lists(tmp_path):
    event_sets.daily(tmp_path)
    shared = (tmp_path / "test.txt").read_text().splitlines()[0]
    with (tmp_path / "train.txt").open("a") as file:
        file.write(shared + "\n")
    assert (DailyDVS200(tmp_path, READING, split="test").notes, DailyDVS200(tmp_path, READING, split="val").notes) == (
        (),
        (),
    )
    as_listed = DailyDVS200(tmp_path, READING)
    assert (len(as_listed), as_listed.notes) == (
        13,
        ("train.txt shares persons with other lists: 2; data.split_rule=persons_once has none",),
    )
    once = DailyDVS200(tmp_path, READING, split_rule="persons_once")
    assert (len(once), once.notes) == (12, ())


def test_numbers_that_begin_with_one_are_noticed(tmp_path):
    event_sets.har(tmp_path)
    path = tmp_path / "train_label.txt"
    event_sets.save(path, "".join(line for line in path.read_text().splitlines(keepends=True) if " 0" not in line))
    note = "train_label.txt: no line has the label 0; if the list counts from 1, give data.labels=from_one"
    assert HARDVS(tmp_path, READING).notes == (note,)
    named = HARDVS(tmp_path, READING, labels="from_one")
    assert (named.labels[0], named.classes[named.labels[0]], named.notes) == (0, "move 1", ())
    with pytest.raises(ConfigError, match="labels is 'tonic', which HARDVS has not: choose 'from_zero' or 'from_one'"):
        HARDVS(tmp_path, READING, labels="tonic")


def test_class_folders_in_other_cases_with_other_files_in_them(tmp_path):
    event_sets.cifar10(tmp_path)
    (tmp_path / "airplane").rename(tmp_path / "Airplane")
    (tmp_path / "bird").rename(tmp_path / "BIRD")
    event_sets.save(tmp_path / "BIRD/readme.txt", "notes")
    event_sets.save(tmp_path / "BIRD/._cifar10_bird_0.aedat", b"litter")
    event_sets.save(tmp_path / "BIRD/more/cifar10_bird_7.aedat", write.aedat2(event_sets.rows(2)))
    data = CIFAR10DVS(tmp_path, READING)
    assert (data.classes[0], data.labels.count(0), data.labels.count(2)) == ("airplane", 3, 4)
    (tmp_path / "zebra").mkdir()
    with pytest.raises(DataError, match="zebra: is not among the classes"):
        CIFAR10DVS(tmp_path, READING)


@pytest.mark.parametrize(("labels", "k"), [("spikingjelly", 9), ("tonic", 10)])
def test_letters_by_either_loader(tmp_path, labels, k):
    pytest.importorskip("scipy.io")
    event_sets.asl(tmp_path)
    data = ASLDVS(tmp_path, READING, labels=labels)
    label = next(label for path, label in data.samples if path.parent.name == "k")
    assert (label, data.classes[label]) == (k, "k")


def test_cars_and_background_in_either_order(tmp_path):
    event_sets.cars(tmp_path)
    for order, cars in (("cars_first", 0), ("alphabetical", 1)):
        data = NCars(tmp_path, READING, labels=order)
        assert {path.parent.name: label for path, label in data.samples}["cars"] == cars
        assert data.classes[cars] == "cars"


def test_background_can_be_left_out(tmp_path):
    event_sets.caltech(tmp_path)
    data = NCaltech101(tmp_path, READING, labels="without_background")
    assert (data.classes, set(data.labels)) == (("Motorbikes", "accordion"), {0, 1})


def test_tonic_moves_recordings_of_caltech_to_the_corner():
    columns = {"x": np.array([7, 30], np.uint16), "y": np.array([50, 20], np.uint16)}
    one = Events(t=np.arange(2), p=np.ones(2, np.bool_), width=240, height=180, **columns)
    for axes, x, y in (("tonic", [0, 23], [30, 0]), ("address", [7, 30], [50, 20])):
        turned = corner_of_caltech(one, axes)
        assert (turned.x.tolist(), turned.y.tolist()) == (x, y)

"""NTU RGB+D 60: names, protocols, and numbers out of range."""

import pytest

from spikereel.data.sets.ntu import CLASSES, NTU60, NTU120, TRAINING_SUBJECTS, TRAINING_SUBJECTS_120
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=16))


def _name(*, camera: int = 1, subject: int = 1, action: int = 1) -> str:
    return f"S001C{camera:03}P{subject:03}R002A{action:03}_rgb.avi"


@pytest.fixture
def root(tmp_path):
    """Empty files, 3 cameras by 40 subjects by 2 actions, in two folders: the splits need names only."""
    for folder in ("s1", "deep/s2"):
        (tmp_path / folder).mkdir(parents=True)
    for camera in (1, 2, 3):
        for subject in range(1, 41):
            for action, folder in ((1, "s1"), (60, "deep/s2")):
                (tmp_path / folder / _name(camera=camera, subject=subject, action=action)).touch()
    (tmp_path / "s1/S001C001P001R001A001_ir.avi").touch()
    return tmp_path


def _split(root, split: str, protocol: str) -> tuple[set[int], set[int]]:
    """The cameras and subjects of a split; its labels are checked on the way."""
    data = NTU60(root, READING, split=split, protocol=protocol)
    assert data.classes == CLASSES
    assert all(f"A{label + 1:03}_" in path.name for path, label in data.samples)
    assert {label for _, label in data.samples} == {0, 59}
    return {int(path.name[5:8]) for path, _ in data.samples}, {int(path.name[9:12]) for path, _ in data.samples}


def test_cross_subject(root):
    cameras, subjects = _split(root, "train", "cross_subject")
    assert cameras == {1, 2, 3}
    assert subjects == TRAINING_SUBJECTS
    assert sorted(subjects) == [1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38]
    cameras, others = _split(root, "test", "cross_subject")
    assert cameras == {1, 2, 3}
    assert others == set(range(1, 41)) - subjects


def test_cross_view(root):
    assert _split(root, "train", "cross_view") == ({2, 3}, set(range(1, 41)))
    assert _split(root, "test", "cross_view") == ({1}, set(range(1, 41)))


def test_classes():
    assert len(CLASSES) == 60
    assert (CLASSES[0], CLASSES[59]) == ("A001", "A060")


@pytest.fixture
def root_120(tmp_path):
    """Empty files, one for each of 32 setups and for each of 106 subjects."""
    for number in range(1, 107):
        (tmp_path / f"S{(number - 1) % 32 + 1:03}C001P{number:03}R001A{number:03}_rgb.avi").touch()
    return tmp_path


def test_120_cross_subject(root_120):
    data = NTU120(root_120, READING, split="train")
    subjects = {int(path.name[9:12]) for path, _ in data.samples}
    assert subjects == TRAINING_SUBJECTS_120
    assert len(subjects) == 53
    assert subjects > TRAINING_SUBJECTS
    assert sorted(subjects)[20:] == [
        45,
        46,
        47,
        49,
        50,
        52,
        53,
        54,
        55,
        56,
        57,
        58,
        59,
        70,
        74,
        78,
        80,
        81,
        82,
        83,
        84,
        85,
        86,
        89,
        91,
        92,
        93,
        94,
        95,
        97,
        98,
        100,
        103,
    ]
    test = NTU120(root_120, READING, split="test")
    assert {int(path.name[9:12]) for path, _ in test.samples} == set(range(1, 107)) - subjects
    assert (data.classes[-1], len(data.classes)) == ("A120", 120)
    assert all(label + 1 == int(path.name[17:20]) for path, label in test.samples)


def test_120_cross_setup(root_120):
    for split, rest in (("train", 0), ("test", 1)):
        data = NTU120(root_120, READING, split=split, protocol="cross_setup")
        setups = {int(path.name[1:4]) for path, _ in data.samples}
        assert setups == {setup for setup in range(1, 33) if setup % 2 == rest}


def test_each_edition_has_its_own_numbers_and_protocols(root_120):
    with pytest.raises(DataError, match=r"subject 65 is not 1 to 40 as in NTU RGB\+D 60"):
        NTU60(root_120, READING, split="train")
    with pytest.raises(ConfigError, match="'cross_view': choose 'cross_subject' or 'cross_setup'"):
        NTU120(root_120, READING, split="train", protocol="cross_view")
    with pytest.raises(ConfigError, match="choose 'cross_subject' or 'cross_view'"):
        NTU60(root_120, READING, split="train", protocol="cross_setup")


def test_real_videos(make_video, tmp_path):
    path = make_video(f"nturgb/{_name(action=7)}", codec="mpeg4", height=32, width=48)
    data = NTU60(tmp_path, READING, split="train")
    video, label = data[0]
    assert (data.samples, label) == ([(path, 6)], 6)
    assert video.shape == (4, 3, 16, 16)
    (path.parent / _name(subject=2)).write_bytes(path.read_bytes()[:-100])
    skipping = NTU60(tmp_path, Reading(frames=4, transform=EvalTransform(size=16), on_error="skip"), split="train")
    assert [path.name for path, _ in skipping.skipped] == [_name(subject=2)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("S001C001P001R001A001.avi", "is not named"),
        ("S001C001P001R001A01_rgb.avi", "is not named"),
        ("xS001C001P001R001A001_rgb.avi", "is not named"),
        (_name(subject=41), "subject 41 is not 1 to 40"),
        (_name(subject=0), "subject 0 is not 1 to 40"),
        (_name(action=61), "action 61 is not 1 to 60"),
        (_name(action=0), "action 0 is not 1 to 60"),
        (_name(camera=4), "camera 4 is not 1 to 3"),
    ],
)
def test_wrong_names(root, name, message):
    (root / "deep" / name).touch()
    with pytest.raises(DataError, match=f"{name}: {message}"):
        NTU60(root, READING, split="train")


def test_nothing_to_read(tmp_path):
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="has no videos"):
            NTU60(root, READING, split="train")
    (tmp_path / _name(subject=1)).touch()
    with pytest.raises(DataError, match="none of its videos is in the test split of cross_subject"):
        NTU60(tmp_path, READING, split="test")


@pytest.mark.parametrize("options", [{"split": "val"}, {"split": "train", "protocol": "xsub"}])
def test_refuses(tmp_path, options):
    with pytest.raises(ConfigError, match="choose"):
        NTU60(tmp_path, READING, **options)


def test_a_clip_in_two_folders_counts_once(tmp_path):
    for folder in ("nturgbd_rgb", "s001", "s002"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / _name(subject=1)).write_bytes(b"1234")
    data = NTU60(tmp_path, READING, split="train")
    assert data.samples == [(tmp_path / "nturgbd_rgb" / _name(subject=1), 0)]
    other = tmp_path / "s002" / _name(subject=1)
    other.write_bytes(b"12")
    with pytest.raises(DataError, match=rf"^{other}: is not of the size of {data.samples[0][0]}; "):
        NTU60(tmp_path, READING, split="train")

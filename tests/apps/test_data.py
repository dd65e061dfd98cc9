"""`spikereel data`: what files are, what is wrong with folders, and exit codes that scripts can rely on."""

import json
import shutil

import numpy as np
import pytest
from small import cut_short, video_file, video_folder

from spikereel.apps.check import check, inspect
from spikereel.apps.cli import main
from spikereel.errors import DataError
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec

VIDEO_KEYS = ["frames", "fps", "width", "height", "codec", "seconds"]
RECORDING_KEYS = ["events", "on", "off", "t_first_us", "t_last_us", "width", "height", "format"]


def _recording(path, events=50):
    t = np.arange(events) * 1000
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, t=t, x=t % 34, y=np.full(events, 3), p=t // 1000 % 5 == 0, width=34, height=30)
    return path


def _refused(capsys, *arguments) -> str:
    assert main([str(x) for x in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


def test_inspect_a_video(tmp_path, capsys):
    path, out = video_file(tmp_path / "a.mp4", frames=8), tmp_path / "info.json"
    assert main(["data", "inspect", str(path), "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert list(found) == [*VIDEO_KEYS, "assumed", "notes"]
    assert found.pop("assumed")["matrix"] == "BT.601"
    assert found.pop("notes") == []
    assert found == {"frames": 8, "fps": 10.0, "width": 64, "height": 48, "codec": "h264", "seconds": 0.8}
    shown = capsys.readouterr().out
    assert "h264" in shown
    assert str(path) in shown.replace("\n", ""), "a path in one piece, however narrow the table"
    assert shown.startswith(str(path)[:70])


def test_inspect_a_recording(tmp_path, capsys):
    path, out = _recording(tmp_path / "a.npz"), tmp_path / "info.json"
    assert main(["data", "inspect", str(path), "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert list(found) == RECORDING_KEYS
    assert found == {
        "events": 50,
        "on": 10,
        "off": 40,
        "t_first_us": 0,
        "t_last_us": 49_000,
        "width": 34,
        "height": 30,
        "format": "NPZ",
    }
    assert "NPZ" in capsys.readouterr().out


def test_inspect_refuses_what_is_broken_or_of_another_kind(tmp_path, capsys):
    cut = cut_short(video_file(tmp_path / "cut.mp4"))
    assert "cut short" in _refused(capsys, "data", "inspect", cut, "--json", tmp_path / "x.json")
    text = tmp_path / "notes.txt"
    text.write_text("hello\n" * 100)
    assert "notes.txt" in _refused(capsys, "data", "inspect", text)
    from PIL import Image

    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "png.mp4")
    for name in ("a.png", "png.mp4"):
        assert "is a picture" in _refused(capsys, "data", "inspect", tmp_path / name)
    np.savez(tmp_path / "depth.npz", depth=np.zeros(3), joints=np.zeros(3))
    assert "depth.npz" in _refused(capsys, "data", "inspect", tmp_path / "depth.npz")
    assert "no such file" in _refused(capsys, "data", "inspect", tmp_path / "absent.mp4")
    assert not (tmp_path / "x.json").exists()


@pytest.fixture
def folder(tmp_path):
    """Two good videos, a copy, a short one, a broken one, a recording, other files, and a list with a missing one."""
    root = tmp_path / "root"
    for i in range(2):
        video_file(root / "run" / f"{i}.mp4", seed=i)
    shutil.copy(root / "run" / "0.mp4", root / "copy.mp4")
    video_file(root / "walk" / "short.mp4", frames=3)
    cut_short(video_file(root / "walk" / "cut.mp4", seed=5))
    _recording(root / "events" / "a.npz")
    (root / "readme.md").write_text("not data")
    np.savez(root / "depth.npz", depth=np.zeros(3), joints=np.zeros(3))
    (root / "list.txt").write_text("run/0.mp4 0\nrun/1.mp4 0\nwalk/gone.mp4 1\n")
    return root


def test_check_reports_every_trouble(folder, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert main(["data", "check", str(folder), "--json", str(out)]) == 1
    report = json.loads(out.read_text())
    assert (report["videos"], report["recordings"], report["others"], report["ok"]) == (4, 1, 3, False)
    ((name, reason),) = report["broken"]
    assert name == "walk/cut.mp4"
    assert "cut short" in reason
    assert report["short"] == [["walk/short.mp4", 3]]
    assert report["duplicate"] == [["copy.mp4", "run/0.mp4"]]
    assert report["missing"] == ["walk/gone.mp4 (list.txt)"]
    text = capsys.readouterr().out.replace("\n", "")
    assert all(word in text for word in ("broken: 1", "short: 1", "duplicate: 1", "missing: 1", "walk/cut.mp4"))


def test_check_is_content_where_nothing_is_broken(folder, capsys):
    (folder / "walk" / "cut.mp4").unlink()
    assert main(["data", "check", str(folder), "--min-frames", "3", "--workers", "1"]) == 0
    assert "short" not in capsys.readouterr().out
    seen = []
    report = check(folder, progress=lambda done, total: seen.append((done, total)), workers=3)
    assert seen == [(i, 5) for i in range(1, 6)]
    assert report.to_json()["ok"]


def test_check_finds_broken_recordings(folder):
    path = folder / "events" / "a.npz"
    path.write_bytes(path.read_bytes()[:-40])
    assert [name for name, _ in check(folder).broken] == ["events/a.npz", "walk/cut.mp4"]


def test_sensor_is_for_recordings_that_do_not_state_it(tmp_path, capsys):
    """Files as those of CIFAR10-DVS and N-Caltech101, and one that states its size."""
    unnamed = tmp_path / "a.aedat"
    unnamed.write_bytes(b"#!AER-DAT2.0\r\n# by jAER\r\n" + bytes([0, 0, 0x70, 0xC0, 0, 0, 0, 9]))
    (tmp_path / "b.bin").write_bytes(bytes([100, 90, 0x80, 0, 5]))
    _recording(tmp_path / "c.npz")
    assert main(["data", "check", str(tmp_path)]) == 1
    text = capsys.readouterr().out.replace("\n", "")
    assert "broken: 2" in text
    assert "--sensor W,H" in text
    assert main(["data", "check", str(tmp_path), "--sensor", "128,128"]) == 0
    assert "nothing wrong with any of 3 files" in capsys.readouterr().out
    for path, width in ((unnamed, 128), (tmp_path / "c.npz", 34)):
        main(["data", "inspect", str(path), "--sensor", "128,128", "--json", str(tmp_path / "x.json")])
        assert json.loads((tmp_path / "x.json").read_text())["width"] == width
    for wrong in ("128", "128x128", "128,a", "-1,5"):
        assert f"--sensor is '{wrong}'" in _refused(capsys, "data", "inspect", unnamed, f"--sensor={wrong}")
    assert "its sensor is 0 x 5" in _refused(capsys, "data", "inspect", unnamed.with_name("b.bin"), "--sensor", "0,5")


def test_a_folder_of_text_needs_its_columns(tmp_path, capsys):
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a.txt").write_text("0.0001 3 4 1\n0.0002 5 6 0\n")
    assert "if you name their columns: --columns t,x,y,p" in _refused(capsys, "data", "check", tmp_path)
    named = ["--columns", "t,x,y,p", "--time-unit", "s", "--sensor", "40,40"]
    assert main(["data", "check", str(tmp_path), *named]) == 0
    assert "1 good recordings" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("files", "lines"), [(3, 3), (5, 1)])
def test_the_same_trouble_of_many_files_is_said_once(files, lines, tmp_path, capsys):
    for i in range(files):
        np.save(tmp_path / f"{i}.npy", np.full((2 + i, 4), 1))
    assert main(["data", "check", str(tmp_path)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert f"broken: {files} " in text
    assert text.count("does not state the size of its sensor") == lines
    assert ("5 files, first 0.npy: does not" in text) is (lines == 1)
    assert [name for name, _ in check(tmp_path).broken] == [f"{i}.npy" for i in range(files)]


def test_one_unforeseen_file_does_not_end_the_check(folder, monkeypatch):
    def fail(path, sensor=None):
        raise AttributeError("no such thing\nas that")

    monkeypatch.setattr("spikereel.apps.check.info", fail)
    (name, reason), _ = check(folder).broken
    assert name == "events/a.npz"
    assert "a.npz: unexpected AttributeError (no such thing); please report it" in reason


def test_damaged_arrays_are_broken_recordings(folder):
    lie = b"\x93NUMPY\1\0\x20\0{'descr': ('<i8', 'fortran_order'\n" + bytes(64)
    (folder / "bad.npy").write_bytes(lie)
    whole = (folder / "events" / "a.npz").read_bytes()
    (folder / "bad.npz").write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x03"))
    assert [name for name, _ in check(folder).broken] == ["bad.npy", "bad.npz", "walk/cut.mp4"]


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (("x", "y", "timestamp", "polarity"), True),
        (("x", "y", "ts", "p"), True),
        (("events", "label"), True),
        (("t", "x", "y", "on"), True),
        (("depth", "timestamps"), False),
    ],
)
def test_arrays_by_the_names_that_the_reader_knows(tmp_path, names, seen):
    np.savez(tmp_path / "a.npz", **{name: np.zeros((3, 2)) for name in names})
    with pytest.raises(
        DataError, match=r"holds one array|save it as numbers|has no columns" if seen else "cannot be read as video"
    ):
        inspect(tmp_path / "a.npz")


def test_check_finds_missing_recordings_of_lists(tmp_path):
    """Lists of N-MNIST, `number digit`, and of HARDVS, whose paths have no suffix."""
    digits, actions = tmp_path / "digits", tmp_path / "hardvs"
    digits.mkdir()
    for i, name in enumerate(("7.bs2", "8.bin")):
        (digits / name).write_bytes(bytes([i, 2, 0, 0, 5]))
    (digits / "train.txt").write_text("#sample #class\n7\t1\n8 1\n9\t3\n")
    (digits / "other.txt").write_text("11 1\n12 3\n")
    (digits / "notes.csv").write_text("77 1\n")
    for name in ("action_000/a.1", "action_001/b", "9"):
        _recording(actions / f"{name}.npz", events=40 + len(name))
    (actions / "train_label.txt").write_text("action_000/a.1 0\naction_001/b 30 1\naction_001/gone 1\n")
    (actions / "val_label.txt").write_text("action_001/lost.2 30 1\nsome words 3\n")
    assert check(tmp_path).missing == [
        "9.bs2 (digits/train.txt)",
        "action_001/gone (hardvs/train_label.txt)",
        "action_001/lost.2 (hardvs/val_label.txt)",
    ]


def test_check_reads_lists_by_id_and_folders_of_pictures(tmp_path):
    from PIL import Image

    for name in ("7", "8"):
        (tmp_path / "20bn-jester-v1" / name).mkdir(parents=True)
        for i in range(1, 10):
            if (name, i) != ("8", 4):
                Image.new("RGB", (40, 30)).save(tmp_path / "20bn-jester-v1" / name / f"{i:05}.jpg")
    video_file(tmp_path / "train" / "abc_000001_000011.mp4")
    video_file(tmp_path / "30.mp4", seed=1)
    head = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "train.csv").write_text(head + "a,abc,1,11,train\na,gone,1,11,train\n")
    (tmp_path / "validation.csv").write_text("7;Swiping Left\n9;Swiping Left\n")
    (tmp_path / "train.json").write_text(json.dumps([{"id": "30", "template": "x"}, {"id": "31", "template": "x"}]))
    report = check(tmp_path)
    assert report.missing == ["gone_000001_000011 (train.csv)", "31 (train.json)", "9 (validation.csv)"]
    ((name, reason),) = report.broken
    assert name == "20bn-jester-v1/8"
    assert "00004.jpg: no such picture" in reason
    assert (report.videos, report.others) == (3, 3)


def test_check_reads_lists_beside_the_folder(tmp_path):
    """As those of UCF101 may lie."""
    root, lists = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    video_file(root / "Run" / "v_Run_g01_c01.mp4")
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("Run/v_Run_g01_c01.mp4 1\nRun/v_Run_g01_c02.mp4 1\n")
    assert check(root).missing == ["Run/v_Run_g01_c02.mp4 (../ucfTrainTestlist/trainlist01.txt)"]
    assert check(tmp_path).missing == ["Run/v_Run_g01_c02.mp4 (ucfTrainTestlist/trainlist01.txt)"]


def test_check_finds_pictures_that_lost_their_first_and_folders_that_are_double(tmp_path):
    from PIL import Image

    for name, first in (("1", 1), ("2", 1), ("3", 2)):
        (tmp_path / name).mkdir()
        for i in range(first, 10):
            Image.new("RGB", (40, 30), (i, 0, 0)).save(tmp_path / name / f"{i:05}.jpg")
    report = check(tmp_path)
    assert report.duplicate == [["1", "2"]]
    ((name, reason),) = report.broken
    assert name == "3"
    assert "00001.jpg: no such picture" in reason
    assert (report.videos, report.others) == (2, 0)


def test_check_reads_depth_clips_by_their_names(tmp_path):
    depth = np.full((9, 120, 160), 1000, np.uint16)
    np.savez(tmp_path / "a01_s1_t1.npz", depth=depth, joints=np.zeros((9, 20, 3)))
    np.savez(tmp_path / "a02_s1_t1.npz", depth=depth / 1000, joints=np.zeros((9, 20, 3)))
    report = check(tmp_path)
    assert (report.videos, [name for name, _ in report.broken]) == (1, ["a02_s1_t1.npz"])
    found = inspect(tmp_path / "a01_s1_t1.npz")
    assert (found.frames, found.fps, found.width, found.height, found.codec) == (9, 30.0, 160, 120, "depth")


def test_check_of_odd_names_links_and_lists(tmp_path):
    video_file(tmp_path / "a, b.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "list.txt").write_text("a, b.mp4 0\nc, d.mp4 0\n")
    (tmp_path / "odd.csv").write_text("youtube_id,note\nabc,x\n")
    report = check(tmp_path)
    assert report.missing == ["c, d.mp4 (list.txt)"]
    assert [name for name, _ in report.broken] == ["odd.csv", "link.mp4"]
    assert "no such file" in report.broken[1][1]


def test_check_refuses_folders_without_data(tmp_path, capsys):
    assert "no videos or recordings" in _refused(capsys, "data", "check", tmp_path)
    assert "no such folder" in _refused(capsys, "data", "check", tmp_path / "absent")
    video_file(tmp_path / "a.mp4")
    assert "--workers" in _refused(capsys, "data", "check", tmp_path, "--workers", "0")
    for arguments in (["data"], ["data", "count"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


@pytest.mark.realdata
def test_real_files(real_data):
    assert not check(real_data / "video_zoo").broken
    recordings = [p for p in (real_data / "event_zoo").iterdir() if p.suffix in (".aedat4", ".bin", ".dat", ".raw")]
    assert len(recordings) == 6
    assert all(inspect(path).events > 0 for path in recordings)


def test_check_names_what_would_stop_training(tmp_path, capsys):
    root = video_folder(tmp_path / "d", each=2)
    assert main(["data", "check", str(root), "--min-frames", "1"]) == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    assert ["dark", "2"] in rows
    assert ["light", "2"] in rows
    (root / "grey").mkdir()
    assert main(["data", "check", str(root), "--min-frames", "1"]) == 1
    assert "grey: class without files" in capsys.readouterr().out
    with pytest.raises(DataError, match="grey: class without"):
        build_dataset(DataSpec(kind="folder", root=str(root)), "train")


def test_check_sees_the_parts_of_a_data_set(tmp_path):
    video_folder(tmp_path / "train", each=1)
    video_folder(tmp_path / "val", each=1)
    video_file(tmp_path / "val" / "other" / "0.mp4")
    report = check(tmp_path, min_frames=1)
    assert report.classes["train"] == {"dark": 1, "light": 1}
    assert report.stops == ["val/other: not among the classes of training"]
    assert not report.ok


def test_check_names_classes_to_look_at(tmp_path, capsys):
    for i, name in enumerate(("dark/0", "dark/1", "Dark/2", "Dark/3", "rare/4")):
        video_file(tmp_path / f"{name}.mp4", seed=i)
    report = check(tmp_path)
    assert report.ok
    assert report.doubtful == [
        "Dark and dark differ in case alone: meant as one class?",
        "rare: one file, of which none can be held out to choose weights by",
    ]
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "look at classes: 2" in capsys.readouterr().out

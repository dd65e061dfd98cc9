"""Small event sets in the layouts as published, for every kind that has one."""

from collections.abc import Callable
from pathlib import Path

import event_writers as write
import numpy as np

from spikereel.data.sets import bullying10k, cifar10_dvs, sl_animals

EXTERNAL = 0x8000


def save(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(label: int, number: int = 0, side: int = 100, count: int = 24) -> list[write.Event]:
    """Events that move right, in rows of the label."""
    return [(100 + 40 * i, (5 * i + number) % side, (7 * label + i % 3) % side, i % 2) for i in range(count)]


def packets(events: list[write.Event], size: int = 5) -> bytes:
    """A pickled list of packets, as dv gives and numpy saves them."""
    import io

    kind = np.dtype([("timestamp", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "i1")], align=True)
    parts = [np.array(events[i : i + size], kind) for i in range(0, len(events), size)]
    array = np.empty(len(parts), object)
    array[:] = parts
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def mat(path: Path, events: list[write.Event]) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [np.array(column).reshape(-1, 1) for column in zip(*events, strict=True)]
    savemat(path, dict(zip(("ts", "x", "y", "pol"), columns, strict=True)))


def cifar10(root: Path) -> None:
    for label, name in enumerate(cifar10_dvs.CLASSES[:]):
        for number in (0, 1, 2, 95, 950):
            save(root / name / f"cifar10_{name}_{number}.aedat", write.aedat2(rows(label, number)))


def asl(root: Path) -> None:
    for label, name in enumerate("abcdefghiklmnopqrstuvwxy"):
        for k in range(1, 11 if name in "ay" else 4):
            mat(root / name / f"{name}_{k:04}.mat", rows(label, k))


def caltech(root: Path) -> None:
    for label, name in enumerate(("accordion", "BACKGROUND_Google", "Motorbikes")):
        for k in range(1, 13):
            save(root / "Caltech101" / name / f"image_{k:04}.bin", write.nmnist(rows(label, k)))


def cars(root: Path) -> None:
    header = "% Data file containing CD events.\n% Version 2\n"
    for part in ("train", "test"):
        for label, name in enumerate(("cars", "background")):
            for k in range(4):
                save(root / f"n-cars_{part}/{name}/obj_{k:06}_td.dat", write.dat(rows(label, k), header))


def har(root: Path) -> None:
    for part, count in (("train", 4), ("val", 1), ("test", 2)):
        lines = []
        for label in (0, 1, 299):
            for k in range(count):
                name = f"action_{label + 1:03}/dvSave-{part}_{k}"
                save(root / f"{name}.npz", write.npz(rows(label, k), width=346, height=260))
                lines.append(f"{name} 8 {label}\r\n")
        save(root / f"{part}_label.txt", "".join(lines))
    save(root / "HARDVS_300_class.txt", "\r\n".join(f"Action{k:03}-move {k}" for k in range(1, 301)))


def daily(root: Path) -> None:
    form = write.INFO.replace(">40<", ">320<").replace(">34<", ">240<")
    for person, (part, count) in enumerate((("train", 4), ("val", 1), ("test", 2))):
        lines = []
        for label in (0, 1, 199):
            for k in range(count):
                name = f"C{label}P{person}M0S{k}_20231111_09_11_23.aedat4"
                save(root / f"action_{label + 1:03}" / name, write.aedat4(rows(label, k), info=form))
                lines.append(f"event_raw/{name} {label}\n")
        save(root / f"{part}.txt", "".join(lines))


def thu(root: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        lines = []
        for label in (0, 1, 49):
            for k in range(count):
                text = "".join(f"{y},{x},{200},{2 * p - 1},{t}\n" for t, x, y, p in rows(label, k))
                save(root / f"{part}_A{label}P{k}.csv", text + "9,9,200,0,5000\n")
                lines.append(f"{part}_A{label}P{k}.csv,{label}\n")
        save(root / f"{part}.txt", "".join(lines))


def chl(root: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        lines = []
        for label in (0, 1, 49):
            for k in range(count):
                name = f"A{label + 13}P{k}C2-{part}_2021_11_06_14_00_03.npy"
                array = np.array([(x, y, t, p) for t, x, y, p in rows(label, k)], np.int64)
                save(root / name, npy(array))
                lines.append(f"/data/DVS-action-data-npy/{name} {label}\n")
        save(root / f"{part}.txt", "".join(lines))


def bullying(root: Path) -> None:
    for label, name in enumerate(bullying10k.CLASSES):
        for k in range(6):
            save(root / name / f"set{k % 2}" / f"{k}.npy", packets(rows(label, k)))
    save(root / "handshake" / "boxes.json", "{}")


def signs(root: Path, people: int = 5) -> None:
    """Every second event is an external one; tags count these too."""
    for person in range(people):
        ending = ("indoor", "sunlight", "imse", "dc", "dc")[person % 5]
        name, words, lines = f"user{person:02}_{ending}", [], ["class,startTime_ev,endTime_ev"]
        for label in range(len(sl_animals.CLASSES)):
            lines.append(f"{label + 1},{len(words)},{len(words) + 20}")
            for i in range(10):
                t = 1000 * label + 10 * i
                words += [((label + 1) << 8 | (person + i) << 1, t), (EXTERNAL, t)]
        head = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
        save(root / "recordings" / f"{name}.aedat", head + np.array(words, ">u4").tobytes())
        save(root / "tags" / f"{name}.csv", "\r\n".join(lines) + "\r\n")


def lips(root: Path) -> None:
    kind = np.dtype([("t", "<i4"), ("x", "i1"), ("y", "i1"), ("p", "i1")])
    for part, count in (("train", 4), ("test", 2)):
        for label, word in enumerate(("accused", "action", "allow")):
            for k in range(count):
                save(root / f"DVS-Lip/{part}/{word}/{k}.npy", npy(np.array(rows(label, k), kind)))


def ucf(root: Path) -> None:
    names = ("ApplyEyeMakeup", "Billiards")
    train, test = [], []
    for label, name in enumerate(names):
        for group in range(1, 7):
            stem = f"v_{name}_g{group:02}_c01"
            mat(root / name / f"{stem}.mat", rows(label, group, count=60))
            (test if group < 3 else train).append((f"{name}/{stem}.avi", label + 1))
    lists = root / "ucfTrainTestlist"
    save(lists / "classInd.txt", "".join(f"{k} {name}\r\n" for k, name in enumerate(names, 1)))
    save(lists / "trainlist01.txt", "".join(f"{name} {label}\r\n" for name, label in train))
    save(lists / "testlist01.txt", "".join(f"{name}\r\n" for name, _ in test))


def hmdb(root: Path) -> None:
    for label, name in enumerate(("brush_hair", "cartwheel")):
        lines = []
        for k in range(8):
            mat(root / name / f"clip{k}_{name}.mat", rows(label, k, count=60))
            lines.append(f"clip{k}_{name}.avi {1 if k < 5 else 2 if k < 7 else 0} ")
        save(root / f"testTrainMulti_7030_splits/{name}_test_split1.txt", "\n".join(lines))


def gestures(root: Path) -> None:
    for part, users in (("train", range(1, 6)), ("test", range(24, 26))):
        save(root / f"trials_to_{part}.txt", "".join(f"user{user:02}_led.aedat\r\n" for user in users))
        for user in users:
            lines, events = ["class,startTime_usec,endTime_usec"], []
            for k, label in enumerate((1, 3, 8)):
                lines.append(f"{label + 1},{2000 * k},{2000 * k + 2000}")
                events += [(2000 * k + t, x, y, p) for t, x, y, p in rows(label, user, count=40)]
            save(root / f"user{user:02}_led_labels.csv", "\r\n".join(lines))
            save(root / f"user{user:02}_led.aedat", write.aedat3(events, packet=7))


WRITERS: dict[str, Callable[[Path], None]] = {
    "cifar10_dvs": cifar10,
    "asl_dvs": asl,
    "n_caltech101": caltech,
    "n_cars": cars,
    "hardvs": har,
    "dailydvs200": daily,
    "thu_e_act_50": thu,
    "thu_e_act_50_chl": chl,
    "bullying10k": bullying,
    "sl_animals": signs,
    "dvs_lip": lips,
    "ucf101_dvs": ucf,
    "hmdb51_dvs": hmdb,
    "dvs128_gesture": gestures,
    "dvs_gesture_chain": gestures,
}
"""By kind: what writes one."""

"""Shards: packed once, read by any number of ranks and workers without loss, from a folder or a server."""

import functools
import json
import os
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spikereel.apps.cli import main
from spikereel.data.shards import ShardClips, Shards, pack
from spikereel.errors import ConfigError, DataError

COUNT = 23


@pytest.fixture
def files(tmp_path):
    """23 files of 40 to 150 bytes, all different."""
    rng, samples = np.random.default_rng(0), []
    for i in range(COUNT):
        path = tmp_path / "source" / "ab"[i % 2] / f"{i}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([i]) + rng.bytes(40 + 5 * i))
        samples.append((path, i % 2))
    return samples


@pytest.fixture
def packed(files, tmp_path):
    pack(files, ("a", "b"), tmp_path / "out", shard_bytes=500)
    return tmp_path / "out"


def contents(samples):
    return sorted((sample.data, sample.label) for sample in samples)


def everything(files):
    return sorted((path.read_bytes(), label) for path, label in files)


def test_what_goes_in_comes_out(files, packed):
    shards = Shards(packed)
    assert contents(shards) == everything(files)
    assert (len(shards), shards.classes, len(shards.shards) > 3) == (COUNT, ("a", "b"), True)
    # Other programs see plain WebDataset.
    with tarfile.open(packed / "shard-000000.tar") as tar:
        names = tar.getnames()
        assert names[:2] == ["00000000.bin", "00000000.cls"]
        assert tar.extractfile(names[1]).read() in (b"0", b"1")
    assert all(path.suffix in (".tar", ".json") for path in packed.iterdir())


def each(batch):
    return batch


@pytest.mark.parametrize("shuffle", [False, True])
def test_two_ranks_of_two_workers_lose_and_double_nothing(files, packed, shuffle):
    for epoch in (0, 1):
        seen = []
        for rank in (0, 1):
            shards = Shards(packed, rank=rank, world=2, shuffle=shuffle)
            shards.set_epoch(epoch)
            own = [s for batch in DataLoader(shards, batch_size=3, num_workers=2, collate_fn=each) for s in batch]
            assert len(own) == len(shards) == (11, 12)[rank]
            seen += own
        assert contents(seen) == everything(files)


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (3, 1), (2, 3), (30, 1)])
def test_any_split(files, packed, monkeypatch, world, workers):
    seen, counts = [], []
    for rank in range(world):
        for number in range(max(workers, 1)):
            info = type("Info", (), {"id": number, "num_workers": workers}) if workers else None
            monkeypatch.setattr("spikereel.data.shards.get_worker_info", lambda info=info: info)
            own = list(Shards(packed, rank=rank, world=world, shuffle=True))
            counts.append(len(own))
            seen += own
    assert contents(seen) == everything(files)
    assert max(counts) - min(counts) <= 1


def test_epochs_are_shuffled_anew_and_come_again(packed):
    def order(epoch, seed=0):
        shards = Shards(packed, shuffle=True, seed=seed)
        shards.set_epoch(epoch)
        return [sample.name for sample in shards]

    assert order(0) == order(0)
    assert len({tuple(order(*key)) for key in ((0,), (1,), (0, 1))}) == 3


@pytest.mark.parametrize("done", [0, 1, 4, 5])
def test_going_on_inside_an_epoch(packed, done):
    def names(shards):
        loader = DataLoader(shards, batch_size=2, num_workers=2, collate_fn=each)
        return [[s.name for s in batch] for batch in loader]

    shards = Shards(packed, rank=1, world=2, shuffle=True)
    whole = names(shards)
    shards.skip(done, batch=2)
    rest = names(shards)
    assert sorted(map(tuple, rest)) == sorted(map(tuple, whole[done:]))
    shards.set_epoch(0)
    assert names(shards) == whole


def test_packing_goes_on_where_it_stopped(files, tmp_path):
    out, stopped = tmp_path / "out", []

    def stop(done, total):
        if done >= 9:
            stopped.append(done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(files, ("a", "b"), out, shard_bytes=500, progress=stop)
    (out / ".shard-000090.tar.0123abcd.part").write_bytes(b"half")
    with pytest.raises(DataError, match="cannot be read"):
        Shards(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    with pytest.raises(DataError, match="something else"):
        pack(files[1:], ("a", "b"), out, shard_bytes=500)
    pack(files, ("a", "b"), out, shard_bytes=500)
    assert times
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert contents(Shards(out)) == everything(files)
    with pytest.raises(DataError, match="finished shards already"):
        pack(files, ("a", "b"), out, shard_bytes=500)


@pytest.fixture
def stopped(files, tmp_path):
    """A folder in which packing stopped after some shards."""

    def stop(done, total):
        if done >= 9:
            raise KeyboardInterrupt

    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        pack(files, ("a", "b"), out, shard_bytes=500, progress=stop)
    return out


@pytest.mark.parametrize("left", [0, 100, 512, 600, 1024, 10_000])
def test_a_shard_that_was_cut_is_packed_anew(files, packed, stopped, left):
    path = stopped / "shard-000001.tar"
    path.write_bytes(path.read_bytes()[:left])
    pack(files, ("a", "b"), stopped, shard_bytes=500)
    assert all(path.read_bytes() == (stopped / path.name).read_bytes() for path in packed.iterdir())


@pytest.mark.parametrize("damage", [lambda x: 0 * x, lambda x: x[:600] + bytes(len(x) - 600), lambda x: b"ab" + x[2:]])
def test_a_shard_of_the_right_size_that_is_damaged_is_packed_anew(files, packed, stopped, damage):
    path = stopped / "shard-000001.tar"
    whole = path.read_bytes()
    path.write_bytes(damage(whole).ljust(len(whole), b"\0"))
    pack(files, ("a", "b"), stopped, shard_bytes=500)
    assert path.read_bytes() == whole


def test_packing_that_stopped_while_it_wrote_its_plan_goes_on(files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".plan.sha256.0123abcd.part").write_text("ab")
    pack(files, ("a", "b"), out, shard_bytes=500)
    assert contents(Shards(out)) == everything(files)
    assert all(path.suffix in (".tar", ".json") for path in out.iterdir())


def test_files_that_changed_before_packing_went_on(files, stopped):
    path = files[0][0]
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    # clocks of file systems are coarse
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**7))
    with pytest.raises(DataError, match="the files changed since"):
        pack(files, ("a", "b"), stopped, shard_bytes=500)


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_sizes_of_shards_that_are_none(files, tmp_path, size):
    with pytest.raises(ConfigError, match="shard_bytes is"):
        pack(files, ("a", "b"), tmp_path / "out", shard_bytes=size)


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "1.7e308"])
def test_command_refuses_sizes(files, tmp_path, capsys, size):
    assert main(["data", "pack", str(tmp_path / "source"), str(tmp_path / "out"), f"--shard-mb={size}"]) == 2
    assert "--shard-mb is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Ranges(SimpleHTTPRequestHandler):
    """Files as a server gives them that knows ranges."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        data = (self.server.folder / self.path.lstrip("/")).read_bytes()
        asked = self.headers.get("Range") if self.server.ranges else None
        if asked:
            start, stop = map(int, asked.removeprefix("bytes=").split("-"))
            data = data[start : stop + 1]
            self.server.sent += len(data)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.mark.parametrize("ranges", [True, False])
def test_from_a_url(files, packed, ranges):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges))
    server.folder, server.ranges, server.sent = packed, ranges, 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        seen = [sample for rank in (0, 1) for sample in Shards(url, rank=rank, world=2, shuffle=True)]
        assert contents(seen) == everything(files)
        whole = sum(path.stat().st_size for path in packed.glob("*.tar"))
        assert server.sent < whole if ranges else server.sent == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(DataError, match="cannot be read"):
        Shards(url)


def test_shards_that_lie(packed, files, tmp_path):
    shards = Shards(packed)
    path = packed / shards.shards[1]["file"]
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"shard-000001\.tar: is cut short"):
        list(shards)
    index = json.loads((packed / "index.json").read_text())
    for text, message in (("{", "no index"), ("[]", "no index"), (json.dumps(index | {"samples": 5}), "23 of 5")):
        (packed / "index.json").write_text(text)
        with pytest.raises(DataError, match=message):
            Shards(packed)
    files[3][0].unlink()
    with pytest.raises(DataError, match=r"3\.bin: no such file"):
        pack(files, ("a", "b"), tmp_path / "new")
    with pytest.raises(DataError, match="no files"):
        pack([], (), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="rank is 2 of 2"):
        Shards(packed, rank=2, world=2)


def as_index(change):
    """An index as text, after `change(index)`, for the tests below."""

    def write(folder):
        index = json.loads((folder / "index.json").read_text())
        change(index, index["shards"][0], index["shards"][0]["samples"][0])
        (folder / "index.json").write_text(json.dumps(index))

    return write


@pytest.mark.parametrize(
    "name", ["../../evil.bin", "/evil.bin", "..", ".evil", "", "a/1.bin", "1.a\\b", "1.\0", 5, "1.\ud800"]
)
def test_names_in_an_index_that_would_leave_the_folder(packed, name):
    for change in (
        lambda i, shard, row: row.__setitem__(0, name),
        lambda i, shard, row: shard.__setitem__("file", name),
    ):
        kept = (packed / "index.json").read_bytes()
        as_index(change)(packed)
        with pytest.raises(DataError, match=r"index\.json: .*shard 0: (a sample is named|file is)"):
            Shards(packed)
        (packed / "index.json").write_bytes(kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, shard, row: i.pop("classes"), "classes is None"),
        (lambda i, shard, row: i.update(classes="ab"), "classes is 'ab'"),
        (lambda i, shard, row: i.update(classes=[1, 2]), r"classes is \[1, 2\]"),
        (lambda i, shard, row: i.update(shards=[]), r"shards is \[\]"),
        (lambda i, shard, row: i.update(shards=[5]), "shard 0: 5 is no table"),
        (lambda i, shard, row: i.update(version=2), "version 2, not 1"),
        (lambda i, shard, row: i.update(samples=23.0), r"23 of 23\.0"),
        (lambda i, shard, row: shard.pop("file"), "shard 0: file is None"),
        (lambda i, shard, row: shard.pop("sha256"), "shard 0: sha256 is None"),
        (lambda i, shard, row: shard.update(bytes=2**70), "shard 0: bytes is"),
        (lambda i, shard, row: shard.update(samples="abc"), "shard 0: samples is 'abc'"),
        (lambda i, shard, row: shard["called"].pop(), "not a name for each sample"),
        (lambda i, shard, row: shard.update(called={}), "called is {}, not a name for each sample"),
        (lambda i, shard, row: shard["called"].__setitem__(0, 1), "not a name for each sample"),
        (lambda i, shard, row: row.pop(), r"is not \[name, offset, bytes, label\]"),
        (lambda i, shard, row: row.__setitem__(1, "a"), "bytes from 'a' on"),
        (lambda i, shard, row: row.__setitem__(1, -5), "bytes from -5 on"),
        (lambda i, shard, row: row.__setitem__(2, 10**7), "10000000 bytes from"),
        (lambda i, shard, row: row.__setitem__(2, True), "True bytes from"),
        (lambda i, shard, row: row.__setitem__(3, 2), "has the label 2, not 0 to 1"),
        (lambda i, shard, row: row.__setitem__(3, -1), "has the label -1"),
        (lambda i, shard, row: row.__setitem__(3, "a"), "has the label 'a'"),
    ],
)
def test_an_index_that_lies(packed, change, message):
    as_index(change)(packed)
    with pytest.raises(DataError, match=rf"index\.json: is no index of shards \(.*{message}"):
        Shards(packed)


def test_an_index_that_is_no_json(packed):
    for text in ("[" * 100_000, "null", "\0", '{"version": 1}'):
        (packed / "index.json").write_text(text)
        with pytest.raises(DataError, match=r"index\.json: is no index of shards"):
            Shards(packed)
    for url in ("http://[::1", "https://127.0.0.1:99999/", "http://"):
        with pytest.raises(DataError, match="cannot be read"):
            Shards(url)


def test_a_shard_that_states_more_than_memory(packed):
    def huge(index, shard, row):
        shard["bytes"], row[2] = 2**61, 2**60

    as_index(huge)(packed)
    with pytest.raises(DataError, match="is cut short"):
        list(Shards(packed))


def test_files_that_shards_cannot_name(tmp_path):
    for name in ("1.cls", "2.a'b"):
        path = tmp_path / name
        path.write_bytes(b"1")
        with pytest.raises(DataError, match="cannot end in"):
            pack([(path, 0)], ("a",), tmp_path / "out")


def test_clips_of_shards(files, packed):
    def read(path, generator):
        noise = 0 if generator is None else generator.random()
        return torch.tensor([path.read_bytes()[0] + noise])

    clips = ShardClips(Shards(packed), read)
    assert sorted((int(video), label) for video, label in clips) == [(i, i % 2) for i in range(COUNT)]
    assert (len(clips), clips.classes) == (COUNT, ("a", "b"))
    train = ShardClips(Shards(packed), read, train=True)
    first = [float(video) for video, _ in train]
    assert first == [float(video) for video, _ in train]
    train.set_epoch(1)
    assert first != [float(video) for video, _ in train]
    assert train.fingerprint() == clips.fingerprint()


def test_command(files, tmp_path, capsys):
    out = tmp_path / "cli"
    assert main(["data", "pack", str(tmp_path / "source"), str(out), "--shard-mb", "0.0005"]) == 0
    assert "23 samples of 2 classes" in capsys.readouterr().out
    assert contents(Shards(out)) == everything(files)
    (tmp_path / "list.txt").write_text("".join(f"{path} {label}\n" for path, label in files))
    assert main(["data", "pack", str(tmp_path / "list.txt"), str(tmp_path / "listed")]) == 0
    assert contents(Shards(tmp_path / "listed")) == everything(files)
    assert main(["data", "pack", str(tmp_path / "absent"), str(tmp_path / "x")]) == 2
    assert main(["data", "pack", str(tmp_path / "source"), str(out)]) == 2
    assert "finished shards already" in capsys.readouterr().err
    assert main(["data", "pack", str(tmp_path / "source"), str(out), "--shard-mb", "0"]) == 2

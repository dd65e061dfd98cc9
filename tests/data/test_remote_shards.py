"""Shards of another machine: parts and whole ones, connections that are cut, and a cache that never holds more."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small import DATA, video_folder

from spikereel.config import override
from spikereel.data import remote
from spikereel.data.clips import folder_samples
from spikereel.data.remote import LocalCache
from spikereel.data.shard_index import read_part
from spikereel.data.shards import Shards, pack
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """Twelve videos in several shards."""
    root, out = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("shards")
    names, samples = folder_samples(video_folder(root, each=6), None, suffixes={".mp4"})
    index = pack(samples, names, out, shard_bytes=3 * samples[0][0].stat().st_size)
    assert len(index["shards"]) > 2
    return out


class Cutting(BaseHTTPRequestHandler):
    """Files by parts; of the first `server.cuts` answers of shards only a half comes."""

    def do_GET(self):
        data = (self.server.folder / self.path.lstrip("/")).read_bytes()
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last) + 1]
        self.server.asked.append(self.path)
        self.send_response(206 if asked else 200)
        # without Content-Length nobody sees where the answer should have ended
        self.end_headers()
        cut = self.path.endswith(".tar") and self.server.cuts > 0
        self.server.cuts -= cut
        self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(packed, monkeypatch):
    monkeypatch.setattr(remote, "WAIT", 0.0)
    monkeypatch.setattr("spikereel.data.shards.WAIT", 0.0)
    one = ThreadingHTTPServer(("127.0.0.1", 0), Cutting)
    one.folder, one.cuts, one.asked = packed, 0, []
    one.url = f"http://127.0.0.1:{one.server_port}"
    thread = threading.Thread(target=one.serve_forever)
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def all_of(shards: Shards) -> list[tuple[str, bytes, int]]:
    return [(x.name, x.data, x.label) for x in shards]


def test_a_cut_connection_is_asked_again_and_never_taken_for_the_whole(packed, server, tmp_path):
    whole = all_of(Shards(packed))
    server.cuts = 2
    assert all_of(Shards(server.url)) == whole
    server.cuts = 2
    assert all_of(Shards(server.url, cache=(tmp_path, 10**9))) == whole
    server.cuts = 99
    with pytest.raises(DataError, match="cut short"):
        all_of(Shards(server.url))
    with pytest.raises(DataError, match=r"bytes, 3 times; copy the shards again"):
        all_of(Shards(server.url, cache=(tmp_path / "other", 10**9)))
    assert not list((tmp_path / "other").glob("*.shard"))


def test_the_cache_brings_a_shard_once_and_makes_room(packed, server, tmp_path):
    shards = Shards(server.url, cache=(tmp_path, 10**9))
    whole = all_of(shards)
    before = len(server.asked)
    assert all_of(shards) == whole
    assert len(server.asked) == before
    largest = max(x["bytes"] for x in shards.shards)
    small = Shards(server.url, cache=(tmp_path / "small", 2 * largest))
    for _ in range(2):
        assert all_of(small) == whole
        assert sum(x.stat().st_size for x in (tmp_path / "small").glob("*.shard")) <= 2 * largest
    with pytest.raises(ConfigError, match=r"give a larger data.cache_gb"):
        all_of(Shards(server.url, cache=(tmp_path / "none", largest - 1)))


def test_what_was_used_last_stays(tmp_path):
    content = {name: name.encode() * 10 for name in "abc"}
    asked = []

    def fetch(place, start, stop):
        asked.append(place)
        return content[place][start:stop]

    cache = LocalCache(tmp_path, 20, fetch)
    for number, place in enumerate("abacab"):
        path = cache.path(place, 10, hashlib.sha256(content[place]).hexdigest())
        assert read_part(str(path)) == content[place]
        # the clock of files may be coarse
        remote.os.utime(path, ns=(number + 1, number + 1))
    assert asked == ["a", "b", "c", "b"]


def test_other_content_than_the_index_says_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "WAIT", 0.0)
    cache = LocalCache(tmp_path, 20, lambda *_: b"x" * 10)
    with pytest.raises(DataError, match="other content than its index says, 3 times"):
        cache.path("a", 10, hashlib.sha256(b"y" * 10).hexdigest())
    assert not list(tmp_path.glob("*.shard"))


def test_protocols_of_fsspec_and_training_from_them(packed, tmp_path):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for path in packed.iterdir():
        memory.pipe_file(f"/shards/{path.name}", path.read_bytes())
    assert all_of(Shards("memory://shards")) == all_of(Shards(packed))
    asked = ["kind=shards", "root=memory://shards", f"cache={tmp_path}", "cache_gb=0.001"]
    clips = build_dataset(override(DATA, asked), "test")
    own = build_dataset(override(DATA, ["kind=shards", f"root={packed}"]), "test")
    assert len(clips) == len(own) > 0
    assert (clips[0][0] == own[0][0]).all()
    assert list(tmp_path.glob("*.shard"))
    with pytest.raises(ConfigError, match="is for shards of another machine"):
        build_dataset(override(DATA, ["kind=shards", f"root={packed}", f"cache={tmp_path}"]), "test")
    with pytest.raises(ConfigError, match="nothing://x"):
        Shards("nothing://x")

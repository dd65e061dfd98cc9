"""What the studio refuses: other hosts and sites, missing tokens, files outside its folders, uploads too large."""

import asyncio
import os
import re
import socket
from pathlib import Path

import pytest
from films import film

pytest.importorskip("starlette")

from asgi import CHANGES, OWN, ask, run

from spikereel.apps.cli import main
from spikereel.errors import ConfigError, DataError
from spikereel.studio.guard import COOKIE, SMALL
from spikereel.studio.roots import Roots
from spikereel.studio.server import application
from spikereel.studio.state import Studio
from spikereel.studio.uploads import TooLarge, shown

TOKEN = "a-token_of-some-length"


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> bytes:
    return film(tmp_path_factory.mktemp("film") / "clip.mp4", 8).read_bytes()


@pytest.fixture
def place(tmp_path: Path, clip: bytes) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(clip)
    (tmp_path / "secret.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    return folder


@pytest.fixture
def studio(place):
    studio = Studio(roots=Roots.of([f"videos={place}"]), upload_limit=100_000)
    yield studio
    studio.close()


@pytest.fixture
def app(studio):
    return application(studio, host="127.0.0.1")


@pytest.fixture
def open_app(studio):
    return application(studio, host="0.0.0.0", token=TOKEN, names=frozenset({"spikes.example"}))


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST"])
def test_it_answers_by_its_own_names(app, host):
    assert ask(app, "GET", "/", {"host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "192.168.1.5:8765", "", "127.0.0.1.evil.example", "localhost:x", "[::1"]
)
def test_a_name_that_was_bound_to_it_is_refused(app, host):
    assert ask(app, "GET", "/api/files", {"host": host}).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/files"), ("POST", "/api/sources")])
def test_other_sites_may_ask_for_nothing(app, headers, method, path):
    assert ask(app, method, path, {**CHANGES, **headers}, {}).status == 403


def test_there_are_no_sockets(app):
    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    assert run(app(scope, None, None)) is None


def test_a_link_from_elsewhere_opens_the_page(app):
    assert ask(app, "GET", "/", {**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/sources"), ("POST", "/api/uploads?name=a.mp4"), ("DELETE", "/api/uploads")]
)
def test_a_form_changes_nothing(app, method, path):
    assert ask(app, method, path, {**OWN, "origin": "http://127.0.0.1:8765"}, b"x").status == 403


@pytest.mark.parametrize("headers", [OWN, {"host": "evil.example"}])
def test_the_page_may_load_nothing_from_elsewhere(app, headers):
    # what is refused says so under the same rules
    answer = ask(app, "GET", "/", headers)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"cookie": f"{COOKIE}=wrong"}, {"cookie": "a;;=\x01"}]
)
@pytest.mark.parametrize("path", ["/", "/api/files", "/page/main.js", "/api/files?token=a-token_of-some-length"])
def test_nothing_without_the_token(open_app, headers, path):
    assert ask(open_app, "GET", path, {"host": "192.168.1.5:8765", **headers}).status == 401


def test_the_token_opens_once_and_then_stands_in_a_cookie(open_app):
    host = {"host": "192.168.1.5:8765"}
    assert ask(open_app, "GET", "/api/files", {**host, "authorization": f"Bearer {TOKEN}"}).status == 200
    answer = ask(open_app, "GET", "/?token=a-token_of-some-length", host)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ask(open_app, "GET", "/api/files", {**host, "cookie": cookie.partition(";")[0]}).status == 200


def test_an_open_server_is_known_by_addresses_and_names_given_to_it_alone(open_app):
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert ask(open_app, "GET", "/", {"host": "spikes.example:8765", **bearer}).status == 200
    assert ask(open_app, "GET", "/", {"host": "evil.example", **bearer}).status == 421


@pytest.mark.parametrize(
    "name",
    [
        "videos:../secret.mp4",
        "videos:/../secret.mp4",
        "videos:..%2fsecret.mp4",
        "videos:sub/../../secret.mp4",
        "videos:link.mp4",
        "videos:folder/secret.mp4",
        "videos:clip.mp4\0.txt",
        "other:clip.mp4",
        "/etc/passwd",
        "",
        "videos:" + "a/" * 3000,
    ],
)
def test_files_outside_the_folders_cannot_be_opened(app, place, name):
    (place / "link.mp4").symlink_to(place.parent / "secret.mp4")
    (place / "folder").symlink_to(place.parent)
    answer = ask(app, "POST", "/api/sources", body={"place": name})
    assert answer.status == 400
    assert str(place.parent) not in answer.error
    absolute = ask(app, "POST", "/api/sources", body={"place": f"videos:{place.parent}/secret.mp4"})
    assert absolute.status == 400


def test_an_error_of_a_file_names_no_folder_of_the_server(app, place, clip):
    (place / "torn.mp4").write_bytes(clip[: len(clip) // 2])
    answer = ask(app, "POST", "/api/sources", body={"place": "videos:torn.mp4"})
    assert (answer.status, answer.error.startswith("torn.mp4: ")) == (400, True)


def test_weights_outside_the_folders_cannot_be_loaded(app, studio):
    source = ask(app, "POST", "/api/sources", body={"place": "videos:clip.mp4"}).json["id"]
    for weights in ("videos:../x.safetensors", "/etc/passwd", "../../x.safetensors", "~/x.safetensors"):
        answer = ask(app, "POST", "/api/analyses", body={"source": source, "weights": weights})
        assert answer.status == 400, weights


def test_links_inside_are_followed_and_links_that_lead_out_are_not_listed(app, place):
    (place / "out.mp4").symlink_to(place.parent / "secret.mp4")
    (place / "again.mp4").symlink_to(place / "clip.mp4")
    (place / "a.safetensors").write_bytes(b"x")
    (place / "notes.txt").write_bytes(b"x")
    (place / ".hidden.mp4").write_bytes(b"x")
    listed = [(x["name"], x["kind"]) for x in ask(app, "GET", "/api/files?place=videos:").json["entries"]]
    assert listed == [("a.safetensors", "weights"), ("again.mp4", "clip"), ("clip.mp4", "clip"), ("notes.txt", "")]
    assert ask(app, "POST", "/api/sources", body={"place": "videos:again.mp4"}).status == 200


@pytest.mark.parametrize(
    "path", ["/page/../roots.py", "/page/%2e%2e/roots.py", "/page/roots.py", "/page//etc/passwd", "/page/"]
)
def test_only_files_of_the_page_are_served(app, path):
    assert ask(app, "GET", path).status in (404, 307)


def test_an_upload_lies_under_a_name_of_ours_and_goes_at_the_end(app, studio, place):
    content = (place / "clip.mp4").read_bytes()
    answer = ask(app, "POST", "/api/uploads?name=..%2F..%2Fhome%2Fclip.mp4", body=content)
    assert answer.status == 200
    (path,) = studio.uploads.folder.iterdir()
    assert path.name == answer.json["place"].removeprefix("upload:")
    assert "clip" not in path.name
    assert path.read_bytes() == content
    assert studio.uploads.folder.stat().st_mode & 0o077 == 0
    opened = ask(app, "POST", "/api/sources", body={"place": answer.json["place"]}).json
    assert (opened["name"], opened["frames"]) == ("clip.mp4", 8)
    assert ask(app, "DELETE", f"/api/uploads?place={answer.json['place']}").status == 200
    assert not [*studio.uploads.folder.iterdir()]
    folder = studio.uploads.folder
    studio.close()
    assert not folder.exists()


def test_the_end_of_the_server_removes_what_was_sent(app, studio):
    assert ask(app, "POST", "/api/uploads?name=a.mp4", body=b"x").status == 200
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    said = []

    async def receive():
        return next(messages)

    async def send(message):
        said.append(message["type"])

    run(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not studio.uploads.folder.exists()


def test_only_uploads_are_dropped(app, studio, place):
    secret = place.parent / "secret.mp4"
    near = os.path.relpath(secret, studio.uploads.folder)
    for wrong in (f"upload:{secret}", f"upload:{near}", "videos:clip.mp4", "upload:none.mp4", ""):
        answer = ask(app, "DELETE", f"/api/uploads?place={wrong}")
        assert (answer.status, "no upload" in answer.error) == (400, True)
    assert secret.exists()
    assert (place / "clip.mp4").exists()


@pytest.mark.parametrize("name", ["a.exe", "a", "", "a.mp4.html", ".htaccess", "a.mp4\0.sh"])
def test_uploads_of_other_kinds_are_refused(app, studio, name):
    answer = ask(app, "POST", f"/api/uploads?name={name}", body=b"content")
    assert answer.status == 400
    assert not [*studio.uploads.folder.iterdir()]


def test_uploads_stop_at_their_limit_whatever_their_header_says(app, studio):
    parts = [bytes(40_000)] * 5
    for headers in ({}, {"content-length": "10"}):
        answer = ask(app, "POST", "/api/uploads?name=a.mp4", {**CHANGES, **headers}, parts, raw=True)
        assert answer.status == 413
        assert not [*studio.uploads.folder.iterdir()]


def test_uploads_stop_at_what_all_may_have_together(app, studio):
    codes = [ask(app, "POST", "/api/uploads?name=a.mp4", body=bytes(90_000)).status for _ in range(6)]
    assert codes == [200] * 4 + [413] * 2


def test_uploads_at_once_stop_at_what_all_may_have_together(studio):
    most, codes = [], []

    async def slow():
        for _ in range(9):
            await asyncio.sleep(0)
            most.append(sum(path.stat().st_size for path in studio.uploads.folder.iterdir()))
            yield bytes(10_000)

    async def one():
        try:
            codes.append(await studio.uploads.take("a.mp4", slow()))
        except TooLarge as error:
            codes.append(error)

    async def six():
        await asyncio.gather(*(one() for _ in range(6)))

    run(six())
    assert max(most) <= studio.uploads.all
    kept = [x for x in codes if isinstance(x, str)]
    assert len(kept) == 4
    # what broke off takes no room, nor does what was dropped
    assert studio.uploads.used() == 360_000
    studio.uploads.drop(kept[0])
    assert studio.uploads.used() == 270_000


def test_an_upload_that_breaks_off_leaves_nothing(studio):
    async def broken():
        yield b"some"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run(studio.uploads.take("a.mp4", broken()))
    with pytest.raises(DataError, match="empty"):
        run(studio.uploads.take("a.mp4", _nothing()))
    assert not [*studio.uploads.folder.iterdir()]


async def _nothing():
    return
    yield


def test_other_requests_are_small(app):
    assert ask(app, "POST", "/api/sources", {**CHANGES, "content-length": str(SMALL + 1)}, b"{}").status == 413
    lying = ask(app, "POST", "/api/sources", CHANGES, [b" " * SMALL, b" " * SMALL], raw=True)
    assert lying.status == 400
    assert ask(app, "POST", "/api/sources", {**CHANGES, "content-length": "-1"}, b"{}").status == 400


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"[" * 5000, b'{"place": 1}', b'{"other": "x"}', b"\xff"])
def test_what_is_no_request_is_an_error_of_one_line(app, body):
    answer = ask(app, "POST", "/api/sources", body=body)
    assert answer.status == 400
    assert "\n" not in answer.error


def test_names_are_shown_without_what_steers_a_screen():
    assert shown("../../a\u202egpj.mp4") == "agpj.mp4"
    assert shown("a\n\x1b[31m.mp4") == "a[31m.mp4"
    assert len(shown("x" * 500)) == 80


def test_roots_are_folders_with_a_name_each(tmp_path, monkeypatch):
    (tmp_path / "a" / "videos").mkdir(parents=True)
    (tmp_path / "b" / "videos").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no folder"):
        Roots.of([str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="uploads lie"):
        Roots.of([f"upload={tmp_path}"])
    with pytest.raises(ConfigError, match="two roots"):
        Roots.of([str(tmp_path / "a" / "videos"), str(tmp_path / "b" / "videos")])
    monkeypatch.setattr("spikereel.studio.roots.MOST_LISTED", 1)
    assert [x["name"] for x in Roots.of([f"all={tmp_path}"]).listing("all:")] == ["a"]
    roots = Roots.of([str(tmp_path / "a" / "videos"), f"more={tmp_path / 'b'}"])
    assert roots.place(tmp_path / "b" / "videos") == "more:videos"
    assert roots.place(os.sep) is None


def test_the_command_says_where_it_listens_and_asks_others_for_a_token(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("spikereel.studio.server.serve", lambda _app, at: at.close())
    assert main(["studio", "--port", "0"]) == 0
    said = capsys.readouterr().out
    assert re.match(r"studio: http://127\.0\.0\.1:\d+/\n", said)
    assert main(["studio", "--port", "0", "--host", "0.0.0.0"]) == 0
    assert re.match(r"studio: http://0\.0\.0\.0:\d+/\?token=[\w-]{32}\n", capsys.readouterr().out)
    # whatever ended it
    assert not [*tmp_path.glob("spikereel-studio-*")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = str(taken.getsockname()[1])
        for wrong in (["--port", busy], ["--token", "short"], ["--root", "none"], ["--port", "99999"]):
            assert main(["studio", *wrong]) == 2
            error = capsys.readouterr().err
            assert error.startswith("error: ")
            assert error.count("\n") == 1

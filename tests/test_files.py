"""The one writer: whole or not at all, on the disk before it has its name, and readable like any file."""

import contextlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spikereel.errors import ConfigError
from spikereel.files import whole, writable, write_json, write_text, write_whole


def test_a_file_is_there_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_fails_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    stopped = contextlib.suppress(KeyboardInterrupt)
    with stopped, whole(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr("spikereel.files.os.fsync", lambda handle: done.append(os.fstat(handle).st_size))
    replace = os.replace
    monkeypatch.setattr("spikereel.files.os.replace", lambda a, b: done.append("named") or replace(a, b))
    write_whole(tmp_path / "a", b"12345")
    assert done == [5, "named"]


def test_a_killed_program_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import sys, time; from spikereel.files import whole\n"
        "with whole(sys.argv[1]) as part:\n    part.write_text('half'); print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as program:
        program.stdout.readline()
        program.kill()
    assert path.read_text() == "old"
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.name.startswith(".a.txt.")
    assert left.suffix == ".part"


def test_several_may_write_one_file_at_once(tmp_path):
    path = tmp_path / "a.txt"

    def write(letter):
        with whole(path) as part:
            part.write_text(letter * 10)
            time.sleep(0.01)
            part.write_text(letter * 20)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, "abcdefgh" * 3))
    assert path.read_text() in {letter * 20 for letter in "abcdefgh"}
    assert os.listdir(tmp_path) == ["a.txt"]


def test_others_may_read_it_as_any_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_longest_names_can_be_written(tmp_path):
    for name in ("a" * 255, "\N{SNOWMAN}" * 85):
        write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_folders_are_made_and_errors_name_the_file(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"c": 1})
    assert (tmp_path / "a" / "b.json").read_text() == '{\n  "c": 1\n}\n'
    for path in (tmp_path / "a", tmp_path / "a" / "b.json" / "c"):
        with pytest.raises(ConfigError, match=f"cannot write {path}: .*choose another place"):
            write_text(path, "x")
        with pytest.raises(ConfigError, match=f"cannot write {path}: "):
            writable(path)
    writable(tmp_path / "a" / "d" / "e")
    writable(None)


def test_who_may_read_a_file_stays(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o600)
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_into_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "later" / "a")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "later" / "a").read_text() == "new"
    assert (tmp_path / "link").is_symlink()

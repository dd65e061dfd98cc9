"""The container for serving an exported file starts what is there; building it needs docker and a network."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import spikereel
from spikereel.apps.cli import _options
from spikereel.data.video.write import write_video

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "serve" / "Containerfile").read_text()
FILES = [ROOT / "deploy" / "Containerfile", ROOT / "deploy" / "serve" / "Containerfile"]


def test_its_command_is_one_of_ours():
    program, *arguments = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", TEXT, re.MULTILINE)[1])
    assert program == "spikereel"
    options = _options([*arguments, "clip.mp4", "--model", "net.onnx", "--runtime", "onnx"])
    assert (options.serve, options.model, options.sources) == ("0.0.0.0:8080", "net.onnx", ["clip.mp4"])


@pytest.mark.parametrize("file", FILES, ids=str)
def test_what_it_copies_is_all_that_an_installation_reads(file: Path):
    """A stage of the file that installs the package has the files that the build asks for, and the extras are ours."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = file.read_text()
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', text)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    copied = {name for names in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for name in names.split()}
    assert all((ROOT / name).exists() for name in copied)
    licences = {pattern.partition("/")[0] for pattern in project["license-files"]}
    assert {"pyproject.toml", "CMakeLists.txt", "constraints.txt", "src", project["readme"], *licences} <= copied


def test_it_serves_where_it_says():
    assert re.search(r'"\.\[export,serve\]"', TEXT)
    serve = (ROOT / "src" / "spikereel" / "streaming" / "serve.py").read_text()
    for path in re.findall(r"(?:HOST|127\.0\.0\.1):8080(/\w+)", TEXT):
        assert f'"{path}"' in serve


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_its_command_answers_with_an_exported_file(tmp_path):
    """As in the container, but for the port, and a file of C in place of ONNX, which takes a minute to write."""
    aiohttp = pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    model = spikereel.load_model("spikevideoformer_ti.motion_spatial")
    spikereel.export(model, tmp_path / "net.spkc", size=(32, 32), grid=False)
    pictures = torch.randint(0, 256, (160, 3, 48, 64), generator=torch.Generator().manual_seed(0))
    write_video(tmp_path / "clip.mp4", pictures.to(torch.uint8), 8)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    _, *arguments = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", TEXT, re.MULTILINE)[1])
    arguments = [x.replace("0.0.0.0:8080", f"127.0.0.1:{port}") for x in arguments]
    given = [sys.executable, "-m", "spikereel", *arguments, "clip.mp4", "--model", "net.spkc", "--realtime"]
    running = subprocess.Popen(given, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    async def view():
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            while running.poll() is None:
                try:
                    async with session.ws_connect(url + "/ws") as line, session.get(url + "/metrics") as reply:
                        return json.loads((await line.receive()).data), await reply.text()
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.05)
        raise AssertionError(running.stderr.read())

    try:
        answer, metrics = asyncio.run(asyncio.wait_for(view(), 300))
    finally:
        running.kill()
        running.communicate()
    assert answer["source"] == "clip.mp4"
    assert 'spikereel_frames_total{source="clip.mp4"}' in metrics

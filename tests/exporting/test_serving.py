"""The container for serving an exported file starts what is there; building it needs docker and a network."""

import json
import re
import tomllib
from pathlib import Path

from spikereel.apps.cli import _options

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "serve" / "Containerfile").read_text()


def test_its_command_is_one_of_ours():
    program, *arguments = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", TEXT, re.MULTILINE)[1])
    assert program == "spikereel"
    options = _options([*arguments, "clip.mp4", "--model", "net.onnx", "--runtime", "onnx"])
    assert (options.serve, options.model, options.sources) == ("0.0.0.0:8080", "net.onnx", ["clip.mp4"])


def test_what_it_copies_and_installs_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', TEXT)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert {"export", "serve"} <= set(extras.split(","))
    for sources in re.findall(r"^COPY (.*) \S+$", TEXT, re.MULTILINE):
        assert all((ROOT / name).exists() for name in sources.split())
    serve = (ROOT / "src" / "spikereel" / "streaming" / "serve.py").read_text()
    for path in re.findall(r"(?:HOST|127\.0\.0\.1):8080(/\w+)", TEXT):
        assert f'"{path}"' in serve

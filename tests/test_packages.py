"""Wheel and sdist in fresh environments: `SPIKEREEL_PACKAGES=FOLDER pytest tests/test_packages.py`.

FOLDER keeps the environments. `core` has the wheel and what it needs; each extra is a layer above it, which has what
pip brings for that extra and nothing else.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest
from core_calls import COMMANDS, LACKS, MODULES, PROJECT, SHIPPED, WORKS, all_calls, answers_of, places_in

import spikereel

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spikereel"
EXTRAS = sorted(PROJECT["optional-dependencies"].keys() - {"dev", "docs"})
SERVES_OR_TRAINS = {"train", "demo", "studio"}
"""Of LACKS: where nothing is lacking these go on for minutes, so WITH has short ones."""

TRAIN = ["train", "motion", "data.size=32", "data.frames=2", "data.train_length=16", "data.test_length=4"]
WITH: dict[str, list[list[str] | str]] = {
    "train": [[*TRAIN, "optim.batch=8", "optim.epochs=1", "run.out={out}/run", "run.progress=false"]],
    "draw": [
        ["predict", "{videos}/dark/0.mp4", "--out", "{out}/drawn"],
        ["trace", "{folder}", "{videos}/dark/0.mp4", "--png", "{out}/png", "--out", "{out}/drawn.trace"],
    ],
    "export": ["export to ONNX"],
    "openvino": ["export to OpenVINO"],
    "executorch": ["export to ExecuTorch"],
    "nir": [["export", SHIPPED, "--to", "nir", "--part", "downsample2", "--out", "{out}/x.nir"]],
    "scale": [["predict", "--manifest", "{videos}/clips.csv", "--model", "{folder}", "--out", "{out}/many"]],
    "events": [],
    "mat": [],
    "hub": [],
    "energy": [["energy", "{folder}", "--video", "{videos}/dark/0.mp4"]],
    "serve": [["stream", "{videos}/dark/0.mp4", "--model", "{folder}", "--serve", ":0", "--quiet"]],
    "ray": [],
    "studio": [],
    "all": [],
}
"""Calls that work with an extra alone: of their own, or names of LACKS."""
WITH["all"] = [call for extra in ("train", "draw", "scale", "serve") for call in WITH[extra]]

pytestmark = pytest.mark.packages


def _pip(python: Path, *arguments: str | Path, **environment: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    done = subprocess.run(command, env=_clean() | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _environment(folder: Path) -> Path:
    """The Python of an environment, made where it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return python


def _says(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=_clean())
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _site(python: Path) -> Path:
    return Path(_says(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(os.environ["SPIKEREEL_PACKAGES"]).resolve()


@pytest.fixture(scope="module")
def built(folder: Path) -> dict[str, Path]:
    """Sdist and wheel of this tree, without what git ignores; the wheel is built from the sdist."""
    out = folder / "dist"
    for old in (*out.glob("*.whl"), *out.glob("*.tar.gz")):
        old.unlink()
    _pip(_environment(folder / "build"), "install", "build")
    _says(folder / "build" / "bin" / "python", "-m", "build", "--outdir", out, ROOT)
    return {"wheel": next(out.glob("*.whl")), "sdist": next(out.glob("*.tar.gz"))}


@pytest.fixture(scope="module")
def core(folder: Path, built: dict[str, Path]) -> Path:
    python = _environment(folder / "core")
    _pip(python, "install", "-c", ROOT / "constraints.txt", built["wheel"])
    _pip(python, "install", "--no-deps", "--force-reinstall", built["wheel"])
    return python


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = places_in(tmp_path_factory.mktemp("files"))
    listed = [f"{path},{path.parent.name}" for path in sorted(found["videos"].rglob("*.mp4"))]
    (found["videos"] / "clips.csv").write_text("\n".join(["path,label", *listed]) + "\n")
    return found


def test_wheel_and_sdist_hold_everything(built: dict[str, Path]):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        inside = set(wheel.namelist())
    with tarfile.open(built["sdist"]) as sdist:
        source = {name.partition("/")[2] for name in sdist.getnames()}
    known = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    data = {name.removeprefix("src/") for name in known.split() if "/native/" not in name}
    assert data <= inside
    assert {f"src/{name}" for name in data} <= source
    licences = {path.name for path in (ROOT / "LICENSES").iterdir()} | {"LICENSE"}
    assert licences <= {Path(name).name for name in inside if ".dist-info/licenses/" in name}
    assert not [name for name in inside if name.startswith(("tests/", "docs/", "benchmarks/"))]
    assert {"CMakeLists.txt", "tests/conftest.py", "docs/index.md", "LICENSE"} <= source


def _visible(python: Path) -> set[str]:
    """Optional packages that this Python finds."""
    modules = {module for names in MODULES.values() for module in names}
    code = f"import importlib.util as u; print(*[m for m in {sorted(modules)} if u.find_spec(m)])"
    return set(_says(python, "-c", code).split())


def _expect(calls: dict[str, dict], visible: set[str]) -> None:
    """Each call worked, or named in one line an extra that it lacks."""
    for name in (*(f"{name} --help" for name in COMMANDS), *WORKS):
        assert (calls[name]["code"], calls[name]["err"]) == (0, ""), name
    for name in LACKS.keys() & calls.keys():
        code, said = calls[name]["code"], calls[name]["err"]
        assert code in (0, 2), (name, said)
        assert "Traceback" not in said, (name, said)
        for lacking in re.findall(r"^error: (.*) not installed", said, re.MULTILINE):
            assert said.count("\n") == 1
            assert not set(lacking.split(", ")) & visible, (name, said)
            assert re.search(r"pip install 'spikereel\[\w+\]'", said), (name, said)


def _calls(places: dict[str, Path], visible: set[str], more: list[list[str] | str]) -> dict[str, list[str]]:
    calls = all_calls(places)
    for name, (_, package) in LACKS.items():
        if name in SERVES_OR_TRAINS and set(MODULES[package]) <= visible:
            del calls[name]
    own = {f"with {i}": call for i, call in enumerate(more) if not isinstance(call, str)}
    return calls | {name: [x.format(**places) for x in call] for name, call in own.items()}


def test_core_alone(core: Path, places: dict[str, Path], tmp_path: Path):
    assert _visible(core) == set()
    answers = answers_of(core, tmp_path, _calls(places, set(), []), PYTHONPATH="")
    _expect(answers["results"], set())
    assert all(answers["results"][name]["code"] == 2 for name in LACKS)
    for command in ([core.with_name("spikereel")], [core, "-m", "spikereel"]):
        assert spikereel.__version__ in _says(*command, "doctor")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra(
    extra: str, core: Path, folder: Path, built: dict[str, Path], places: dict[str, Path], tmp_path: Path
):
    python = _environment(folder / extra)
    (_site(python) / "core.pth").write_text(f"{_site(core)}\n")
    _pip(python, "install", "-c", ROOT / "constraints.txt", f"spikereel[{extra}] @ {built['wheel'].as_uri()}")
    visible = _visible(python)
    wants = {re.split(r"[<>=\[]", want)[0] for want in PROJECT["optional-dependencies"][extra]} & MODULES.keys()
    assert {module for want in wants for module in MODULES[want]} <= visible
    files = {**places, "out": tmp_path / "out"}
    files["out"].mkdir()
    answers = answers_of(python, tmp_path, _calls(files, visible, WITH[extra]), PYTHONPATH="")
    _expect(answers["results"], visible)
    for name, answer in answers["results"].items():
        assert not (name.startswith("with ") or name in WITH[extra]) or answer["code"] == 0, answer["err"]
    if extra == "studio":
        _serves(python, places["videos"])


def _serves(python: Path, videos: Path) -> None:
    """The page of the studio comes out of the installed package."""
    command = [str(python), "-m", "spikereel", "studio", "--port", "0", "--root", str(videos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_clean()) as studio:
        try:
            address = re.search(r"http://\S+", studio.stdout.readline())[0]
            with urllib.request.urlopen(address, timeout=60) as page:
                assert b"studio.css" in page.read()
        finally:
            studio.terminate()


def test_sdist_without_a_compiler(core: Path, folder: Path, built: dict[str, Path]):
    """It installs all the same, and `doctor` says that the engine is missing."""
    python = _environment(folder / "no_compiler")
    (_site(python) / "core.pth").write_text(f"{_site(core)}\n")
    none = {"CC": "/nowhere/cc", "CXX": "/nowhere/c++"}
    _pip(python, "install", "--no-deps", "--no-cache-dir", "--force-reinstall", built["sdist"], **none)
    assert re.search(r"native engine +none:", _says(python, "-m", "spikereel", "doctor"))
    code = "import json, spikereel; print(json.dumps([spikereel.__file__, len(spikereel.list_models())]))"
    where, models = json.loads(_says(python, "-c", code))
    assert Path(where).is_relative_to(folder / "no_compiler")
    assert models > 8

"""The code of all pages: Python runs; commands are understood, and with --slow they run; a block that cannot says why.

`<!-- not run: REASON -->` stands in the page above such a block.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from authors_files import authors_state
from small import video_file, video_folder

import spikereel
from spikereel.apps.cli import _options, main
from spikereel.config import override
from spikereel.hub import SHIPPED
from spikereel.runs.recipes import RECIPES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MARK = r"(?:<!-- not run: (?P<why>[^\n]+) -->\n)?"
FENCE = re.compile(rf"^{MARK}```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code of a page."""

    page: str
    line: int
    kind: str
    code: str
    why: str | None


def _blocks() -> list[Block]:
    found = []
    for page in [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]:
        text = page.read_text()
        for m in FENCE.finditer(text):
            name = str(page.relative_to(ROOT)).removeprefix("docs/")
            found.append(Block(name, text[: m.start()].count("\n") + 1, m["kind"], m["code"], m["why"]))
    return found


BLOCKS = _blocks()
PYTHON = sorted({block.page for block in BLOCKS if block.kind == "python" and block.page != "README.md"})
SMALLER = {"size=(224, 224)": "size=(32, 32)", "clips=[video])": "clips=[video], grid=False)"}
"""Half a minute of processor time, all the same."""


def _given(page: str, folder: Path) -> dict[str, Any]:
    """What the reader of a page has at hand: names, and files in the folder."""
    video_file(folder / "clip.mp4")
    model = spikereel.load_model("spikevideoformer_ti.motion_spatial")
    names = {"spikereel": spikereel, "torch": torch, "model": model, "video": torch.rand(4, 1, 2, 32, 32).round()}
    if page in ("pose.md", "segmentation.md", "integer_lif.md"):
        names["video"] = torch.rand(2, 1, 3, 64, 64)
    if page == "segmentation.md":
        (folder / "runs" / "camvid_vss").mkdir(parents=True)
        weights = SHIPPED / "spikevideoformer_ti.synthetic_vss.safetensors"
        shutil.copy(weights, folder / "runs" / "camvid_vss" / "best.safetensors")
    if page == "energy.md":
        layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        names |= {"other": torch.nn.Sequential(*layers).eval(), "images": torch.rand(2, 3, 8, 8)}
    if page == "engine.md":
        from spikereel.engine.engine import Engine

        names["Engine"] = Engine
    if page == "export.md":
        pytest.importorskip("onnxruntime")
        names["state"] = None
    if page == "streaming.md":
        from spikereel.streaming.batch import Batch

        frames = torch.rand(3, 2, 32, 32).round()
        names |= {"Batch": Batch, "frames": frames, "others": frames, "times": torch.arange(3) / 10}
    return names


@pytest.mark.parametrize("page", [pytest.param(x, marks=pytest.mark.slow) if x == "export.md" else x for x in PYTHON])
def test_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch, capsys):
    """All blocks of a page from top to bottom; what a comment behind a print says is what is printed."""
    monkeypatch.chdir(tmp_path)
    names = _given(page, tmp_path)
    code = [block.code for block in BLOCKS if (block.page, block.kind, block.why) == (page, "python", None)]
    for block in code:
        for large, small in SMALLER.items():
            block = block.replace(large, small)
        exec(compile(block, page, "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    said = re.findall(r"print\(.*\) +# (\[.*\])", "\n".join(code))
    assert all(line in printed for line in said)


def _commands(block: Block) -> list[list[str]]:
    lines = block.code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


SHELL = [block for block in BLOCKS if block.kind == "sh"]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: f"{block.page}:{block.line}")
def test_commands_of_a_page_are_understood(block: Block):
    """Options of ours exist, recipes take their fields, scripts of the repository have their options."""
    for words in _commands(block):
        if "spikereel.apps.cli" in words:
            words = ["spikereel", *words[words.index("spikereel.apps.cli") + 1 :]]
        if words[0] == "spikereel":
            options = _options(words[1:])
            if words[1] == "train":
                override(RECIPES[options.recipe](), options.assignments)
        scripts = [word for word in words if re.fullmatch(r"(benchmarks|deploy|docs)/[\w./]+\.\w+", word)]
        for script in scripts:
            source = "".join(p.read_text() for p in (ROOT / script).parent.glob(f"*{Path(script).suffix}"))
            assert (ROOT / script).is_file()
            for option in (x for x in words[: words.index("--") if "--" in words else None] if x.startswith("--")):
                assert script.endswith(".sbatch") or option in source, f"{script} has no {option}"


def test_blocks_say_what_they_are():
    """Without a language a block is no code; all that is code can be found above."""
    for page in sorted(DOCS.rglob("*.md")):
        for code in re.findall(r"^```\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            assert not re.match(r"(spikereel|python|pip|import) ", code), f"{page.name}: {code}"
    assert {block.kind for block in BLOCKS} <= {"python", "sh", "text"}


QUICK = ("optim.epochs=1", "data.size=32", "data.frames=2", "run.refit=false", "run.progress=false")
"""A training of the pages, cut short."""
FEW = ("data.train_length=32", "data.test_length=28")
"""Where clips are made: the actions draw 3,360, which takes longer than a test may."""

RUNS = [b for b in SHELL if b.why is None and b.page != "README.md"]


@pytest.mark.slow
@pytest.mark.parametrize("block", RUNS, ids=lambda block: f"{block.page}:{block.line}")
def test_commands_of_a_page_run(block: Block, tmp_path: Path, monkeypatch, capsys):
    """On small files with the names that the page gives."""
    monkeypatch.chdir(tmp_path)
    videos = video_folder(tmp_path / "videos", each=5)
    for name in ("clip.mp4", "a.mp4", "b.mp4"):
        shutil.copy(videos / "dark" / "0.mp4", tmp_path / name)
    (tmp_path / "runs" / "motion").mkdir(parents=True)
    weights = SHIPPED / "spikevideoformer_ti.motion_spatial.safetensors"
    for name in ("WEIGHTS", "runs/motion/best.safetensors", "a.safetensors", "b.safetensors", "A.safetensors"):
        shutil.copy(weights, tmp_path / name)
    shutil.copy(SHIPPED / "spikevideoformer_ti.motion.safetensors", tmp_path / "B.safetensors")
    rates = ROOT / "tests" / "energy" / "svformer_published_rates.json"
    shutil.copy(rates, tmp_path / "rates.json")
    if block.page == "imagenet.md":
        # fresh numbers in the layout of the published file
        torch.save(authors_state(spikereel.create_model("meta_spikeformer_s", num_classes=1000)), "15M.pth")
        main(["import", "15M.pth", "--as", "spikevideoformer_s", "--partial", "--out", "imagenet.safetensors"])
    assert main(["energy", "a.safetensors", "--json", "C.json"]) == 0
    for words in _commands(block):
        assert words[0] == "spikereel"
        made = not any(word.startswith("data.root=") for word in words)
        short = (*QUICK, *(FEW if made else ())) if words[1] == "train" else ()
        assert main([*words[1:], *short]) == 0, words
        capsys.readouterr()

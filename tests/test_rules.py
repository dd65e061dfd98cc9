"""The rules that keep kinds and tasks rows: optional packages have owners, names of kinds and tasks have one place."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch

import spikereel
from spikereel.config import override
from spikereel.hub import ARCHITECTURES, create_model
from spikereel.layers.neuron import NeuronConfig
from spikereel.models.pose_head import PoseConfig
from spikereel.models.segmentation_head import SegmentationConfig
from spikereel.runs.config import Recipe
from spikereel.runs.data import DataSpec
from spikereel.runs.kinds import KINDS
from spikereel.runs.model import ModelSpec, build_model
from spikereel.runs.tasks import TASKS

SOURCE = Path(spikereel.__file__).parent
FILES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}

OWNERS = {
    "pytorch_lightning": ("train/",),
    "lightning_fabric": ("train/",),
    "torchmetrics": ("train/",),
    "tensorboard": ("train/", "studio/runs.py"),
    "matplotlib": ("show/",),
    "PIL": ("show/", "data/pictures.py", "data/augment.py"),
    "h5py": ("data/events/hdf5.py",),
    "lz4": ("data/events/aedat4.py",),
    "zstandard": ("data/events/aedat4.py",),
    "scipy": ("data/sets/utd_mhad.py", "data/events/mat.py"),
    "huggingface_hub": ("models/pretrained.py",),
    "pynvml": ("energy/measured.py",),
    "starlette": ("studio/",),
    "uvicorn": ("studio/server.py",),
    "aiohttp": ("streaming/serve.py",),
    "prometheus_client": ("streaming/serve.py",),
    "pyarrow": ("bulk/table.py",),
    "ray": ("bulk/cluster.py",),
    "fsspec": ("data/remote.py",),
    "onnx": ("exporting/onnx.py", "exporting/quantised.py"),
    "onnxscript": ("exporting/onnx.py",),
    "onnxruntime": ("exporting/onnx.py", "exporting/quantised.py"),
    "openvino": ("exporting/openvino.py",),
    "executorch": ("exporting/executorch.py",),
    "nir": ("exporting/nir.py", "exporting/lower_nir.py"),
}
"""Optional packages, and the package of ours, or the file, that may import each."""

RECIPES = {file: "recipes" for file in FILES if file.startswith("runs/recipes/")}
NAMES_OF_KINDS = {"runs/kinds.py": "their rows", "runs/data.py": "what data.kind may be", **RECIPES}
NAMES_OF_TASKS = {
    "runs/tasks.py": "their rows",
    "runs/kinds.py": "which kind is for which task",
    "runs/kind.py": "options that tasks refuse",
    "runs/builders/videos.py": "the task of rows of videos",
    "runs/builders/recordings.py": "the task of rows of recordings",
    "runs/builders/masked.py": "the task of rows of masks",
    **RECIPES,
    "runs/config.py": "the task of a recipe that names none",
    "runs/clips.py": "the task where none is named, and a function of each other one",
    "hub.py": "the parts of a configuration that are called as their task",
    "apps/commands/demo.py": "choices of a flag, before anything heavy is imported",
    "apps/demo_tasks.py": "a demo for each",
    "runs/start.py": "weights of classes serve other tasks too",
    "runs/distill.py": "what teaches classes",
    "apps/commands/predict.py": "choices of a flag, before anything heavy is imported",
    "inference/predict.py": "how a model of each task sees a file",
    "inference/coco.py": "a key of COCO's format",
    "inference/input_steps.py": "how frames become the input of each",
    "inference/prepare.py": "how frames become the input of each",
    "inference/knows.py": "what a model of poses knows has no classes",
    "inference/sources.py": "what files a model of poses sees",
    "inference/timeline.py": "time lines are of classes",
    "models/pretrained.py": "a card for each",
    "engine/engine.py": "which outputs it makes",
    "exporting/lower_c.py": "the one task that C has a head for",
    "engine/lower_spikevideoformer.py": "which stages a head taps",
    "inference/segment.py": "its own",
    "inference/track.py": "its own",
    "show/evaluation.py": "a table for each",
    "show/live.py": "how the answers of each are drawn",
    "streaming/live.py": "classes have names",
    "studio/windows.py": "how a network of each sees a window",
    "studio/overlays.py": "what is drawn over a frame",
    "studio/comparing.py": "classes have one clip, others every frame",
    "streaming/modes.py": "how the answers of each are read out",
    "streaming/result.py": "what the output of each is",
    "streaming/seen.py": "how a network of each sees a live source",
    "streaming/session.py": "classes have a readout",
    "streaming/smooth.py": "what smooths the answers of each",
    "tracing/clips.py": "which clip a network of each sees",
    "tracing/compare.py": "when two answers of each differ",
    "tracing/call.py": "what the output of each is",
    "tracing/make.py": "classes have names",
    "models/base.py": "the models, from here on",
    "models/pose_head.py": "",
    "models/segmentation_head.py": "",
    "models/spikevideoformer.py": "",
    "models/svformer.py": "",
}
"""Files that may name kinds of data and tasks, and what for; besides them, the file of a kind or task names its own."""

WORDS = frozenset({"motion", "probe", "actions", "folder", "list", "events", "figure", "masks", "shards"})
"""Kinds whose names are words that mean other things as well: they count where something called `kind` is asked."""


def imports(tree: ast.AST) -> Iterator[str]:
    """Top-level names of the packages that a file imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]


def imports_at_once(tree: ast.Module) -> Iterator[str]:
    """Those that importing the file imports."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if not isinstance(node, functions):
            yield from imports(ast.Module([node], [])) if isinstance(node, ast.Import | ast.ImportFrom) else ()
            waiting += ast.iter_child_nodes(node)


def literals(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(value, line) of every string that is no docstring."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value, node.lineno


def asked_of_a_kind(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(value, line) of strings that something called `kind` is compared with, looked up in, or given as."""
    for node in ast.walk(tree):
        sides = (node.left, *node.comparators) if isinstance(node, ast.Compare) else ()
        subject = (node.subject,) if isinstance(node, ast.Match) else ()
        if any(map(_is_kind, (*sides, *subject))):
            yield from literals(node)
        elif isinstance(node, ast.Subscript) and _is_kind(node.slice):
            yield from literals(node.value)
        elif isinstance(node, ast.Call):
            if any(map(_is_kind, node.args)) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                yield from literals(node.func.value)
            for keyword in node.keywords:
                if keyword.arg == "kind" and "Spec" in ast.unparse(node.func):
                    yield from literals(keyword.value)


def _is_kind(node: ast.AST) -> bool:
    return getattr(node, "attr", getattr(node, "id", None)) == "kind"


def own_names(file: str) -> set[str]:
    """What the file of a kind or of a task may call itself."""
    stem = Path(file).stem
    kinds = {name for name, row in KINDS.items() if (row.file or name) == stem} if "data/sets/" in file else set()
    return kinds | ({stem} & TASKS.keys())


@pytest.mark.parametrize("package", OWNERS)
def test_optional_packages_have_one_owner(package):
    users = {file for file, tree in FILES.items() if package in set(imports(tree))}
    assert not [file for file in users if not file.startswith(OWNERS[package])]


def test_only_what_trains_or_serves_pages_imports_an_optional_package_at_once():
    eager = {file: set(imports_at_once(tree)) & OWNERS.keys() for file, tree in FILES.items()}
    assert not {file: names for file, names in eager.items() if names and not file.startswith(("train/", "studio/"))}


def test_the_studio_is_imported_where_it_is_started_and_not_before():
    for file, tree in FILES.items():
        plain = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        reached = [node for node in ast.walk(plain) if str(getattr(node, "module", "")).startswith("spikereel.studio")]
        assert not reached or file.startswith("studio/"), file


def test_what_trains_is_imported_where_a_run_starts_and_not_before():
    def reaches(tree: ast.AST) -> bool:
        return any(
            (isinstance(node, ast.ImportFrom) and str(node.module).startswith("spikereel.train"))
            or (isinstance(node, ast.Import) and any(x.name.startswith("spikereel.train") for x in node.names))
            for node in ast.walk(tree)
        )

    users = {file for file, tree in FILES.items() if reaches(tree) and not file.startswith("train/")}
    assert all(file.startswith("apps/") for file in users)
    for file in users:
        plain = ast.Module([node for node in FILES[file].body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert not reaches(plain), f"{file}: import spikereel.train inside the function that starts a run"


def test_kinds_are_named_in_their_rows_alone():
    found = {}
    for file in FILES.keys() - NAMES_OF_KINDS.keys():
        clear, words = KINDS.keys() - WORDS - own_names(file), WORDS - own_names(file)
        named = [f"{value}:{line}" for value, line in literals(FILES[file]) if value in clear]
        found[file] = named + [f"{value}:{line}" for value, line in asked_of_a_kind(FILES[file]) if value in words]
    assert not {file: named for file, named in sorted(found.items()) if named}


def test_tasks_are_named_in_their_rows_alone():
    found = {}
    for file in FILES.keys() - NAMES_OF_TASKS.keys():
        names = TASKS.keys() - own_names(file)
        found[file] = [f"{value}:{line}" for value, line in literals(FILES[file]) if value in names]
    assert not {file: named for file, named in sorted(found.items()) if named}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('if spec.kind == "motion": pass', ["motion"]),
        ('x = spec.kind in ("events", *MORE)', ["events"]),
        ('x = {"masks": 1}[spec.kind]', ["masks"]),
        ('x = {"masks": 1}.get(spec.kind)', ["masks"]),
        ('x = DataSpec(kind="figure")', ["figure"]),
        ('match spec.kind:\n    case "folder": pass', ["folder"]),
        ('if form == "motion": pass\nx = {"events": 1}[form]', []),
    ],
)
def test_the_reader_of_kinds_sees_them(code, found):
    assert [value for value, _ in asked_of_a_kind(ast.parse(code))] == found


def test_every_kind_and_task_has_a_row():
    assert set(get_args(get_type_hints(DataSpec)["kind"])) == KINDS.keys()
    assert set(get_args(get_type_hints(Recipe)["task"])) == TASKS.keys()
    assert {name.split(".")[0] for row in KINDS.values() for name in row.uses} == TASKS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_file(name):
    row = KINDS[name]
    assert row.file != name, "a row names its file only where that is called otherwise"
    assert (SOURCE / "data" / "sets" / f"{row.file or name}.py").is_file()


def test_every_file_of_a_kind_has_a_row():
    stems = {path.stem for path in (SOURCE / "data" / "sets").glob("*.py")} - {"__init__"}
    known = {row.file or name for name, row in KINDS.items()}
    # the file of a kind for one task is called kind_task
    assert not [stem for stem in stems - known if not any(stem == f"{name}_{task}" for name in known for task in TASKS)]


SETTLED = {"task", "num_classes", "in_channels", "joints", "frames", "image_size"}
"""By task and data of a recipe."""

CHANGES: dict[str, Any] = {
    "contrast": "beside",
    "contrast_tau": 3.0,
    "contrast_more": (8.0,),
    "contrast_learnt": True,
    "contrast_surround": 2,
    "contrast_form": "on_off",
    "attention": "spatial",
    "similarity": "dot",
    "attention_clip": (4, 48, 64),
    "positions": "time",
    "widths": (8, 16, 16, 24),
    "depths": (1, 1),
    "heads": 2,
    "head_dim": 8,
    "mlp_ratio": 3.0,
    "residual_gain": 0.5,
    "time_norm": False,
    "local_path": False,
    "drop_path_over_time": True,
    "head": "mean",
    "drop_path": 0.1,
    "neuron": "if",
    "threshold": 0.3,
    "tau": 3.0,
    "tau_spread": (2.0, 8.0),
    "reset": "soft",
    "v_reset": -0.1,
    "decay_input": False,
    "detach_reset": False,
    "surrogate": "atan",
    "alpha": 3.0,
    "levels": 3,
    "top": 2,
    "ilif_decay": 0.5,
    "normalise": True,
    "replay": True,
    "backend": "reference",
    "fires": "above",
    "reset_delay": True,
    "recheck": True,
    "body": "smpl",
    "regressor": "linear",
    "iterations": 2,
    "hidden": 24,
    "dropout": 0.1,
    "width": 8,
    "neck": 8,
}


NEEDS: dict[str, dict[str, Any]] = {
    "contrast_tau": {"contrast": "instead"},
    "contrast_more": {"contrast": "instead"},
    "contrast_learnt": {"contrast": "instead"},
    "contrast_surround": {"contrast": "instead"},
    "contrast_form": {"contrast": "instead"},
    "drop_path_over_time": {"drop_path": 0.1},
    "replay": {"neuron": "ilif"},
    "reset_delay": {"reset": "soft"},
    "recheck": {"reset": "soft"},
    "top": {"levels": 4},
    "neck": {"head": "fpn"},
}
"""Options that mean nothing without another one."""


def options_of_models() -> dict[str, Any]:
    """Options of `create_model` with their types; `neuron` is the kind of neuron."""
    found: dict[str, Any] = {}
    parts = {type(entry.config) for entry in ARCHITECTURES.values()} | {NeuronConfig, PoseConfig, SegmentationConfig}
    for part in parts:
        hints = get_type_hints(part)
        for field in dataclasses.fields(part):
            name = "neuron" if (part, field.name) == (NeuronConfig, "kind") else field.name
            if not dataclasses.is_dataclass(hints[field.name]):
                found.setdefault(name, []).append(hints[field.name])
    return found


def test_a_recipe_changes_whatever_create_model_takes():
    own = get_type_hints(ModelSpec)
    assert own.keys() - {"name", "start"} == options_of_models().keys() - SETTLED
    for name, hints in options_of_models().items():
        if name in SETTLED or name in ("widths", "depths"):
            continue
        choices = {x for hint in hints for x in (get_args(hint) if type(None) in get_args(hint) else (hint,))}
        literal = {value for x in choices for value in get_args(x)}
        taken = {value for x in get_args(own[name]) for value in get_args(x)}
        assert taken == literal, f"model.{name}"


@pytest.mark.parametrize("name", sorted(options_of_models().keys() - SETTLED))
def test_options_of_models_reach_the_model(name):
    value = CHANGES[name]
    svformer = name in ("head_dim", "time_norm", "local_path", "drop_path_over_time", "head")
    recipe = Recipe(name="small", model=ModelSpec(name="svformer_ti" if svformer else "spikevideoformer_ti"))
    small = {
        "widths": (8, 16, 16, 24),
        "depths": (1, 1, 1, 1) if svformer else (1, 1),
        **({"head_dim": 8} if svformer else {}),
    }
    options = {**small, **NEEDS.get(name, {}), name: value}
    text = [f"model.{key}={list(x) if isinstance(x, tuple) else x}" for key, x in options.items()]
    task = "pose" if name in _fields(PoseConfig) else "segmentation" if name in ("width", "neck") else "classification"
    settled = {"task": task, "joints": 24} if task == "pose" else {"num_classes": 3}
    settled |= {"task": task} if task == "segmentation" else {}
    spec = override(recipe, text).model
    with torch.device("meta"):
        model = build_model(spec, frames=4, size=32, in_channels=3, **settled)
        plain = create_model(spec.name, in_channels=3, **settled, **options, **_tied(model))
    assert _value(model.config, name) == value
    assert model.config == plain.config


def _tied(model: Any) -> dict[str, int]:
    return {"frames": 4, "image_size": 32} if hasattr(model.config, "image_size") else {}


def _fields(config: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


def _value(config: Any, name: str) -> Any:
    if name == "neuron":
        return config.neuron.kind
    parts = (config, *(getattr(config, part) for part in ("neuron", "pose", "segmentation") if hasattr(config, part)))
    return next(getattr(part, name) for part in parts if name in _fields(type(part)))

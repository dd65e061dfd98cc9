"""Imports point down: the table of the house style, and nothing heavy before it is asked for."""

import ast
from pathlib import Path

import pytest

import spikereel

SOURCE = Path(spikereel.__file__).parent
BASE = {"errors", "config", "shown"}
# the table names the next storey; what lies beneath that is allowed too, unless the column "never" says otherwise
TOOLS = ("files", "extras", "versions", "cores")
MAY_IMPORT = {
    "errors": set(),
    "config": {"files"},
    "moved": set(),
    "shown": set(),
    "__main__": {"apps"},
    "files": set(),
    "extras": set(),
    "versions": set(),
    "cores": set(),
    "body": {"files"},
    "kernels": set(),
    "ops": {"kernels"},
    "layers": {"ops"},
    "models": {"layers", "ops", "files"},
    "tasks": {"models", "layers", "ops", "body"},
    "data": {"body", "files", "cores"},
    "hub": {"tasks", "models", "layers", "ops"},
    "energy": {"models", "layers", "ops"},
    "engine": {"models", "layers", "ops", "cores"},
    "exporting": {"models", "layers", "ops", *TOOLS},
    "runs": {"hub", "engine", "tasks", "models", "data", "layers", "ops", "body"},
    "train": {"runs", "files", "hub", "tasks", "models", "data", "layers", "ops", "body"},
    # results draw themselves: show is imported inside functions of inference
    "inference": {
        "show",
        "runs",
        "energy",
        "engine",
        "exporting",
        "hub",
        "tasks",
        "models",
        "data",
        "layers",
        "ops",
        "body",
        *TOOLS,
    },
    "bulk": {
        "inference",
        "runs",
        "energy",
        "engine",
        "hub",
        "tasks",
        "models",
        "data",
        "layers",
        "ops",
        "body",
        *TOOLS,
    },
    "show": {
        "tracing",
        "streaming",
        "inference",
        "runs",
        "energy",
        "hub",
        "tasks",
        "models",
        "data",
        "layers",
        "ops",
        "body",
        *TOOLS,
    },
    "plot": {"show"},
    "streaming": {
        *("inference", "show", "runs", "energy", "engine", "exporting", "hub", "tasks", "models", "data", "layers"),
        *("ops", "body", *TOOLS),
    },
    "tracing": {*("streaming", "inference", "runs", "energy", "hub", "models", "data", "layers", "ops"), *TOOLS},
    "studio": {
        *("tracing", "streaming", "inference", "runs", "energy", "hub", "tasks", "models", "data", "layers", "ops"),
        *TOOLS,
    },
    "apps": {
        *(
            "bulk",
            "studio",
            "tracing",
            "streaming",
            "inference",
            "show",
            "train",
            "runs",
            "energy",
            "engine",
            "exporting",
            "hub",
            "tasks",
            "models",
            "data",
            "layers",
            "ops",
            "body",
        ),
        *(*TOOLS, *spikereel.__all__),
    },
}
UPWARDS = {"models/base.py": {"inference"}}
"""Files with an import that points up, inside a function: `model.preprocess` is what `predict` does."""
KERNELS_USE = {"functools", "importlib", "warnings", "torch", "triton", "math", "collections", "typing"}


def _owner(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(tree):
    """(module, names, whether at the top level of the file) of every import."""
    top = set(map(id, ast.walk(ast.Module([n for n in tree.body if not _is_function(n)], []))))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, [], id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module, [alias.name for alias in node.names], id(node) in top


def _is_function(node):
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def _ours(module, names):
    """Packages of ours that an import reaches; the version alone is everybody's."""
    if module == "spikereel":
        return set(names) - {"__version__"}
    return {module.split(".")[1]} if module.startswith("spikereel.") else set()


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_layering(path):
    owner = _owner(path)
    upwards = UPWARDS.get(str(path.relative_to(SOURCE)), set())
    allowed = upwards | MAY_IMPORT[owner] | {owner} | (BASE - {owner} if owner not in ("errors", "kernels") else set())
    for module, names, top in _imports(ast.parse(path.read_text())):
        ours = _ours(module, names)
        assert ours <= allowed, f"{path}: {owner} may not import {module}"
        for late, by in (("kernels", owner != "kernels"), ("show", owner == "inference")):
            assert not (late in ours and by and top), f"{path}: {late} is imported inside a function"
        assert not (upwards & ours and top), f"{path}: {module} is imported inside a function"
        if owner == "ops":
            assert "nn" not in [*module.split("."), *names], f"{path}: ops own no parameters"
        if owner == "kernels" and not ours:
            assert module.split(".")[0] in KERNELS_USE, f"{path}: {module}"


def test_every_package_has_a_row():
    assert {_owner(path) for path in FILES} <= MAY_IMPORT.keys()


def test_the_package_itself_imports_nothing_of_ours():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    plain = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert {alias.name for n in plain if isinstance(n, ast.Import) for alias in n.names} <= {"sys"}
    assert {n.module for n in plain if isinstance(n, ast.ImportFrom)} <= {"importlib", "typing", "spikereel.moved"}


def test_everything_promised_is_there():
    assert set(spikereel.__all__) <= set(dir(spikereel))
    for name in spikereel.__all__:
        assert getattr(spikereel, name) is not None
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = spikereel.nothing


@pytest.mark.parametrize("text", ["import spikereel.train", "def f():\n    from spikereel.apps import cli"])
def test_the_reader_of_imports_sees_them(text):
    ((module, names, top),) = _imports(ast.parse(text))
    assert _ours(module, names) & {"train", "apps"}
    assert top == text.startswith("import")

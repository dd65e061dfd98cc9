"""A plain `pip install .`: every command works, or says in one line which extra it lacks."""

import re
import sys
from pathlib import Path

import pytest
from core_calls import COMMANDS, HUB, LACKS, MODULES, PROJECT, WORKS, all_calls, answers_of, extras_with, places_in

import spikereel


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Of every command, run in one process without any optional package."""
    root = tmp_path_factory.mktemp("core")
    hidden = [module for modules in MODULES.values() for module in modules]
    source = Path(spikereel.__file__).parents[1]
    return answers_of(sys.executable, root, all_calls(places_in(root)), hidden, PYTHONPATH=str(source))


def test_every_optional_package_is_hidden(answers):
    core = {re.split(r"[<>=\[]", want)[0] for want in PROJECT["dependencies"]}
    extras = {
        name: wants for name, wants in PROJECT["optional-dependencies"].items() if name not in ("all", "dev", "docs")
    }
    optional = {re.split(r"[<>=\[]", want)[0] for wants in extras.values() for want in wants}
    assert optional - core == MODULES.keys()
    assert answers["visible"] == []
    roots = {name.split(".")[0] for name in answers["loaded"]}
    assert not roots & {module for modules in MODULES.values() for module in modules}


def test_every_command_is_tried(answers):
    listed = re.search(r"^commands:\n((?:  .*\n?|\n)*)", answers["results"]["--help"]["out"], re.MULTILINE)
    names = set(re.findall(r"^    ([a-z]+)\b", listed[1], re.MULTILINE))
    assert names == {name.split()[0] for name in COMMANDS}
    tried = {arguments[0] for arguments in (*WORKS.values(), *(arguments for arguments, _ in LACKS.values()))}
    assert tried == names


@pytest.mark.parametrize("name", [f"{name} --help" for name in COMMANDS] + list(WORKS))
def test_works_without_extras(answers, name):
    answer = answers["results"][name]
    assert (answer["code"], answer["err"]) == (0, "")
    assert answer["out"].strip()


@pytest.mark.parametrize(("name", "package"), [*((name, need) for name, (_, need) in LACKS.items()), HUB])
def test_one_line_names_the_extra(answers, name, package):
    answer = answers["results"][name]
    assert answer["code"] == 2, answer["err"]
    assert answer["err"].startswith("error: ")
    assert answer["err"].count("\n") == 1
    named = set(re.findall(r"spikereel\[(\w+)\]", answer["err"]))
    assert named
    assert named <= extras_with(package)
    assert (named == {"draw"} and name.startswith("predict")) == answer["err"].endswith(", or give --no-video\n")

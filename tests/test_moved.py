"""Old addresses of modules give the modules of the new ones."""

import subprocess
import sys
from importlib import import_module

import pytest

from spikereel.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_address_gives_the_module_that_moved(old):
    assert import_module(f"spikereel.{old}") is import_module(f"spikereel.{MOVED[old]}")


def test_names_come_from_old_addresses_in_a_fresh_process():
    code = "from spikereel.train.config import DataSpec; from spikereel.data.video import probe; print(DataSpec().kind)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("motion\n", "")

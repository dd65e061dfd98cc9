"""`torch.export`: a program of PyTorch with the contract inside, in a .pt2 file."""

import json
import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import torch

from spikereel.errors import WeightsError
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Flat
from spikereel.exporting.onnx import Call
from spikereel.files import whole

KEY = "spikereel.json"


def write(flat: Flat, contract: Contract, path: Path) -> None:
    """Write the file, whole or not at all."""
    with torch.no_grad():
        program = torch.export.export(flat, flat.example(), dynamic_shapes=flat.free(batch=contract.batch is None))
    with whole(path) as part:
        # the saver looks at the suffix
        named = part.with_name(f"{part.name}.pt2")
        torch.export.save(program, named, extra_files={KEY: json.dumps(contract.to_json())})
        named.replace(part)


def read(path: Path, *, threads: int | None = None) -> tuple[Contract, Call, str]:
    """The contract, a function from inputs to outputs, and the name of what runs it.

    threads: those of PyTorch, whatever is given. Raises WeightsError for a file that is broken, or none of ours.
    """
    extra = {KEY: ""}
    try:
        with quiet():
            program = torch.export.load(path, extra_files=extra)
    except (RuntimeError, ValueError, KeyError, OSError, BadZipFile) as error:
        raise WeightsError(f"{path} is no whole file of torch.export ({str(error).splitlines()[0][:120]})") from None
    contract, module = Contract.from_text(extra[KEY], path), program.module()

    def call(inputs):
        with torch.no_grad():
            return [x.clone() for x in module(*inputs)]

    return contract, call, f"torch.export of PyTorch {torch.__version__}"


@contextmanager
def quiet() -> Generator[None, None, None]:
    """Without what PyTorch and its packages log beside what they raise, traces of a broken file among it."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

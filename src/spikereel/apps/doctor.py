"""Is this installation in order?"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import av
import torch

from spikereel import __version__
from spikereel.cores import cores
from spikereel.engine.loaded import describe
from spikereel.extras import EXTRAS, FOR, missing
from spikereel.hub import ARCHITECTURES, SHIPPED
from spikereel.ops import training
from spikereel.versions import hardware

PACKAGES = (
    "torch",
    "numpy",
    "av",
    "einops",
    "safetensors",
    "pytorch-lightning",
    "torchmetrics",
    "matplotlib",
    "pillow",
)


def report() -> dict[str, str]:
    """{what: state}, in the order to print."""
    lines = {"spikereel": __version__, "python": platform.python_version(), "platform": platform.platform()}
    lines |= {name: _version(name) for name in PACKAGES}
    lines["device"] = hardware()
    lines["cores"] = f"{os.cpu_count()}, of which {cores()} may be filled; torch uses {torch.get_num_threads()} threads"
    lines["cuda"] = torch.version.cuda or "not in this build of torch"
    lines["kernel: LIF"] = "fused (PyTorch, hand-written backward); reference: ops.lif"
    lines["kernel: attention"] = "linear, exact in float32 (TF32 and autocast off); reference: N x N"
    lines["kernel: training"] = training.describe()
    lines["native engine"] = describe()
    codecs: dict[str, tuple[str, Literal["r", "w"]]] = {"h264 reading": ("h264", "r"), "h264 writing": ("libx264", "w")}
    lines |= {what: "yes" if _codec(*codec) else "missing: reinstall av" for what, codec in codecs.items()}
    for extra in EXTRAS:
        absent = missing(extra)
        lacks = f"missing {', '.join(absent)}, for {FOR[extra]}: pip install 'spikereel[{extra}]'"
        lines[f"extra: {extra}"] = lacks if absent else "yes"
    for name, entry in ARCHITECTURES.items():
        for tag in entry.weights:
            path = SHIPPED / f"{name}.{tag}.safetensors"
            lines[f"{name}.{tag}"] = f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "missing: reinstall"
    return lines


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _codec(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.Codec(name, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True

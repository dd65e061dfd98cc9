"""Side environments: one folder each, made where they are missing, so that our own stays free of other libraries."""

import subprocess
import sys
from pathlib import Path

TORCH = "torch==2.13.0"

PACKAGES = {
    "neurobench": (
        "neurobench==2.3.0",
        "snntorch==1.0.0",
        "einops",
        "jaxtyping",
        "safetensors",
        "av",
        "jsonargparse",
        "rich",
    ),
    "spikingjelly": ("spikingjelly==2.0.0",),
    "snntorch": ("snntorch==1.0.0", "norse==1.1.0"),
    "sinabs": ("sinabs==3.1.3",),
    "matterhorn": ("matterhorn-pytorch==2.0.0",),
    "rockpool": ("rockpool==3.1.0",),
    "spyx": ("spyx==1.0.0",),
    # it imports what SpikingJelly had before 0.0.0.0.13
    "syops": ("syops==0.0.5", "spikingjelly==0.0.0.0.12", "progress==1.6.1"),
    # no torchvision: ptflops takes it where it is, and that of PyPI does not load beside PyTorch for the CPU alone
    "flops": ("fvcore==0.1.5.post20221221", "ptflops==0.7.5", "thop==0.1.1-2209072238", "torchinfo==1.8.0"),
}
"""What each holds besides PyTorch; versions of the rest are those of constraints.txt."""

EXPORTED: dict[str, tuple[str, ...]] = {
    "nir": ("nir==1.0.8", "nirtorch==2.6", "snntorch==1.0.0", "spikingjelly==2.0.0"),
    "tract": ("tract==0.23.9", "numpy"),
    "iree": ("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0"),
    "tvm": ("apache-tvm==0.27.0.post1", "onnx"),
    "litert": ("litert-torch==0.10.0", "ai-edge-litert==2.3.0"),
    "aotinductor": ("numpy",),
    "ncnn": ("ncnn==1.0.20261020", "onnx"),
    # runs the command of this library
    "executorch": ("executorch==1.5.1", "einops", "jaxtyping", "safetensors", "av", "jsonargparse", "rich"),
}
"""The same of environments that run exported files."""

PINS = {"litert": ("numpy", "safetensors", "scipy", "fsspec")}
"""Of constraints.txt, what alone holds for an environment: with all of them pip finds no set for it."""

ROOT = Path(__file__).parents[2]


def constraints_of(name: str) -> str:
    """The lines of constraints.txt that hold for an environment."""
    lines = (ROOT / "constraints.txt").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if name not in PINS or line.partition("==")[0] in PINS[name])


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of an environment below `folder`."""
    home = folder / name
    program = home / "bin" / "python"
    done = home / "done"
    if not done.exists():
        packages = (PACKAGES | EXPORTED)[name]
        print(f"making {home}", file=sys.stderr)
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [program, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        pins = home / "constraints.txt"
        pins.write_text(constraints_of(name))
        subprocess.run([*pip, "-c", pins, TORCH, *packages], check=True)
        done.write_text("\n".join(packages) + "\n")
    return program

"""Optional parts of the installation: which packages each of them is, and one line for those that are missing."""

from importlib.util import find_spec

from spikereel.errors import ConfigError

EXTRAS = {
    "train": ("pytorch_lightning", "tensorboard"),
    "draw": ("matplotlib", "PIL"),
    "events": ("h5py", "lz4", "zstandard"),
    "mat": ("scipy",),
    "hub": ("huggingface_hub",),
    "energy": ("pynvml",),
    "serve": ("aiohttp", "prometheus_client"),
    "scale": ("pyarrow",),
    "ray": ("pyarrow", "ray"),
    "studio": ("starlette", "uvicorn", "tensorboard"),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "executorch": ("executorch",),
    "nir": ("nir",),
}
"""Extra of the package: its modules, as they are imported."""
FOR = {
    "train": "train, plan, demo",
    "draw": "predict with its video, trace --png, compare --html, stream --overlay, demo, masks",
    "events": "AEDAT4 and HDF5 recordings",
    "mat": ".mat recordings",
    "hub": "from_pretrained, push_to_hub",
    "energy": "energy --measured on an NVIDIA GPU",
    "serve": "stream --serve",
    "scale": "predict --manifest, shards on S3",
    "ray": "predict --ray",
    "studio": "studio",
    "export": "export --to onnx",
    "openvino": "export --to openvino",
    "executorch": "export --to executorch",
    "nir": "export --to nir",
}
"""Extra: what lacks it, as docs/installing.md says as well."""


def missing(extra: str) -> list[str]:
    """Modules of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def need(extra: str) -> None:
    """Raises ConfigError, which names the extra, where any of it is missing."""
    if absent := missing(extra):
        raise ConfigError(lacking(", ".join(absent), extra))


def extra_of(module: str | None) -> str | None:
    """The extra that a module comes with; None for a module of no extra."""
    package = (module or "").partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if package in modules), None)


def lacking(modules: str, extra: str) -> str:
    """What to say, in one line, where modules of an extra are missing."""
    return f"{modules} not installed; run pip install 'spikereel[{extra}]'"

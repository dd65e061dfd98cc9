"""Calls of every command and the files they read: what works in a plain installation, and what lacks which package."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import event_writers as write
import torch
from authors_files import authors_state
from small import SMALL, video_folder

import spikereel
from spikereel.data.sets.utd_mhad import CLASSES as ACTIONS
from spikereel.hub import Metadata, create_model, save_model
from tests.masks import write_folder
from tests.people import write_clip

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
MODULES = {
    "pytorch-lightning": ("pytorch_lightning", "lightning_fabric"),
    "torchmetrics": ("torchmetrics",),
    "tensorboard": ("tensorboard",),
    "pillow": ("PIL",),
    "matplotlib": ("matplotlib",),
    "h5py": ("h5py",),
    "lz4": ("lz4",),
    "zstandard": ("zstandard",),
    "scipy": ("scipy",),
    "huggingface_hub": ("huggingface_hub",),
    "nvidia-ml-py": ("pynvml",),
    "aiohttp": ("aiohttp",),
    "prometheus-client": ("prometheus_client",),
    "pyarrow": ("pyarrow",),
    "s3fs": ("s3fs",),
    "ray": ("ray",),
    "onnx": ("onnx",),
    "onnxscript": ("onnxscript",),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "executorch": ("executorch",),
    "starlette": ("starlette",),
    "uvicorn": ("uvicorn",),
    "nir": ("nir",),
}
"""What each optional package is imported as."""

SHIPPED = "spikevideoformer_ti.motion"
BY_FRAME = "spikevideoformer_ti.motion_spatial"
"""One time step a call, so that exports are small."""
MOTION = {"kind": "motion", "modality": "surface", "frames": 2, "size": 32, "train_length": 8, "test_length": 4}
FIGURE = MOTION | {"kind": "figure", "modality": "depth", "frames": 3}
MASKS = MOTION | {"modality": "rgb"}

COMMANDS = (
    *("demo", "train", "plan", "compare", "evaluate", "predict", "trace", "stream", "studio", "energy", "export"),
    *("import", "calibrate", "claims", "list", "doctor", "data", "data inspect", "data check", "data pack"),
)

WORKS = {
    "list": ["list", "--json", "{out}/list.json"],
    "doctor": ["doctor"],
    "claims": ["claims", "--json", "{out}/claims.json"],
    "energy of weights": ["energy", SHIPPED, "--html", "{out}/e.html", "--markdown", "{out}/e.md"],
    "energy of an architecture": ["energy", "spikevideoformer_ti", "--frames", "2", "--size", "32"],
    "energy of a pose": ["energy", "{pose}"],
    "energy of masks": ["energy", "{segmentation}"],
    "energy on a video": ["energy", "{folder}", "--video", "{videos}/dark/0.mp4"],
    "energy implied": ["energy", "spikevideoformer_ti", "--implied", "1"],
    "evaluate": ["evaluate", "{motion}", "--json", "{out}/evaluate.json"],
    "evaluate videos": ["evaluate", "{folder}"],
    "evaluate a pose": ["evaluate", "{pose}", "--json", "{out}/pose.json"],
    "evaluate masks": ["evaluate", "{segmentation}", "--json", "{out}/masks.json"],
    "import": ["import", "{authors}", "--as", "svformer_ti", "--out", "{out}/imported.safetensors"],
    "calibrate": ["calibrate", "{motion}", "--clips", "4", "--out", "{out}/c.safetensors"],
    "calibrate a pose": ["calibrate", "{pose}", "--clips", "4", "--out", "{out}/p.safetensors"],
    "calibrate masks": ["calibrate", "{segmentation}", "--clips", "4", "--out", "{out}/s.safetensors"],
    "stream": ["stream", "{videos}/dark/0.mp4", "--model", "{folder}", "--json", "-", "--quiet"],
    "predict without a video": ["predict", "{videos}/dark/0.mp4", "--no-video", "--out", "{out}/predict"],
    "predict a pose without a video": [
        *("predict", "{depth}", "--model", "{pose}", "--no-video", "--out", "{out}/pose")
    ],
    "data inspect": ["data", "inspect", "{videos}/dark/0.mp4"],
    "data inspect events": ["data", "inspect", "{events}/a.bin"],
    "data check": ["data", "check", "{videos}", "--workers", "1"],
    "data pack": ["data", "pack", "{videos}", "{out}/shards"],
    "train --list": ["train", "--list"],
    "train --show": ["train", "motion", "--show"],
    "compare": ["compare", "{run}", "{run}"],
    "compare weights": ["compare", "{folder}", "{folder}", "{videos}/dark/0.mp4"],
    "trace": ["trace", "{folder}", "{videos}/dark/0.mp4", "--out", "{out}/clip.trace"],
}
"""Nothing optional is needed."""

LACKS: dict[str, tuple[list[str], str]] = {
    "train": (["train", "motion"], "pytorch-lightning"),
    "plan": (["plan", "motion"], "pytorch-lightning"),
    "demo": (["demo", "--out", "{out}/demo"], "pytorch-lightning"),
    "predict": (["predict", "{videos}/dark/0.mp4", "--out", "{out}/drawn"], "pillow"),
    "predict a manifest": (["predict", "--manifest", "{videos}/clips.csv", "--out", "{out}/many"], "pyarrow"),
    "predict a pose": (["predict", "{depth}", "--model", "{pose}", "--out", "{out}/drawn"], "pillow"),
    "predict masks": (
        ["predict", "{videos}/dark/0.mp4", "--model", "{segmentation}", "--out", "{out}/drawn"],
        "pillow",
    ),
    "evaluate mask files": (["evaluate", "{three}", "data.kind=masks", "data.root={masks}"], "pillow"),
    "evaluate grey pictures": (
        ["evaluate", "{body}", "data.kind=mmhpsd", "data.modality=grey", "data.root={mmhpsd}"],
        "pillow",
    ),
    "calibrate with RandAugment": (["calibrate", "{folder}", "data.randaugment=m5-n2", "--clips", "4"], "pillow"),
    "trace with pictures": (["trace", "{folder}", "{videos}/dark/0.mp4", "--png", "{out}/png"], "matplotlib"),
    "compare on a page": (
        ["compare", "{folder}", "{folder}", "{videos}/dark/0.mp4", "--html", "{out}/page.html"],
        "matplotlib",
    ),
    "studio": (["studio", "--port", "0"], "starlette"),
    "inspect HDF5": (["data", "inspect", "{events}/a.h5"], "h5py"),
    "inspect AEDAT with lz4": (["data", "inspect", "{events}/lz4.aedat4"], "lz4"),
    "inspect AEDAT with zstd": (["data", "inspect", "{events}/zstd.aedat4"], "zstandard"),
    "evaluate MATLAB files": (
        ["evaluate", "{actions}", "data.kind=utd_mhad", "data.modality=depth", "data.root={matlab}"],
        "scipy",
    ),
    "export to ONNX": (["export", BY_FRAME, "--out", "{out}/x.onnx", "--no-grid"], "onnx"),
    "export to OpenVINO": (["export", BY_FRAME, "--to", "openvino", "--out", "{out}/x.xml", "--no-grid"], "openvino"),
    "export to ExecuTorch": (
        ["export", BY_FRAME, "--to", "executorch", "--out", "{out}/x.pte", "--no-grid"],
        "executorch",
    ),
    "export to NIR": (["export", SHIPPED, "--to", "nir", "--out", "{out}/x.nir"], "nir"),
}
HUB = ("from_pretrained", "huggingface_hub")
"""The package that each of these needs: exit code 2 and one line that names an extra with that package."""


def extras_with(package):
    """Extras of the project that bring a package."""
    extras = PROJECT["optional-dependencies"]
    return {name for name, wants in extras.items() if package in [re.split(r"[<>=\[]", want)[0] for want in wants]}


def _small(path, spec, *, task, classes=(), channels, **config):
    torch.manual_seed(0)
    model = create_model("spikevideoformer_ti", task=task, in_channels=channels, **SMALL, **config)
    save_model(model.eval(), path, Metadata(name="small", classes=classes, preprocess={"workers": 0, **spec}))
    return path


def _weights(root, videos):
    classes = spikereel.load_model(SHIPPED).metadata.classes
    rgb = {"channels": 3, "task": "classification"}
    torch.save(authors_state(create_model("svformer_ti", num_classes=7)), root / "authors.pyth")
    files = {"kind": "folder", "root": str(videos), "frames": 2, "size": 32}
    return {
        "authors": root / "authors.pyth",
        "motion": _small(
            root / "motion.safetensors", MOTION, classes=classes, num_classes=10, **(rgb | {"channels": 2})
        ),
        "folder": _small(root / "folder.safetensors", files, classes=("dark", "light"), num_classes=2, **rgb),
        "actions": _small(
            root / "actions.safetensors", MOTION, classes=ACTIONS, num_classes=27, **(rgb | {"channels": 1})
        ),
        "pose": _small(root / "pose.safetensors", FIGURE, task="pose", channels=1, joints=20),
        "body": _small(root / "body.safetensors", FIGURE, task="pose", channels=1, joints=24),
        "three": _small(
            root / "three.safetensors",
            MASKS,
            task="segmentation",
            classes=("road", "traffic light", "sky"),
            num_classes=3,
            width=8,
            channels=3,
        ),
        "segmentation": _small(
            root / "masks.safetensors",
            MASKS,
            task="segmentation",
            classes=("background", "moving"),
            num_classes=2,
            width=8,
            channels=3,
        ),
    }


def _events(root):
    """Recordings; packed ones need only say so, for their packages are not there to read on."""
    root.mkdir()
    (root / "a.bin").write_bytes(write.nmnist(write.FIVE))
    (root / "lz4.aedat4").write_bytes(write.aedat4(write.FIVE, code=1))
    (root / "zstd.aedat4").write_bytes(write.aedat4(write.FIVE, code=3))
    (root / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    return root


def _run(root):
    """What `train` leaves of a run, as far as `compare` reads it."""
    root.mkdir()
    figures = {"top1": 50.0, "trained": 100.0, "seconds": 1.0, "energy": {"snn": 1.0, "ann": 2.0}, "baselines": None}
    report = {**figures, "classes": ["dark", "light"], "confusion": [[1, 0], [1, 0]], "firing": {"lif": 0.1}}
    (root / "report.json").write_text(json.dumps(report))
    (root / "recipe.json").write_text(json.dumps({"name": "video_folder", "optim": {"lr": 0.003}}))
    return root


def _matlab(root):
    for name, end in (("Depth", "depth"), ("Skeleton", "skeleton")):
        (root / name).mkdir(parents=True)
        (root / name / f"a1_s1_t1_{end}.mat").write_bytes(bytes(200))
    return root


def _grey_stream(root):
    from tests.people import write_stream

    write_stream(root, "subject01_group1_time1", intervals=9)
    return root


def places_in(root):
    """Files and folders that the calls name, made below `root`."""
    videos = video_folder(root / "videos")
    write_clip(root / "a1_s1_t1.npz", frames=7)
    write_folder(root / "masks", videos=1, frames=2)
    (root / "out").mkdir()
    return {
        **_weights(root, videos),
        "videos": videos,
        "out": root / "out",
        "depth": root / "a1_s1_t1.npz",
        "events": _events(root / "events"),
        "masks": root / "masks",
        "matlab": _matlab(root / "matlab"),
        "mmhpsd": _grey_stream(root / "mmhpsd"),
        "run": _run(root / "run"),
    }


def all_calls(places):
    """Every call of WORKS and LACKS and every --help, on these files."""
    calls = {f"{name} --help": [*name.split(), "--help"] for name in COMMANDS} | {"--help": ["--help"]}
    calls |= WORKS | {name: arguments for name, (arguments, _) in LACKS.items()}
    return {name: [x.format(**places) for x in arguments] for name, arguments in calls.items()}


def answers_of(python, root, calls, hidden=(), **environment):
    """What `core_only.py` says of these calls, run by `python` without the modules `hidden`."""
    for name, content in (("hidden", list(hidden)), ("calls", calls)):
        (root / f"{name}.json").write_text(json.dumps(content))
    files = [str(root / f"{name}.json") for name in ("hidden", "calls", "results")]
    command = [str(python), str(Path(__file__).parent / "core_only.py"), *files]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | environment
    subprocess.run(command, check=True, cwd=root, env=environment)
    return json.loads((root / "results.json").read_text())

"""The conventions of the Hugging Face hub: a folder with configuration, weights and model card, here or online."""

import dataclasses
import hashlib
import json
import re
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spikereel import __version__
from spikereel.errors import WeightsError
from spikereel.files import write_whole

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

_SIGNED = re.compile(r"\n<!-- written by spikereel, ([0-9a-f]{16}) -->\s*\Z")
"""The last line of a card of ours, with a hash of all above it: who changed the card made it their own."""

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class Pretrained:
    """Saves a model as a folder in the layout of the Hugging Face hub, and reads it back from there."""

    def save_pretrained(self, folder: str | Path, *, license: str | None = None, data: str | None = None) -> None:
        """Write `model.safetensors` (as `save_model`), `config.json` (its header, for readers) and `README.md`.

        Each file is written whole or not at all. A README.md that is there already is written anew where it is a card
        of ours as it was, and left where somebody wrote or changed it; one that names another task is warned of.
        license: the one these weights are given under, by the hub's name for it, such as "mit"; the card names none
        otherwise. data: what the card says they were trained on.
        """
        _write(self, Path(folder), "path/to/folder", license=license, data=data)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> Any:
        """The model of a folder, or of a repository "owner/name" on the hub, in evaluation mode.

        Called on `VideoModel` it gives any family, called on a family that one alone. The other arguments are those of
        the hub; only they need `huggingface_hub`. Raises WeightsError where nothing is found, or what is there is
        broken or of another family.
        """
        folder = Path(source)
        if not folder.is_dir():
            options = {"cache_dir": cache_dir, "token": token, "local_files_only": local_files_only}
            folder = _fetch(str(source), {"revision": revision, **options})
        model = read_folder(folder)
        if not isinstance(model, cls):
            found = type(model).__name__
            raise WeightsError(f"{source} holds a {found}, not a {cls.__name__}; load it with {found}.from_pretrained")
        return model

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload weights",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        license: str | None = None,
        data: str | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes to "owner/name", which is made if need be; the address of the commit.

        license and data: as there.
        """
        hub = _hub(f"push to {repo_id}")
        with TemporaryDirectory() as folder, _hub_errors(f"cannot push to {repo_id}"):
            _write(self, Path(folder), repo_id, license=license, data=data)
            api = hub.HfApi(token=token, library_name="spikereel", library_version=__version__)
            api.create_repo(repo_id, private=private, exist_ok=True)
            if branch is not None:
                api.create_branch(repo_id, branch=branch, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=commit_message, revision=branch
            )
        return str(commit)


def read_folder(folder: Path) -> Any:
    """The model of a folder that `save_pretrained` wrote. Raises WeightsError where its two descriptions disagree."""
    from spikereel.models.files import read_weights

    weights, config = folder / WEIGHTS, folder / CONFIG
    if not weights.is_file():
        raise WeightsError(f"{folder} holds no {WEIGHTS}; give a folder that save_pretrained wrote, or a weights file")
    model = read_weights(weights)
    if config.is_file() and not _same(config, weights):
        raise WeightsError(
            f"{config} does not say what {WEIGHTS} beside it says, which decides; save the model again to change it"
        )
    return model


CARDS = {
    "classification": ("video-classification", "logits, state = model(video)  # logits [B, classes]"),
    "pose": ("keypoint-detection", "pose, state = model(video)  # pose.joints [T, B, J, 3], metres"),
    "segmentation": ("image-segmentation", "logits, state = model(video)  # logits [T, B, classes, H, W]"),
}
"""{task: (what the hub calls it, a line that runs the model)}."""


def model_card(model: Any, where: str, *, license: str | None = None, data: str | None = None) -> str:
    """Markdown for README.md: what the model is and sees, how its clips are made, what was measured, how to load it.

    license and data are what the user says; without a license the card names none.
    """
    meta, name = model.metadata, type(model).__name__
    tag, example = CARDS[model.task]
    origin = next((x for key, x in _flat(meta.training) if key.rpartition(".")[2] == "origin"), None)
    parameters = sum(p.numel() for p in model.parameters())
    tags = "\n".join(f"- {tag}" for tag in ("spikereel", model.family, "spiking-neural-network", "video"))
    return "\n".join(
        [
            "---",
            "library_name: spikereel",
            *([f"license: {_plain(license)}"] if license else []),
            f"pipeline_tag: {tag}",
            "tags:",
            tags,
            "---",
            "",
            f"# {_plain(meta.name or name)}",
            "",
            f"A {name} with {parameters:,} parameters for {_subject(model)}.",
            f"Trained on {_plain(data or _data_of(meta.preprocess))}.",
            f"License of these weights: {_plain(license) if license else 'not stated by who saved them'}.",
            *([f"Converted from `{_plain(origin)}`: the terms of its authors hold as well."] if origin else []),
            "",
            "## Architecture",
            "",
            *_table(dataclasses.asdict(model.config)),
            "",
            *_names(model),
            "## How clips are made",
            "",
            *(_table(_without(meta.preprocess, "root")) or ["Not recorded."]),
            "",
            "## Training and measured figures",
            "",
            *(_table(meta.training) or ["Not recorded."]),
            "",
            "## Load",
            "",
            "```python",
            "from spikereel.models.base import VideoModel",
            "",
            f'model = VideoModel.from_pretrained("{where}")',
            "# video float32 [T, B, C, H, W], as above",
            example,
            "```",
            "",
        ]
    )


def _subject(model: Any) -> str:
    """What the model finds."""
    if model.task == "pose":
        return f"the pose of a person, {model.config.pose.joints} joints"
    what = "the class of every pixel, of" if model.task == "segmentation" else "one class of a clip, of"
    return f"{what} {model.config.num_classes}"


def _data_of(preprocess: Mapping[str, Any]) -> str:
    return f"`data.kind={preprocess['kind']}`" if preprocess.get("kind") else "data that is not recorded"


def _names(model: Any) -> list[str]:
    """The section of the classes; a pose has none."""
    if model.task == "pose":
        return []
    names = ", ".join(f"`{_plain(c)}`" for c in model.metadata.classes)
    return ["## Classes", "", names or "Their names are not recorded.", ""]


def _write(model: Any, folder: Path, where: str, *, license: str | None = None, data: str | None = None) -> None:
    from spikereel.models.files import header_of, write_weights

    if folder.exists() and not folder.is_dir():
        raise WeightsError(f"cannot save to {folder}: it is a file; give the name of a folder")
    write_weights(model, folder / WEIGHTS)
    write_whole(folder / CONFIG, (json.dumps(header_of(model), indent=2) + "\n").encode())
    card = model_card(model, where, license=license, data=data)
    own = _own_card(folder / CARD)
    if own is None:
        write_whole(folder / CARD, _sign(card).encode())
    elif (found := _tag(own)) not in ("", _tag(card)):
        warnings.warn(
            f"{folder / CARD} is your own and stays; it says pipeline_tag {found}, and this model is for {_tag(card)}: "
            "change it, or remove it and save again",
            stacklevel=3,
        )


def _sign(card: str) -> str:
    return f"{card}\n<!-- written by spikereel, {hashlib.sha256(card.encode()).hexdigest()[:16]} -->\n"


def _own_card(path: Path) -> str | None:
    """The text of a card that somebody wrote or changed; None where there is none, or one that we wrote."""
    if not path.exists():
        return None
    text = path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    signed = _SIGNED.search(text)
    return None if signed and _sign(text[: signed.start()]).strip() == text.strip() else text


def _tag(card: str) -> str:
    """What the hub is told that a model does; "" where a card does not say."""
    head = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
    found = head and re.search(r"^pipeline_tag:\s*(\S+)", head[1], re.MULTILINE)
    return found[1].strip("\"'") if found else ""


def _same(config: Path, weights: Path) -> bool:
    from safetensors import safe_open

    with safe_open(str(weights), framework="pt") as file:
        header = json.loads(file.metadata()["spikereel"])
    try:
        return json.loads(config.read_text()) == header
    except ValueError:
        raise WeightsError(f"{config} is not JSON; save the model again") from None


def _fetch(name: str, options: Mapping[str, Any]) -> Path:
    if not HUB_ID.fullmatch(name):
        raise WeightsError(f'no folder at {name}, and "owner/name" is the form of a name on the hub; give one of them')
    hub = _hub(f"fetch {name}, which is no folder here")
    with _hub_errors(f"no folder at {name}, and nothing to be had from the hub under that name"):
        return Path(hub.snapshot_download(name, allow_patterns=[WEIGHTS, CONFIG], **options))


def _hub(purpose: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise WeightsError(
            f"cannot {purpose}: huggingface_hub not installed; run: pip install 'spikereel[hub]'"
        ) from None
    return huggingface_hub


@contextmanager
def _hub_errors(what: str) -> Generator[None, None, None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{what} ({type(error).__name__}: {reason}); check the name, the connection and HF_HUB_OFFLINE, "
            "or fetch the files on another machine and give their folder"
        ) from None


def _without(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return {k: x for k, x in values.items() if k != key}


def _table(values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {_plain(key)} | {_plain(value)} |" for key, value in _flat(values)]
    return ["| | |", "|---|---|", *rows] if rows else []


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if key == "recipe" and isinstance(value, Mapping):
            # config.json holds it whole
            yield prefix + key, value.get("name")
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _plain(value: Any) -> str:
    """One line that breaks no table and opens no tag."""
    values = value if isinstance(value, list | tuple) else [value]
    shown = ", ".join(f"{x:.6g}" if isinstance(x, float) else str(x) for x in values)
    return " ".join(shown.split()).replace("|", "/").replace("`", "'").replace("<", "&lt;")

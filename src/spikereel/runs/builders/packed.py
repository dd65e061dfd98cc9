"""Who builds clips out of shards."""

from pathlib import Path
from typing import Any

from spikereel.data.remote import is_remote
from spikereel.data.sets.shards import PackedClips
from spikereel.data.shard_index import INDEX
from spikereel.errors import ConfigError
from spikereel.runs import readings, splits
from spikereel.runs.data import DataSpec
from spikereel.runs.kind import Ask
from spikereel.runs.splits import part_of, root_of


def videos(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """Shards of videos."""
    return _packed(spec, ask, reading)


def recordings(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """Shards of recordings."""
    return _packed(spec, ask, reading, sensor=readings.given_sensor(spec), told=readings.given_told(spec))


def _packed(spec: DataSpec, ask: Ask, reading: Any, **options: Any) -> Any:
    """Shards, which may be a URL: those of the split where they are packed apart in a folder, else by a fifth."""
    if spec.on_error == "skip":
        raise ConfigError("data.on_error=skip cannot look into shards; leave bad files out when packing")
    root_of(spec)
    assert spec.root is not None
    options["classes"] = ask.classes
    if spec.cache is not None:
        if not is_remote(spec.root):
            raise ConfigError("data.cache is for shards of another machine; those of a folder are read as they are")
        options["cache"] = spec.cache, int(spec.cache_gb * 1e9)
    folder, shared = splits.folder_of(Path(spec.root), ask.split) or (None, True)
    if folder is not None and (folder / INDEX).is_file():
        clips = PackedClips(folder, reading, **options)
        return part_of(clips, spec, ask.split) if shared else clips
    return part_of(PackedClips(spec.root, reading, **options), spec, ask.split)

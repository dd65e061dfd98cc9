"""Clips a second of the loader against plain PyAV: the same files, the same processes, rounds in turn."""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import av
import torch
from torch.utils.data import DataLoader, Dataset

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.transforms import TrainTransform
from spikereel.data.video.clip import SUFFIXES, Reading
from spikereel.data.video.read import sample_indices
from spikereel.errors import DataError


class Plain(Dataset):
    """A file decoded from end to end by `container.decode(video=0)`; the frames of the clip become RGB arrays.

    Colours are converted by one thread, as in the loader: PyAV's own choice, several, is slower in many processes.
    """

    def __init__(self, paths: list[Path], frames: int):
        self.paths, self.frames = paths, frames

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> int:
        with av.open(str(self.paths[index])) as container:
            total = container.streams.video[0].frames
            wanted, count = set(sample_indices(total, self.frames)), 0
            for count, frame in enumerate(container.decode(video=0)):
                if count in wanted:
                    frame.to_ndarray(format="rgb24", threads=1)
        return count


class Timed(Dataset):
    """Items with the processor seconds that each one took."""

    def __init__(self, items: Dataset):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Any, float]:
        started = time.process_time()
        return self.items[index], time.process_time() - started


def loader(options: argparse.Namespace) -> dict[str, Any]:
    """Clips a second: clips of the whole video, augmented as in training, against plain decoding by as many processes.

    What is compared: per file, the loader gives one float clip [frames, 3, size, size] from frames spread over the
    whole video (random box, mirror, normalised); plain decoding walks through all its frames and converts those of the
    clip to RGB, no more. Both run in a DataLoader of so many processes, started before the clock, in turn. Ratios are
    of wall time, and of processor time spent on items, which other work on the machine disturbs less. A first round of
    both is not counted: in it the loader learns where the frames of each file are, as in the first epoch of a training.
    """
    paths = sorted(p for folder in options.folders for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"no videos in {', '.join(options.folders)}; name folders of videos")
    transform = TrainTransform(size=options.size, scale=(0.5, 1.0), flip=True)
    reading = Reading(frames=options.frames, transform=transform, train=True)
    sets: dict[str, Dataset] = {
        "plain": Plain(paths, options.frames),
        "loader": VideoFiles([(path, 0) for path in paths], reading, classes=("all",), root=Path("/")),
    }
    loaders = {
        name: DataLoader(Timed(data), batch_size=1, num_workers=options.workers, persistent_workers=True)
        for name, data in sets.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    processor: dict[str, list[float]] = {name: [] for name in loaders}
    torch.set_num_threads(1)
    for number in range(options.rounds + 1):
        for name, batches in loaders.items():
            started = time.perf_counter()
            spent = sum(float(own) for _, own in batches)
            if number:
                seconds[name].append(time.perf_counter() - started)
                processor[name].append(spent)
    rates = {name: len(paths) / statistics.median(times) for name, times in seconds.items()}
    ratios, processor_ratios = (
        [plain / ours for plain, ours in zip(times["plain"], times["loader"], strict=True)]
        for times in (seconds, processor)
    )
    ratio, processor_ratio = statistics.median(ratios), statistics.median(processor_ratios)
    print(
        f"loader {rates['loader']:.1f} clips/s, plain {rates['plain']:.1f}; ratio {ratio:.2f} of wall time, "
        f"{processor_ratio:.2f} of processor time; goal 0.9"
    )
    return {
        "files": len(paths),
        "frames": options.frames,
        "size": options.size,
        "workers": options.workers,
        "compared": " ".join((loader.__doc__ or "").split()),
        "clips_per_second": rates,
        "seconds": seconds,
        "ratios": ratios,
        "ratio": ratio,
        "processor_seconds": processor,
        "processor_ratios": processor_ratios,
        "processor_ratio": processor_ratio,
        "goal": 0.9,
    }

"""The published 15 views on real files: frames, crops and their order, against an independent reading of the file."""

from dataclasses import replace
from math import ceil

import av
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.recipes import ucf101_svformer

EXAMPLE = [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]


@pytest.fixture
def spec(tmp_path) -> DataSpec:
    return replace(ucf101_svformer().data, kind="list", root=str(tmp_path / "list.txt"), workers=0)


def _frames(path) -> np.ndarray:
    """All frames that decode, uint8 [n, H, W, 3]."""
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def _views(frames: np.ndarray, crops: bool = True) -> tuple[list[list[int]], torch.Tensor]:
    """Frame numbers of the 5 clips, and all views [15, 16, 3, 224, 224], written after the published description."""
    count = len(frames)
    starts = [k * (max(count - 64, 0) // 4) for k in range(5)]
    numbers = [np.clip(np.linspace(s, s + 63, 16), 0, count - 1).astype(int).tolist() for s in starts]
    views = []
    for chosen in numbers:
        video = (torch.from_numpy(frames[chosen]).permute(0, 3, 1, 2) / 255 - 0.45) / 0.225
        height, width = video.shape[-2:]
        size = (224, int(width / height * 224)) if width > height else (int(height / width * 224), 224)
        video = interpolate(video, size, mode="bilinear", align_corners=False)
        long = max(size)
        for offset in (0, ceil((long - 224) / 2), long - 224):
            crop = video[..., offset : offset + 224] if width > height else video[..., offset : offset + 224, :]
            views.append(crop)
    return numbers, torch.stack(views)


@pytest.mark.realdata
def test_the_example_of_164_frames(real_data, spec, tmp_path):
    path = real_data / "video_zoo" / "mmaction2_tests_data_test.avi"
    (tmp_path / "list.txt").write_text(f"{path} 0\n")
    numbers, expected = _views(_frames(path))
    assert numbers[0] == EXAMPLE
    assert [clip[0] for clip in numbers] == [0, 25, 50, 75, 100]
    views, _ = build_dataset(spec, "test", views=True)[0]
    assert views.shape == (15, 16, 3, 224, 224)
    torch.testing.assert_close(views, expected)


@pytest.mark.realdata
def test_forty_frames_of_a_real_file_repeat_the_last(real_data, spec, tmp_path):
    short = tmp_path / "short.avi"
    with (
        av.open(str(real_data / "video_zoo" / "mmaction2_tests_data_test.avi")) as source,
        av.open(str(short), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet, _ in zip((p for p in source.demux(video=0) if p.size), range(40), strict=False):
            packet.stream = stream
            target.mux(packet)
    frames = _frames(short)
    assert len(frames) == 40
    (tmp_path / "list.txt").write_text("short.avi 0\n")
    numbers, expected = _views(frames)
    assert numbers == [[*EXAMPLE[:10], 39, 39, 39, 39, 39, 39]] * 5
    torch.testing.assert_close(build_dataset(spec, "test", views=True)[0][0], expected)


@pytest.mark.realdata
def test_files_of_other_shapes(real_data, spec, tmp_path):
    paths = sorted((real_data / "ut_interaction_set1").glob("*_1_*.avi"))[:2]
    (tmp_path / "list.txt").write_text("".join(f"{path} 0\n" for path in paths))
    dataset = build_dataset(spec, "test", views=True)
    for index, path in enumerate(paths):
        torch.testing.assert_close(dataset[index][0], _views(_frames(path))[1])

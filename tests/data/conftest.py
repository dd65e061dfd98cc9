"""Small video files that the tests write themselves."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """`make_video(name, frames=12, ...)`: frame i is grey of level 20 + 10 i, with a white left half and noise."""

    def make(
        name: str = "clip.mp4",
        *,
        frames: int = 12,
        codec: str = "libx264",
        height: int = 48,
        width: int = 64,
        fps: int = 25,
        index_first: bool = False,
        pix_fmt: str = "yuv420p",
        gap_after: int | None = None,
        gop: int = 12,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"movflags": "+faststart"} if index_first else {}
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=fps)
            stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
            stream.codec_context.gop_size = gop
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(_picture(number, height, width), format="rgb24")
                frame.pts = number + (5 if gap_after is not None and number > gap_after else 0)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


def _picture(number: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(number).integers(-8, 9, (height, width, 1))
    picture = np.full((height, width, 3), 20 + 10 * number) + noise
    picture[:, : width // 2] = 250
    return picture.clip(0, 255).astype(np.uint8)

"""Videos of grey in more than 8 bits, such as depth in millimetres: what is in them, and not its highest 8 bits."""

from pathlib import Path

import numpy as np
import torch
from av.video.frame import supported_np_pix_fmts

from spikereel.data.video.decode import decoded, require_whole
from spikereel.data.video.orientation import orientation
from spikereel.data.video.read import VideoInfo
from spikereel.data.video.rendering import bits_of, grey_of
from spikereel.data.video.streams import opened
from spikereel.errors import DataError


def deep(info: VideoInfo) -> bool:
    """Whether a video is grey in more than 8 bits."""
    return info.assumed is not None and info.assumed.grey and info.assumed.bits > 8


def read_deep(path: Path) -> np.ndarray:
    """All frames of a video of 9 to 16 bits of grey, as they are: uint16 [N, H, W], upright.

    Raises DataError for another video, and as `probe`.
    """
    frames = []
    with opened(path) as stream:
        require_whole(path)
        for frame in decoded(path, stream):
            name, bits = frame.format.name, bits_of(frame)
            if not grey_of(frame) or not 8 < bits <= 16 or name not in supported_np_pix_fmts:
                raise DataError(
                    f"{path}: is no depth, which these weights see; give .npz with `depth`, uint16 [T, H, W] in mm, or "
                    f"a video of 9 to 16 bits of grey (this one: {bits} bits of {name})"
                )
            how = orientation(path, frame)
            frames.append(how.upright(torch.from_numpy(frame.to_ndarray().astype(np.uint16))))
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"{path}: the frame size changes on the way; convert it to one size")
    return torch.stack(frames).numpy()

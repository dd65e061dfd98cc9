"""Procedural clips with the mask of what moves."""

import torch

from spikereel.data.made.scenes import MotionClips
from spikereel.data.sets.motion import MotionMasks


def clips(**options):
    return MotionMasks(
        MotionClips(10_000, seed=1, frames=4, height=32, width=40, targets=True, **options), 20, mean=(0.5,), std=(0.5,)
    )


def test_something_moves_in_every_clip():
    data = clips()
    for i in range(20):
        video, masks = data[i]
        assert (video.shape, masks.shape, masks.dtype) == ((4, 3, 32, 40), (4, 32, 40), torch.int64)
        assert set(masks.unique().tolist()) == {0, 1}
        # a disc that turns keeps its outline
        assert i % 9 in (4, 5) or not torch.equal(masks[0], masks[1])


def test_the_mask_is_where_pictures_change():
    data = clips(noise=0.0, modality="events")
    inside = total = 0
    for i in range(9):
        video, masks = data[i]
        events = (video > 0).any(1)[1:]
        inside += int((events & ((masks[1:] + masks[:-1]) > 0)).sum())
        total += int(events.sum())
    assert inside > 0.9 * total > 0


def test_epochs_have_clips_of_their_own():
    data = clips()
    first = data[3][0]
    data.set_epoch(1)
    assert not torch.equal(first, data[3][0])

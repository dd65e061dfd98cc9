"""MMHPSD in the form of the spec: bits, slices, gaps, strides, poses; and event frames from raw rows."""

import numpy as np
import pytest
import torch
from PIL import Image

from spikereel.body.rotations import forward_kinematics
from spikereel.body.skeletons import SMPL24
from spikereel.data.sets.mmhpsd import (
    CAMERA,
    MMHPSD,
    TEST_SUBJECTS,
    StreamReading,
    frames_from_rows,
    pack,
    read_frame,
    unpack,
    write_frames,
)
from spikereel.errors import DataError
from tests.people import OFFSETS, write_stream


def test_bits_are_32768_bytes_and_come_back():
    frame = np.random.default_rng(0).random((4, 256, 256)) < 0.1
    assert pack(frame).shape == (32768,)
    assert pack(frame).dtype == np.uint8
    assert np.array_equal(unpack(pack(frame)), frame)
    assert pack(np.ones((4, 256, 256), bool))[0] == 255


def test_test_clips_have_gap_two_and_no_overlap(tmp_path):
    write_stream(tmp_path)
    data = MMHPSD(tmp_path, StreamReading(frames=2))
    assert data.clips == [(0, 0), (0, 4)]
    assert data.notes[0].startswith("judged are 4 of 9 poses: every second one, and no rest of a stream")
    assert MMHPSD(tmp_path, StreamReading(frames=2, train=True)).notes == ()
    video, target = data[1]
    assert video.shape == (2, 4, 256, 256)
    # intervals 4 and 5, then 6 and 7, each with its own event; the pose is that at their end
    seen = [tuple(x) for x in video.nonzero().tolist()]
    assert seen == [(0, 0, 40, 28), (0, 1, 50, 35), (1, 2, 60, 42), (1, 3, 70, 49)]
    assert target["shape"][:, 0].tolist() == pytest.approx([0.6, 0.8])
    assert target["translation"].shape == (2, 3)
    torch.testing.assert_close(
        target["translation"], torch.tensor([[0.06, 0.1, 3.0], [0.08, 0.1, 3.0]]), atol=1e-3, rtol=0
    )
    _, joints = forward_kinematics(target["rotations"].double(), torch.from_numpy(OFFSETS), SMPL24.parents)
    torch.testing.assert_close(joints.float(), target["joints"], atol=1e-5, rtol=0)


def test_grey_pictures_at_the_end_of_intervals(tmp_path):
    write_stream(tmp_path)
    video, _ = MMHPSD(tmp_path, StreamReading(frames=2, form="grey", size=64))[0]
    assert video.shape == (2, 1, 64, 64)
    assert video[:, 0, 5, 5].tolist() == pytest.approx([102 / 255, 104 / 255])


def test_small_event_frames_lose_no_event(tmp_path):
    write_stream(tmp_path)
    video, _ = MMHPSD(tmp_path, StreamReading(frames=2, size=32))[1]
    assert int(video.sum()) == 4


def test_training_gaps_and_warps(tmp_path):
    write_stream(tmp_path, intervals=12)
    data = MMHPSD(tmp_path, StreamReading(frames=4, train=True))
    assert len(data) == 9
    assert len(MMHPSD(tmp_path, StreamReading(frames=12, train=True))) == 1
    gaps = set()
    for epoch in range(12):
        data.set_epoch(epoch)
        video, target = data[0]
        gaps.add(round(float(target["shape"][1, 0] - target["shape"][0, 0]) * 10))
        seen = CAMERA.project(target["joints"] + target["translation"][:, None])
        assert (seen - target["points"]).abs().median() < 0.03
        _, joints = forward_kinematics(target["rotations"].double(), torch.from_numpy(OFFSETS), SMPL24.parents)
        # bodies of the test are not the same on both sides, so only those that were not mirrored
        if not _flipped(data, epoch):
            torch.testing.assert_close(joints.float(), target["joints"], atol=1e-4, rtol=0)
        assert set(video.unique().tolist()) <= {0.0, 1.0}
    assert gaps == {1, 2, 3}


def _flipped(data, epoch):
    from spikereel.data.clips import random_of

    rng = random_of(0, epoch, 0)
    rng.integers(1, 4)
    return data.reading.warping.draw(rng).flip


def test_subjects(tmp_path):
    for subject in (1, 3):
        write_stream(tmp_path, f"subject{subject:02d}_group1_time1", seed=subject)
    both = MMHPSD(tmp_path, StreamReading(frames=2))
    test = MMHPSD(tmp_path, StreamReading(frames=2), subjects=TEST_SUBJECTS)
    assert (len(both), len(test)) == (4, 2)
    assert test.fingerprint() != both.fingerprint()
    with pytest.raises(DataError, match=r"subjects \[9\]"):
        MMHPSD(tmp_path, StreamReading(frames=2), subjects={9})


def test_frames_from_rows_by_hand():
    rows = np.array(
        [
            [1279, 799, 0.0, 0, 1],  # v 0, u 0 -> row 0, column 240 -> 0, 48, slice 0
            [1279 - 1275, 799 - 795, 0.30, 0, 0],  # v 1275, u 795 -> 255, (795 + 240) / 5 = 207, slice 1
            [1279 - 7, 799, 0.9, 0, 1],  # v 7: not kept, every fifth is
            [1279, 799, 1.0, 0, 1],  # the next interval's
        ]
    )
    frame = frames_from_rows(rows, 0.0, 1.0)
    assert [tuple(x) for x in np.argwhere(frame)] == [(0, 0, 48), (1, 255, 207)]


def test_building_a_stream_from_rows(tmp_path):
    rows = np.array([[1279, 799, t, t, 1] for t in (0.1, 1.6, 2.9)])
    seen = []
    paths = write_frames(tmp_path, rows, [0.0, 1.0, 2.0, 3.0], progress=lambda *x: seen.append(x))
    assert [p.name for p in paths] == ["events_0000.npz", "events_0001.npz", "events_0002.npz"]
    assert [int(np.argwhere(read_frame(p))[0, 0]) for p in paths] == [0, 2, 3]
    assert seen[-1] == (3, 3)


@pytest.mark.parametrize(
    ("rows", "times", "message"),
    [
        (np.zeros((3, 4)), [0, 1], r"\[N, 5\]"),
        (np.full((1, 5), 2000.0), [0, 1], "beyond the sensor"),
        (np.zeros((1, 5)), [1, 1], "grow"),
        (np.zeros((1, 5)), [1], "at least 2"),
    ],
)
def test_wrong_rows_write_nothing(tmp_path, rows, times, message):
    with pytest.raises(DataError, match=message):
        write_frames(tmp_path, rows, times)
    assert not list(tmp_path.iterdir())


def change_pose(stream, **values):
    path = stream / "poses/pose_0002.npz"
    with np.load(path) as pose:
        np.savez(path, **{**pose, **values})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: (s / "events_frame_04/events_0003.npz").unlink(), "lacks events_0003"),
        (lambda s: (s / "events_frame_04/events_0008.npz").unlink(), "8 files of events for 10 poses"),
        (lambda s: (s / "events_frame_04/events_0001.npz").write_bytes(b"no"), r"events_0001\.npz: cannot be read"),
        (lambda s: np.savez(s / "events_frame_04/events_0001.npz", events_frame=np.zeros(9, np.uint8)), "32768"),
        (lambda s: change_pose(s, joints3d=np.full((24, 3), np.nan)), r"pose_0002.*NaN"),
        (lambda s: change_pose(s, joints3d=np.zeros((20, 3))), r"pose_0002.*joints3d is \[20, 3\]"),
        (lambda s: change_pose(s, joints3d=np.full((24, 3), 9.0), trans=np.full(3, 9.0)), "wrong intrinsics"),
        (
            lambda s: [np.savez(p, events_frame=np.zeros(32768, np.uint8)) for p in (s / "events_frame_04").iterdir()],
            "no event",
        ),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    damage(write_stream(tmp_path))
    with pytest.raises(DataError, match=message):
        MMHPSD(tmp_path, StreamReading(frames=2))[0]


def test_an_empty_grey_frame(tmp_path):
    stream = write_stream(tmp_path)
    Image.fromarray(np.zeros((256, 256), np.uint8)).save(stream / "grey/grey_0002.png")
    with pytest.raises(DataError, match=r"grey_0002\.png: is an empty frame"):
        MMHPSD(tmp_path, StreamReading(frames=2, form="grey"))[0]
    with pytest.raises(DataError, match="no folders subject"):
        MMHPSD(tmp_path / "nowhere", StreamReading(frames=2))
    with pytest.raises(DataError, match="long enough"):
        MMHPSD(tmp_path, StreamReading(frames=20))

"""From options to clips of event recordings, real or simulated."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import DATA, KINDS, video_folder

from spikereel.data.clips import folder_samples
from spikereel.data.events.augment import EventAugment
from spikereel.data.shards import pack
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, channels_of
from spikereel.runs.readings import event_reading


def test_event_files(tmp_path):
    for kind in KINDS:
        for i in range(3):
            (tmp_path / kind).mkdir(exist_ok=True)
            t = np.arange(50) * 1000
            events = {"t": t, "x": t % 34, "y": np.full(50, i), "p": t % 2, "width": 34, "height": 34}
            np.savez(tmp_path / kind / f"{i}.npz", **events)
    spec = replace(DATA, kind="events", root=str(tmp_path))
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test), train.classes) == (4, 2, 6, KINDS)
    video, label = test[5]
    assert (video.shape, label) == ((4, channels_of(spec), 32, 32), 1)
    assert video.sum() == 50
    shifted = build_dataset(replace(spec, shift=8), "train")
    assert not torch.equal(shifted[0][0], train[0][0])
    assert torch.equal(build_dataset(replace(spec, shift=8), "test")[5][0], video)


def test_options_of_event_files_reach_the_reading():
    spec = replace(
        DATA,
        kind="events",
        form="surface",
        tau_us=9.0,
        flip=True,
        shift=1,
        rotate=2.0,
        zoom=0.3,
        drop=0.4,
        polarity_flip=0.5,
        jitter_us=6.0,
    )
    reading = event_reading(spec, train=True, seed=7)
    assert (reading.bins, reading.form, reading.tau_us, reading.seed) == (4, "surface", 9.0, 7)
    assert reading.augment == EventAugment(
        flip=0.5, polarity=0.5, shift=1, rotate=2.0, zoom=0.3, drop=0.4, jitter_us=6.0
    )
    assert event_reading(spec, train=False, seed=0).augment is None
    assert event_reading(replace(spec, form="frames", by="count"), train=False, seed=0).by == "count"


def test_simulated_events_of_any_video(tmp_path):
    motion = replace(DATA, simulate=0.2)
    clips = build_dataset(motion, "train")
    video, label = clips[3]
    assert (video.shape, label, channels_of(motion)) == ((4, 2, 32, 32), 3, 2)
    assert video.sum() > 20
    assert clips.simulated
    first = video
    clips.set_epoch(1)
    assert not torch.equal(first, clips[3][0])
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)), stride=1, clips=2, simulate=0.2)
    assert build_dataset(spec, "test", views=True)[0][0].shape == (2, 4, 2, 32, 32)
    for options in ({"kind": "nmnist"}, {"modality": "events"}):
        with pytest.raises(ConfigError, match=r"data\.simulate"):
            build_dataset(replace(DATA, simulate=0.2, **options), "test")
    for threshold in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=rf"data\.simulate is {threshold}"):
            build_dataset(replace(DATA, simulate=threshold), "test")


def test_recordings_that_do_not_state_their_sensor(tmp_path):
    for kind in KINDS:
        (tmp_path / "in" / kind).mkdir(parents=True)
        np.savez(tmp_path / "in" / kind / "a.npz", t=[1, 2, 9], x=[1, 2, 3], y=[4, 5, 6], p=[0, 1, 1])
    spec = replace(DATA, kind="events", root=str(tmp_path / "in"), sensor=(24, 16))
    assert build_dataset(spec, "test")[0][0].sum() == 3
    pack([(tmp_path / "in" / kind / "a.npz", i) for i, kind in enumerate(KINDS)], KINDS, tmp_path / "shards")
    packed = replace(spec, kind="shards", modality="events", root=str(tmp_path / "shards"))
    assert build_dataset(packed, "test")[0][0].sum() == 3
    with pytest.raises(DataError, match=r"a\.npz: "):
        build_dataset(replace(spec, sensor=()), "test")[0]
    with pytest.raises(ConfigError, match=r"data\.sensor is \[24\]: give \[width, height\]"):
        build_dataset(replace(spec, sensor=(24,)), "test")


def test_shards_of_recordings(tmp_path):
    for i, kind in enumerate(KINDS):
        (tmp_path / "in" / kind).mkdir(parents=True)
        t = np.arange(50) * 1000
        events = {"t": t, "x": t % 34, "y": np.full(50, i), "p": t % 2, "width": 34, "height": 34}
        np.savez(tmp_path / "in" / kind / "0.npz", **events)
    names, samples = folder_samples(tmp_path / "in", None, suffixes={".npz"})
    pack(samples, names, tmp_path / "out")
    spec = replace(DATA, kind="shards", modality="events", root=str(tmp_path / "out"), bin_us=20_000)
    clips = build_dataset(spec, "test")
    assert clips[0][0].shape == (4, channels_of(spec), 32, 32)
    assert clips[0][0].sum((1, 2, 3)).tolist() == [20, 20, 10, 0]
    with pytest.raises(DataError, match=r"an event recording; give data\.modality=events"):
        build_dataset(replace(spec, modality="rgb"), "test")

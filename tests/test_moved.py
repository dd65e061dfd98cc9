"""Old addresses of modules give the modules of the new ones."""

import subprocess
import sys
from importlib import import_module

import pytest

from spikereel.moved import MOVED


@pytest.mark.parametrize("old", [old for old, new in MOVED.items() if " " not in new])
def test_an_old_address_gives_the_module_that_moved(old):
    assert import_module(f"spikereel.{old}") is import_module(f"spikereel.{MOVED[old]}")


@pytest.mark.parametrize("old", [old for old, new in MOVED.items() if " " in new])
def test_an_old_address_gives_the_names_of_all_the_modules_it_became(old):
    found = vars(import_module(f"spikereel.{old}"))
    for place in MOVED[old].split():
        own = vars(import_module(f"spikereel.{place}"))
        assert {name for name in own if not name.startswith("_")} <= found.keys()


OLD_NAMES = {
    "data.events.files": "EventReading EventItems EventFiles EventFolder pad_clips good_files fingerprint "
    "folder_samples",
    "data.folder": "Reading Scan VideoFiles VideoFolder VideoList SUFFIXES USUAL_FPS TRIM Transform Progress scan "
    "read_clip read_lines require_choice videos_by_name",
    "data.containers": "missing_bytes matroska_break",
    "data.labelled": "LabelledClip",
    "data.twentybn": "SomethingV2 Jester",
    "data.pose": "Warp Warping PoseClips Target channels target_of",
    "train.clips": "MotionVideos build_dataset build_loader data_passport channels_of video_reading",
    "train.event_clips": "event_reading sees_recordings sensor_of",
    "train.pose": "build_pose_dataset smpl_of start_at_mean form_of add_clips",
    "train.segmentation_data": "build_segmentation_dataset offsets_of offset_seconds palette_of",
    "train.splits": "Part part_of",
}
"""Names that are now in another module than the rest of theirs."""


@pytest.mark.parametrize("old", OLD_NAMES)
def test_names_of_a_module_that_was_split_are_at_its_old_address(old):
    module = import_module(f"spikereel.{old}")
    assert [name for name in OLD_NAMES[old].split() if not hasattr(module, name)] == []


def test_names_come_from_old_addresses_in_a_fresh_process():
    code = "from spikereel.train.config import DataSpec; from spikereel.data.video import probe; print(DataSpec().kind)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("motion\n", "")

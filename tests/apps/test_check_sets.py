"""`spikereel data check` on event sets whose recordings are MATLAB files or text with lists beside them."""

import event_sets
import numpy as np
import pytest

from spikereel.apps.check import check
from spikereel.data.sets import thu_e_act_50


def test_matlab_recordings_are_read_and_other_matlab_files_are_not(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    event_sets.ucf(tmp_path)
    savemat(tmp_path / "boxes.mat", {"boxes": np.ones(3)})
    report = check(tmp_path, sensor=(240, 180))
    assert (report.recordings, report.broken, report.missing) == (12, [], [])
    event_sets.save(tmp_path / "Billiards/v_Billiards_g01_c01.mat", b"MATLAB 5.0 MAT-file, cut")
    assert [name for name, _ in check(tmp_path, sensor=(240, 180)).broken] == ["Billiards/v_Billiards_g01_c01.mat"]


def test_lists_beside_recordings_of_text_are_lists(tmp_path):
    event_sets.thu(tmp_path)
    report = check(tmp_path, sensor=thu_e_act_50.SENSOR, told=thu_e_act_50.TOLD)
    assert (report.recordings, report.broken, report.missing) == (18, [], [])
    (tmp_path / "test_A0P0.csv").unlink()
    assert check(tmp_path, sensor=thu_e_act_50.SENSOR, told=thu_e_act_50.TOLD).missing == ["test_A0P0.csv (test.txt)"]


def test_paths_of_another_machine(tmp_path):
    event_sets.chl(tmp_path)
    report = check(tmp_path, sensor=thu_e_act_50.CHL_SENSOR, told=thu_e_act_50.CHL_TOLD)
    assert (report.recordings, report.broken, report.missing) == (18, [], [])
    next(tmp_path.glob("A62P0C2-test*")).unlink()
    report = check(tmp_path, sensor=thu_e_act_50.CHL_SENSOR, told=thu_e_act_50.CHL_TOLD)
    assert len(report.missing) == 1

"""Table 7 on movements whose predictions are known, and on the mocap clips where they are there."""

from __future__ import annotations

import numpy as np
import pytest

from dualpose_ros.datasets.motion import Clip, load_clips
from dualpose_ros.lab.evaluation.refinement.trajectory import TABLE_7_WINDOWS, prediction_error, trajectory_table
from support.data import data_path


def test_errors_are_those_of_an_accelerated_movement() -> None:
    hz, times = 25.0, np.arange(40) / 25.0
    joints = np.zeros((40, 17, 3))
    joints[:, :, 1] = (2.0 * times**2)[:, None]
    assert prediction_error([joints], hz, (2, 0, 0)) == pytest.approx(4 / hz**2)
    # c1 of the last two frames is half a step too old: -2 h^2; c2 is the parabola's own.
    assert prediction_error([joints], hz, (2, 5, 0)) == pytest.approx(2 / hz**2)


def test_a_row_for_each_rate_and_windows() -> None:
    rng = np.random.default_rng(0)
    clip = Clip("walk", np.cumsum(rng.normal(0, 0.01, (60, 17, 3)), axis=0).astype(np.float32), 60.0)
    rows = trajectory_table([clip])
    assert [row["windows"] for row in rows[:9]] == ["/".join(map(str, w)) for w in TABLE_7_WINDOWS]
    assert len(rows) == 27 and all(row["mpjpe_mm"] > 0 for row in rows)
    assert all(row["over_published"] == pytest.approx(1) for row in rows if row["windows"] == "2/5/5")
    with pytest.raises(ValueError, match="no clip"):
        trajectory_table([Clip("short", clip.joints_m[:5], 60.0)])


def test_the_published_windows_are_best_on_captured_movement() -> None:
    rows = trajectory_table(load_clips(data_path("motion/cmu_train_h36m17_60hz.npz"), "held_out"), rates=(25.0, 33.0))
    for hz in (25.0, 33.0):
        errors = {row["windows"]: row["mpjpe_mm"] for row in rows if row["hz"] == hz}
        assert errors["2/5/5"] <= 1.02 * min(errors.values())

"""Trajectory weights against NumPy's regressions, and the rows that the solver is given."""

from __future__ import annotations

import numpy as np
import pytest

from dualpose_ros.refinement.motion import JOINT_MOTION_M, motion_row, prediction_stddev, steady_row
from dualpose_ros.refinement.trajectory import (
    LONG_WINDOWS,
    PUBLISHED_WINDOWS,
    STEADY_WINDOWS,
    trajectory_weights,
    windows_for_interval,
)


@pytest.mark.parametrize("windows", [(2, 5, 5), (3, 7, 7), (2, 0, 0), (5, 0, 0), (2, 4, 6)])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_highest_coefficients_of_polyfit(windows: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.01, 0.12, 7)) + 1e3
    values, ahead = rng.normal(size=7), 0.07
    expected = values[-1]
    for order, window in enumerate(windows, start=1):
        if window:
            expected += ahead**order * np.polyfit(times[-window:] - times[-1], values[-window:], order)[0]
    weights = trajectory_weights(times, times[-1] + ahead, windows)
    assert weights @ values == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert weights.sum() == pytest.approx(1)


def test_a_cubic_is_foretold_exactly_by_windows_of_four() -> None:
    # Each coefficient from its own degree is the cubic's own only where higher ones vanish: here for t^2 and t^3.
    times = np.array([-0.3, -0.2, -0.1, 0.0])
    line = 2 - 3 * times
    assert trajectory_weights(times, 0.2, (2, 4, 4)) @ line == pytest.approx(2 - 3 * 0.2)
    cubic = 5 * times**3
    alone = trajectory_weights(times, 0.2, (0, 0, 4))
    assert alone @ cubic == pytest.approx(5 * 0.2**3)


def test_few_or_equal_times_leave_orders_out() -> None:
    np.testing.assert_array_equal(trajectory_weights([1.0], 1.5), [1.0])
    np.testing.assert_allclose(trajectory_weights([1.0, 1.5], 2.0), [-1, 2])
    np.testing.assert_array_equal(trajectory_weights([1.0, 1.0, 1.0], 1.5), [0, 0, 1])
    repeated = trajectory_weights([1.0, 1.1, 1.2, 1.2, 1.3], 1.4)
    assert np.isfinite(repeated).all() and repeated.sum() == pytest.approx(1)
    np.testing.assert_array_equal(trajectory_weights(np.arange(6) * 0.1, 0.5), np.eye(6)[-1])
    np.testing.assert_allclose(trajectory_weights(np.arange(7) / 25, 7 / 25, (2, 3, 3)),
                               trajectory_weights(np.arange(7) / 25, 7 / 25, (2, 3, 0)))  # fmt: skip


@pytest.mark.parametrize("past", [[], [2.0, 1.0], [np.nan]])
def test_times_that_do_not_ascend_are_refused(past: list[float]) -> None:
    with pytest.raises(ValueError, match="past times"):
        trajectory_weights(past, 3.0)


def test_a_next_time_in_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match="before the last"):
        trajectory_weights([0.0, 1.0], 0.5)


def test_windows_by_interval() -> None:
    assert windows_for_interval(0.0) == windows_for_interval(1 / 60) == windows_for_interval(1 / 50) == LONG_WINDOWS
    assert windows_for_interval(1 / 33) == windows_for_interval(1 / 25) == PUBLISHED_WINDOWS
    assert windows_for_interval(1 / 12) == windows_for_interval(0.3) == STEADY_WINDOWS


def test_rows_vanish_on_steady_motion_and_hold_where_the_past_is_too_close() -> None:
    times = np.array([0.0, 0.04, 0.08, 0.12, 0.17, 0.2])
    for row, stddev in (motion_row(times), steady_row(times)):
        assert row @ (3 + 2 * times) == pytest.approx(0, abs=1e-12)
        assert stddev.shape == JOINT_MOTION_M.shape and (stddev > 0).all()
    for make in (motion_row, steady_row):
        row, stddev = make(np.array([0.0, 0.001, 0.5]))
        np.testing.assert_array_equal(row, [0, -1, 1])
        assert stddev.min() >= 0.3
        row, _ = make(np.array([1.0, 1.0]))
        np.testing.assert_array_equal(row, [-1, 1])
    assert (np.diff(prediction_stddev(np.linspace(0, 1, 9)), axis=0) >= 0).all()

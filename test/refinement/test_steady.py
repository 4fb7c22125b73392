"""What is published: motion at once, corrections of it gradually, whatever the rate of frames."""

from __future__ import annotations

import numpy as np
import pytest

from dualpose_ros.refinement.steady import DISTANCE_TIMES, SWIFT_M_S, steadied
from support import windows


def test_what_was_right_moves_on_at_once() -> None:
    before, now = windows.person((0.3, 0.1, 4.0)), windows.person((0.5, 0.0, 3.7))
    np.testing.assert_allclose(steadied(before, before, now, np.array(0.04), 0.1), now, atol=1e-12)


@pytest.mark.parametrize(("elapsed_s", "time_constant_s"), [(np.inf, 0.1), (0.04, 0.0), (0.0, 0.0)])
def test_nothing_left_is_the_frame_itself(elapsed_s: float, time_constant_s: float) -> None:
    published, before, now = windows.person((0.0, 0.0, 5.0)), windows.person(), windows.person((0.5, 0.0, 3.7))
    found = steadied(published, before, now, np.array(elapsed_s), time_constant_s)
    np.testing.assert_allclose(found, now, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_a_correction_of_the_distance_fades_in_as_a_share(steps: int) -> None:
    """Of somebody who stands and turned out 10 % farther: the same after the same time, in however many frames."""
    near = windows.person((0.4, 0.0, 3.0))
    far = near - near[0] + 1.1 * near[0]
    published = near
    for _ in range(steps):
        published = steadied(published, far, far, np.array(0.2 / steps), 0.1)
    share = np.linalg.norm(published[0]) / np.linalg.norm(far[0])
    assert np.log(share) == pytest.approx(-np.exp(-2 / DISTANCE_TIMES) * np.log(1.1))
    np.testing.assert_allclose(published - published[0], far - far[0], atol=1e-12)


def test_the_pose_about_the_root_follows_and_swift_joints_sooner() -> None:
    before, now = windows.walk(np.array([0.0, 0.2]))
    found = steadied(before, before, now, np.array(0.05), 0.1)
    rel = [pose - pose[0] for pose in (before, now, found)]
    elapsed = 0.05 + np.linalg.norm(rel[1] - rel[0], axis=-1, keepdims=True) / SWIFT_M_S
    left = np.exp(-elapsed / 0.1)
    assert np.ptp(left[1:]) > 0.1
    np.testing.assert_allclose(rel[2], left * rel[0] + (1 - left) * rel[1], atol=1e-12)
    np.testing.assert_allclose(found[0], now[0], atol=1e-12)

"""Accelerations of known curves."""

import numpy as np

from dualpose_ros.metrics.steadiness import accelerations_of


def test_accelerations_of_a_parabola_at_irregular_times() -> None:
    times = np.array([0, 0.1, 0.15, 0.4, 0.42])
    joints = np.stack([3 * times**2 - times, 0 * times + 4], axis=-1)
    np.testing.assert_allclose(accelerations_of(joints, times), [[6, 0]] * 3, atol=1e-9)
    assert accelerations_of(joints[:2], times[:2]).shape == (0, 2)

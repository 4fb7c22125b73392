"""Affine maps of pixels: what is turned about a point leaves that point where it is said to go."""

from __future__ import annotations

import numpy as np

from dualpose_ros.lab.training.geometry import about, moved, turn


def test_a_map_about_a_point_takes_it_to_its_target_and_turns_the_rest() -> None:
    source, target = np.array([3.0, 4.0]), np.array([10.0, 20.0])
    matrix = about(2 * turn(np.pi / 2), source, target)
    points = moved(np.array([[3.0, 4.0], [4.0, 4.0], [3.0, 5.0]]), matrix)
    np.testing.assert_allclose(points, [[10, 20], [10, 22], [8, 20]], atol=1e-12)

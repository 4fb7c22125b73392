"""Affine maps (2, 3) of pixels, as the random views of training pictures are."""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats


def turn(angle: float) -> Floats:
    """The rotation (2, 2) by an angle in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def about(linear: AnyFloats, source: AnyFloats, target: AnyFloats) -> Floats:
    """The map with a linear part (2, 2) that takes the point `source` (2,) to `target` (2,)."""
    return np.column_stack([linear, target - linear @ source])


def moved(points: AnyFloats, matrix: AnyFloats) -> Floats:
    """Points (..., 2) through a map."""
    return np.asarray(np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2])

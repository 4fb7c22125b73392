"""How steady tracks are over time: accelerations and bone lengths, as pure functions of arrays.

T frames, K joints of `skeleton.H36M17`; metres and seconds.
"""

from collections.abc import Sequence

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.skeleton import H36M17

LONGEST_TRIPLE_S = 0.5
"""Three frames in a row that last longer say nothing about accelerations."""

FEWEST_FRAMES = 5
"""Tracks of fewer frames say nothing about how lengths vary."""

_PARENTS, _CHILDREN = np.array(H36M17.bones).T


def accelerations_of(joints: Floats, times: Floats) -> Floats:
    """Second divided differences (T - 2, ...) of joints (T, ...) at times (T,), which may be irregular."""
    if len(times) < 3:
        return np.zeros((0, *joints.shape[1:]))
    shape = (-1, *(1 for _ in joints.shape[1:]))
    speeds = np.diff(joints, axis=0) / np.diff(times).reshape(shape)
    return np.asarray(2 * np.diff(speeds, axis=0) / (times[2:] - times[:-2]).reshape(shape))


def acceleration_errors(joints: Floats, truth: Floats, times: Floats, counted: Mask | bool = True) -> Floats:
    """|a - a*| (n,) in m/s^2 of a track's joints and truth (T, K, 3) at times (T,), over joints and three frames in a
    row that last no longer than LONGEST_TRIPLE_S and are counted (T - 2,)."""
    usable = (times[2:] - times[:-2] <= LONGEST_TRIPLE_S) & counted
    error = accelerations_of(joints, times) - accelerations_of(truth, times)
    return np.asarray(np.linalg.norm(error[usable], axis=-1).ravel())


def bone_squares(joints: Floats) -> Floats:
    """Squares (n,) of how far bones of a track's joints (T, K, 3) are from their mean lengths; none of few frames."""
    if len(joints) < FEWEST_FRAMES:
        return np.zeros(0)
    lengths = np.linalg.norm(joints[:, _CHILDREN] - joints[:, _PARENTS], axis=-1)
    return np.asarray(((lengths - lengths.mean(axis=0)) ** 2).ravel())


def mean_of(parts: Sequence[Floats], scale: float = 1.0) -> float | None:
    """Mean of all values, scaled; None of none."""
    values = np.concatenate(parts) if parts else np.zeros(0)
    return scale * float(values.mean()) if values.size else None

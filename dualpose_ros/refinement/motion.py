"""The trajectory term of a window: positions less their prediction from past frames, and how far off it usually is.

W frames, K joints of `skeleton.H36M17`; metres, seconds.
"""

from functools import lru_cache

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.trajectory import (
    LONG_WINDOWS,
    PUBLISHED_WINDOWS,
    Windows,
    trajectory_weights,
    windows_for_interval,
)

PAST_FRAMES = max(*PUBLISHED_WINDOWS, *LONG_WINDOWS)
LARGEST_WEIGHT = 8.0
"""Predictions that multiply positions by more amplify noise alone: the position is held instead."""

HOLD_SPEED = 0.7
"""Deviation of speed on an axis, m/s: how far off is a position that is held."""

_REFERENCE_S = 0.04
_GROWTH = 1.65
_LEAST_M = 5e-4
JOINT_MOTION_M = 1e-3 * np.array(
    [3.0, 3.1, 4.6, 6.5, 3.1, 4.6, 6.5, 3.0, 3.2, 3.8, 4.8, 3.8, 6.0, 10.0, 3.8, 6.0, 10.0]
)
"""Deviation on an axis of predictions 40 ms ahead from windows 2, 5, 5, joint by joint, of captured movements."""


def prediction_stddev(ahead_s: float | Floats) -> Floats:
    """Deviation (..., K) on an axis of trajectory predictions so many seconds ahead (...,), from true positions."""
    ahead = np.asarray(ahead_s, dtype=np.float64)[..., None]
    return np.asarray(np.maximum(JOINT_MOTION_M * (ahead / _REFERENCE_S) ** _GROWTH, _LEAST_M))


def motion_row(times: Floats) -> tuple[Floats, Floats]:
    """Weights (W,) whose sum over positions is the last position less its prediction, and its deviation (K,).

    The prediction is by the windows that suit the interval. Where they can't be trusted, the position is held.
    """
    row = np.zeros(len(times))
    row[-1] = 1
    ahead = float(times[-1] - times[-2])
    past = times[:-1][-PAST_FRAMES:]
    weights = _weights(tuple((past - times[-1]).tolist()), windows_for_interval(ahead))
    stddev = prediction_stddev(ahead)
    if len(past) < 2 or np.abs(weights).max() > LARGEST_WEIGHT:
        weights = np.zeros(len(past))
        weights[-1] = 1
        stddev = np.maximum(stddev, HOLD_SPEED * ahead)
    row[len(times) - 1 - len(past) : -1] = -weights
    return row, stddev


@lru_cache(maxsize=64)
def _weights(past: tuple[float, ...], windows: Windows) -> Floats:
    """Weights of a prediction for time 0: everybody seen in the same frames has the same."""
    weights = trajectory_weights(past, 0.0, windows)
    weights.setflags(write=False)
    return weights


def steady_row(times: Floats) -> tuple[Floats, Floats]:
    """As `motion_row` by constant velocity from the last two past frames, or held: for frames with few before them."""
    row = np.zeros(len(times))
    row[-1] = 1
    ahead = float(times[-1] - times[-2])
    step = float(times[-2] - times[-3]) if len(times) > 2 else 0.0
    stddev = prediction_stddev(ahead)
    if step * (LARGEST_WEIGHT - 1) > ahead:
        row[-2], row[-3] = -1 - ahead / step, ahead / step
    else:
        row[-2] = -1
        stddev = np.maximum(stddev, HOLD_SPEED * ahead)
    return row, stddev

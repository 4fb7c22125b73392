"""Where a point goes next, as fixed linear weights on where it was (Eq. 13 of the paper).

The motion is c0 + c1 h + c2 h^2 + c3 h^3, h seconds after the last frame. c0 is the last position, and c_n the n-th
coefficient of an n-th-degree regression on its own window of last frames, so that the prediction is a weighted
sum of past positions. W frames; seconds; weights are the same for each coordinate.
"""

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats

Windows = tuple[int, int, int]

PUBLISHED_WINDOWS: Windows = (2, 5, 5)
"""The paper's choice (Table 7)."""

STEADY_WINDOWS: Windows = (2, 0, 0)
"""Constant velocity."""

LONG_WINDOWS: Windows = (2, 7, 7)
"""More of frames that are closer together."""

SHORT_INTERVAL_S = 0.024
"""From 42 Hz the long windows are the best of Table 7."""

LONG_INTERVAL_S = 0.071
"""Below 14 Hz constant velocity is: five frames are too long ago by then."""

_SAME_TIME_S = 1e-4


def trajectory_weights(times_past: npt.ArrayLike, time_next: float, windows: Windows = PUBLISHED_WINDOWS) -> Floats:
    """Weights with which past positions add up to a prediction (Eq. 13); they sum to 1.

    times_past: (W,) in seconds, ascending; they may be irregular. time_next: when the prediction is for; windows:
    frames of the regressions of order 1, 2, 3; 0 leaves an order out, and so does a window with too few frames of
    different times.
    Returns (W,).
    ValueError for no past frames, times that don't ascend, or a next time before the last.
    """
    times = np.asarray(times_past, dtype=np.float64).reshape(-1)
    if len(times) == 0 or not np.isfinite(times).all() or np.any(np.diff(times) < 0):
        raise ValueError(f"past times {times} are not one or more ascending ones")
    ahead = float(time_next) - float(times[-1])
    if not ahead >= 0:
        raise ValueError(f"the next time is {-ahead} s before the last of the past")
    weights = np.zeros(len(times))
    weights[-1] = 1
    for order, window in enumerate(windows, start=1):
        count = min(window, len(times))
        row = _highest_coefficient(times[len(times) - count :] - times[-1], order)
        if row is not None and ahead > 0:
            weights[len(times) - count :] += ahead**order * row
    return weights


def _highest_coefficient(times: Floats, order: int) -> Floats | None:
    """Weights on values at times (n,) whose sum is the coefficient of t^order of the regression of that degree."""
    if len(times) <= order or np.count_nonzero(np.diff(times) > _SAME_TIME_S) < order:
        return None
    scale = times[-1] - times[0]
    # Of the centred powers, the highest one made orthogonal to the lower ones gives its own coefficient.
    x = (times - times.mean()) / scale
    lower, _ = np.linalg.qr(np.vander(x, order, increasing=True))
    highest = x**order
    highest = highest - lower @ (lower.T @ highest)
    return np.asarray(highest / (highest @ highest) / scale**order)


def windows_for_interval(interval_s: float) -> Windows:
    """The windows that suit a frame interval in seconds: the published ones between 14 and 42 Hz, the long ones above,
    constant velocity below."""
    if interval_s > LONG_INTERVAL_S:
        return STEADY_WINDOWS
    return PUBLISHED_WINDOWS if interval_s > SHORT_INTERVAL_S else LONG_WINDOWS

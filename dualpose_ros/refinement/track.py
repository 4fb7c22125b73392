"""One track over its life: refined frame by frame, and predicted for a while after it vanished.

K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dualpose_ros.refinement.bones import BoneConfig, BoneMemory
from dualpose_ros.refinement.distance import smooth_distances
from dualpose_ros.refinement.motion import HOLD_SPEED, PAST_FRAMES, prediction_stddev
from dualpose_ros.refinement.solver import SolverConfig, refine
from dualpose_ros.refinement.trajectory import trajectory_weights, windows_for_interval
from dualpose_ros.refinement.window import Frame, Window, at_distances, empty_window, observations, with_frame
from dualpose_ros.skeleton import H36M17

FloatArray = npt.NDArray[np.float64]

FIRST_STEPS = 3
FIRST_BONES_S = 0.1
COAST_S = 0.4
MOST_COASTING_WEIGHT = 25.0
"""With two last frames almost at once, their difference is noise: the person is taken to stand."""

_VELOCITY_S = 0.3
_ROOT = H36M17.root


@dataclass(frozen=True)
class Refined:
    """One frame's refined joints (K, 3), deviations (K,) in their worst direction, the root's velocity (3,) in m/s."""

    time: float
    joints: FloatArray
    stddev: FloatArray
    root_velocity: FloatArray


class TrackSmoother:
    """The window, bone lengths and last answer of one track."""

    def __init__(self, solver: SolverConfig, bones: BoneConfig, window: int, lag: int, steps: int) -> None:
        self._solver = solver
        self._length, self._lag, self._steps = window, lag, steps
        self._window = empty_window()
        self._bones = BoneMemory(bones)
        self._stddev = np.zeros(H36M17.num_joints)

    @property
    def window(self) -> Window:
        """The frames now, as last refined."""
        return self._window

    @property
    def lengths(self) -> FloatArray:
        """Logarithms (K,) of bones' lengths in metres."""
        return self._bones.logarithms

    def add(self, frame: Frame) -> Refined:
        """Take in a later frame (or one of the same time), and refine the window.

        The answer is the frame that is `lag` before it, or the first while there are fewer.
        """
        elapsed = frame.time - self._window.frames[-1].time if self._window.frames else FIRST_BONES_S
        window = with_frame(self._window, frame, self._length)
        window, depth_stddev = self._at_smooth_distances(window)
        self._bones.add(frame.prior, elapsed)
        steps = max(self._steps, FIRST_STEPS if len(window.frames) <= FIRST_STEPS else 1)
        solution = refine(observations(window, self._bones.logarithms), window.joints, self._solver, steps)
        self._window = window = replace(window, joints=solution.joints)
        at = max(len(window.frames) - 1 - self._lag, 0)
        stddev = window.frames[at].relative_stddev if solution.factor is None else solution.spread(at)
        self._stddev = self._solver.stated_share * np.hypot(stddev, depth_stddev[at])
        return Refined(float(window.times[at]), window.joints[at], self._stddev, self._velocity(at))

    def _at_smooth_distances(self, window: Window) -> tuple[Window, FloatArray]:
        """The window at the roots' smoothed distances, and their deviations (W,) in metres."""
        said = window.said_distances
        metres = np.exp(said)
        stated = np.array([frame.depth_stddev for frame in window.frames])
        motion_stddev = self._solver.distance_motion * window.motion_stddev[:, _ROOT] / metres
        distances, shares = smooth_distances(
            said, stated / metres, window.times, self._solver.depth, window.motion, motion_stddev
        )
        return at_distances(window, distances), np.asarray(shares * metres)

    def _velocity(self, at: int) -> FloatArray:
        """Velocity (3,) of the root by a line through the frames just before and after."""
        times = self._window.times
        near = np.abs(times - times[at]) <= _VELOCITY_S
        since = times[near] - times[near].mean()
        spread = float(since @ since)
        if spread < 1e-6:
            return np.zeros(3)
        return np.asarray(since @ self._window.joints[near, _ROOT] / spread)

    def predict(self, time: float) -> Refined:
        """Where the person is at a time after the last frame, by the trajectory, if it goes on as before.

        The longer ago, the less it does: time counts in full at first, and COAST_S seconds in all.
        """
        times, joints = self._window.times[-PAST_FRAMES:], self._window.joints[-PAST_FRAMES:]
        ahead = max(time - float(times[-1]), 0.0)
        counted = COAST_S * (1 - np.exp(-ahead / COAST_S))
        weights = trajectory_weights(times, float(times[-1]) + counted, windows_for_interval(ahead))
        if np.abs(weights).max() > MOST_COASTING_WEIGHT:
            weights = np.eye(len(times))[-1]
        grown = np.hypot(prediction_stddev(counted), 0.3 * HOLD_SPEED * ahead)
        velocity = self._velocity(len(self._window.frames) - 1) * (1 - counted / COAST_S)
        return Refined(time, np.tensordot(weights, joints, axes=1), np.hypot(self._stddev, grown), velocity)

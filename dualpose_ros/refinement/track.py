"""One track over its life: refined frame by frame, and predicted for a while after it vanished.

K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.bones import BoneMemory, with_lengths
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.distance import smooth_distances
from dualpose_ros.refinement.motion import HOLD_SPEED, prediction_stddev
from dualpose_ros.refinement.solver import refine
from dualpose_ros.refinement.steady import steadied, still_left
from dualpose_ros.refinement.window import Frame, Window, at_distances, empty_window, observations, with_frame
from dualpose_ros.skeleton import H36M17

FIRST_STEPS = 3
FIRST_BONES_S = 0.1
COAST_S = 0.8
COAST_PAST_S = 0.6
"""People who vanished go on as the root's velocity over so long says, in whose errors single frames drown."""

VELOCITY_S = 0.3
LEAST_VELOCITY_S = 0.05
"""Frames closer together say nothing of velocity: the person is taken to stand."""

_ROOT = H36M17.root


@dataclass(frozen=True)
class Refined:
    """One frame's refined joints (K, 3), deviations (K,) in their worst direction, the root's velocity (3,) in m/s."""

    time: float
    joints: Floats
    stddev: Floats
    root_velocity: Floats


class TrackSmoother:
    """The window, bone lengths and last answer of one track."""

    def __init__(self, config: RefinementConfig) -> None:
        self.config = config
        self._window = empty_window()
        self._bones = BoneMemory(config.bones)
        self._published: Floats | None = None
        self._stddev = np.zeros(H36M17.num_joints)

    @property
    def window(self) -> Window:
        """The frames now, as last refined."""
        return self._window

    @property
    def lengths(self) -> Floats:
        """Logarithms (K,) of bones' lengths in metres."""
        return self._bones.logarithms

    def restart(self) -> None:
        """Forget the frames, of which the last is too long ago; the person's bone lengths stay."""
        self._window, self._published = empty_window(), None

    def add(self, frame: Frame) -> Refined:
        """Take in a later frame (or one of the same time), and refine the window.

        The answer is the frame that is `lag_frames` before it, or the first while there are fewer.
        """
        elapsed = frame.time - self._window.frames[-1].time if self._window.frames else FIRST_BONES_S
        window = with_frame(self._window, frame, self.config.window)
        window, depth_stddev = self._at_smooth_distances(window)
        self._bones.add(frame.prior, elapsed)
        steps = max(self.config.steps, FIRST_STEPS if len(window.frames) <= FIRST_STEPS else 1)
        solution = refine(observations(window, self._bones.logarithms), window.joints, self.config.solver, steps)
        self._window = window = replace(window, joints=solution.joints)
        at = self._late(len(window.frames) - 1)
        stddev = window.frames[at].relative_stddev if solution.factor is None else solution.spread(at)
        self._stddev = self.config.solver.stated_share * np.hypot(stddev, depth_stddev[at])
        self._published = self._steady(at)
        return Refined(float(window.times[at]), self._published, self._stddev, self._velocity(at))

    def _steady(self, at: int) -> Floats:
        """A frame's joints (K, 3) to publish: steady, and with the person's bone lengths exactly, for which one step
        from frame to frame is not enough."""
        joints, times = self._window.joints, self._window.times
        pose = joints[at]
        if at > 0 and self._published is not None:
            left = still_left(float(times[at] - times[at - 1]), self.config.steady_s)
            pose = steadied(self._published, joints[at - 1], pose, left)
        return with_lengths(pose, self._bones.logarithms)

    def _at_smooth_distances(self, window: Window) -> tuple[Window, Floats]:
        """The window at the roots' smoothed distances, and their deviations (W,) in metres."""
        said = window.said_distances
        metres = np.exp(said)
        stated = np.array([frame.depth_stddev for frame in window.frames])
        motion_stddev = self.config.solver.distance_motion * window.motion_stddev[:, _ROOT] / metres
        distances, shares = smooth_distances(
            said, stated / metres, window.times, self.config.solver.depth, window.motion, motion_stddev
        )
        return at_distances(window, distances), np.asarray(shares * metres)

    def _velocity(self, at: int, within_s: float = VELOCITY_S) -> Floats:
        """Velocity (3,) of the root by a line through the frames just before and after: c1 of Eq. 13."""
        times = self._window.times
        near = np.abs(times - times[at]) <= within_s
        since = times[near] - times[near].mean()
        if np.ptp(since) < LEAST_VELOCITY_S:
            return np.zeros(3)
        return np.asarray(since @ self._window.joints[near, _ROOT] / (since @ since))

    def predict(self, time: float) -> Refined:
        """Where the person is at a time after the last frame: the last pose, its root moved on at its velocity.

        The longer ago, the less it goes on: time counts in full at first, and COAST_S seconds in all.
        """
        last = len(self._window.frames) - 1
        ahead = max(time - float(self._window.times[-1]), 0.0)
        counted = COAST_S * (1 - np.exp(-ahead / COAST_S))
        velocity = self._velocity(last, COAST_PAST_S)
        root = self._window.joints[:, _ROOT]
        moved = root[last] - root[self._late(last)] + counted * velocity
        grown = np.hypot(prediction_stddev(counted), 0.3 * HOLD_SPEED * ahead)
        assert self._published is not None
        return Refined(time, self._published + moved, np.hypot(self._stddev, grown), velocity * (1 - counted / COAST_S))

    def _late(self, last: int) -> int:
        """The frame that is published when `last` came."""
        return max(last - self.config.lag_frames, 0)

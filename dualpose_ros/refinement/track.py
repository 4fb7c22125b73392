"""One track over its life: refined frame by frame, and predicted for a while after it vanished.

K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.people import SEEN
from dualpose_ros.refinement.bones import BoneMemory, add_poses, with_lengths
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.distance import smooth_distances
from dualpose_ros.refinement.ground.stance import bones_height
from dualpose_ros.refinement.ground.standing import Correction
from dualpose_ros.refinement.least_squares.solver import Solution, refine
from dualpose_ros.refinement.least_squares.terms import HAS_BONE
from dualpose_ros.refinement.motion import HOLD_SPEED, prediction_stddev
from dualpose_ros.refinement.steady import steadied
from dualpose_ros.refinement.window import (
    Frame,
    Window,
    Windows,
    at_distances,
    empty_window,
    observations,
    resized,
    stacked,
    with_frame,
)
from dualpose_ros.skeleton import H36M17

FIRST_STEPS = 3
FIRST_BONES_S = 0.1
COAST_S = 0.8
COAST_PAST_S = 0.6
"""People who vanished go on as the root's velocity over so long says, in whose errors single frames drown."""

VELOCITY_S = 0.3
LEAST_VELOCITY_S = 0.05
"""Frames closer together say nothing of velocity: the person is taken to stand."""

UNKNOWN_HEIGHT = 0.12
"""Deviation of a height, as a share, where nothing but the integrated poses says it."""

_ROOT = H36M17.root


@dataclass(frozen=True)
class Refined:
    """One frame's refined joints (K, 3), deviations (K,) in their worst direction, the root's velocity (3,) in m/s, and
    how tall the person stands, with its deviation."""

    time: float
    joints: Floats
    stddev: Floats
    root_velocity: Floats
    height_m: float
    height_stddev_m: float


class TrackSmoother:
    """The window, bone lengths and last answer of one track, each of whose frames is published once, in their order."""

    def __init__(self, config: RefinementConfig, bones: BoneMemory | None = None) -> None:
        self.config = config
        self.bones = bones if bones is not None else BoneMemory(config.bones)
        self._window = empty_window()
        self._correction: Correction | None = None
        self._waiting = 0
        self._solution: Solution | None = None
        self._person = 0
        self._depth_stddev = np.zeros(0)
        self._published: Floats | None = None
        self._stddev = np.zeros(H36M17.num_joints)

    @property
    def window(self) -> Window:
        """The frames now, as last refined."""
        return self._window

    @property
    def lengths(self) -> Floats:
        """Logarithms (K,) of bones' lengths in metres."""
        return np.asarray(np.where(HAS_BONE, self.bones.logarithms - self._window.too_large, 0.0))

    @property
    def height(self) -> tuple[float, float]:
        """How tall the person stands, in metres, and its deviation."""
        if self._correction is not None and self._correction.height_m:
            return self._correction.height_m, self._correction.height_stddev_m
        height = bones_height(np.exp(self.lengths))
        return height, UNKNOWN_HEIGHT * height

    def correct(self, correction: Correction | None) -> None:
        """What the ground says of the person from now on; None where it says nothing yet."""
        if correction is not None:
            self._correction = correction
            self._window = resized(self._window, correction.size)

    def add(self, frame: Frame) -> None:
        """Take in a later frame (or one of the same time), and refine the window."""
        add_frames([(self, frame)])

    def take_in(self, frame: Frame) -> None:
        """Put a later frame into the window, which is to be refined then."""
        if self._correction is not None:
            stddev = self._correction.stddev * np.exp(self._correction.distance)
            frame = replace(frame, distance=self._correction.distance, depth_stddev=stddev)
        self._window = with_frame(self._window, frame, self.config.window_frames)
        self._waiting = min(self._waiting + 1, len(self._window))

    def since_last(self, time: float) -> float:
        """Seconds since the last frame."""
        return time - float(self._window.times[-1]) if len(self._window) else FIRST_BONES_S

    def refined(self, joints: Floats, distances: Floats, depth_stddev: Floats, solution: Solution, person: int) -> None:
        """The window has been refined, with others of which this is number `person`.

        Joints (W, K, 3), at distances of the root whose logarithms are (W,), of deviations (W,) in metres.
        """
        self._solution, self._person, self._depth_stddev = solution, person, depth_stddev
        self._window = replace(self._window, joints=joints, distances=distances)

    def _due(self) -> tuple[int, Floats, Floats, Floats, float]:
        """Of the oldest frame that was not published yet: its place in the window, its joints, those of the frame
        before it, these as they were published, and the seconds since then."""
        assert self._waiting and self._solution is not None
        at = len(self._window) - self._waiting
        self._waiting -= 1
        joints, times = self._window.joints, self._window.times
        if not at or self._published is None:
            return at, joints[at], joints[at], joints[at], np.inf
        return at, joints[at], joints[at - 1], self._published, float(times[at] - times[at - 1])

    def _stddev_at(self, at: int) -> Floats:
        """Deviations (K,) of a frame's joints, as `window.split_stddev` takes them apart again."""
        assert self._solution is not None
        said = self._window.said[at]
        spread = self._solution.spread(at, self._person)
        stddev = said[:, 6] if spread is None else spread
        # A guess that is repeated gets no surer.
        guessed = np.minimum(np.maximum((1 - said[:, 5]) / (1 - SEEN), 0), 1)
        stddev = self.config.solver.stddev_scale * np.maximum(stddev, guessed * said[:, 6])
        stddev[_ROOT] = 0
        return np.asarray(np.hypot(stddev, self._depth_stddev[at]))

    def _published_as(self, at: int, joints: Floats, stddev: Floats) -> Refined:
        self._published, self._stddev = joints, stddev
        return Refined(float(self._window.times[at]), joints, stddev, self._velocity(at), *self.height)

    def _velocity(self, at: int, within_s: float = VELOCITY_S) -> Floats:
        """Velocity (3,) of the root by a line through the frames just before and after: c1 of Eq. 13."""
        times = self._window.times
        near = np.abs(times - times[at]) <= within_s
        since = times[near]
        if since[-1] - since[0] < LEAST_VELOCITY_S:
            return np.zeros(3)
        since = since - since.mean()
        return np.asarray(since @ self._window.joints[near, _ROOT] / (since @ since))

    def predict(self, time: float) -> Refined:
        """Where the person is at a time after the frame published last, in which nobody found them.

        Between frames where they were found, on the way from one to the other.
        """
        at, times = len(self._window) - self._waiting - 1, self._window.times
        ahead = max(time - float(times[at]), 0.0)
        assert self._published is not None
        if not self._waiting:
            return self._gone_on(time, ahead)
        gap = float(times[at + 1] - times[at])
        step = self._window.joints[at + 1] - self._window.joints[at]
        joints = with_lengths(self._published + step * (ahead / max(gap, 1e-9)), self.lengths)
        grown = prediction_stddev(min(ahead, gap - ahead))
        velocity = step[_ROOT] / max(gap, LEAST_VELOCITY_S)
        return Refined(time, joints, np.hypot(self._stddev, grown), velocity, *self.height)

    def _gone_on(self, time: float, ahead: float) -> Refined:
        """The last pose, its root moved on at its velocity for so many seconds.

        The longer ago, the less it goes on: time counts in full at first, and COAST_S seconds in all.
        """
        counted = COAST_S * (1 - np.exp(-ahead / COAST_S))
        velocity = self._velocity(len(self._window) - 1, COAST_PAST_S)
        grown = np.hypot(prediction_stddev(counted), 0.3 * HOLD_SPEED * ahead)
        joints = np.asarray(self._published) + counted * velocity
        slowed = velocity * (1 - counted / COAST_S)
        return Refined(time, joints, np.hypot(self._stddev, grown), slowed, *self.height)


def publish(smoothers: Sequence[TrackSmoother]) -> list[Refined]:
    """Of each track the oldest frame that was not published yet, as all frames up to now have it: steady, and with the
    person's bone lengths exactly, for which one step from frame to frame is not enough."""
    if not smoothers:
        return []
    places, now, before, published, elapsed = zip(*(smoother._due() for smoother in smoothers), strict=True)
    poses = steadied(
        np.array(published), np.array(before), np.array(now), np.array(elapsed),
        smoothers[0].config.smoothing_time_constant_s,
    )  # fmt: skip
    poses = with_lengths(poses, np.array([smoother.lengths for smoother in smoothers]))
    return [
        smoother._published_as(at, pose, smoother._stddev_at(at))
        for smoother, at, pose in zip(smoothers, places, poses, strict=True)
    ]


def add_frames(pairs: Sequence[tuple[TrackSmoother, Frame]]) -> None:
    """Let each of several tracks of one configuration take in its frame; windows of one length are refined together."""
    if not pairs:
        return
    elapsed = [smoother.since_last(frame.time) for smoother, frame in pairs]
    add_poses([smoother.bones for smoother, _ in pairs], np.array([frame.prior for _, frame in pairs]), elapsed)
    by_length: dict[int, list[TrackSmoother]] = defaultdict(list)
    for smoother, frame in pairs:
        smoother.take_in(frame)
        by_length[len(smoother.window)].append(smoother)
    for smoothers in by_length.values():
        _refine(smoothers, smoothers[0].config)


def _refine(smoothers: Sequence[TrackSmoother], config: RefinementConfig) -> None:
    """Refine the windows of several tracks, all of one length."""
    windows = stacked([smoother.window for smoother in smoothers])
    distances, depth_stddev = _distances(windows)
    windows = at_distances(windows, distances)
    steps = max(config.gauss_newton_steps, FIRST_STEPS if distances.shape[1] <= FIRST_STEPS else 1)
    lengths = np.array([smoother.lengths for smoother in smoothers])
    solution = refine(observations(windows, lengths), windows.joints, config.solver, steps)
    for n, smoother in enumerate(smoothers):
        smoother.refined(solution.joints[n], distances[n], depth_stddev[n], solution, n)


def _distances(windows: Windows) -> tuple[Floats, Floats]:
    """Logarithms (P, W) of the roots' smoothed distances, and their deviations (P, W) in metres.

    Those that the ground has told stay: they are smooth, and their errors last.
    """
    stated, distances = windows.depths[..., 0], windows.depths[..., 1]
    told = np.isfinite(distances)
    if told.all():
        return distances, stated
    metres = np.exp(windows.said_distances)
    smooth, shares = smooth_distances(windows.said_distances, stated / metres, windows.times)
    return np.where(told, distances, smooth), np.where(told, stated, shares * metres)

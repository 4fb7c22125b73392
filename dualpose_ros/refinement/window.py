"""The sliding window of one person: its frames, their refined joints, and what the solver is asked of several people.

P people, W frames, K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.least_squares.solver import Observations
from dualpose_ros.refinement.least_squares.terms import NEAREST_M, median_of
from dualpose_ros.refinement.motion import motion_row, steady_row
from dualpose_ros.skeleton import H36M17

LEAST_RELATIVE_M = 0.02
"""No joint is known better about the root, nor the root itself across its ray, than this, on an axis."""

LEAST_DEPTH_M = 0.02
LEAST_FOUND = 4
MOST_M = 5.0
"""Deviations that are stated larger, or are not numbers, are this."""

_ROOT = H36M17.root


@dataclass(frozen=True)
class Frame:
    """One frame's observations of one person; see `solver.Observations`.

    `said` (K, 7) holds for each joint the integrated position, the ray of the 2D joint (0 where not found), its score
    and the deviation about the root on an axis; distance: logarithm of the root's distance where the ground has told
    it, NaN where not; depth_stddev: deviation of the root's distance.
    """

    time: float
    said: Floats
    depth_stddev: float
    pixel: float
    distance: float = np.nan

    @property
    def prior(self) -> Floats:
        """The integrated joints (K, 3)."""
        return self.said[:, :3]

    def with_prior(self, joints: Floats) -> Frame:
        """The same with other integrated joints (K, 3)."""
        return replace(self, said=np.concatenate([joints, self.said[:, 3:]], axis=1))

    @property
    def rays(self) -> Floats:
        """Rays (K, 2) of the 2D joints."""
        return self.said[:, 3:5]

    @property
    def scores(self) -> Floats:
        """Scores (K,) of the 2D joints, 0 where not found."""
        return self.said[:, 5]


def frame_of(time: float, camera: Camera, pose: Pose3D) -> Frame:
    """The observations that one pose holds: see `frames_of`."""
    return frames_of(time, camera, [pose])[0]


def frames_of(time: float, camera: Camera, poses: Sequence[Pose3D]) -> list[Frame]:
    """The observations that poses hold; what is not finite says nothing.

    time: in seconds; camera: of the poses' image; poses: as integrated.
    ValueError for joints of another shape than (K, 3).
    """
    if not poses:
        return []
    count = H36M17.num_joints
    prior, stated, scores, pixels = (
        np.array([getattr(pose, name) for pose in poses], dtype=np.float64).reshape(len(poses), count, *axes)
        for name, axes in (("joints_cam", (3,)), ("joint_stddev", ()), ("joint_scores", ()), ("keypoints_px", (2,)))
    )
    usable = np.asarray(np.isfinite(prior).all(axis=-1))
    elsewhere = np.where(usable[:, _ROOT, None], prior[:, _ROOT], (0.0, 0.0, 3.0))
    prior = np.where(usable[..., None], prior, elsewhere[:, None])
    relative, depth = split_stddev(stated)
    found = np.asarray(np.isfinite(pixels).all(axis=-1) & np.isfinite(scores) & (scores > 0))
    rays = pixels_to_rays(camera, np.where(found[..., None], pixels, (camera.cx, camera.cy)))
    found &= np.isfinite(rays).all(axis=-1)
    scores = np.where(found, np.minimum(scores, 1.0), 0.0)
    said = np.empty((len(poses), count, 7))
    said[..., :3] = on_rays(prior, rays, scores * usable)
    said[..., 3:5] = np.where(found[..., None], rays, 0.0)
    said[..., 5] = scores
    said[..., 6] = np.where(usable, relative, MOST_M)
    pixel = 1 / float(np.sqrt(camera.fx * camera.fy))
    depth = np.where(usable[:, _ROOT], depth, MOST_M)
    return [Frame(time, own, float(stddev), pixel) for own, stddev in zip(said, depth, strict=True)]


def on_rays(joints: Floats, rays: Floats, scores: Floats) -> Floats:
    """Poses moved across the view to where their 2D joints are, by the median over those found.

    An error that all joints share across the view would otherwise count as K errors, all made up for by depth.

    joints: (..., K, 3) in metres; rays: (..., K, 2) of the 2D joints; scores: (..., K), 0 where there is none.
    """
    found = (scores > 0) & (joints[..., 2] > NEAREST_M)
    count = np.count_nonzero(found, axis=-1)[..., None]
    aside = median_of(np.swapaxes(rays * joints[..., 2:] - joints[..., :2], -1, -2), found[..., None, :])
    moved = joints.copy()
    moved[..., :2] += np.where(count < LEAST_FOUND, 0.0, aside)[..., None, :]
    return moved


def split_stddev(joint_stddev: Floats) -> tuple[Floats, Floats]:
    """Deviations (..., K) about the root, on an axis, and those (...,) of the root's depth, from those (..., K) in the
    camera's frame.

    `people.Pose3D.joint_stddev` holds both, as their root sum of squares; the root's own is its depth's.
    """
    stated = np.clip(np.where(np.isfinite(joint_stddev), joint_stddev, MOST_M), 0.0, MOST_M)
    root = stated[..., _ROOT]
    relative = np.sqrt(np.maximum(stated**2 - root[..., None] ** 2, 0.0))
    return np.maximum(relative, LEAST_RELATIVE_M), np.maximum(root, LEAST_DEPTH_M)


@dataclass(frozen=True, eq=False)
class Timeline:
    """When the frames of a window are: times (W,), and for each how a position hangs on those before it.

    motion (W, W): weights of a position less its prediction from past frames; motion_stddev (W, K): deviation of that.
    People who were seen in the same frames share one.
    """

    times: Floats
    motion: Floats
    motion_stddev: Floats


NO_TIME = Timeline(np.zeros(0), np.zeros((0, 0)), np.ones((0, H36M17.num_joints)))


@lru_cache(maxsize=64)
def later(timeline: Timeline, time: float, length: int) -> Timeline:
    """The timeline with a later frame, and of those before only the newest, `length` in all.

    Frames whose past has left go by constant velocity; of the first nothing is known.
    """
    left = max(len(timeline.times) - length + 1, 0)
    times = np.append(timeline.times[left:], time)
    count = len(times) - 1
    motion, stddev = np.zeros((count + 1, count + 1)), np.ones((count + 1, H36M17.num_joints))
    motion[:count, :count] = timeline.motion[left:, left:]
    stddev[:count] = timeline.motion_stddev[left:]
    for i in np.flatnonzero(timeline.motion[left:, :left].any(axis=1)):
        motion[i, : i + 1], stddev[i] = steady_row(times[: i + 1]) if i else (0, stddev[i])
    if count:
        motion[count], stddev[count] = motion_row(times)
    return _timeline(times.tobytes(), motion.tobytes(), stddev.tobytes())


@lru_cache(maxsize=64)
def _timeline(times: bytes, motion: bytes, motion_stddev: bytes) -> Timeline:
    """The timeline of these arrays' bytes: one for all who have the same, however they came by it."""
    when = np.frombuffer(times)
    shape = len(when), -1
    return Timeline(when, np.frombuffer(motion).reshape(shape), np.frombuffer(motion_stddev).reshape(shape))


@dataclass(frozen=True)
class Window:
    """Frames, oldest first, and what has been found of them.

    timeline: when they are; said (W, K, 7): see `Frame`; depths (W, 3): for each frame depth_stddev, distance and pixel
    of `Frame`; joints (W, K, 3), and logarithms (W,) of the root's distance. too_large: logarithm of by how much the
    person is said to be, and with it too far away.
    """

    timeline: Timeline
    said: Floats
    depths: Floats
    joints: Floats
    distances: Floats
    too_large: float = 0.0

    def __len__(self) -> int:
        return len(self.said)

    @property
    def times(self) -> Floats:
        """Times (W,) of the frames."""
        return self.timeline.times


def log_distances(roots: Floats) -> Floats:
    """Logarithms (...,) of the distances of points (..., 3) from the camera."""
    return np.asarray(np.log(np.maximum(np.sqrt(np.sum(roots**2, axis=-1)), NEAREST_M)))


def empty_window() -> Window:
    """A window of no frame."""
    k = H36M17.num_joints
    return Window(NO_TIME, np.zeros((0, k, 7)), np.zeros((0, 3)), np.zeros((0, k, 3)), np.zeros(0))


def with_frame(window: Window, frame: Frame, length: int) -> Window:
    """The window with a later frame, and of those before only the newest.

    The new frame starts at its integrated pose: one step from there finds what the others have to say.

    window: the frames so far; frame: the next one; length: frames in all.
    """
    left = max(len(window) - length + 1, 0)
    prior = np.exp(-window.too_large) * frame.prior
    return Window(
        later(window.timeline, frame.time, length),
        np.concatenate([window.said[left:], frame.said[None]]),
        np.concatenate([window.depths[left:], [[frame.depth_stddev, frame.distance, frame.pixel]]]),
        np.concatenate([window.joints[left:], prior[None]]),
        np.append(window.distances[left:], log_distances(prior[_ROOT])),
        window.too_large,
    )


def resized(window: Window, too_large: float) -> Window:
    """The window of a person who is now known to be too large by so much: all of it comes nearer, or goes away."""
    nearer = window.too_large - too_large
    return replace(
        window, joints=np.exp(nearer) * window.joints, distances=window.distances + nearer, too_large=too_large
    )


@dataclass(frozen=True)
class Windows:
    """The windows of P people, all of W frames: see `Window`, with an axis of people before each.

    priors (P, W, K, 3): integrated poses of people of the right size, who look the same to the camera.
    """

    times: Floats
    motion: Floats
    motion_stddev: Floats
    said: Floats
    depths: Floats
    joints: Floats
    distances: Floats
    priors: Floats

    @property
    def said_distances(self) -> Floats:
        """Logarithms (P, W) of the root's distance in the integrated poses."""
        return log_distances(self.priors[:, :, _ROOT])


def stacked(windows: Sequence[Window]) -> Windows:
    """Windows of one length, one after the other."""
    times, motion, motion_stddev = (
        np.array([getattr(window.timeline, name) for window in windows])
        for name in ("times", "motion", "motion_stddev")
    )
    said, depths, joints, distances = (
        np.array([getattr(window, name) for window in windows]) for name in ("said", "depths", "joints", "distances")
    )
    nearer = np.exp([-window.too_large for window in windows])
    priors = nearer[:, None, None, None] * said[..., :3]
    return Windows(times, motion, motion_stddev, said, depths, joints, distances, priors)


def at_distances(windows: Windows, distances: Floats) -> Windows:
    """The windows with their joints moved to other distances (P, W) of the root, along its rays."""
    return replace(windows, joints=_moved(windows.joints, windows.distances, distances), distances=distances)


def _moved(joints: Floats, before: Floats, after: Floats) -> Floats:
    """Joints (..., K, 3) whose roots are moved by the difference of distances, given by their logarithms (...,)."""
    root = joints[..., _ROOT, :]
    length = np.maximum(np.sqrt(np.sum(root**2, axis=-1)), NEAREST_M)
    return np.asarray(joints + (((np.exp(after) - np.exp(before)) / length)[..., None] * root)[..., None, :])


def observations(windows: Windows, lengths: Floats) -> Observations:
    """What the solver is asked of people's windows, with logarithms (P, K) of bones' lengths."""
    said = windows.said
    return Observations(
        times=windows.times,
        prior=_moved(windows.priors, windows.said_distances, windows.distances),
        relative_stddev=said[..., 6],
        rays=said[..., 3:5],
        scores=said[..., 5],
        pixel=windows.depths[..., 2],
        motion=windows.motion,
        motion_stddev=windows.motion_stddev,
        lengths=lengths,
    )

"""The sliding window of one person: its frames, their refined joints, and what the solver is asked.

W frames, K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.motion import motion_row, steady_row
from dualpose_ros.refinement.solver import Observations
from dualpose_ros.refinement.terms import NEAREST_M
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
    """One frame's observations; see `solver.Observations`. distance: logarithm of the root's distance, with the
    deviation `depth_stddev` over it, where the ground has told it."""

    time: float
    prior: Floats
    relative_stddev: Floats
    depth_stddev: float
    rays: Floats
    scores: Floats
    pixel: float
    distance: float | None = None


def frame_of(time: float, camera: Camera, pose: Pose3D) -> Frame:
    """The observations that a pose holds; what is not finite says nothing.

    Args:
        time: in seconds.
        camera: of the pose's image.
        pose: as integrated.
    """
    prior = np.asarray(pose.joints_cam, dtype=np.float64)
    usable = np.asarray(np.isfinite(prior).all(axis=-1))
    prior = np.where(usable[:, None], prior, prior[_ROOT] if usable[_ROOT] else np.array([0.0, 0.0, 3.0]))
    relative, depth = split_stddev(np.asarray(pose.joint_stddev, dtype=np.float64))
    scores = np.asarray(pose.joint_scores, dtype=np.float64)
    pixels = np.asarray(pose.keypoints_px, dtype=np.float64)
    found = np.asarray(np.isfinite(pixels).all(axis=-1) & np.isfinite(scores) & (scores > 0))
    rays = pixels_to_rays(camera, np.where(found[:, None], pixels, (camera.cx, camera.cy)))
    found &= np.isfinite(rays).all(axis=-1)
    scores = np.where(found, np.clip(scores, 0, 1), 0.0)
    return Frame(
        time,
        on_rays(prior, rays, scores * usable),
        np.where(usable, relative, MOST_M),
        depth if usable[_ROOT] else MOST_M,
        np.where(found[:, None], rays, 0.0),
        scores,
        1 / float(np.sqrt(camera.fx * camera.fy)),
    )


def on_rays(joints: Floats, rays: Floats, scores: Floats) -> Floats:
    """A pose moved across the view to where its 2D joints are, by the median over those found.

    An error that all joints share across the view would otherwise count as K errors, all made up for by depth.

    Args:
        joints: (K, 3) in metres.
        rays: (K, 2) of the 2D joints.
        scores: (K,), 0 where there is none.
    """
    found = (scores > 0) & (joints[:, 2] > NEAREST_M)
    if np.count_nonzero(found) < LEAST_FOUND:
        return joints
    aside = np.median(rays[found] * joints[found, 2:] - joints[found, :2], axis=0)
    return np.asarray(joints + np.append(aside, 0.0))


def split_stddev(joint_stddev: Floats) -> tuple[Floats, float]:
    """Deviations (K,) about the root, on an axis, and that of the root's depth, from those in the camera's frame.

    `people.Pose3D.joint_stddev` holds both, as their root sum of squares; the root's own is its depth's.
    """
    stated = np.asarray(joint_stddev, dtype=np.float64)
    stated = np.clip(np.where(np.isfinite(stated), stated, MOST_M), 0.0, MOST_M)
    relative = np.sqrt(np.maximum(stated**2 - stated[_ROOT] ** 2, 0.0))
    return np.maximum(relative, LEAST_RELATIVE_M), max(float(stated[_ROOT]), LEAST_DEPTH_M)


@dataclass(frozen=True)
class Window:
    """frames, oldest first, and what has been found of them: joints (W, K, 3), and logarithms (W,) of the root's
    distance. too_large: logarithm of by how much the person is said to be, and with it too far away."""

    frames: tuple[Frame, ...]
    joints: Floats
    distances: Floats
    motion: Floats
    motion_stddev: Floats
    too_large: float = 0.0

    @property
    def times(self) -> Floats:
        """Times (W,) of the frames."""
        return np.array([frame.time for frame in self.frames])

    @property
    def priors(self) -> Floats:
        """Integrated poses (W, K, 3) of a person of the right size, who looks the same to the camera."""
        return np.exp(-self.too_large) * np.array([frame.prior for frame in self.frames])

    @property
    def said_distances(self) -> Floats:
        """Logarithms (W,) of the root's distance in the integrated poses."""
        return log_distances(self.priors[:, _ROOT])


def log_distances(roots: Floats) -> Floats:
    """Logarithms (W,) of the distances of points (W, 3) from the camera."""
    return np.asarray(np.log(np.maximum(np.sqrt(np.sum(roots**2, axis=-1)), NEAREST_M)))


def empty_window() -> Window:
    """A window of no frame."""
    k = H36M17.num_joints
    return Window((), np.zeros((0, k, 3)), np.zeros(0), np.zeros((0, 0)), np.ones((0, k)))


def with_frame(window: Window, frame: Frame, length: int) -> Window:
    """The window with a later frame, and of those before only the newest.

    The new frame starts at its integrated pose: one step from there finds what the others have to say.

    Args:
        window: the frames so far.
        frame: the next one.
        length: frames in all.
    """
    kept = window.frames[-(length - 1) :] if length > 1 else ()
    count = len(kept)
    times = np.array([f.time for f in (*kept, frame)])
    motion, stddev = _motion(window, times, count)
    prior = np.exp(-window.too_large) * frame.prior
    return Window(
        (*kept, frame),
        np.concatenate([window.joints[len(window.joints) - count :], prior[None]]),
        np.append(window.distances[len(window.distances) - count :], log_distances(prior[_ROOT])),
        motion,
        stddev,
        window.too_large,
    )


def resized(window: Window, too_large: float) -> Window:
    """The window of a person who is now known to be too large by so much: all of it comes nearer, or goes away."""
    nearer = window.too_large - too_large
    return replace(
        window, joints=np.exp(nearer) * window.joints, distances=window.distances + nearer, too_large=too_large
    )


def _motion(window: Window, times: Floats, count: int) -> tuple[Floats, Floats]:
    """Trajectory rows (W, W) of count kept frames and a new one, and deviations (W, K).

    Frames whose past has left the window go by constant velocity; of the first nothing is known.
    """
    motion, stddev = np.zeros((count + 1, count + 1)), np.ones((count + 1, H36M17.num_joints))
    left = len(window.frames) - count
    motion[:count, :count] = window.motion[left:, left:]
    stddev[:count] = window.motion_stddev[left:]
    for i in np.flatnonzero(window.motion[left:, :left].any(axis=1)):
        motion[i, : i + 1], stddev[i] = steady_row(times[: i + 1]) if i else (0, stddev[i])
    if count:
        motion[count], stddev[count] = motion_row(times)
    return motion, stddev


def at_distances(window: Window, distances: Floats) -> Window:
    """The window with its joints moved to other distances of the root, along its rays."""
    return replace(window, joints=_moved(window.joints, window.distances, distances), distances=distances)


def _moved(joints: Floats, before: Floats, after: Floats) -> Floats:
    """Joints (W, K, 3) whose roots are moved by the difference of distances, given by their logarithms (W,)."""
    root = joints[:, _ROOT]
    ray = root / np.maximum(np.linalg.norm(root, axis=-1), NEAREST_M)[:, None]
    return np.asarray(joints + ((np.exp(after) - np.exp(before))[:, None] * ray)[:, None])


def observations(window: Window, lengths: Floats) -> Observations:
    """What the solver is asked of a window, with logarithms (K,) of bones' lengths."""
    frames, priors = window.frames, window.priors
    return Observations(
        times=window.times,
        prior=_moved(priors, log_distances(priors[:, _ROOT]), window.distances),
        relative_stddev=np.array([f.relative_stddev for f in frames]),
        rays=np.array([f.rays for f in frames]),
        scores=np.array([f.scores for f in frames]),
        pixel=np.array([f.pixel for f in frames]),
        motion=window.motion,
        motion_stddev=window.motion_stddev,
        lengths=lengths,
    )

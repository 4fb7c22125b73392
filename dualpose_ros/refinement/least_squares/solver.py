"""People's windows of frames refined by Gauss-Newton steps, warm-started, with robust weights.

What is said of one person's window holds for those of several together too, in an axis before those named.

W frames, K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.refinement.least_squares.noise import ErrorModel, inverses
from dualpose_ros.refinement.least_squares.normal import step_system
from dualpose_ros.refinement.least_squares.terms import Terms, cost, reprojection_residuals
from dualpose_ros.refinement.least_squares.tree import TreeSolution, solve
from dualpose_ros.settings import Settings, setting


@dataclass(frozen=True)
class SolverConfig(Settings):
    """How far what goes into a window is trusted.

    Defaults are those that refine recorded tracks best, without looking ahead. Errors there are slower than these say:
    neighbouring frames' errors have correlations of 0.85 (joints about the root) and 0.75 (2D joints), those 2 s apart
    still 0.55 and 0.44.
    """

    relative: ErrorModel = setting(
        ErrorModel(correlated_share=0.5, correlation_time_s=0.7), "errors of the fused joints about the root"
    )
    keypoints: ErrorModel = setting(ErrorModel(correlated_share=0.7, correlation_time_s=0.4), "errors of the 2D joints")
    # More than the 0.03 m that was measured: the integrated pose comes from the same images, so that part of the
    # 2D joints' errors is its own.
    keypoint_stddev_m: float = setting(
        0.1, "deviation of a 2D joint of score 1, in metres at the joint's distance", unit="m", above=0
    )
    min_keypoint_stddev_px: float = setting(1.0, "least deviation of a 2D joint of score 1", unit="px", above=0)
    min_keypoint_score: float = setting(0.05, "2D joints with lower scores say nothing", least=0, below=1)
    bone_stddev_m: float = setting(0.02, "deviation of a bone's length between frames", unit="m", above=0)
    # The joints of a body jerk together.
    motion_stddev_scale: float = setting(
        2.0, "by how much trajectory predictions are trusted less than each joint's own would be", above=0
    )
    motion_student_t_dof: float = setting(
        5.0, "degrees of freedom of the tails of trajectory predictions' errors (Student's t)", above=0
    )
    # Such that one and two deviations hold as many true joints as they should.
    stddev_scale: float = setting(
        1.09, "by how much joints about the root are stated less sure than the least-squares equations have it", above=0
    )
    max_step_m: float = setting(0.5, "farthest that a joint moves in one step", unit="m", above=0)


@dataclass(frozen=True)
class Observations:
    """What is known of a window.

    times (W,); prior (W, K, 3): integrated joints, the root's distance smoothed, with deviations on an axis
    relative_stddev (W, K); rays (W, K, 2) of 2D joints with scores (W, K); pixel (W,): size of a pixel in rays; motion
    (W, W), motion_stddev (W, K): position less its prediction from past frames; lengths (K,): logarithms of bones'.
    """

    times: Floats
    prior: Floats
    relative_stddev: Floats
    rays: Floats
    scores: Floats
    pixel: Floats
    motion: Floats
    motion_stddev: Floats
    lengths: Floats


_HALVINGS = 3
"""Of a step that would raise the cost, as where a short bone turns far."""

_UNSEEN = 1e-8
"""Trust in 2D joints that were not found; not 0, by which would be divided."""


def terms_of(observed: Observations, joints: Floats, config: SolverConfig) -> Terms:
    """The terms, with robust weights for where the joints are now.

    observed: the window; joints: (W, K, 3) in metres; config: what is trusted by how much.
    """
    count = joints.shape[-2]
    information = _informations(observed, joints, config)
    moved = observed.motion[..., None, :, :] @ np.swapaxes(joints, -3, -2)
    motion_information = (config.motion_stddev_scale * np.swapaxes(observed.motion_stddev, -1, -2)) ** -2.0
    squares = motion_information * np.sum(moved**2, axis=-1)
    motion_information *= np.minimum((config.motion_student_t_dof + 3) / (config.motion_student_t_dof + squares), 1)
    return Terms(
        prior=observed.prior,
        prior_information=information[..., :count, :, :],
        rays=observed.rays,
        ray_information=information[..., count:, :, :],
        motion=observed.motion,
        motion_information=motion_information,
        lengths=observed.lengths,
        bone_stddev=config.bone_stddev_m * np.exp(-observed.lengths),
    )


def _informations(observed: Observations, joints: Floats, config: SolverConfig) -> Floats:
    """Informations (2 K, W, W) of integrated joints and of 2D joints, with less trust in what is far off."""
    times = observed.times
    squares = np.sum((observed.prior - joints) ** 2, axis=-1) / observed.relative_stddev**2
    relative_trust = config.relative.trust(squares, 3)
    ray_stddev, seen = ray_deviations(observed, joints, config)
    reprojected = reprojection_residuals(joints, observed.rays)
    ray_trust = config.keypoints.trust(np.sum(reprojected**2, axis=-1) / ray_stddev**2, 2)
    ray_trust = np.where(seen, ray_trust * np.maximum(observed.scores, config.min_keypoint_score) ** 2, _UNSEEN)
    covariances = [
        model.covariances(times, np.swapaxes(stddev, -1, -2), np.swapaxes(trust, -1, -2))
        for model, stddev, trust in (
            (config.relative, observed.relative_stddev, relative_trust),
            (config.keypoints, ray_stddev, ray_trust),
        )
    ]
    return inverses(np.concatenate(covariances, axis=-3))


def ray_deviations(observed: Observations, joints: Floats, config: SolverConfig) -> tuple[Floats, Mask]:
    """How sure 2D joints are.

    In metres it is the same for near people and far ones, as a network errs by a share of a person's size.

    observed: the window; joints: (W, K, 3) in metres, as they are now; config: what is trusted by how much.
    Returns deviation (W, K) of 2D joints of score 1 in rays, and whether they say anything (W, K).
    """
    depth = np.maximum(observed.prior[..., :1, 2], 0.3)
    stddev = np.hypot(config.keypoint_stddev_m / depth, config.min_keypoint_stddev_px * observed.pixel[..., None])
    seen = (observed.scores >= config.min_keypoint_score) & (joints[..., 2] > 0.1)
    return np.broadcast_to(stddev, seen.shape), seen


class Spreads:
    """Deviations of people's joints as the equations have them; worked out for all people of a frame at once."""

    def __init__(self, found: TreeSolution, frames: int) -> None:
        self._found, self._frames = found, frames
        self._of_frame: dict[int, Floats] = {}

    def at(self, frame: int) -> Floats:
        """Deviations (P, K) of a frame's joints in their worst direction."""
        frame %= self._frames
        if frame not in self._of_frame:
            blocks = self._found.variances(frame)
            usable = np.asarray(np.isfinite(blocks).all(axis=(1, 2, 3)))
            largest = np.linalg.eigvalsh(np.where(usable[:, None, None, None], blocks, 1.0))[..., -1]
            self._of_frame[frame] = np.sqrt(largest)
        return self._of_frame[frame]


@dataclass(frozen=True)
class Solution:
    """joints (P, W, K, 3) of people, the deviations of the last step's equations, and for whom these could be solved
    (P,)."""

    joints: Floats
    spreads: Spreads
    solved: Mask

    def spread(self, frame: int, person: int = 0) -> Floats | None:
        """Deviations (K,) of somebody's joints in a frame, in their worst direction, as the equations have it; None
        where these could not be solved."""
        return self.spreads.at(frame)[person] if self.solved[person] else None


def refine(observed: Observations, start: Floats, config: SolverConfig, steps: int = 1) -> Solution:
    """Take Gauss-Newton steps; somebody whose equations can't be solved stays as they are.

    observed: people's windows, an axis of people before the others; start: their joints (P, W, K, 3) in metres; config:
    what is trusted by how much; steps: how many, at least one.
    """
    joints = start
    for _ in range(steps):
        terms = terms_of(observed, joints, config)
        found = solve(step_system(terms, joints))
        change = np.moveaxis(found.mean, -1, 1)
        solved = np.asarray(np.isfinite(change).all(axis=(1, 2, 3)))
        joints = _moved(terms, joints, np.where(solved[:, None, None, None], change, 0.0), config.max_step_m)
    return Solution(joints, Spreads(found, joints.shape[1]), solved)


def _moved(terms: Terms, joints: Floats, step: Floats, longest: float) -> Floats:
    """People's joints (N, W, K, 3), each changed by as much of a step as is not too far and does not raise the cost."""
    farthest = np.max(np.linalg.norm(step, axis=-1), axis=(-2, -1), initial=0.0)
    share = np.minimum(1.0, longest / np.maximum(farthest, 1e-12))
    before = cost(terms, joints)
    for _ in range(_HALVINGS + 1):
        moved = joints + share[:, None, None, None] * step
        worse = ~(cost(terms, moved) <= before)
        if not worse.any():
            break
        share = np.where(worse, share / 2, share)
    return moved

"""One person's window of frames refined by Gauss-Newton steps, warm-started, with robust weights.

W frames, K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.refinement.noise import ErrorModel, informations
from dualpose_ros.refinement.normal import normal_equations
from dualpose_ros.refinement.terms import Terms, cost, reprojection_residuals
from dualpose_ros.refinement.tree import NotPositiveError, TreeFactor, factorise, solve, variances
from dualpose_ros.settings import Settings, setting


@dataclass(frozen=True)
class SolverConfig(Settings):
    """How far what goes into a window is trusted.

    Defaults are those that refine recorded tracks best, without looking ahead. Errors there are slower than these say:
    neighbouring frames' errors have correlations of 0.92 (root distance), 0.85 (joints about the root) and 0.75 (2D
    joints), those 2 s apart still 0.67, 0.55 and 0.44. But what lasts for a whole window can't be seen in it.
    """

    relative: ErrorModel = setting(
        ErrorModel(correlated_share=0.5, correlation_time_s=0.7), "errors of the fused joints about the root"
    )
    depth: ErrorModel = setting(
        ErrorModel(correlated_share=0.4, correlation_time_s=2.0), "errors of the root's distance"
    )
    keypoints: ErrorModel = setting(ErrorModel(correlated_share=0.7, correlation_time_s=0.4), "errors of the 2D joints")
    depth_motion_stddev_scale: float = setting(
        1.0, "by how much predictions of the root's distance are trusted less than its motion would be", above=0
    )
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
    # Such that balls of one and two deviations hold as many true joints as they should, though joints err more along
    # the ray than across it.
    stddev_scale: float = setting(
        0.86, "by how much joint_stddev is stated wider than the least-squares equations have it", above=0
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

    Args:
        observed: the window.
        joints: (W, K, 3) in metres.
        config: what is trusted by how much.
    """
    count = joints.shape[1]
    information = _informations(observed, joints, config)
    moved = observed.motion @ np.swapaxes(joints, 0, 1)
    motion_information = (config.motion_stddev_scale * observed.motion_stddev.T) ** -2.0
    squares = motion_information * np.sum(moved**2, axis=-1)
    motion_information *= np.minimum((config.motion_student_t_dof + 3) / (config.motion_student_t_dof + squares), 1)
    return Terms(
        prior=observed.prior,
        prior_information=information[:count],
        rays=observed.rays,
        ray_information=information[count:],
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
        config.relative.covariances(times, observed.relative_stddev.T, relative_trust.T),
        config.keypoints.covariances(times, ray_stddev.T, ray_trust.T),
    ]
    return informations(np.concatenate(covariances))


def ray_deviations(observed: Observations, joints: Floats, config: SolverConfig) -> tuple[Floats, Mask]:
    """How sure 2D joints are.

    In metres it is the same for near people and far ones, as a network errs by a share of a person's size.

    Args:
        observed: the window.
        joints: (W, K, 3) in metres, as they are now.
        config: what is trusted by how much.

    Returns:
        Deviation (W, K) of 2D joints of score 1 in rays, and whether they say anything (W, K).
    """
    depth = np.maximum(observed.prior[:, :1, 2], 0.3)
    stddev = np.hypot(config.keypoint_stddev_m / depth, config.min_keypoint_stddev_px * observed.pixel[:, None])
    seen = (observed.scores >= config.min_keypoint_score) & (joints[..., 2] > 0.1)
    return np.broadcast_to(stddev, seen.shape), seen


@dataclass(frozen=True)
class Solution:
    """joints (W, K, 3), and the factor of the equations of the last step, from which deviations come."""

    joints: Floats
    factor: TreeFactor | None

    def spread(self, frame: int) -> Floats:
        """Deviations (K,) of a frame's joints in their worst direction, as the equations have it."""
        assert self.factor is not None
        frames, count = self.joints.shape[:2]
        blocks = variances(self.factor, np.tile(np.arange(3) + 3 * (frame % frames), (count, 1)))
        return np.asarray(np.sqrt(np.linalg.eigvalsh(blocks)[:, -1]))


def refine(observed: Observations, start: Floats, config: SolverConfig, steps: int = 1) -> Solution:
    """Take Gauss-Newton steps; one whose equations can't be solved is damped, or left out.

    Args:
        observed: the window.
        start: joints (W, K, 3) in metres to start from.
        config: what is trusted by how much.
        steps: how many.
    """
    joints, factor = start, None
    for _ in range(steps):
        terms = terms_of(observed, joints, config)
        for damping in (0.0, 1e-3, 1.0):
            try:
                joints, factor = _step(terms, joints, config.max_step_m, damping)
                break
            except NotPositiveError:
                continue
    return Solution(joints, factor)


def _step(terms: Terms, joints: Floats, longest: float, damping: float) -> tuple[Floats, TreeFactor]:
    equations = normal_equations(terms, joints, damping)
    factor = factorise(equations.system)
    change = solve(factor, equations.right)
    frames, count = joints.shape[:2]
    step = np.swapaxes(change.reshape(count, frames, 3), 0, 1)
    if not np.isfinite(step).all():
        raise NotPositiveError("the step is not finite")
    farthest = float(np.max(np.linalg.norm(step, axis=-1), initial=0.0))
    share = min(1.0, longest / max(farthest, 1e-12))
    before = cost(terms, joints)
    for _ in range(_HALVINGS + 1):
        moved = joints + share * step
        if cost(terms, moved) <= before:
            break
        share /= 2
    return moved, factor

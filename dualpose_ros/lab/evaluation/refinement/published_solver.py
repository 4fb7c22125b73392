"""The paper's test-time optimisation as published (Eq. 16), for comparison and for use offline.

Adam on all frames at once: L_traj + c_rep L_rep + c_bone L_bone, the bone lengths free, in two stages. T frames,
K joints of `skeleton.H36M17`; metres; 2D joints as rays, whose unit the paper leaves open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.least_squares import terms
from dualpose_ros.refinement.trajectory import PUBLISHED_WINDOWS, Windows, trajectory_weights

_BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Stage:
    """Coefficients of the terms, 0 to leave one out, and Adam's steps."""

    trajectory: float = 1.0
    reprojection: float = 0.1
    bones: float = 1.0
    steps: int = 3000
    rate: float = 1e-3


ONE_STAGE = (Stage(),)
TWO_STAGES = (Stage(), Stage(reprojection=100.0))
"""The last two rows of Table 6."""


@dataclass(frozen=True)
class Sequence3D:
    """joints (T, K, 3) to start from, rays (T, K, 2) of 2D joints, scores (T, K), motion (T, T): see
    `trajectory_matrix`."""

    joints: Floats
    rays: Floats
    scores: Floats
    motion: Floats


def trajectory_matrix(times: Floats, windows: Windows = PUBLISHED_WINDOWS) -> Floats:
    """Rows (T, T) whose products with positions are positions less their predictions; 0 for the first two frames."""
    matrix = np.zeros((len(times), len(times)))
    reach = max(*windows, 1)
    for t in range(2, len(times)):
        low = max(t - reach, 0)
        matrix[t, low:t] = -trajectory_weights(times[low:t], float(times[t]), windows)
        matrix[t, t] = 1
    return matrix


def objective(sequence: Sequence3D, joints: Floats, lengths: Floats, stage: Stage) -> float:
    """Eq. 16 for joints (T, K, 3) and bone lengths (K,): sums over frames, of joints' means."""
    return value_and_gradient(sequence, joints, lengths, stage)[0]


def value_and_gradient(
    sequence: Sequence3D, joints: Floats, lengths: Floats, stage: Stage
) -> tuple[float, Floats, Floats]:
    """Eq. 16, its gradient by the joints (T, K, 3) and by the bone lengths (K,)."""
    frames, count = joints.shape[:2]
    moved = (sequence.motion @ joints.reshape(frames, -1)).reshape(joints.shape)
    share = stage.trajectory / count
    value = share * float(np.sum(moved**2))
    gradient = 2 * share * (sequence.motion.T @ moved.reshape(frames, -1)).reshape(joints.shape)
    off = terms.reprojection_residuals(joints, sequence.rays)
    weighed = (stage.reprojection / count) * sequence.scores[..., None] * off
    value += float(np.sum(weighed * off))
    gradient += 2 * np.einsum("tkc,tkca->tka", weighed, terms.reprojection_jacobian(joints))
    direction, length = terms.bone_vectors(joints)
    excess = np.where(terms.HAS_BONE, length - lengths, 0.0)
    value += stage.bones * float(np.sum(excess**2))
    tension = 2 * stage.bones * excess[..., None] * direction
    gradient += tension - np.einsum("kc,tca->tka", terms.CHILDREN, tension)
    return value, gradient, -2 * stage.bones * excess.sum(axis=0)


def optimise(sequence: Sequence3D, stages: Sequence[Stage] = TWO_STAGES) -> tuple[Floats, Floats]:
    """Joints (T, K, 3) and bone lengths (K,) after all stages; each starts Adam anew."""
    joints = np.array(sequence.joints, dtype=np.float64)
    lengths = np.where(terms.HAS_BONE, np.median(terms.bone_vectors(joints)[1], axis=0), 0.0)
    for stage in stages:
        size = joints.size
        values = np.append(joints.reshape(-1), lengths)
        first, second = np.zeros_like(values), np.zeros_like(values)
        for step in range(1, stage.steps + 1):
            _, by_joints, by_lengths = value_and_gradient(
                sequence, values[:size].reshape(joints.shape), values[size:], stage
            )
            slope = np.append(by_joints.reshape(-1), by_lengths)
            first += (1 - _BETAS[0]) * (slope - first)
            second += (1 - _BETAS[1]) * (slope * slope - second)
            scale = np.sqrt(1 - _BETAS[1] ** step) / (1 - _BETAS[0] ** step)
            values -= stage.rate * scale * first / (np.sqrt(second) + 1e-8)
        joints, lengths = values[:size].reshape(joints.shape), values[size:]
    return joints, lengths

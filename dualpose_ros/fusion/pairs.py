"""People as both branches have them, and what the integration network is told of them.

N people, K joints of `skeleton.H36M17`; metres in the camera's optical frame.
"""

from dataclasses import dataclass, field

import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Indices, Ints, Mask, Rows, rows_of
from dualpose_ros.camera import turned_to
from dualpose_ros.people import Poses
from dualpose_ros.skeleton import H36M17

K = H36M17.num_joints
_NEAREST_M = 0.2
_LEAST_STDDEV_M = 0.005

JOINTS = slice(0, 3 * K)
ROOT = slice(5 * K, 5 * K + 3)
"""x / z and y / z of the root in the virtual camera, and the log of its depth over the pair's."""

STATED = slice(5 * K + 3, 5 * K + 4)
"""The log of the root's stated deviation over its depth, but for a constant."""

PRESENT = 5 * K + 5
NUM_BRANCH = 5 * K + 6
NUM_FEATURES = 2 * NUM_BRANCH + 3
"""Of one branch, and of a pair: both branches, top-down first, and the pair's own three."""


@dataclass(frozen=True, eq=False)
class BranchPoses(Poses):
    """One branch's poses of N people: present (N,), whether it has one. What is not present is zero, with a deviation
    of 1."""

    present: Mask = field(metadata=rows_of(dtype=np.bool_))


@dataclass(frozen=True, eq=False)
class Pairs(Rows):
    """Row n of both is one person; at least one branch has them."""

    top_down: BranchPoses
    bottom_up: BranchPoses


@dataclass(frozen=True)
class PairView:
    """Pairs as a virtual camera sees them that looks at the root. features (N, NUM_FEATURES) float32; to_camera
    (N, 3, 3), its axes -> camera axes; depth (N,): of the root along its z axis, by both branches together."""

    features: Float32s
    to_camera: Floats
    depth: Floats


def branch_poses(poses: Poses, rows: Indices | Ints) -> BranchPoses:
    """One branch's poses by index (N,), -1 for nobody."""
    # There may be nobody to take from.
    nobody = Poses(np.zeros((1, K, 3)), np.zeros((1, K)), np.ones((1, K)), np.zeros(1))
    parts = (poses.joints_cam, poses.joint_scores, poses.joint_stddev, poses.scores)
    columns = [np.concatenate([part, none])[rows] for part, none in zip(parts, vars(nobody).values(), strict=True)]
    return BranchPoses(*columns, *[rows >= 0])


def root_weights(pairs: Pairs) -> tuple[Floats, Floats]:
    """How much each branch's root depth counts (N,), by its relative variance; they add up to 1."""
    weights = []
    for branch in (pairs.top_down, pairs.bottom_up):
        depth = np.maximum(branch.roots[:, 2], _NEAREST_M)
        relative = np.maximum(branch.joint_stddev[:, H36M17.root], _LEAST_STDDEV_M) / depth
        weights.append(np.where(branch.present, 1 / np.maximum(relative, 1e-3) ** 2, 0.0))
    total = np.maximum(weights[0] + weights[1], 1e-12)
    return weights[0] / total, weights[1] / total


def view_pairs(pairs: Pairs) -> PairView:
    """What the integration network takes, and the way back."""
    weights = root_weights(pairs)
    branches = (pairs.top_down, pairs.bottom_up)
    depths = [np.maximum(branch.roots[:, 2], _NEAREST_M) for branch in branches]
    rays = [branch.roots[:, :2] / depth[:, None] for branch, depth in zip(branches, depths, strict=True)]
    # The directions agree far better than the depths, and don't get better with them.
    shares = [branch.present / np.maximum(branches[0].present + 1.0 * branches[1].present, 1) for branch in branches]
    middle = shares[0][:, None] * rays[0] + shares[1][:, None] * rays[1]
    to_camera = turned_to(middle)
    roots = [np.einsum("nba,nb->na", to_camera, branch.roots) for branch in branches]
    logs = [np.log(np.maximum(root[:, 2], _NEAREST_M)) for root in roots]
    depth = np.exp(weights[0] * logs[0] + weights[1] * logs[1])
    parts = [_branch_features(*row, to_camera, depth) for row in zip(branches, roots, strict=True)]
    own = np.concatenate([np.log(depth)[:, None] - 1.3, np.arctan(middle)], axis=1)
    features = np.concatenate([*parts, own], axis=1).astype(np.float32)
    return PairView(features, to_camera, depth)


def _branch_features(branch: BranchPoses, root: Floats, to_camera: Floats, depth: Floats) -> Floats:
    """NUM_BRANCH numbers a person, all 0 where the branch has none."""
    joints = np.einsum("nba,nkb->nka", to_camera, branch.joints_rel)
    stddev = np.log(np.maximum(branch.joint_stddev, _LEAST_STDDEV_M) / 0.2)
    near = np.maximum(root[:, 2], _NEAREST_M)
    place = np.concatenate([root[:, :2] / near[:, None], np.log(near / depth)[:, None]], axis=1)
    relative = np.maximum(branch.joint_stddev[:, H36M17.root], _LEAST_STDDEV_M) / near
    columns = [
        joints.reshape(-1, 3 * K),
        branch.joint_scores,
        np.clip(stddev, -3, 3),
        np.clip(place, -1, 1),
        np.clip(np.log(relative / 0.05), -3, 3)[:, None],
        branch.scores[:, None],
        np.ones((len(branch), 1)),
    ]
    return np.where(branch.present[:, None], np.concatenate(columns, axis=1), 0.0)

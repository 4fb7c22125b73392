"""Recorded poses matched frame by frame, as the live stage does: to train and to measure what fuses them.

F frames, R rows, K joints of `skeleton.H36M17`; metres, camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Ints, Mask
from dualpose_ros.datasets.recordings import Estimates, Recordings
from dualpose_ros.fusion.matching import MatchConfig, Poses, match_poses
from dualpose_ros.fusion.pairs import BranchPoses, Pairs
from dualpose_ros.skeleton import H36M17

K = H36M17.num_joints


@dataclass(frozen=True)
class PairRows:
    """pairs of R rows, each a person as both branches have them; frame (R,); top_down and bottom_up (R,), indices
    of the estimates, -1 for none."""

    pairs: Pairs
    frame: Ints
    top_down: Ints
    bottom_up: Ints


def pair_rows(recordings: Recordings, frames: Mask | None = None, config: MatchConfig | None = None) -> PairRows:
    """The branches' poses matched frame by frame, of the `frames` (F,) wanted: pairs, then who is alone."""
    count = len(recordings.frames.stamp_s)
    wanted = np.ones(count, dtype=bool) if frames is None else frames
    branches = (recordings.top_down, recordings.bottom_up)
    bounds = [np.searchsorted(branch.frame, np.arange(count + 1)) for branch in branches]
    found: list[Ints] = []
    for frame in np.flatnonzero(wanted):
        own, other = (np.arange(b[frame], b[frame + 1]) for b in bounds)
        matches = match_poses(top_down=_poses(branches[0], own), bottom_up=_poses(branches[1], other), config=config)
        alone = [np.delete(np.arange(len(n)), m) for n, m in ((own, matches.top_down), (other, matches.bottom_up))]
        left = np.concatenate([own[matches.top_down], own[alone[0]], np.full(len(alone[1]), -1)])
        right = np.concatenate([other[matches.bottom_up], np.full(len(alone[0]), -1), other[alone[1]]])
        found.append(np.stack([np.full(len(left), frame), left, right], axis=1))
    rows = np.concatenate([*found, np.zeros((0, 3), dtype=np.int64)]).astype(np.int64)
    pairs = Pairs(branch_rows(branches[0], rows[:, 1]), branch_rows(branches[1], rows[:, 2]))
    return PairRows(pairs, rows[:, 0], rows[:, 1], rows[:, 2])


def _poses(branch: Estimates, rows: Ints) -> Poses:
    return Poses(branch.joints_cam[rows], branch.joint_scores[rows], branch.joint_stddev[rows])


def branch_rows(branch: Estimates, rows: Ints) -> BranchPoses:
    """Estimates by index (R,), -1 for none."""
    present = rows >= 0
    names = {"joints_cam": (K, 3), "joint_scores": (K,), "joint_stddev": (K,), "score": ()}
    parts = []
    for name, shape in names.items():
        # There may be nobody to take from.
        values = np.concatenate([getattr(branch, name), np.zeros((1, *shape))]).astype(np.float64)[rows]
        absent = 1.0 if name == "joint_stddev" else 0.0
        parts.append(np.where(present.reshape(-1, *([1] * len(shape))), values, absent))
    return BranchPoses(present, *parts)

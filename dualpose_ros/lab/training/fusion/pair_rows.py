"""Recorded poses matched frame by frame, as the live stage does: to train and to measure what fuses them.

F frames, R rows, K joints of `skeleton.H36M17`; metres, camera frame.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Ints, Mask, Rows
from dualpose_ros.datasets.recordings import Recordings
from dualpose_ros.fusion.matching import MatchConfig, match_poses
from dualpose_ros.fusion.pairs import Pairs, branch_poses


@dataclass(frozen=True, eq=False)
class PairRows(Rows):
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
    poses = [branch.poses for branch in branches]
    bounds = [np.searchsorted(branch.frame, np.arange(count + 1)) for branch in branches]
    found: list[Ints] = []
    for frame in np.flatnonzero(wanted):
        own, other = (np.arange(b[frame], b[frame + 1]) for b in bounds)
        matches = match_poses(top_down=poses[0][own], bottom_up=poses[1][other], config=config)
        alone = [np.delete(np.arange(len(n)), m) for n, m in ((own, matches.top_down), (other, matches.bottom_up))]
        left = np.concatenate([own[matches.top_down], own[alone[0]], np.full(len(alone[1]), -1)])
        right = np.concatenate([other[matches.bottom_up], np.full(len(alone[0]), -1), other[alone[1]]])
        found.append(np.stack([np.full(len(left), frame), left, right], axis=1))
    rows = np.concatenate([*found, np.zeros((0, 3), dtype=np.int64)]).astype(np.int64)
    pairs = Pairs(branch_poses(poses[0], rows[:, 1]), branch_poses(poses[1], rows[:, 2]))
    return PairRows(pairs, rows[:, 0], rows[:, 1], rows[:, 2])

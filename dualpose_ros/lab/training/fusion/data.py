"""Pairs of poses to train the integration network on: recorded from both branches, and made from the truth alone.

R rows, each a person as the branches had them in one frame; G groups of up to P rows of one frame; K joints of
`skeleton.H36M17`; metres, camera frame.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats, Ints, Mask
from dualpose_ros.datasets.recordings import Recordings
from dualpose_ros.fusion.matching import MatchConfig
from dualpose_ros.fusion.pairs import BranchPoses, K, Pairs, branch_poses
from dualpose_ros.lab.training.fusion.pair_rows import pair_rows
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

PEOPLE = 3
"""Largest group, of a person and the nearest others in the frame."""

_FARTHEST_M = 4.0
_TURN, _NEARER = np.array([0.2, 0.12, 0.06]), 0.15
"""Deviations of turns about y, x and z in radians, and of the log of distances, in `elsewhere`."""

_MIRROR = np.array(H36M17.mirror)
_ROOT = H36M17.root


@dataclass(frozen=True)
class Augmentation(Settings):
    """What is done to pairs before the network sees them (paper, section 3.3)."""

    mask: float = share(0.25, "share of joints that are not found, in `masked` of the poses")
    masked: float = share(0.15, "share of poses of which joints are not found")
    shift_m: float = setting(0.05, "deviation of joints' random shifts", unit="m", least=0, most=1)
    shifted: float = share(0.15, "share of poses that are shifted, and of those whose root is")
    depth: float = share(0.05, "deviation of changes of the root's log depth")
    zeroed: float = share(0.15, "share of pairs that lose one of their poses")
    simulated: float = share(0.15, "share of groups whose poses are made from the truth instead of recorded")
    elsewhere: bool = setting(True, "see people from other places than they were seen from")


@dataclass(frozen=True)
class PairData:
    """pairs of R rows; truth (R, K, 3) and known (R,), whether there is any; frame (R,); groups (G, P) of rows,
    -1 where there are fewer people."""

    pairs: Pairs
    truth: Floats
    known: Mask
    frame: Ints
    groups: Ints

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True)
class Groups:
    """pairs of G * P rows, truth (G * P, K, 3), known (G * P,); present (G, P): rows of true people."""

    pairs: Pairs
    truth: Floats
    known: Mask
    present: Mask


def pair_data(recordings: Recordings, frames: Mask | None = None, config: MatchConfig | None = None) -> PairData:
    """The branches' poses matched frame by frame as the live stage does, of the `frames` (F,) wanted."""
    rows = pair_rows(recordings, frames, config)
    owners = [
        np.where(index >= 0, np.append(branch.truth, -1)[index], -1)
        for index, branch in ((rows.top_down, recordings.top_down), (rows.bottom_up, recordings.bottom_up))
    ]
    owner = np.where(owners[0] >= 0, owners[0], owners[1])
    known = owner >= 0
    truth = np.where(known[:, None, None], recordings.truth.joints_cam[np.maximum(owner, 0)], 0.0).astype(np.float64)
    return PairData(rows.pairs, truth, known, rows.frame, _groups(rows.frame, truth, owner))


def _only(branch: BranchPoses, present: Mask) -> BranchPoses:
    """The poses that are present; the others are zero, with a deviation of 1."""
    return branch_poses(branch, np.where(present, np.arange(len(branch)), -1))


def _groups(frame: Ints, truth: Floats, owner: Ints) -> Ints:
    """Each row with the nearest others of the true people of its frame, everybody once: (R, P)."""
    groups = np.full((len(frame), PEOPLE), -1, dtype=np.int64)
    groups[:, 0] = np.arange(len(frame))
    bounds = np.flatnonzero(np.diff(frame, prepend=-1, append=-1))
    for low, high in pairwise(bounds):
        people = low + np.flatnonzero(owner[low:high] >= 0)
        # Somebody whose two poses are no pair has two rows.
        once = people[np.sort(np.unique(owner[people], return_index=True)[1])]
        for row in people:
            others = once[owner[once] != owner[row]]
            away = np.linalg.norm(truth[others, _ROOT] - truth[row, _ROOT], axis=1)
            near = others[np.argsort(away, kind="stable")][: np.count_nonzero(away < _FARTHEST_M)][: PEOPLE - 1]
            groups[row, 1 : 1 + len(near)] = near
    return groups


def draw_groups(
    data: PairData, augmentation: Augmentation, rng: np.random.Generator, count: int, meetings: Floats | None = None
) -> Groups:
    """`count` random groups, augmented; `meetings` (M, P, K, 3), if given, stand in for half of the simulated ones.

    Meetings are of a y-up world; each is seen from a random side.
    """
    chosen = data.groups[rng.integers(len(data.groups), size=count)]
    index = np.maximum(chosen, 0).ravel()
    present = (chosen >= 0) & data.known[index].reshape(chosen.shape)
    truth, known = data.truth[index].copy(), data.known[index] & (chosen >= 0).ravel()
    simulated = (rng.random(count) < augmentation.simulated) & present[:, 0]
    if meetings is not None and len(meetings):
        met = simulated & (rng.random(count) < 0.5)
        people = before_camera(meetings[rng.integers(len(meetings), size=int(met.sum()))], rng)
        present[met] = True
        known = (known.reshape(chosen.shape) | met[:, None]).ravel()
        truth.reshape(*chosen.shape, K, 3)[met] = people
    made = np.repeat(simulated, PEOPLE)
    branches = []
    for branch, depth in ((data.pairs.top_down, 0.05), (data.pairs.bottom_up, 0.08)):
        recorded = _only(branch[index], branch.present[index] & (chosen >= 0).ravel())
        branches.append(BranchPoses.where(made & known, simulate(truth, known, depth, rng), recorded))
    groups = Groups(Pairs(branches[0], branches[1]), truth, known, present)
    if augmentation.elsewhere:
        groups = elsewhere(groups, rng)
    return replace(groups, pairs=augmented(groups.pairs, augmentation, rng))


def elsewhere(groups: Groups, rng: np.random.Generator) -> Groups:
    """The same people before cameras turned a little, nearer or farther away, half of them mirrored.

    What the branches get wrong stays the same from the person's own side, so that it is not learnt by place.
    """
    count, people = groups.present.shape
    angles = rng.normal(0, 1, (count, 3)) * _TURN
    turn = Rotation.from_euler("yxz", angles).as_matrix()
    flip = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    turn = np.repeat(turn, people, axis=0)
    flips = np.repeat(flip, people)
    nearer = np.repeat(np.exp(rng.normal(0, _NEARER, count)), people)

    def moved(joints: Floats) -> Floats:
        mirrored = np.where((flips < 0)[:, None, None], joints[:, _MIRROR], joints)
        mirrored = mirrored * np.stack([flips, np.ones_like(flips), np.ones_like(flips)], axis=1)[:, None]
        away = mirrored + (nearer[:, None] - 1)[:, None] * mirrored[:, _ROOT, None]
        return np.asarray(np.einsum("nab,nkb->nka", turn, away))

    def of(branch: BranchPoses) -> BranchPoses:
        sides = (flips < 0)[:, None]
        scores = np.where(sides, branch.joint_scores[:, _MIRROR], branch.joint_scores)
        stddev = np.where(sides, branch.joint_stddev[:, _MIRROR], branch.joint_stddev)
        # Most of a deviation is the root's depth, which goes with the distance.
        root = stddev[:, _ROOT, None]
        own = np.sqrt(np.maximum(stddev**2 - root**2, 0))
        stddev = np.where(stddev > root, np.hypot(own, root * nearer[:, None]), stddev * nearer[:, None])
        return _only(BranchPoses(moved(branch.joints_cam), scores, stddev, branch.scores, branch.present),
                     branch.present)  # fmt: skip

    pairs = Pairs(of(groups.pairs.top_down), of(groups.pairs.bottom_up))
    return Groups(pairs, moved(groups.truth), groups.known, groups.present)


def every_group(data: PairData) -> Groups:
    """All groups as they were recorded."""
    index = np.maximum(data.groups, 0).ravel()
    there = (data.groups >= 0).ravel()
    own, other = (_only(b[index], b.present[index] & there) for b in (data.pairs.top_down, data.pairs.bottom_up))
    known = data.known[index] & there
    return Groups(Pairs(own, other), data.truth[index], known, known.reshape(data.groups.shape))


def before_camera(people: Floats, rng: np.random.Generator) -> Floats:
    """Groups (G, P, K, 3) of a y-up world as cameras at random places see them: (G, P, K, 3)."""
    count = len(people)
    yaw, pitch = rng.uniform(-np.pi, np.pi, count), np.clip(rng.normal(0.1, 0.2, count), -0.4, 0.9)
    turn = Rotation.from_euler("XY", np.stack([pitch + np.pi, yaw], 1)).as_matrix()
    middle = people[:, :, _ROOT].mean(axis=1)[:, None, None]
    depth = np.exp(rng.uniform(np.log(2.5), np.log(9.0), count))
    place = np.stack([rng.uniform(-0.5, 0.5, count), rng.uniform(-0.2, 0.3, count), np.ones(count)], 1)
    turned = np.einsum("gab,gpkb->gpka", turn, people - middle)
    return np.asarray(turned + (place * depth[:, None])[:, None, None])


def simulate(truth: Floats, known: Mask, depth_error: float, rng: np.random.Generator) -> BranchPoses:
    """Poses (N, K, 3) as an imperfect branch would have them: joints and root depths off, more so where scores are low.

    depth_error: the root's, relative to the distance.
    """
    count = len(truth)
    level = np.exp(rng.normal(np.log(0.06), 0.5, (count, 1))) * np.exp(rng.normal(0, 0.5, (count, K)))
    away = depth_error * np.exp(rng.normal(0, 0.5, count))
    rel = truth - truth[:, _ROOT, None] + rng.normal(0, 1, (count, K, 3)) * level[..., None]
    rel[:, _ROOT] = 0
    root = truth[:, _ROOT] * np.exp(rng.normal(0, 1, count) * away)[:, None]
    root[:, :2] += rng.normal(0, 0.02, (count, 2))
    stated = level * np.exp(rng.normal(0, 0.2, (count, K)))
    stated[:, _ROOT] = 0
    stddev = np.hypot(stated, (away * np.maximum(root[:, 2], 0.2))[:, None])
    scores = np.clip(np.exp(-5 * level) + rng.normal(0, 0.1, (count, K)), 0, 1)
    scores[rng.random((count, K)) < 0.05] = 0
    return _only(BranchPoses(rel + root[:, None], scores, stddev, scores.mean(axis=1), known), known)


def augmented(pairs: Pairs, augmentation: Augmentation, rng: np.random.Generator) -> Pairs:
    """The paper's three: joints masked, joints shifted, one pose of a pair zeroed."""
    own, other = (_damaged(branch, augmentation, rng) for branch in (pairs.top_down, pairs.bottom_up))
    lost = (rng.random(len(pairs)) < augmentation.zeroed) & own.present & other.present
    first = rng.random(len(pairs)) < 0.5
    return Pairs(_only(own, own.present & ~(lost & first)), _only(other, other.present & ~(lost & ~first)))


def _damaged(branch: BranchPoses, augmentation: Augmentation, rng: np.random.Generator) -> BranchPoses:
    count = len(branch)
    masked = (rng.random((count, K)) < augmentation.mask) & (rng.random((count, 1)) < augmentation.masked)
    masked[:, _ROOT] = False
    shifted = (rng.random((count, K)) < 0.3) & (rng.random((count, 1)) < augmentation.shifted)
    shifted[:, _ROOT] = False
    shift = rng.normal(0, augmentation.shift_m, (count, K, 3)) * shifted[..., None]
    # A joint that is not found hangs somewhere near, and the pose says so.
    shift += rng.normal(0, 0.15, (count, K, 3)) * masked[..., None]
    stddev = np.where(masked, np.hypot(branch.joint_stddev, 0.3), branch.joint_stddev)
    scores = np.where(masked, 0.0, branch.joint_scores)
    joints = branch.joints_cam + shift
    farther = np.exp(rng.normal(0, augmentation.depth, count)) * (rng.random(count) < augmentation.shifted)
    joints = joints + np.where(farther > 0, farther - 1, 0.0)[:, None, None] * joints[:, _ROOT, None]
    return _only(BranchPoses(joints, scores, stddev, branch.scores, branch.present), branch.present)

"""Which pose of the bottom-up branch and which of the top-down branch are the same person (Eqs. 5, 6).

B bottom-up and T top-down poses, N of either, K joints of `skeleton.H36M17`; metres in the camera's optical frame.

The branches agree within centimetres across the ray, but along it by 3 to 8 % of the distance, which is decimetres.
So the distance of two joints is split into the part along the ray and the part across it, each in units of its own:
across, the size of the body times the joint's deviation; along, the uncertainty of depth.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask, Rows
from dualpose_ros.grouping import assign
from dualpose_ros.people import Poses, box_area, oks
from dualpose_ros.settings import SettingError, Settings, setting
from dualpose_ros.skeleton import H36M17

ACROSS_SIGMAS: tuple[float, ...] = (
    *(0.099, 0.114, 0.200, 0.267, 0.114, 0.200, 0.267, 0.100, 0.108),
    *(0.100, 0.126, 0.136, 0.180, 0.253, 0.136, 0.180, 0.253),
)
DEPTH_SIGMA = 0.078
"""Medians over the two branches' pairs on recorded scenes, the mean of left and right."""

_WIDTH = 2.0
"""COCO's similarity falls off with twice the measured deviation: two that are the same are alike, not just likely."""

_SMALLEST_M = 1e-3
_PARENTS, _CHILDREN = np.array(H36M17.bones).T
_BONES = len(_PARENTS)


@dataclass(frozen=True)
class MatchConfig(Settings):
    """Which poses of the two branches are one person."""

    min_similarity: float = setting(
        0.2, "poses of the two branches that are less alike are two people", above=0, most=1
    )
    joint_sigmas: tuple[float, ...] = setting(
        ACROSS_SIGMAS,
        "deviation of each joint between the branches across the ray, on each axis, in body sizes",
        above=0,
    )
    depth_sigma: float = setting(
        DEPTH_SIGMA,
        "deviation between the branches along the ray, as a share of the distance, where poses state no larger one",
        above=0,
    )
    duplicate_oks: float = setting(
        0.5, "similarity on the image from which a bottom-up pose is a top-down one at another depth", above=0, most=1
    )
    same_person_oks: float = setting(
        0.4, "similarity on the image from which two fused poses are one, the likelier; 1: never", above=0, most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.joint_sigmas) != H36M17.num_joints:
            raise SettingError("joint_sigmas", f"has {len(self.joint_sigmas)} values; it needs {H36M17.num_joints}")


@dataclass(frozen=True, eq=False)
class Matches(Rows):
    """Pairs: indices top_down (M,) and bottom_up (M,) of the poses, each at most once, and similarity (M,)."""

    top_down: Indices
    bottom_up: Indices
    similarity: Floats


def match_poses(*, top_down: Poses, bottom_up: Poses, config: MatchConfig | None = None) -> Matches:
    """The pairs of largest total similarity, one to one, in the order of the top-down poses.

    Of pairs below `min_similarity` none is made, and none counts toward the total, so that they take nobody
    from another pair. Given by name only, since the branches look alike.

    top_down, bottom_up: poses of the same frame; config: settings of the matching.
    """
    config = config if config is not None else MatchConfig()
    alike = similarity(bottom_up, top_down, config).T
    # Whoever stays alone costs 1 / 2, so a pair gains what it is alike.
    partner = assign(np.where(alike >= config.min_similarity, 1 - alike, np.inf), 1.0)
    rows = np.flatnonzero(partner >= 0)
    return Matches(rows, partner[rows], alike[rows, partner[rows]])


def similarity(bottom_up: Poses, top_down: Poses, config: MatchConfig | None = None) -> Floats:
    """How alike poses are (Eqs. 5, 6).

    The mean over joints of exp(-d^2 / 2), weighted by the smaller of the two confidences. Eq. 5 is a sum, which
    grows with the number of joints found; divided by the sum of weights it can be cut off.

    bottom_up, top_down: B and T poses of the same frame; joints that are not finite are not shared. config: settings of
    the matching.
    Returns (B, T) in 0..1; 0 where no joint is shared.
    """
    config = config if config is not None else MatchConfig()
    rows, columns = _clean(bottom_up), _clean(top_down)
    if len(rows) == 0 or len(columns) == 0:
        return np.zeros((len(rows), len(columns)))
    sizes = (body_sizes(rows.joints_cam)[:, None] + body_sizes(columns.joints_cam)) / 2
    unit = sizes[..., None] * (_WIDTH * np.array(config.joint_sigmas))
    across, along, distance = split_distance(rows.joints_cam[:, None], columns.joints_cam)
    stated = np.hypot(rows.joint_stddev[:, None], columns.joint_stddev)
    depth_unit = _WIDTH * np.maximum(np.maximum(stated, config.depth_sigma * distance), _SMALLEST_M)
    squared = (across / unit) ** 2 + (along / depth_unit) ** 2
    weights = np.minimum(rows.joint_scores[:, None], columns.joint_scores)
    return _weighted_mean(np.exp(-squared / 2), weights)


def distinct(poses: Poses, rows: Indices, config: MatchConfig | None = None) -> list[int]:
    """Those of rows (M,) of fused poses who are people of their own, in the order given.

    Of two that look alike (as in `shadowed`, from `same_person_oks` on) the one of the higher score: two tracks on one
    person, or a pose of either branch that were not taken for a pair.
    """
    config = config if config is not None else MatchConfig()
    best_first = rows[np.argsort(-poses.scores[rows], kind="stable")]
    some = poses[best_first]
    return sorted(best_first[_leaders(_alike_on_image(some, some) >= config.same_person_oks)].tolist())


def apart(unmatched: Poses, accepted: Poses, config: MatchConfig | None = None) -> list[int]:
    """Those of unmatched poses, best first, who are neither like somebody accepted nor like a better one of them, as
    in `shadowed`."""
    config = config if config is not None else MatchConfig()
    free = np.flatnonzero(~shadowed(unmatched, accepted, config))
    some = unmatched[free]
    return [int(free[n]) for n in _leaders(_alike_on_image(some, some) >= config.duplicate_oks)]


def _leaders(like: Mask) -> list[int]:
    """Of people in turn those who are like (N, N) none of those before."""
    kept: list[int] = []
    for n in range(len(like)):
        if not like[n, kept].any():
            kept.append(n)
    return kept


def shadowed(unmatched: Poses, accepted: Poses, config: MatchConfig | None = None) -> Mask:
    """Which unmatched poses look, at whatever depth, like somebody accepted, and so are not another person.

    For those whom the branches put at depths that can't be reconciled. COCO's similarity of the rays, with the
    larger area of their extents, times the share of the unmatched one's joints that both have, reaches `duplicate_oks`.

    unmatched: N poses; accepted: those that are people; config: settings of the matching.
    Returns (N,) bool.
    """
    config = config if config is not None else MatchConfig()
    return np.asarray((_alike_on_image(unmatched, accepted) >= config.duplicate_oks).any(axis=1), dtype=bool)


def _alike_on_image(some: Poses, others: Poses) -> Floats:
    """COCO's similarity (N, M) of rays as in `shadowed`, times the share of the first's joints that both have."""
    if len(some) == 0 or len(others) == 0:
        return np.zeros((len(some), len(others)))
    ray, score, area = _on_image(_clean(some))
    other, other_score, other_area = (ray, score, area) if others is some else _on_image(_clean(others))
    weights = np.minimum(score[:, None], other_score)
    alike = oks(ray[:, None], other, np.maximum(area[:, None], other_area), H36M17.oks_sigmas, weights)
    share = (weights > 0).sum(axis=2) / np.maximum((score > 0).sum(axis=1), 1)[:, None]
    return np.asarray(alike * share)


def body_sizes(joints_cam: AnyFloats) -> Floats:
    """The length s (N,) in metres that tells how large people (N, K, 3) are: the median of their bones' lengths.

    It changes neither with the posture nor where less than half of the bones are wrong; about 0.24 of an adult.
    """
    joints = np.asarray(joints_cam, dtype=np.float64)
    bones = np.linalg.norm(joints[:, _CHILDREN] - joints[:, _PARENTS], axis=2)
    middle = np.sort(bones, axis=1)[:, (_BONES - 1) // 2 : _BONES // 2 + 1].mean(axis=1)
    return np.asarray(np.maximum(middle, _SMALLEST_M), dtype=np.float64)


def split_distance(one: AnyFloats, other: AnyFloats) -> tuple[Floats, Floats, Floats]:
    """The distance of points (..., 3) across the ray and along it, and how far away they are: each (...,).

    They are as far away as the geometric mean of the two, and across is the chord between their
    directions there; so the squares of both parts add up to that of the Euclidean distance exactly.
    """
    range_one, range_other = np.linalg.norm(one, axis=-1), np.linalg.norm(other, axis=-1)
    along = np.abs(range_one - range_other)
    difference = one - other
    squared = np.einsum("...i,...i", difference, difference)
    across = np.sqrt(np.maximum(squared - along**2, 0.0))
    return across, along, np.maximum(np.sqrt(range_one * range_other), _SMALLEST_M)


def _clean(poses: Poses) -> Poses:
    """As float64; joints that are not finite have no confidence, deviations that are not are not stated."""
    parts = (poses.joints_cam, poses.joint_scores, poses.joint_stddev)
    joints, scores, stddev = (np.asarray(part, dtype=np.float64) for part in parts)
    known = np.isfinite(joints).all(axis=2) & (scores > 0)
    usable = np.where(np.isfinite(joints), joints, 0.0)
    stated = np.where(np.isfinite(stddev), stddev, 0.0)
    return Poses(usable, np.where(known, scores, 0.0), stated, poses.scores)


def _on_image(poses: Poses) -> tuple[Floats, Floats, Floats]:
    """Rays (N, K, 2), confidences (N, K; 0 also where behind the camera), area (N,) of the box around the rays."""
    depth = poses.joints_cam[..., 2]
    scores = np.where(depth > _SMALLEST_M, poses.joint_scores, 0.0)
    rays = poses.joints_cam[..., :2] / np.maximum(depth, _SMALLEST_M)[..., None]
    seen = (scores > 0)[..., None]
    low, high = np.where(seen, rays, np.inf).min(axis=1), np.where(seen, rays, -np.inf).max(axis=1)
    some = seen.any(axis=1)
    return rays, scores, box_area(np.where(some, np.stack([low, high]), 0.0).transpose(1, 0, 2).reshape(-1, 4))


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Over the last axis; zero where all weights are."""
    total, weighted = weights.sum(axis=-1), (weights * values).sum(axis=-1)
    return np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0)

"""One pose a track out of overlapping patches: the same person seen twice is one person.

N patches, one a track; M people found in all of them together; K joints; image pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dualpose_ros.pose import Pose2D, oks
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.decode import PatchPeople
from dualpose_ros.top_down.grouping import assign
from dualpose_ros.top_down.patch import Affine, apply_affines

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.intp]

_MAX_UTILITY = 4.0
_MIN_COMMON_JOINTS = 3


@dataclass(frozen=True)
class MergeConfig:
    """same_oks: similarity from which two poses are one person; min_utility: how well a person has to explain
    a track's box to be its own (see `grouping.target_utility`)."""

    same_oks: float = 0.6
    min_utility: float = 0.5


def merge_patches(
    people: Sequence[PatchPeople], patch_to_image: Affine, config: MergeConfig | None = None
) -> list[Pose2D | None]:
    """Each track's pose in image pixels, or None where its patch shows nobody who is its own: N entries.

    People of different patches with similar joints are one person; each person goes to at most one
    track, the one whose box they explain best in its own patch. Joints come from the track's own patch;
    those not found there are taken from other patches' views of the same person.
    """
    config = config or MergeConfig()
    patch = np.repeat(np.arange(len(people)), [len(p) for p in people])
    if len(patch) == 0:
        return [None] * len(people)
    joints = np.concatenate([apply_affines(a, p.joints_px) for p, a in zip(people, patch_to_image, strict=True)])
    scores = np.concatenate([p.scores for p in people])
    utility = np.concatenate([p.utility for p in people])
    is_target = np.concatenate([np.arange(len(p)) == p.target for p in people])
    cluster = cluster_people(joints, scores, patch, is_target, config.same_oks)
    offered = np.full((len(people), int(cluster.max()) + 1), -np.inf)
    offered[patch, cluster] = utility
    chosen = assign(_MAX_UTILITY - offered, _MAX_UTILITY - config.min_utility)
    result: list[Pose2D | None] = []
    for track, own_cluster in enumerate(chosen):
        if own_cluster < 0:
            result.append(None)
            continue
        members = np.flatnonzero(cluster == own_cluster)
        own = members[patch[members] == track][0]
        result.append(_fill_from_others(joints, scores, int(own), members))
    return result


def cluster_people(
    joints_px: FloatArray, scores: FloatArray, patch: IntArray, is_target: npt.NDArray[np.bool_], same_oks: float
) -> IntArray:
    """Cluster index (M,) of each person: similar poses of different patches share one.

    joints_px (M, K, 2), scores (M, K; 0 = not found), patch (M,). Patches' own people lead, by score;
    each other joins the most similar leader that has nobody of the same patch, or leads a new cluster.
    """
    similarity = pose_similarity(joints_px, scores)
    order = np.lexsort((-scores.sum(axis=1), ~is_target))
    cluster = np.full(len(patch), -1, dtype=np.intp)
    leaders: list[int] = []
    patches: list[set[int]] = []
    for person in order:
        free = [c for c in range(len(leaders)) if int(patch[person]) not in patches[c]]
        best = max(free, key=lambda c: similarity[person, leaders[c]], default=-1)
        if best < 0 or similarity[person, leaders[best]] < same_oks:
            best = len(leaders)
            leaders.append(int(person))
            patches.append(set())
        cluster[person] = best
        patches[best].add(int(patch[person]))
    return cluster


def pose_similarity(joints_px: FloatArray, scores: FloatArray) -> npt.NDArray[np.float64]:
    """Object keypoint similarity (M, M) over joints that both have; zero with fewer than three of them.

    The area is that of the smaller pose's extents over such joints.
    """
    found = scores > 0
    common = (found[:, None] & found[None, :]).astype(np.float64)
    low = np.where(found[..., None], joints_px, np.inf).min(axis=1)
    high = np.where(found[..., None], joints_px, -np.inf).max(axis=1)
    area = np.nan_to_num(np.clip(high - low, 0, None), posinf=0.0).prod(axis=1)
    smaller = np.minimum(area[:, None], area[None, :])
    similarity = oks(joints_px[:, None], joints_px[None, :], smaller, H36M17.oks_sigmas, common)
    return np.where(common.sum(axis=2) >= _MIN_COMMON_JOINTS, similarity, 0.0)


def _fill_from_others(joints: FloatArray, scores: FloatArray, own: int, members: IntArray) -> Pose2D:
    """Person `own`'s joints, with those not found taken from the member that found them best."""
    best = members[np.argmax(scores[members], axis=0)]
    every = np.arange(scores.shape[1])
    missing = scores[own] <= 0
    merged = np.where(missing[:, None], joints[best, every], joints[own])
    return Pose2D(merged, np.where(missing, scores[best, every], scores[own]))

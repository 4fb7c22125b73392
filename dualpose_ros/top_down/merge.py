"""One pose a track out of overlapping patches: the same person seen twice is one person.

N patches, one a track; M people found in all of them together; K joints; image pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask
from dualpose_ros.grouping import assign
from dualpose_ros.people import Pose2D, oks
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.decode import PatchPeople
from dualpose_ros.top_down.identities import MIN_COMMON_JOINTS, likeness, stacked
from dualpose_ros.top_down.patch import apply_affines

_MAX_UTILITY = 4.0

BEST_JOINTS = 6
"""Joints that say whether somebody is there: as many as head and shoulders have."""


class Merged(NamedTuple):
    """poses: one a track, None where its patch shows nobody who is its own; others: gives people whom no track owns,
    which takes time of its own."""

    poses: list[Pose2D | None]
    others: Callable[[], list[Pose2D]]


@dataclass(frozen=True)
class MergeConfig(Settings):
    """How people of overlapping patches become one pose a track."""

    same_person_oks: float = setting(
        0.6, "similarity (OKS) from which poses of two patches are one person", above=0, most=1
    )
    min_box_fit: float = setting(
        0.5, "how well a person has to fit a track's box to be its own (`target.target_utility`)", least=0, most=4
    )
    previous_pose_weight: float = setting(
        1.5, "how much a track keeps to the person that it had, 0: not at all", least=0, most=10
    )
    min_worth: float = setting(
        0.2, "score times fit to box and previous pose from which a track takes a person", least=0, most=10
    )


def merge_patches(
    people: Sequence[PatchPeople],
    patch_to_image: Floats,
    config: MergeConfig | None = None,
    previous: Sequence[Pose2D | None] = (),
) -> Merged:
    """Each track's pose in image pixels, and whoever else the patches show.

    People of different patches with similar joints are one person; each person goes to at most one
    track, the one whose box they explain best in its own patch. Joints come from the track's own patch;
    those not found there are taken from other patches' views of the same person.

    people: those of each patch; patch_to_image: (N, 2, 3), from patch pixels to those of the image; config: what is one
    person; previous: each track's pose of the frame before, None where there is none; likeness to it counts too, so
    that of two tracks on one person one keeps them.
    """
    config = config or MergeConfig()
    patch = np.repeat(np.arange(len(people)), [len(p) for p in people])
    if len(patch) == 0:
        return Merged([None] * len(people), list)
    joints = np.concatenate([apply_affines(a, p.joints_px) for p, a in zip(people, patch_to_image, strict=True)])
    scores = np.concatenate([p.scores for p in people])
    is_target = np.concatenate([np.arange(len(p)) == p.target for p in people])
    cluster = cluster_people(joints, scores, patch, is_target, config.same_person_oks)
    utility = np.concatenate([p.utility for p in people])
    worth = np.full((len(people), int(cluster.max()) + 1), -np.inf)
    worth[patch, cluster] = _worth(joints, scores, patch, utility, previous, config)
    most = _MAX_UTILITY + config.previous_pose_weight
    chosen = assign(most - worth, most - config.min_worth)
    result: list[Pose2D | None] = []
    for track, own_cluster in enumerate(chosen):
        if own_cluster < 0:
            result.append(None)
            continue
        members = np.flatnonzero(cluster == own_cluster)
        own = members[patch[members] == track][0]
        result.append(_fill_from_others(joints, scores, int(own), members))

    def others() -> list[Pose2D]:
        found = []
        for stray in np.setdiff1d(cluster, chosen):
            members = np.flatnonzero(cluster == stray)
            best = members[np.argmax(scores[members].sum(axis=1))]
            found.append(_fill_from_others(joints, scores, int(best), members))
        return found

    return Merged(result, others)


def own_poses(people: Sequence[PatchPeople], patch_to_image: Floats) -> list[Pose2D | None]:
    """Each patch's own person in image pixels, None where there is none, whoever else sees the same: N entries."""
    return [
        Pose2D(apply_affines(affine, found.joints_px[found.target]), found.scores[found.target])
        if found.target >= 0
        else None
        for found, affine in zip(people, patch_to_image, strict=True)
    ]


def _worth(
    joints_px: AnyFloats,
    scores: AnyFloats,
    patch: Indices,
    utility: AnyFloats,
    previous: Sequence[Pose2D | None],
    config: MergeConfig,
) -> AnyFloats:
    """What each person (M,) is worth to the track of their patch; -inf for one who explains its box too badly.

    Times the score, or a track would give its person to another one and make do with a phantom.
    """
    kept = np.zeros(len(patch))
    last = [previous[track] if track < len(previous) else None for track in patch.tolist()]
    known = [person for person, pose in enumerate(last) if pose is not None]
    if known:
        before = stacked([pose for pose in last if pose is not None])
        kept[known] = config.previous_pose_weight * likeness(Pose2D(joints_px[known], scores[known]), before)
    return np.where(utility >= config.min_box_fit, scores.mean(axis=1) * (utility + kept), -np.inf)


def cluster_people(
    joints_px: AnyFloats, scores: AnyFloats, patch: Indices, is_target: Mask, same_oks: float
) -> Indices:
    """Which people of different patches are one.

    Patches' own people lead, by score; each other joins the most similar leader that has nobody of the same patch, or
    leads a new cluster.

    joints_px: (M, K, 2) in image pixels; scores: (M, K), 0 = not found; patch: (M,), in which patch each was found;
    is_target: (M,) bool, whether they are their patch's own; same_oks: similarity from which two are one.
    Returns cluster index (M,) of each person.
    """
    similarity, patch_of = pose_similarity(joints_px, scores).tolist(), patch.tolist()
    cluster = np.full(len(patch), -1, dtype=np.intp)
    leaders: list[int] = []
    patches: list[set[int]] = []
    for person in np.lexsort((-scores.sum(axis=1), ~is_target)).tolist():
        alike, best = similarity[person], -1
        for n, leader in enumerate(leaders):
            if patch_of[person] not in patches[n] and alike[leader] > (alike[leaders[best]] if best >= 0 else -1.0):
                best = n
        if best < 0 or alike[leaders[best]] < same_oks:
            best = len(leaders)
            leaders.append(person)
            patches.append(set())
        cluster[person] = best
        patches[best].add(patch_of[person])
    return cluster


def pose_similarity(joints_px: AnyFloats, scores: AnyFloats) -> Floats:
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
    return np.where(common.sum(axis=2) >= MIN_COMMON_JOINTS, similarity, 0.0)


def suppressed_scores(
    poses: Sequence[Pose2D], seniority: AnyFloats | None = None, bonus: AnyFloats | float = 0.0
) -> Floats:
    """Mean scores (N,) of poses' best joints, with a bonus (N,), each less its likeness to a better pose: soft-NMS.

    Of who is near, or behind a table, few joints show, as sure as others'. Better is who has more seniority (N,), by
    default all the same, and among equals who has the higher mean score of all joints. Two tracks on one person give
    two poses that are alike, and a track on nobody one that is made of its neighbours' joints; both are worth little
    beside the real one (Bodla et al., "Soft-NMS", ICCV 2017).
    """
    if not poses:
        return np.zeros(0)
    scores = np.stack([pose.scores for pose in poses])
    mean = scores.mean(axis=1)
    similarity = pose_similarity(np.stack([pose.joints_px for pose in poses]), scores)
    senior = np.zeros(len(poses)) if seniority is None else seniority
    rank = np.argsort(np.lexsort((-mean, -senior)))
    better = rank[None, :] < rank[:, None]
    best = np.sort(scores, axis=1)[:, -BEST_JOINTS:].mean(axis=1)
    return np.asarray((best + bonus) * (1 - np.where(better, similarity, 0.0).max(axis=1)), dtype=np.float64)


def _fill_from_others(joints: AnyFloats, scores: AnyFloats, own: int, members: Indices) -> Pose2D:
    """Person `own`'s joints, with those not found taken from the member that found them best."""
    best = members[np.argmax(scores[members], axis=0)]
    every = np.arange(scores.shape[1])
    missing = scores[own] <= 0
    merged = np.where(missing[:, None], joints[best, every], joints[own])
    return Pose2D(merged, np.where(missing, scores[best, every], scores[own]))

"""Joints into people by their tags, and which of a patch's people the patch was made for.

Associative embedding (Newell, Huang, Deng, NIPS 2017): joints of one person carry tags close together,
those of different people tags apart. M candidate joints of one patch, P people, K joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import lap
import numpy as np
import numpy.typing as npt

from dualpose_ros.skeleton import H36M17

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.intp]

TARGET_TAG = 2.0
"""Mean tag that training asks of the person that a patch is centred on (0 weight in training: no such tag)."""

# From the joints that are found best to those found worst: the first ones define people.
JOINT_ORDER = tuple(
    H36M17.index(name)
    for name in (
        *("neck", "thorax", "head_top", "left_shoulder", "right_shoulder", "spine", "pelvis", "left_hip", "right_hip"),
        *("left_elbow", "right_elbow", "left_knee", "right_knee", "left_wrist", "right_wrist"),
        *("left_ankle", "right_ankle"),
    )
)

_FORBIDDEN = 1e6


@dataclass(frozen=True)
class GroupingConfig:
    """tag_limit: largest distance of a joint's tag from its person's mean; seed_score: score of a joint
    that may start a person; min_joints: people with fewer are dropped; score_weight: how much a better
    score makes up for in tag distance."""

    tag_limit: float = 1.0
    seed_score: float = 0.25
    min_joints: int = 3
    score_weight: float = 0.5


def assign(cost: FloatArray, limit: float) -> IntArray:
    """For each row of a cost matrix (R, C) the column assigned to it, or -1: (R,).

    Minimises the cost of the pairs plus limit / 2 for every row and column left alone; so no pair
    that costs more than `limit` is made. Costs may be infinite.
    """
    cost = np.asarray(cost, dtype=np.float64)
    if cost.size == 0:
        return np.full(cost.shape[0], -1, dtype=np.intp)
    finite = np.where(np.isfinite(cost), np.minimum(cost, _FORBIDDEN), _FORBIDDEN)
    _, columns, _ = lap.lapjv(finite, extend_cost=True, cost_limit=float(limit))
    return np.asarray(columns, dtype=np.intp)


def group_by_tags(joint: IntArray, tag: FloatArray, score: FloatArray, config: GroupingConfig) -> tuple[IntArray, int]:
    """Label (M,) of each candidate's person, -1 for none, and the number of people, before small ones are dropped.

    joint (M,) is which joint a candidate is of, tag (M,), score (M,). Joint by joint, candidates are
    assigned to the people so far by tag distance; those left over start new people.
    """
    labels = np.full(len(joint), -1, dtype=np.intp)
    sums, counts = np.zeros(len(joint)), np.zeros(len(joint))
    people = 0
    for k in JOINT_ORDER:
        candidates = np.flatnonzero(joint == k)
        if len(candidates) == 0:
            continue
        if people:
            distance = np.abs(tag[candidates, None] - (sums[:people] / counts[:people])[None])
            cost = distance + config.score_weight * (1 - score[candidates, None])
            cost = np.where(distance > config.tag_limit, np.inf, cost)
            labels[candidates] = assign(cost, config.tag_limit + config.score_weight)
        for candidate in candidates[(labels[candidates] < 0) & (score[candidates] >= config.seed_score)]:
            labels[candidate] = people
            people += 1
        taken = candidates[labels[candidates] >= 0]
        sums[labels[taken]] += tag[taken]
        counts[labels[taken]] += 1
    return labels, people


def people_from_labels(
    labels: IntArray, people: int, joint: IntArray, xy: FloatArray, score: FloatArray, tag: FloatArray, min_joints: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Joints (P, K, 2), scores (P, K; 0 = none) and mean tags (P,) of labelled candidates; small people dropped."""
    count = H36M17.num_joints
    joints, scores, tags = np.zeros((people, count, 2)), np.zeros((people, count)), np.zeros((people, count))
    taken = labels >= 0
    joints[labels[taken], joint[taken]] = xy[taken]
    scores[labels[taken], joint[taken]] = score[taken]
    tags[labels[taken], joint[taken]] = tag[taken]
    found = (scores > 0).sum(axis=1)
    kept = found >= min_joints
    return joints[kept], scores[kept], tags[kept].sum(axis=1) / np.maximum(found[kept], 1)


def target_utility(joints: FloatArray, scores: FloatArray, tags: FloatArray, box: FloatArray) -> FloatArray:
    """How well each person (P,) explains `box` (4,), the tracked box in the joints' own coordinates.

    Sums the share of joints found inside the box (by score), the overlap of the joints' extents with the box,
    nearness of their middle to the box's, and nearness of the tag to TARGET_TAG; between 0 and 4.
    """
    if len(joints) == 0:
        return np.zeros(0)
    found = scores > 0
    inside = ((joints >= box[:2]) & (joints <= box[2:])).all(axis=2)
    explained = (scores * inside).sum(axis=1) / H36M17.num_joints
    low = np.where(found[..., None], joints, np.inf).min(axis=1)
    high = np.where(found[..., None], joints, -np.inf).max(axis=1)
    overlap = np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None).prod(axis=1)
    union = (high - low).prod(axis=1) + float(np.prod(box[2:] - box[:2])) - overlap
    side = max(float((box[2:] - box[:2]).max()), 1e-6)
    off_centre = np.linalg.norm((low + high) / 2 - (box[:2] + box[2:]) / 2, axis=1) / side
    own_tag = np.exp(-((tags - TARGET_TAG) ** 2) / 2)
    return np.asarray(explained + overlap / np.maximum(union, 1e-9) + np.exp(-4 * off_centre) + own_tag)

"""Which of a patch's people the patch was made for.

P people, K joints.
"""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyFloats
from dualpose_ros.skeleton import H36M17

TARGET_TAG = 2.0
"""Mean tag that training asks of the person that a patch is centred on (0 weight in training: no such tag)."""


def target_utility(joints: AnyFloats, scores: AnyFloats, tags: AnyFloats, box: AnyFloats) -> AnyFloats:
    """How well people explain a tracked box.

    Sums the share of joints found inside the box (by score), the overlap of the joints' extents with the box,
    nearness of their middle to the box's, and nearness of the tag to TARGET_TAG.

    Args:
        joints: (P, K, 2).
        scores: (P, K), 0 = not found.
        tags: (P,).
        box: (4,), in the joints' own coordinates.

    Returns:
        (P,), between 0 and 4.
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

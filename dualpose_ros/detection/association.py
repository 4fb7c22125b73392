"""Which track continues in which detection: the costs of pairs."""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats
from dualpose_ros.people import box_iou


def overlap_cost(a_px: AnyFloats, b_px: AnyFloats) -> Floats:
    """Cost (N, M) in 0..2 of taking box b (M, 4) for box a (N, 4): 1 - DIoU.

    DIoU (Zheng et al., "Distance-IoU Loss", AAAI 2020) is the overlap less the squared distance of
    the middles over that of the enclosing box's diagonal: it still tells near from far where boxes
    don't touch, as happens with fast people at low frame rates.
    """
    a = np.asarray(a_px, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(b_px, dtype=np.float64).reshape(1, -1, 4)
    between = np.sum(((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])) ** 2, axis=-1) / 4
    enclosing = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    diagonal = np.sum(enclosing**2, axis=-1)
    return 1 - box_iou(a_px, b_px) + between / np.maximum(diagonal, 1e-9)


def size_ratios(a_px: AnyFloats, b_px: AnyFloats) -> Floats:
    """How many times longer a side is in one box of a pair than in the other, for the side that agrees better.

    One side only, (N, M), 1 or more: the image's border or a table cuts a person's width or height, rarely both.
    """
    log_a, log_b = (np.log(np.maximum(np.asarray(x)[:, 2:] - np.asarray(x)[:, :2], 1e-9)) for x in (a_px, b_px))
    return np.exp(np.abs(log_a[:, None] - log_b[None]).min(axis=-1))

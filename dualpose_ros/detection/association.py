"""Which track continues in which detection: costs of pairs, and the cheapest assignment."""

from __future__ import annotations

import lap
import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices
from dualpose_ros.people import box_iou

FORBIDDEN = 1e6
"""Cost of a pair that may not be matched."""


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


def assign(cost: AnyFloats, limit: float) -> tuple[Indices, Indices, Indices, Indices]:
    """Cheapest one-to-one matching of rows and columns of cost (N, M), no pair dearer than `limit`.

    Leaving a row and a column alone costs `limit`, so the total over pairs of (cost - limit) is
    minimal. Returns matched rows and columns (P,), then the rows and the columns left over.
    ValueError if a cost is NaN.
    """
    rows, columns = cost.shape
    if np.isnan(cost).any():
        raise ValueError("an assignment cost is NaN")
    if rows == 0 or columns == 0:
        none = np.zeros(0, dtype=np.intp)
        return none, none, np.arange(rows), np.arange(columns)
    bounded = np.minimum(cost, FORBIDDEN)
    _, column_of, row_of = lap.lapjv(bounded, extend_cost=True, cost_limit=limit)
    matched = np.flatnonzero(column_of >= 0)
    return matched, np.asarray(column_of)[matched], np.flatnonzero(column_of < 0), np.flatnonzero(row_of < 0)

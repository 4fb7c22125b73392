"""Pairs: the nearest ones, and how many of a top-down and a bottom-up pose are one person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from dualpose_ros.arrays import AnyFloats, AnyInts


@dataclass(frozen=True)
class FramePairs:
    """One frame: the poses paired, top_down (M,) and bottom_up (M,) indices; the true person of each top-down pose,
    true_top_down (T,), and of each bottom-up pose, true_bottom_up (B,), -1 where a pose is nobody's."""

    top_down: AnyInts
    bottom_up: AnyInts
    true_top_down: AnyInts
    true_bottom_up: AnyInts


def pair_row(people: int | str, frames: Sequence[FramePairs]) -> dict[str, Any]:
    """Precision and recall of the pairs in some frames, in per cent; None where there is nothing to measure.

    A pair is right if both poses are the same true person. precision: of all pairs; precision_of_known: of those
    whose poses both are true persons; recall: true persons with a right pair, of those whom both branches found.
    confused: pairs of two different true persons; of_nobody: pairs with a pose that is nobody's.
    `people` says in the row which frames these are. ValueError if pairs have indices of unequal number.
    """
    pairs = right = confused = shared = paired = 0
    for frame in frames:
        if len(frame.top_down) != len(frame.bottom_up):
            raise ValueError(f"{len(frame.top_down)} top-down poses are paired with {len(frame.bottom_up)} bottom-up")
        # What is empty may come as floats.
        one = np.asarray(frame.true_top_down)[np.asarray(frame.top_down, dtype=np.intp)]
        other = np.asarray(frame.true_bottom_up)[np.asarray(frame.bottom_up, dtype=np.intp)]
        known = (one >= 0) & (other >= 0)
        same = known & (one == other)
        pairs, right, confused = pairs + len(one), right + int(same.sum()), confused + int((known & ~same).sum())
        both = np.intersect1d(frame.true_top_down, frame.true_bottom_up)
        shared += int((both >= 0).sum())
        paired += len(np.unique(one[same]))
    return {
        "people": people,
        "frames": len(frames),
        "pairs": pairs,
        "found_by_both": shared,
        "precision": _percent(right, pairs),
        "precision_of_known": _percent(right, right + confused),
        "recall": _percent(paired, shared),
        "confused": confused,
        "of_nobody": pairs - right - confused,
    }


def nearest_pairs(distance: AnyFloats, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of a matrix (N, M) of distances, each used once: as many as there can be that are no farther
    than `limit`, at the least total distance; NaN is out of reach."""
    distance = np.nan_to_num(np.asarray(distance, dtype=np.float64), nan=np.inf)
    if not distance.size:
        return []
    # A price far above any sum of allowed distances makes a further pair always worth it.
    blocked = limit * (min(distance.shape) + 1) * 10
    rows, columns = linear_sum_assignment(np.where(distance <= limit, distance, blocked))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if distance[r, c] <= limit]


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None

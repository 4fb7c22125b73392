"""How well people keep their ids over a video: CLEAR MOT's accuracy and the F1 of identities.

Bernardin, Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics", 2008; Ristani et
al., "Performance measures and a data set for multi-target, multi-camera tracking", ECCV workshops 2016.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from dualpose_ros.arrays import AnyFloats, AnyInts, Floats
from dualpose_ros.metrics.pairs import nearest_pairs


@dataclass(frozen=True)
class TrackedFrame:
    """One frame: true_ids (N,), ids (M,) of who was found, and distance (N, M) between them; NaN is out of reach."""

    true_ids: AnyInts
    ids: AnyInts
    distance: AnyFloats


def track_figures(frames: Iterable[TrackedFrame], limit: float) -> dict[str, Any]:
    """mota and idf1 (at most 1; NaN without true people), and what they are made of.

    A pair of the last frame stays one while it is no farther apart than `limit`; the others are paired at the least
    total distance. ValueError for an id that a frame has twice.
    """
    people = found = misses = ghosts = switches = 0
    last: dict[int, int] = {}
    together: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        distance = _checked(frame)
        true_ids, ids = ([int(i) for i in given] for given in (frame.true_ids, frame.ids))
        near = np.nan_to_num(distance, nan=np.inf) <= limit
        together.update((true_ids[row], ids[column]) for row, column in np.argwhere(near))
        kept: list[tuple[int, int]] = []
        for row, person in enumerate(true_ids):
            column = ids.index(last[person]) if last.get(person) in ids else -1
            # Two people may have had one id in turn.
            if column >= 0 and near[row, column] and column not in {taken for _, taken in kept}:
                kept.append((row, column))
        rest = np.where(near, distance, np.nan)
        for row, column in kept:
            rest[row], rest[:, column] = np.nan, np.nan
        pairs = [*kept, *nearest_pairs(rest, limit)]
        for row, column in pairs:
            switches += last.get(true_ids[row], ids[column]) != ids[column]
            last[true_ids[row]] = ids[column]
        people, found = people + len(true_ids), found + len(ids)
        misses, ghosts = misses + len(true_ids) - len(pairs), ghosts + len(ids) - len(pairs)
    same = _same_identity(together)
    return {
        "mota": 1 - (misses + ghosts + switches) / people if people else float("nan"),
        "idf1": 2 * same / (people + found) if people else float("nan"),
        "id_switches": switches,
        "misses": misses,
        "ghosts": ghosts,
        "people": people,
    }


def _same_identity(together: Counter[tuple[int, int]]) -> int:
    """In how many frames people have the one id that is theirs, ids given to people so that there are most."""
    if not together:
        return 0
    true_ids, ids = (sorted({pair[side] for pair in together}) for side in (0, 1))
    shared = np.zeros((len(true_ids), len(ids)))
    for (person, track), count in together.items():
        shared[true_ids.index(person), ids.index(track)] = count
    return int(shared[linear_sum_assignment(-shared)].sum())


def _checked(frame: TrackedFrame) -> Floats:
    for name, ids in (("true id", frame.true_ids), ("id", frame.ids)):
        twice = [i for i, count in Counter(int(i) for i in ids).items() if count > 1]
        if twice:
            raise ValueError(f"{name} {twice[0]} is there twice in one frame")
    distance = np.asarray(frame.distance, dtype=np.float64)
    if distance.shape != (len(frame.true_ids), len(frame.ids)):
        raise ValueError(f"distances {distance.shape} for {len(frame.true_ids)} true people and {len(frame.ids)} found")
    return distance

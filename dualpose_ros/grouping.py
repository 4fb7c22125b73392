"""Joints into people by their tags, and people read from the maps by their tags, for both branches.

Associative embedding (Newell, Huang, Deng, NIPS 2017): joints of one person carry tags close together,
those of different people tags apart. M candidate joints of one patch or frame, P people, K joints, h x w cells;
positions in pixels are those of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lap
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Indices
from dualpose_ros.heatmap import peak_offsets
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

HEATMAP_STRIDE = 4
"""Pixels of a network's input a cell of its maps: cell (i, j) has its centre at pixel (4j + 1.5, 4i + 1.5)."""

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
_LEAST_SHARE = 0.2
"""Least share of a heatmap that a person's tag has to leave of it, or the cell is somebody else's."""


@dataclass(frozen=True)
class GroupingConfig(Settings):
    """How joints are put together to people by their tags."""

    max_tag_distance: float = setting(1.0, "largest distance of a joint's tag from its person's mean", above=0)
    seed_score: float = share(0.25, "score of a joint that may start a person")
    min_joints: int = setting(3, "people with fewer joints are dropped", unit="joints", least=1, most=H36M17.num_joints)
    score_weight: float = setting(0.5, "how much tag distance a better score makes up for", least=0)
    distance_weight: float = setting(
        0.7, "how much tag distance being near makes up for, where depths are known", least=0
    )


@dataclass(frozen=True)
class ReadingConfig(Settings):
    """How the joints of a person are read off the maps by the person's mean tag."""

    min_score: float = share(
        0.02, "heatmap value from which a joint is read off its map; below, it stays as it was grouped"
    )
    tag_stddev: float = setting(0.5, "how far tags of a person's joints lie from their mean", above=0)


def assign(cost: AnyFloats, limit: float) -> Indices:
    """For each row of a cost matrix (R, C) the column assigned to it, or -1: (R,).

    Minimises the cost of the pairs plus limit / 2 for every row and column left alone; so no pair
    that costs more than `limit` is made. Costs may be infinite.
    """
    cost = np.asarray(cost, dtype=np.float64)
    if cost.size == 0:
        return np.full(cost.shape[0], -1, dtype=np.intp)
    affordable = np.where(cost <= limit, cost, np.inf)
    cheapest = affordable.argmin(axis=1)
    cheapest[np.isinf(affordable.min(axis=1))] = -1
    taken = [column for column in cheapest.tolist() if column >= 0]
    if len(set(taken)) == len(taken):
        # Nobody else wants what is cheapest for each.
        return cheapest
    _, columns, _ = lap.lapjv(np.fmin(cost, _FORBIDDEN), extend_cost=True, cost_limit=float(limit))
    return np.asarray(columns, dtype=np.intp)


def group_by_tags(
    joint: Indices, tag: AnyFloats, score: AnyFloats, config: GroupingConfig, apart: AnyFloats | None = None
) -> tuple[Indices, int]:
    """Which candidates are of one person.

    Joint by joint, candidates are assigned to the people so far by tag distance; those left over start new people.

    joint, tag, score: (M,) of each candidate: which joint it is of, its tag and its score in 0..1. config: what counts
    by how much; apart: (M, M), how far candidates are from each other as a share of what is possible within a person:
    one that is too far from more than half of a person's joints is not assigned to it, of the others the nearer ones
    are preferred.
    Returns label (M,) of each candidate's person, -1 for none, and the number of people, before small ones are dropped.
    """
    by_joint = np.argsort(joint, kind="stable")
    bounds = np.searchsorted(joint[by_joint], np.arange(H36M17.num_joints + 1)).tolist()
    tag, score = tag[by_joint], score[by_joint]
    labels = np.full(len(joint), -1, dtype=np.intp)
    sums, counts = np.zeros(len(joint)), np.zeros(len(joint))
    if apart is not None:
        apart = apart[np.ix_(by_joint, by_joint)]
        near, shares = (apart <= 1).astype(np.float64), np.minimum(apart, 1)
        # Of each person to each candidate: how many of the person's joints are near it, and the sum of their distances.
        near_of, share_of = np.zeros_like(near), np.zeros_like(near)
    people = 0
    lost, may_start = config.score_weight * (1 - score), score >= config.seed_score
    limit = config.max_tag_distance + config.score_weight + (0 if apart is None else config.distance_weight)
    for k in JOINT_ORDER:
        own = slice(bounds[k], bounds[k + 1])
        if own.start == own.stop:
            continue
        label = labels[own]
        if people:
            cost = np.abs(tag[own, None] - sums[:people] / counts[:people])
            too_far = cost > config.max_tag_distance
            cost += lost[own, None]
            if apart is not None:
                cost += config.distance_weight * (share_of[:people, own].T / counts[:people])
                too_far |= 0.5 * counts[:people] > near_of[:people, own].T
            cost[too_far] = np.inf
            label[:] = assign(cost, limit)
        (seeds,) = ((label < 0) & may_start[own]).nonzero()
        label[seeds] = np.arange(people, people + len(seeds))
        people += len(seeds)
        (taken,) = (label >= 0).nonzero()
        owner = label[taken]
        taken += own.start
        if apart is not None:
            near_of[owner] += near[taken]
            share_of[owner] += shares[taken]
        sums[owner] += tag[taken]
        counts[owner] += 1
    out = np.empty_like(labels)
    out[by_joint] = labels
    return out, people


def people_from_labels(
    labels: Indices, people: int, joint: Indices, xy: AnyFloats, score: AnyFloats, tag: AnyFloats, min_joints: int
) -> tuple[Floats, Floats, Floats]:
    """People of labelled candidates.

    labels, people: as from `group_by_tags`; joint, score, tag: (M,) of each candidate; xy: (M, 2), where it is;
    min_joints: people with fewer are dropped.
    Returns joints (P, K, 2), scores (P, K; 0 = none) and mean tags (P,).
    """
    count = H36M17.num_joints
    joints, scores, tags = np.zeros((people, count, 2)), np.zeros((people, count)), np.zeros((people, count))
    taken = labels >= 0
    joints[labels[taken], joint[taken]] = xy[taken]
    scores[labels[taken], joint[taken]] = score[taken]
    tags[labels[taken], joint[taken]] = tag[taken]
    found = (scores > 0).sum(axis=1)
    kept = found >= min_joints
    return joints[kept], scores[kept], tags[kept].sum(axis=1) / np.maximum(found[kept], 1)


def cells_to_pixels(xy: AnyFloats) -> Floats:
    """Pixels of the network's input at heatmap coordinates (..., 2)."""
    return np.asarray(np.asarray(xy) * HEATMAP_STRIDE + (HEATMAP_STRIDE - 1) / 2, dtype=np.float64)


def pixels_to_cells(xy_px: AnyFloats) -> Floats:
    """Heatmap coordinates (..., 2), fractional cells, of pixels of the network's input."""
    return np.asarray((np.asarray(xy_px) - (HEATMAP_STRIDE - 1) / 2) / HEATMAP_STRIDE, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ReadableMaps:
    """What joints can be read from: of the cells whose heatmaps are not too low, in the order of maps and rows, their
    place in all maps (C,), heatmap, worth and tag (C,), and where each map's begin and end in them (M + 1,); maps
    (M, h, w) that the worth is from.
    """

    place: Indices
    heat: Float32s
    worth: Float32s
    tag: Float32s
    bounds: Indices
    maps: Float32s

    @classmethod
    def of(
        cls, heatmaps: Float32s, tags: Float32s, config: ReadingConfig, smooth: Float32s | None = None
    ) -> ReadableMaps:
        """Of heatmaps and tags, both (M, h, w); by `smooth` of that shape, if given, a joint's place is chosen."""
        size = heatmaps.shape[1] * heatmaps.shape[2]
        flat = heatmaps.reshape(-1)
        # Where the tag lowers a cell below this, `read_by_tag` takes nothing from the map.
        (cells,) = (flat >= np.float32(_LEAST_SHARE * config.min_score)).nonzero()
        starts = size * np.arange(len(heatmaps) + 1)
        bounds = np.searchsorted(cells, starts)
        maps, heat = heatmaps if smooth is None else smooth, flat[cells]
        worth = heat if smooth is None else maps.reshape(-1)[cells]
        return cls(cells, heat, worth, tags.reshape(-1)[cells], bounds, maps)

    def cells(self, some: slice | Indices) -> tuple[Indices, Indices]:
        """Rows and columns, in their maps, of some of the cells."""
        height, width = self.maps.shape[1:]
        row, column = np.divmod(self.place[some], width)
        return row % height, column


def read_by_tag(
    maps: ReadableMaps,
    first: Sequence[int] | Indices,
    tags: AnyFloats,
    joints_px: AnyFloats,
    scores: AnyFloats,
    config: ReadingConfig,
    windows: Indices | None = None,
) -> tuple[Floats, Floats]:
    """People's joints read from the maps by the mean tag of those grouped.

    A joint goes where its heatmap less the tag's distance from that mean is largest: grouping hands each peak to
    one person and cuts what its tag says to yes or no, which costs joints where people overlap. Where the maps
    say nothing, joints and scores as grouped stay.

    maps: of all joints, perhaps of several patches; first: (P,), which of them is the first joint's; tags: (P,),
    people's means; joints_px, scores: (P, K, 2) in pixels of the network's input and (P, K), as grouped; config: what
    is taken from a map; windows: columns and rows (P, 4), x0, y0, x1, y1, of the cells looked at, the last ones not
    included; all without.
    Returns joints (P, K, 2) in pixels of the network's input, and scores (P, K).
    """
    read_px, read_scores = np.array(joints_px, dtype=np.float64), np.array(scores, dtype=np.float64)
    beginnings = np.asarray(first, dtype=np.intp)
    persons, joints, cells = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    # Those who are read from the same maps at once.
    for beginning in sorted(set(beginnings.tolist())):
        (same,) = (beginnings == beginning).nonzero()
        bounds = maps.bounds[beginning : beginning + read_scores.shape[1] + 1]
        person, joint, cell = _cells_of_tags(
            maps, bounds, np.asarray(tags)[same], config, None if windows is None else windows[same]
        )
        persons.append(same[person])
        joints.append(joint)
        cells.append(cell)
    person, joint, cell = (np.concatenate(parts) for parts in (persons, joints, cells))
    channel = beginnings[person] + joint
    row, column = maps.cells(cell)
    places = np.stack([column, row], axis=1) + peak_offsets(maps.maps, channel, row, column)
    read_px[person, joint], read_scores[person, joint] = cells_to_pixels(places), maps.heat[cell]
    return read_px, read_scores


def _cells_of_tags(
    maps: ReadableMaps, bounds: Indices, tags: AnyFloats, config: ReadingConfig, windows: Indices | None
) -> tuple[Indices, Indices, Indices]:
    """Joints (J,) that the maps between `bounds` (K + 1,) show of people (J,), and the cells (J,) where they are."""
    inside = slice(int(bounds[0]), int(bounds[-1]))
    counts = np.diff(bounds)
    (filled,) = counts.nonzero()
    if not len(filled):
        return filled, filled, filled
    value = maps.tag[inside] - np.asarray(tags, dtype=np.float32)[:, None]
    np.minimum(np.square(value, out=value), np.float32((4 * config.tag_stddev) ** 2), out=value)
    np.exp(np.multiply(value, np.float32(-1 / (2 * config.tag_stddev**2)), out=value), out=value)
    value *= maps.worth[inside]
    if windows is not None:
        row, column = (axis.astype(np.int16) for axis in maps.cells(inside))
        x0, y0, x1, y1 = windows.T[..., None].astype(np.int16)
        value *= (column >= x0) & (column < x1) & (row >= y0) & (row < y1)
    starts = bounds[filled] - bounds[0]
    best = np.maximum.reduceat(value, starts, axis=1)
    # The first cell of each map that holds its largest value.
    ties = np.flatnonzero(value == np.repeat(best, counts[filled], axis=1))
    first = starts + value.shape[1] * np.arange(len(value))[:, None]
    at = ties[np.searchsorted(ties, first)] % value.shape[1] + bounds[0]
    seen = (maps.heat[at] >= config.min_score) & (best > _LEAST_SHARE * maps.worth[at])
    person, joint = np.nonzero(seen)
    return person, filled[joint], at[seen]


def read_largest(maps: Float32s) -> tuple[Floats, Floats]:
    """Where maps (M, h, w) are largest: places (M, 2) in pixels of the network's input, and their values there (M,)."""
    every = np.arange(len(maps))
    row, column = np.divmod(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[2])
    xy = cells_to_pixels(np.stack([column, row], axis=1) + peak_offsets(maps, every, row, column))
    return xy, maps[every, row, column].astype(np.float64)

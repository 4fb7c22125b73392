"""The bottom-up network's maps into people: grouping by tag, joints and depths read off the maps.

P people, K joints, h x w cells, M candidate joints. Positions are in pixels of the network's input, depths in metres.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask, Rows
from dualpose_ros.bottom_up.upright import REACH
from dualpose_ros.grouping import (
    HEATMAP_STRIDE,
    GroupingConfig,
    ReadableMaps,
    ReadingConfig,
    cells_to_pixels,
    group_by_tags,
    people_from_labels,
    pixels_to_cells,
    read_by_tag,
)
from dualpose_ros.heatmap import find_peaks
from dualpose_ros.people import oks
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17, ROOT

DEPTH_SCALE = 100.0
"""The root's channel of the depths holds log(DEPTH_SCALE z / f), z the root's depth, f the focal length in pixels."""

_STEPS = np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
_LOG_LIMIT = 8.0
_ARM = 0.7
"""Metres that a person may reach beyond the joints that were grouped."""


@dataclass(frozen=True)
class BottomUpMaps:
    """What the network says about one frame, each (K, h, w): heatmaps 0..1; tags; depths, in the root's channel
    log(DEPTH_SCALE z_root / f) at every joint of a person, in the others z_joint - z_root in metres (Eqs. 3 and 4);
    log_stddev, the log of the deviations of what the depths hold."""

    heatmaps: AnyFloats
    tags: AnyFloats
    depths: AnyFloats
    log_stddev: AnyFloats


@dataclass(frozen=True)
class BottomUpDecodeConfig(Settings):
    """How people are read from the network's maps."""

    min_peak_score: float = share(0.1, "smallest value of a heatmap's peak")
    peak_window_cells: int = setting(
        5, "side of the square in which a peak is the largest value", unit="cells", least=3, most=31, step=2
    )
    max_peaks: int = setting(30, "peaks kept of each joint", least=1, most=1000)
    max_depth_ratio: float = setting(1.6, "joints whose maps' depths differ by more are hardly of one person", least=1)
    same_person_oks: float = setting(
        0.6, "similarity (OKS) from which two people are one, found twice; above 1: never", above=0, most=2
    )
    min_score: float = share(0.2, "people whose found joints have a lower mean score are not published")
    max_people: int = setting(20, "the best ones are published", least=1, most=1000)
    grouping: GroupingConfig = setting(GroupingConfig(min_joints=4), "joints into people by their tags")
    # A joint seen worse than this is better put where an upright body has it.
    reading: ReadingConfig = setting(ReadingConfig(min_score=0.1), "joints read off the maps by a person's tag")


@dataclass(frozen=True, eq=False)
class FramePeople(Rows):
    """The people of a frame: joints_px (P, K, 2) in network pixels, scores (P, K; 0 = not found), tags (P,),
    root_depth and root_depth_stddev (P,) in metres, rel_depth and rel_depth_stddev (P, K) in metres, about the root.
    Where the score is 0, joints and relative depths mean nothing."""

    joints_px: Floats
    scores: Floats
    tags: Floats
    root_depth: Floats
    root_depth_stddev: Floats
    rel_depth: Floats
    rel_depth_stddev: Floats


def decode_frame(maps: BottomUpMaps, focal_px: float, config: BottomUpDecodeConfig | None = None) -> FramePeople:
    """People of one frame, the best first.

    maps: what the network says; focal_px: the focal length sqrt(fx fy) in pixels of the network's input; config: what
    makes a person.
    ValueError if the maps differ in shape or hold values that are not finite.
    """
    config = config or BottomUpDecodeConfig()
    maps = _checked(maps)
    peaks = find_peaks(maps.heatmaps, config.min_peak_score, config.max_peaks, config.peak_window_cells)
    column, row = peaks.cell.T
    tag = maps.tags[peaks.channel, row, column].astype(np.float64)
    place_px = cells_to_pixels(peaks.xy)
    places = _places(maps, peaks.channel, place_px, focal_px)
    labels, count = group_by_tags(peaks.channel, tag, peaks.score, config.grouping, _apart(places, places, config))
    joints_px, scores, tags = people_from_labels(
        labels, count, peaks.channel, place_px, peaks.score, tag, config.grouping.min_joints
    )
    joints_px, scores = _read(maps, joints_px, scores, tags, focal_px, config)
    return _without_duplicates(_with_depths(maps, joints_px, scores, tags, focal_px, config), config)


def _checked(maps: BottomUpMaps) -> BottomUpMaps:
    """The maps as float32; ValueError if they can't be a network's."""
    names = ("heatmaps", "tags", "depths", "log_stddev")
    values = [np.asarray(getattr(maps, name), dtype=np.float32) for name in names]
    if values[0].ndim != 3 or len(values[0]) != H36M17.num_joints:
        raise ValueError(f"heatmaps have shape {values[0].shape} instead of ({H36M17.num_joints}, height, width)")
    for name, value in zip(names, values, strict=True):
        if value.shape != values[0].shape:
            raise ValueError(f"{name} {value.shape} and heatmaps {values[0].shape} don't fit")
        if value.size and not np.isfinite([value.min(), value.max()]).all():
            raise ValueError("the bottom-up network answered NaN or infinity: its weights or its input are broken")
    return BottomUpMaps(*values)


def _root_depth(code: AnyFloats, focal_px: float) -> Floats:
    """Metres that values of the depths' root channel stand for."""
    limited = np.clip(np.asarray(code, dtype=np.float64), -_LOG_LIMIT, _LOG_LIMIT)
    return np.asarray(focal_px / DEPTH_SCALE * np.exp(limited), dtype=np.float64)


@dataclass(frozen=True)
class _Places:
    """Joints (M,) by kind, where they are, as rays (M, 2) from the middle of the maps, and the depth (M,) there."""

    joint: Indices
    rays: Floats
    depth: Floats


def _places(maps: BottomUpMaps, joint: Indices, joints_px: Floats, focal_px: float) -> _Places:
    middle = HEATMAP_STRIDE * np.array(maps.heatmaps.shape[:0:-1]) / 2
    column, row = _cells(joints_px, maps.heatmaps.shape[1:])
    return _Places(joint, (joints_px - middle) / focal_px, _root_depth(maps.depths[ROOT, row, column], focal_px))


def _apart(one: _Places, other: _Places, config: BottomUpDecodeConfig) -> Floats:
    """How far joints (M,) are from others (N,), by the depths that the maps say there, as a share of what two such
    joints of one person can be: (M, N). More than 1 is too far. Depths that differ count as 1: where people's joints
    share cells, the map holds the depth of one of them."""
    like = config.max_depth_ratio
    depth, other_depth = one.depth[..., :, None], other.depth[..., None, :]
    squares = (one.rays**2).sum(axis=-1)[..., :, None] + (other.rays**2).sum(axis=-1)[..., None, :]
    twice = 2 * (one.rays @ np.swapaxes(other.rays, -1, -2))
    share = np.maximum(squares - twice, 0.0)
    share *= depth * other_depth
    # Off the axis a difference in depth moves joints on the image too.
    share /= 1 + (squares + twice) / 4
    np.sqrt(share, out=share)
    share /= REACH[one.joint[..., :, None], other.joint[..., None, :]]
    unlike = (depth > like * other_depth) | (other_depth > like * depth)
    return np.maximum(share, unlike, out=share)


def _read(
    maps: BottomUpMaps, joints_px: Floats, scores: Floats, tags: Floats, focal_px: float, config: BottomUpDecodeConfig
) -> tuple[Floats, Floats]:
    """Joints (P, K, 2) and scores (P, K) of grouped people, read from the maps around each of them.

    What lies beyond the reach of most of the person's joints, or reads the same as another person's joint and suits
    that one's tag better, stays as grouped.
    """
    every = np.arange(H36M17.num_joints)
    found = scores > 0
    windows = _windows(joints_px, found, maps.depths[ROOT], focal_px)
    readable = ReadableMaps.of(maps.heatmaps, maps.tags, config.reading)
    first = np.zeros(len(tags), np.intp)
    read_joints, read_scores = read_by_tag(readable, first, tags, joints_px, scores, config.reading, windows)
    read, grouped = (_places(maps, every, px, focal_px) for px in (read_joints, joints_px))
    far = (_apart(read, grouped, config) > 1) & found[:, None]
    astray = far.sum(axis=2) > 0.5 * found.sum(axis=1)[:, None]
    lost = astray | (found & _suits_another_better(read_joints, read_scores, tags, maps.tags))
    return np.where(lost[..., None], joints_px, read_joints), np.where(lost, scores, read_scores)


def _windows(joints_px: Floats, found: Mask, root_map: AnyFloats, focal_px: float) -> Indices:
    """Columns and rows (P, 4), x0, y0, x1, y1, of the cells that people with these joints may cover."""
    height, width = root_map.shape
    cells = pixels_to_cells(joints_px)
    low = np.where(found[..., None], cells, np.inf).min(axis=1)
    high = np.where(found[..., None], cells, -np.inf).max(axis=1)
    column, row = _cells(joints_px, (height, width))
    depths = np.sort(np.where(found, _root_depth(root_map[row, column], focal_px), np.inf), axis=1)
    middle = np.stack([(found.sum(axis=1) - 1) // 2, found.sum(axis=1) // 2], axis=1)
    depth = np.take_along_axis(depths, middle, axis=1).mean(axis=1)
    pad = np.maximum(0.6 * (high - low).max(axis=1), _ARM * focal_px / (HEATMAP_STRIDE * depth)) + 2
    first = np.floor(low - pad[:, None]).clip(0)
    last = np.minimum(np.ceil(high + pad[:, None]) + 1, (width, height))
    return np.concatenate([first, last], axis=1).astype(np.intp)


def _suits_another_better(joints_px: Floats, scores: Floats, tags: Floats, tag_maps: AnyFloats) -> Mask:
    """Joints (P, K) at the same cell as another person's whose tag is nearer to what the map has there."""
    column, row = _cells(joints_px, tag_maps.shape[1:])
    off = np.abs(tag_maps[np.arange(len(tag_maps)), row, column] - tags[:, None])
    same = (np.abs(joints_px[:, None] - joints_px) < HEATMAP_STRIDE).all(axis=-1)
    same &= (scores[:, None] > 0) & (scores > 0)
    return np.asarray((same & (off < off[:, None])).any(axis=1))


def _cells(joints_px: Floats, size: tuple[int, ...]) -> tuple[Indices, Indices]:
    """Columns and rows (...,) of the cells nearest to pixels (..., 2), within maps of size (h, w)."""
    cell = np.rint(pixels_to_cells(joints_px)).astype(np.intp)
    return cell[..., 0].clip(0, size[1] - 1), cell[..., 1].clip(0, size[0] - 1)


def _with_depths(
    maps: BottomUpMaps, joints_px: Floats, scores: Floats, tags: Floats, focal_px: float, config: BottomUpDecodeConfig
) -> FramePeople:
    """People with the depths at their joints: medians over 3 x 3 cells, weighted by the heatmap and the tag there."""
    height, width = maps.heatmaps.shape[1:]
    middle_column, middle_row = _cells(joints_px, (height, width))
    column, row = middle_column[..., None] + _STEPS[:, 0], middle_row[..., None] + _STEPS[:, 1]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    row, column = row.clip(0, height - 1), column.clip(0, width - 1)
    at, at_root = (np.arange(H36M17.num_joints)[:, None], row, column), (ROOT, row, column)
    off = maps.tags[at] - tags[:, None, None]
    weight = maps.heatmaps[at] * np.exp(-(off**2) / (2 * config.reading.tag_stddev**2))
    weight = np.where(inside, weight + 1e-9, 0.0)
    there = np.stack([maps.depths[at], maps.log_stddev[at], maps.depths[at_root], maps.log_stddev[at_root]])
    rel_depth, rel_log, said, said_log = weighted_median(there, np.broadcast_to(weight, there.shape))
    rel_stddev = np.exp(np.clip(rel_log, -_LOG_LIMIT, _LOG_LIMIT))
    rel_depth[:, ROOT] = rel_stddev[:, ROOT] = 0.0
    code, code_stddev = _root_of(said, said_log, scores)
    depth = _root_depth(code, focal_px)
    return FramePeople(joints_px, scores, tags, depth, depth * code_stddev, rel_depth, rel_stddev)


def _root_of(code: Floats, log_stddev: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """A person's log depth (P,) and its deviation, from what the maps say at each joint (P, K).

    The joints' errors are alike, so that many of them are not much better than one; where they
    contradict each other, the deviation is at least their spread.
    """
    stddev = np.exp(np.clip(log_stddev, -_LOG_LIMIT, _LOG_LIMIT))
    weight = scores / stddev
    middle = weighted_median(code, weight)
    spread = 1.4826 * weighted_median(np.abs(code - middle[:, None]), weight)
    return middle, np.maximum(weighted_median(stddev, weight), spread)


def weighted_median(values: AnyFloats, weights: AnyFloats) -> Floats:
    """Median (...,) of values (..., N) under weights (..., N) of 0 or more: the first one that half the weight is at
    or below. The smallest value where all weights are 0."""
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(np.asarray(values, dtype=np.float64), order, axis=-1)
    reached = np.cumsum(np.take_along_axis(np.asarray(weights, dtype=np.float64), order, axis=-1), axis=-1)
    index = np.argmax(reached >= reached[..., -1:] / 2, axis=-1)
    return np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]


def _without_duplicates(people: FramePeople, config: BottomUpDecodeConfig) -> FramePeople:
    """The people by falling sum of their joints' scores, less those seen twice and those seen too badly."""
    found = people.scores > 0
    mean = people.scores.sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    low = np.where(found[..., None], people.joints_px, np.inf).min(axis=1, initial=np.inf)
    high = np.where(found[..., None], people.joints_px, -np.inf).max(axis=1, initial=-np.inf)
    extent = high - low + HEATMAP_STRIDE
    kept: list[int] = []
    for n in np.argsort(-people.scores.sum(axis=1), kind="stable"):
        if mean[n] < config.min_score or len(kept) == config.max_people:
            continue
        if kept:
            # Joints that the better one lacks count as unlike; an arm of somebody else's is not a person seen twice.
            both = (found[n] & found[kept]).astype(np.float64)
            area = np.maximum(extent[n].prod(), extent[kept].prod(axis=1))
            like = oks(people.joints_px[n], people.joints_px[kept], area, H36M17.oks_sigmas, both)
            if (like * both.sum(axis=1) / found[n].sum() >= config.same_person_oks).any():
                continue
        kept.append(int(n))
    return people[kept]

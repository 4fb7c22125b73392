"""Network outputs into people: peaks, tags, grouping, and the joints that grouping left out.

N patches, K joints, h x w cells, P people. Joint positions are in patch pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dualpose_ros.heatmap import Peaks, find_peaks, peak_offsets
from dualpose_ros.top_down.grouping import (
    GroupingConfig,
    group_by_tags,
    people_from_labels,
    target_utility,
)
from dualpose_ros.top_down.patch import HEATMAP_STRIDE

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class DecodeConfig:
    """peak_score: smallest value of a peak; window: side of the peak search in cells; max_peaks: per joint and
    patch; fill_score: smallest value at which a joint that grouping missed is taken from its map."""

    peak_score: float = 0.1
    window: int = 5
    max_peaks: int = 8
    fill_score: float = 0.02
    grouping: GroupingConfig = field(default_factory=GroupingConfig)


@dataclass(frozen=True)
class PatchPeople:
    """The people of one patch: joints_px (P, K, 2) in patch pixels, scores (P, K; 0 = not found), tags (P,),
    utility (P,) as in `grouping.target_utility`, and the index of the patch's own person, -1 for none."""

    joints_px: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    tags: npt.NDArray[np.float64]
    utility: npt.NDArray[np.float64]
    target: int

    def __len__(self) -> int:
        return len(self.tags)


def decode_patches(
    heatmaps: FloatArray, tags: FloatArray, boxes_px: FloatArray, config: DecodeConfig | None = None
) -> list[PatchPeople]:
    """People of each patch from heatmaps and tags (N, K, h, w); boxes_px (N, 4) is each track's box in its patch.

    Each patch's own person is chosen by utility and completed from the maps. ValueError if the
    heatmaps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps, tags = np.asarray(heatmaps, dtype=np.float32), np.asarray(tags, dtype=np.float32)
    if heatmaps.shape != tags.shape or heatmaps.ndim != 4 or len(heatmaps) != len(boxes_px):
        raise ValueError(f"heatmaps {heatmaps.shape}, tags {tags.shape} and {len(boxes_px)} boxes don't fit")
    if np.isnan(heatmaps.max(initial=0.0)) or np.isnan(tags.max(initial=0.0)):
        raise ValueError("the top-down network answered NaN: its weights or its input are broken")
    count, joints = heatmaps.shape[:2]
    flat = heatmaps.reshape(count * joints, *heatmaps.shape[2:])
    peaks = find_peaks(flat, config.peak_score, config.max_peaks, config.window)
    bounds = np.searchsorted(peaks.channel, np.arange(count + 1) * joints)
    peak_tags = tags.reshape(flat.shape)[peaks.channel, peaks.cell[:, 1], peaks.cell[:, 0]].astype(np.float64)
    results = []
    for n in range(count):
        own = slice(int(bounds[n]), int(bounds[n + 1]))
        results.append(_decode_one(heatmaps[n], tags[n], peaks, peak_tags, own, np.asarray(boxes_px[n]), config))
    return results


def decode_single(heatmaps: FloatArray, config: DecodeConfig | None = None) -> list[PatchPeople]:
    """The one person of each patch that a network without tags sees: the largest value of each map (N, K, h, w).

    ValueError if the heatmaps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps = np.asarray(heatmaps, dtype=np.float32)
    if np.isnan(heatmaps.max(initial=0.0)):
        raise ValueError("the top-down network answered NaN: its weights or its input are broken")
    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count * joints, height, width)
    channel = np.arange(len(flat))
    row, column = np.divmod(flat.reshape(len(flat), -1).argmax(axis=1), width)
    cell = np.stack([column, row], axis=1) + peak_offsets(flat, channel, row, column)
    score = flat[channel, row, column].astype(np.float64).reshape(count, joints)
    xy = cells_to_patch(cell).reshape(count, joints, 2)
    people = []
    for n in range(count):
        found = score[n] >= config.fill_score
        kept = 1 if found.sum() >= config.grouping.min_joints else 0
        people.append(
            PatchPeople(
                xy[n : n + kept], np.where(found, score[n], 0.0)[None][:kept], np.zeros(kept), np.ones(kept), kept - 1
            )
        )
    return people


def _decode_one(
    heatmaps: npt.NDArray[np.float32],
    tags: npt.NDArray[np.float32],
    peaks: Peaks,
    peak_tags: npt.NDArray[np.float64],
    own: slice,
    box_px: FloatArray,
    config: DecodeConfig,
) -> PatchPeople:
    joint = peaks.channel[own] % len(heatmaps)
    xy, score, tag = cells_to_patch(peaks.xy[own]), peaks.score[own], peak_tags[own]
    labels, people = group_by_tags(joint, tag, score, config.grouping)
    joints, scores, means = people_from_labels(labels, people, joint, xy, score, tag, config.grouping.min_joints)
    utility = np.asarray(target_utility(joints, scores, means, box_px), dtype=np.float64)
    if len(means) == 0:
        return PatchPeople(joints, scores, means, utility, -1)
    target = int(np.argmax(utility))
    joints[target], scores[target] = fill_missing(heatmaps, tags, joints, scores, means, target, config)
    return PatchPeople(joints, scores, means, utility, target)


def cells_to_patch(xy: FloatArray) -> npt.NDArray[np.float64]:
    """Patch pixels of heatmap coordinates (..., 2)."""
    return np.asarray(np.asarray(xy) * HEATMAP_STRIDE + (HEATMAP_STRIDE - 1) / 2, dtype=np.float64)


def fill_missing(
    heatmaps: npt.NDArray[np.float32],
    tags: npt.NDArray[np.float32],
    joints_px: FloatArray,
    scores: FloatArray,
    means: FloatArray,
    person: int,
    config: DecodeConfig,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """One person's joints (K, 2) and scores (K,) with missing ones taken from their maps (K, h, w).

    A missing joint goes where its heatmap less the tag's distance from the person's mean is largest,
    outside what other people of the patch hold; its score is the heatmap's value there.
    """
    filled, filled_scores = joints_px[person].copy(), scores[person].copy()
    missing = np.flatnonzero(filled_scores <= 0)
    if len(missing) == 0:
        return filled, filled_scores
    value = heatmaps[missing] * np.exp(-((tags[missing] - means[person]) ** 2) / (2 * config.grouping.tag_limit**2))
    for other in np.delete(np.arange(len(means)), person):
        _blank_around(value, joints_px[other, missing], scores[other, missing] > 0)
    best = value.reshape(len(missing), -1).argmax(axis=1)
    row, column = np.divmod(best, heatmaps.shape[2])
    found = heatmaps[missing, row, column]
    cell = np.stack([column, row], axis=1) + peak_offsets(heatmaps, missing, row, column)
    seen = (found >= config.fill_score) & (value[np.arange(len(missing)), row, column] > 0.2 * found)
    filled[missing[seen]] = cells_to_patch(cell[seen])
    filled_scores[missing[seen]] = found[seen]
    return filled, filled_scores


def _blank_around(value: npt.NDArray[np.float32], joints_px: FloatArray, held: npt.NDArray[np.bool_]) -> None:
    """Set cells within 3 of others' joints (L, 2) to zero in maps (L, h, w), in place, where `held` (L,)."""
    cell = np.rint((joints_px - (HEATMAP_STRIDE - 1) / 2) / HEATMAP_STRIDE).astype(int)
    for index in np.flatnonzero(held):
        x, y = cell[index]
        value[index, max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = 0

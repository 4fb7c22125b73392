"""Network outputs into people: peaks, tags, grouping, and people read from the maps by their tags.

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
    patch; fill_score: smallest value at which a joint is taken from its map; tag_sigma: how
    far tags of a person's joints lie from their mean."""

    peak_score: float = 0.1
    window: int = 5
    max_peaks: int = 8
    fill_score: float = 0.02
    tag_sigma: float = 0.5
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

    Each patch's own person is chosen by utility. ValueError if the heatmaps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps, tags = np.asarray(heatmaps, dtype=np.float32), np.asarray(tags, dtype=np.float32)
    if heatmaps.shape != tags.shape or heatmaps.ndim != 4 or len(heatmaps) != len(boxes_px):
        raise ValueError(f"heatmaps {heatmaps.shape}, tags {tags.shape} and {len(boxes_px)} boxes don't fit")
    _refuse_nan(heatmaps)
    _refuse_nan(tags)
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
    _refuse_nan(heatmaps)
    count, joints = heatmaps.shape[:2]
    flat = heatmaps.reshape(count * joints, *heatmaps.shape[2:])
    places, values, _ = _read_largest(flat, flat)
    xy, score = places.reshape(count, joints, 2), values.reshape(count, joints)
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
    xy, score, peak_tag = cells_to_patch(peaks.xy[own]), peaks.score[own], peak_tags[own]
    labels, people = group_by_tags(joint, peak_tag, score, config.grouping)
    joints, scores, means = people_from_labels(labels, people, joint, xy, score, peak_tag, config.grouping.min_joints)
    utility = np.asarray(target_utility(joints, scores, means, box_px), dtype=np.float64)
    if len(means) == 0:
        return PatchPeople(joints, scores, means, utility, -1)
    target = int(np.argmax(utility))
    for n, tag in enumerate(means):
        joints[n], scores[n] = read_by_tag(heatmaps, tags, tag, joints[n], scores[n], config)
    return PatchPeople(joints, scores, means, utility, target)


def cells_to_patch(xy: FloatArray) -> npt.NDArray[np.float64]:
    """Patch pixels of heatmap coordinates (..., 2)."""
    return np.asarray(np.asarray(xy) * HEATMAP_STRIDE + (HEATMAP_STRIDE - 1) / 2, dtype=np.float64)


def read_by_tag(
    heatmaps: npt.NDArray[np.float32],
    tags: npt.NDArray[np.float32],
    tag: float,
    joints_px: FloatArray,
    scores: FloatArray,
    config: DecodeConfig,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A person's joints (K, 2) and scores (K,), read from the maps (K, h, w) by the mean tag of those grouped.

    A joint goes where its heatmap less the tag's distance from that mean is largest: grouping hands each peak to
    one person and cuts what its tag says to yes or no, which costs joints where people overlap. Where the maps
    say nothing, joints and scores as grouped stay.
    """
    distance = np.minimum(np.abs(tags - np.float32(tag)), 4 * config.tag_sigma)
    value = heatmaps * np.exp(-(distance**2) / (2 * config.tag_sigma**2)).astype(np.float32)
    xy, found, best = _read_largest(value, heatmaps)
    seen = (found >= config.fill_score) & (best > 0.2 * found)
    return np.where(seen[:, None], xy, joints_px), np.where(seen, found, scores)


def _read_largest(
    value: npt.NDArray[np.float32], heatmaps: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Where each map of `value` (M, h, w) is largest, in patch pixels (M, 2), and what heatmaps and it hold there."""
    maps = np.arange(len(value))
    row, column = np.divmod(value.reshape(len(value), -1).argmax(axis=1), value.shape[2])
    xy = cells_to_patch(np.stack([column, row], axis=1) + peak_offsets(heatmaps, maps, row, column))
    return xy, heatmaps[maps, row, column].astype(np.float64), value[maps, row, column]


def _refuse_nan(maps: npt.NDArray[np.float32]) -> None:
    if np.isnan(maps.max(initial=0.0)):
        raise ValueError("the top-down network answered NaN: its weights or its input are broken")

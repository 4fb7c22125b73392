"""Network outputs into people: peaks, tags, grouping, and people read from the maps by their tags.

N patches, K joints, h x w cells, P people. Joint positions are in patch pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Rows
from dualpose_ros.grouping import (
    GroupingConfig,
    ReadingConfig,
    cells_to_pixels,
    group_by_tags,
    people_from_labels,
    read_by_tag,
    read_largest,
)
from dualpose_ros.heatmap import Peaks, find_peaks
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.top_down.target import target_utility


@dataclass(frozen=True)
class DecodeConfig(Settings):
    """How people are read from the maps of a patch."""

    min_peak_score: float = share(0.1, "smallest value of a heatmap's peak")
    peak_window_cells: int = setting(
        5, "side of the square in which a peak is the largest value", unit="cells", least=3, most=31, step=2
    )
    max_peaks: int = setting(8, "peaks kept of each joint and patch", least=1, most=1000)
    grouping: GroupingConfig = setting(GroupingConfig(), "joints into people by their tags")
    reading: ReadingConfig = setting(ReadingConfig(), "joints read off the maps by a person's tag")


@dataclass(frozen=True, eq=False)
class PatchPeople(Rows):
    """The people of one patch: joints_px (P, K, 2) in patch pixels, scores (P, K; 0 = not found), tags (P,),
    utility (P,) as in `target.target_utility`."""

    joints_px: Floats
    scores: Floats
    tags: Floats
    utility: Floats

    @property
    def target(self) -> int:
        """Index of the patch's own person, the one of most utility; -1 for none."""
        return int(np.argmax(self.utility)) if len(self) else -1


def decode_patches(
    heatmaps: AnyFloats, tags: AnyFloats, boxes_px: AnyFloats, config: DecodeConfig | None = None
) -> list[PatchPeople]:
    """People of each patch; the patch's own person is chosen by utility.

    Args:
        heatmaps, tags: (N, K, h, w).
        boxes_px: (N, 4), each track's box in pixels of its patch.
        config: what makes a person.

    Raises:
        ValueError: if the shapes don't fit or the maps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps, tags = np.asarray(heatmaps, dtype=np.float32), np.asarray(tags, dtype=np.float32)
    if heatmaps.shape != tags.shape or heatmaps.ndim != 4 or len(heatmaps) != len(boxes_px):
        raise ValueError(f"heatmaps {heatmaps.shape}, tags {tags.shape} and {len(boxes_px)} boxes don't fit")
    _refuse_nan(heatmaps)
    _refuse_nan(tags)
    count, joints = heatmaps.shape[:2]
    flat = heatmaps.reshape(count * joints, *heatmaps.shape[2:])
    peaks = find_peaks(flat, config.min_peak_score, config.max_peaks, config.peak_window_cells)
    bounds = np.searchsorted(peaks.channel, np.arange(count + 1) * joints)
    peak_tags = tags.reshape(flat.shape)[peaks.channel, peaks.cell[:, 1], peaks.cell[:, 0]].astype(np.float64)
    results = []
    for n in range(count):
        own = slice(int(bounds[n]), int(bounds[n + 1]))
        results.append(_decode_one(heatmaps[n], tags[n], peaks, peak_tags, own, np.asarray(boxes_px[n]), config))
    return results


def decode_single(heatmaps: AnyFloats, config: DecodeConfig | None = None) -> list[PatchPeople]:
    """The one person of each patch that a network without tags sees: the largest value of each map (N, K, h, w).

    ValueError if the heatmaps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps = np.asarray(heatmaps, dtype=np.float32)
    _refuse_nan(heatmaps)
    count, joints = heatmaps.shape[:2]
    flat = heatmaps.reshape(count * joints, *heatmaps.shape[2:])
    places, values, _ = read_largest(flat, flat)
    xy, score = places.reshape(count, joints, 2), values.reshape(count, joints)
    people = []
    for n in range(count):
        found = score[n] >= config.reading.min_score
        kept = 1 if found.sum() >= config.grouping.min_joints else 0
        people.append(
            PatchPeople(xy[n : n + kept], np.where(found, score[n], 0.0)[None][:kept], np.zeros(kept), np.ones(kept))
        )
    return people


def _decode_one(
    heatmaps: Float32s,
    tags: Float32s,
    peaks: Peaks,
    peak_tags: Floats,
    own: slice,
    box_px: AnyFloats,
    config: DecodeConfig,
) -> PatchPeople:
    joint = peaks.channel[own] % len(heatmaps)
    xy, score, peak_tag = cells_to_pixels(peaks.xy[own]), peaks.score[own], peak_tags[own]
    labels, people = group_by_tags(joint, peak_tag, score, config.grouping)
    joints, scores, means = people_from_labels(labels, people, joint, xy, score, peak_tag, config.grouping.min_joints)
    utility = np.asarray(target_utility(joints, scores, means, box_px), dtype=np.float64)
    for n, tag in enumerate(means):
        joints[n], scores[n] = read_by_tag(heatmaps, tags, tag, joints[n], scores[n], config.reading)
    return PatchPeople(joints, scores, means, utility)


def _refuse_nan(maps: Float32s) -> None:
    if np.isnan(maps.max(initial=0.0)):
        raise ValueError("the top-down network answered NaN: its weights or its input are broken")

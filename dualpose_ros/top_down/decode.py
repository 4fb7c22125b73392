"""Network outputs into people: peaks, tags, grouping, and people read from the maps by their tags.

N patches, K joints, h x w cells, P people. Joint positions are in patch pixels.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Rows
from dualpose_ros.grouping import (
    GroupingConfig,
    ReadableMaps,
    ReadingConfig,
    cells_to_pixels,
    group_by_tags,
    people_from_labels,
    read_by_tag,
    read_largest,
)
from dualpose_ros.heatmap import find_peaks
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

_APART = 1e4
"""By how much the tags of a patch are moved from those of the one before: far more than tags differ."""

TARGET_TAG = 2.0
"""Mean tag that training asks of the person that a patch is centred on (0 weight in training: no such tag)."""


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
    smoothing_cells: float = setting(
        1.25,
        "deviation of the blur by which a joint's place is chosen: of a broad hill and a lone spike, the hill; 0: none",
        unit="cells",
        least=0,
        most=8,
    )


@dataclass(frozen=True, eq=False)
class PatchPeople(Rows):
    """The people of one patch: joints_px (P, K, 2) in patch pixels, scores (P, K; 0 = not found), tags (P,),
    utility (P,) as in `target_utility`."""

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

    heatmaps, tags: (N, K, h, w); boxes_px: (N, 4), each track's box in pixels of its patch; config: what makes a
    person.
    ValueError if the shapes don't fit or the maps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps, tags = np.asarray(heatmaps, dtype=np.float32), np.asarray(tags, dtype=np.float32)
    if heatmaps.shape != tags.shape or heatmaps.ndim != 4 or len(heatmaps) != len(boxes_px):
        raise ValueError(f"heatmaps {heatmaps.shape}, tags {tags.shape} and {len(boxes_px)} boxes don't fit")
    refuse_nan(heatmaps)
    refuse_nan(tags)
    count, joints = heatmaps.shape[:2]
    flat, flat_tags = (maps.reshape(count * joints, *maps.shape[2:]) for maps in (heatmaps, tags))
    peaks = find_peaks(flat, config.min_peak_score, config.max_peaks, config.peak_window_cells)
    # With tags moved far apart, joints of different patches never go together.
    patch, joint = np.divmod(peaks.channel, joints)
    tag = flat_tags[peaks.channel, peaks.cell[:, 1], peaks.cell[:, 0]] + _APART * patch
    labels, people = group_by_tags(joint, tag, peaks.score, config.grouping)
    joints_px, scores, means = people_from_labels(
        labels, people, joint, cells_to_pixels(peaks.xy), peaks.score, tag, config.grouping.min_joints
    )
    of_patch = np.rint(means / _APART).astype(np.intp)
    means = means - _APART * of_patch
    # What a person explains of the box is told by the joints as grouped.
    utility = target_utility(joints_px, scores, means, np.asarray(boxes_px)[of_patch])
    smooth = smoothed(heatmaps, config.smoothing_cells).reshape(flat.shape) if config.smoothing_cells > 0 else None
    readable = ReadableMaps.of(flat, flat_tags, config.reading, smooth)
    joints_px, scores = read_by_tag(readable, of_patch * joints, means, joints_px, scores, config.reading)
    people_found = PatchPeople(joints_px, scores, means, utility)
    return [people_found[of_patch == n] for n in range(count)]


def decode_single(heatmaps: AnyFloats, config: DecodeConfig | None = None) -> list[PatchPeople]:
    """The one person of each patch that a network without tags sees: the largest value of each map (N, K, h, w).

    ValueError if the heatmaps hold NaN.
    """
    config = config or DecodeConfig()
    heatmaps = np.asarray(heatmaps, dtype=np.float32)
    refuse_nan(heatmaps)
    count, joints = heatmaps.shape[:2]
    flat = heatmaps.reshape(count * joints, *heatmaps.shape[2:])
    places, values = read_largest(flat)
    xy, score = places.reshape(count, joints, 2), values.reshape(count, joints)
    people = []
    for n in range(count):
        found = score[n] >= config.reading.min_score
        kept = 1 if found.sum() >= config.grouping.min_joints else 0
        people.append(
            PatchPeople(xy[n : n + kept], np.where(found, score[n], 0.0)[None][:kept], np.zeros(kept), np.ones(kept))
        )
    return people


def smoothed(heatmaps: Float32s, stddev_cells: float) -> Float32s:
    """Heatmaps (N, K, h, w) blurred by a Gaussian, whose largest values are where the OKS to expect is largest."""
    down, across = (_blur(side, stddev_cells) for side in heatmaps.shape[2:])
    return np.asarray(down @ (heatmaps.reshape(-1, heatmaps.shape[3]) @ across.T).reshape(heatmaps.shape))


@lru_cache(maxsize=8)
def _blur(side: int, stddev_cells: float) -> Float32s:
    """What blurs columns of so many cells: (side, side)."""
    kernel = cv2.getGaussianKernel(2 * round(4 * stddev_cells) + 1, stddev_cells, cv2.CV_32F)
    return np.asarray(cv2.sepFilter2D(np.eye(side, dtype=np.float32), -1, np.ones(1, np.float32), kernel))


def refuse_nan(maps: Float32s) -> None:
    """ValueError for maps that hold NaN."""
    if np.isnan(maps.max(initial=0.0)):
        raise ValueError("the top-down network answered NaN: its weights or its input are broken")


def target_utility(joints: AnyFloats, scores: AnyFloats, tags: AnyFloats, box: AnyFloats) -> Floats:
    """How well people explain a tracked box.

    Sums the share of joints found inside the box (by score), the overlap of the joints' extents with the box,
    nearness of their middle to the box's, and nearness of the tag to TARGET_TAG.

    joints: (P, K, 2); scores: (P, K), 0 = not found; tags: (P,); box: (4,), or one each, (P, 4), in the joints' own
    coordinates. Returns (P,), between 0 and 4.
    """
    if len(joints) == 0:
        return np.zeros(0)
    first, last = box[..., None, :2], box[..., None, 2:]
    found = scores > 0
    inside = ((joints >= first) & (joints <= last)).all(axis=2)
    explained = (scores * inside).sum(axis=1) / H36M17.num_joints
    low = np.where(found[..., None], joints, np.inf).min(axis=1)
    high = np.where(found[..., None], joints, -np.inf).max(axis=1)
    first, last = box[..., :2], box[..., 2:]
    overlap = np.clip(np.minimum(high, last) - np.maximum(low, first), 0, None).prod(axis=1)
    union = (high - low).prod(axis=1) + (last - first).prod(axis=-1) - overlap
    side = np.maximum((last - first).max(axis=-1), 1e-6)
    off_centre = np.linalg.norm((low + high) / 2 - (first + last) / 2, axis=1) / side
    own_tag = np.exp(-((tags - TARGET_TAG) ** 2) / 2)
    return np.asarray(explained + overlap / np.maximum(union, 1e-9) + np.exp(-4 * off_centre) + own_tag)

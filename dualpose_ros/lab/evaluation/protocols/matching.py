"""Who is who: found people matched to true ones on the picture, and the tracks that follow.

N true people, M found ones, J joints of the data set.
"""

import numpy as np

from dualpose_ros.arrays import AnyFloats, Ints
from dualpose_ros.datasets.predictions import FoundPeople
from dualpose_ros.datasets.published.truth import TruePeople, is_known
from dualpose_ros.metrics.pairs import nearest_pairs
from dualpose_ros.metrics.tracks import TrackedFrame

FARTHEST_SHARE = 0.25
"""Of a person's longer side on the picture, the mean distance of joints up to which a found person is that one."""

TRACKED_M = 0.5


def match_on_picture(truth: TruePeople, found: FoundPeople) -> list[tuple[int, int]]:
    """Pairs (true person, found one), each used once, as many as there can be, at the least total distance."""
    if not len(truth) or not len(found):
        return []
    size = (truth.boxes_px[:, 2:] - truth.boxes_px[:, :2]).max(axis=1)
    return pairs_by_joints(truth.joints_px, found.joints_px, size)


def pairs_by_joints(true_px: AnyFloats, found_px: AnyFloats, size_px: AnyFloats) -> list[tuple[int, int]]:
    """The same of joints (N, J, 2) and (M, J, 2), NaN where there are none, and true people's sizes (N,)."""
    apart = np.linalg.norm(true_px[:, None] - found_px[None], axis=-1)
    known = np.isfinite(apart)
    total = np.where(known, apart, 0.0).sum(axis=-1)
    mean = np.divide(total, known.sum(axis=-1), out=np.full(total.shape, np.nan), where=known.any(axis=-1))
    return nearest_pairs(mean / np.maximum(size_px, 1.0)[:, None], FARTHEST_SHARE)


def tracked(truth: TruePeople, found: FoundPeople, root: int) -> TrackedFrame:
    """A frame for `metrics.tracks`: people by the distance of a joint in the camera frame."""
    there, own = is_known(truth.joints_cam[:, root]), is_known(found.joints_cam[:, root])
    ids: tuple[Ints, Ints] = (truth.ids[there], found.ids[own])
    places: tuple[AnyFloats, AnyFloats] = (truth.joints_cam[there, root], found.joints_cam[own, root])
    return TrackedFrame(*ids, np.linalg.norm(places[0][:, None] - places[1][None], axis=-1))

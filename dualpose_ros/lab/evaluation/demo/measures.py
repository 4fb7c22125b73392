"""How a run's published poses compare with a clip's exact ground truth.

People are matched frame by frame by the distance of their roots, as CLEAR MOT does (Bernardin and Stiefelhagen 2008):
a pair that matched before stays while it is close enough, the rest is assigned at the least total distance.
T frames, N people, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Ints, Mask
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.metrics import poses as metrics
from dualpose_ros.metrics.pairs import nearest_pairs
from dualpose_ros.skeleton import BODY, H36M17

FOUND_WITHIN_M = 0.5
"""A person is found if an estimated root lies this close to the true one."""

SEEN_FRACTION = 0.2
"""People of whom less than this is in view need not be found, and no error is held against finding them."""


@dataclass(frozen=True)
class EstimatedFrame:
    """What was published for frame `index` of the clip: track_ids (N,) int, joints_cam (N, K, 3).

    root_velocity (N, 3) in m/s, and whether people were predicted instead of seen (N,), where known.
    """

    index: int
    track_ids: Ints
    joints_cam: AnyFloats
    root_velocity: AnyFloats | None = None
    coasting: Mask | None = None


@dataclass(frozen=True)
class Match:
    """One estimate matched to one true person: frame and column of the truth, row of the estimate, its track."""

    frame: int
    person: int
    row: int
    track_id: int
    is_switch: bool


@dataclass(frozen=True)
class DemoFigures:
    """Accuracy over all frames that poses were published for; None where nothing was found to measure.

    recall: found / people to be found; precision: matched / estimates; coasting: predicted / estimates. pck150_rel and
    pck150_abs: share of joints within 150 mm over the people found, about the root without the root itself, and in the
    camera frame with it; pck150_rel_all counts people who weren't found as wrong throughout. mpjpe_rel_mm: mean over
    the joints but the root. root_depth_rel_err: median of |z - z*| / z*. id_switches: times that a person's track id
    changed.
    """

    frames: int
    people: int
    found: int
    recall: float
    precision: float | None
    coasting: float | None
    pck150_rel: float | None
    pck150_rel_all: float
    pck150_abs: float | None
    mpjpe_rel_mm: float | None
    root_depth_rel_err: float | None
    id_switches: int


def match_roots(
    true_roots: AnyFloats, roots: AnyFloats, kept: Iterable[tuple[int, int]] = (), limit_m: float = FOUND_WITHIN_M
) -> list[tuple[int, int]]:
    """Pairs (true, estimate) of roots (N, 3) and (M, 3) no further apart than `limit_m`, each used once.

    Pairs in `kept` that are still close enough stay; the others make the most pairs at the least total distance.
    """
    true_roots = np.asarray(true_roots, dtype=np.float64).reshape(-1, 3)
    roots = np.asarray(roots, dtype=np.float64).reshape(-1, 3)
    distance = np.linalg.norm(true_roots[:, None] - roots[None], axis=-1)
    pairs = [(i, j) for i, j in kept if distance[i, j] <= limit_m]
    free_true = np.setdiff1d(np.arange(len(true_roots)), [i for i, _ in pairs])
    free = np.setdiff1d(np.arange(len(roots)), [j for _, j in pairs])
    found = nearest_pairs(distance[np.ix_(free_true, free)], limit_m)
    pairs += [(int(free_true[row]), int(free[column])) for row, column in found]
    return sorted(pairs)


def people_to_find(truth: ClipTruth) -> Mask:
    """Who must be found in each frame (T, N): present, and enough of the body in view."""
    return np.asarray(truth.present & (truth.visible_fraction > SEEN_FRACTION), dtype=bool)


def match_clip(truth: ClipTruth, frames: Iterable[EstimatedFrame], limit_m: float = FOUND_WITHIN_M) -> list[Match]:
    """All matches of a run, frame by frame in the order given; every present person may be matched.

    `is_switch` marks a person whose track is another than the one matched to that person last, both times in view.
    An estimate with a joint that isn't finite matches nobody. Raises ValueError for a frame outside the clip
    or given twice.
    """
    must = people_to_find(truth)
    last: dict[int, int] = {}
    seen: set[int] = set()
    matches = []
    for frame in frames:
        if not 0 <= frame.index < truth.num_frames or frame.index in seen:
            raise ValueError(f"frame {frame.index} of a clip of {truth.num_frames} frames is outside it or given twice")
        seen.add(frame.index)
        present = np.flatnonzero(truth.present[frame.index])
        row_of = {int(track): row for row, track in enumerate(frame.track_ids)}
        kept = [(i, row_of[last[int(p)]]) for i, p in enumerate(present) if last.get(int(p)) in row_of]
        true_roots, roots = truth.joints_cam[frame.index, present, H36M17.root], _roots(frame)
        for i, row in match_roots(true_roots, roots, _one_to_one(kept, true_roots, roots), limit_m):
            person, track = int(present[i]), int(frame.track_ids[row])
            in_view = bool(must[frame.index, person])
            matches.append(Match(frame.index, person, row, track, in_view and last.get(person, track) != track))
            if in_view:
                last[person] = track
    return matches


def _roots(frame: EstimatedFrame) -> Floats:
    """Roots (N, 3), NaN for people with a joint that isn't finite."""
    joints = np.asarray(frame.joints_cam, dtype=np.float64).reshape(-1, H36M17.num_joints, 3)
    finite = np.asarray(np.isfinite(joints).all(axis=(1, 2)))
    return np.where(finite[:, None], joints[:, H36M17.root], np.nan)


def _one_to_one(kept: list[tuple[int, int]], true_roots: AnyFloats, roots: AnyFloats) -> list[tuple[int, int]]:
    """Where one track was last matched to two people, it stays with the nearer one."""
    best: dict[int, tuple[float, int]] = {}
    for i, row in kept:
        distance = float(np.linalg.norm(true_roots[i] - roots[row]))
        if row not in best or distance < best[row][0]:
            best[row] = (distance, i)
    return [(i, row) for row, (_, i) in best.items()]


def evaluate_demo(truth: ClipTruth, frames: Sequence[EstimatedFrame], limit_m: float = FOUND_WITHIN_M) -> DemoFigures:
    """Figures of a run against the clip's truth, over the frames given; see `DemoFigures`."""
    matches = match_clip(truth, frames, limit_m)
    must = people_to_find(truth)
    people = sum(int(must[frame.index].sum()) for frame in frames)
    estimates = sum(len(frame.track_ids) for frame in frames)
    estimate_of = {frame.index: np.asarray(frame.joints_cam, dtype=np.float64) for frame in frames}
    counted = [match for match in matches if must[match.frame, match.person]]
    recall = len(counted) / people if people else 0.0
    precision = len(matches) / estimates if estimates else None
    predicted = sum(int(np.sum(frame.coasting)) for frame in frames if frame.coasting is not None)
    coasting = predicted / estimates if estimates else None
    switches = sum(match.is_switch for match in counted)
    if not counted:
        return DemoFigures(len(frames), people, 0, recall, precision, coasting, None, 0.0, None, None, None, switches)
    joints = np.stack([estimate_of[match.frame][match.row] for match in counted])
    true_joints = np.stack([truth.joints_cam[match.frame, match.person] for match in counted])
    root = H36M17.root
    rel, true_rel = joints - joints[:, root : root + 1], true_joints - true_joints[:, root : root + 1]
    pck_rel = float(metrics.pck(rel[:, BODY], true_rel[:, BODY]).mean())
    depth = metrics.root_depth_error(joints[:, root, 2], true_joints[:, root, 2])
    return DemoFigures(
        frames=len(frames),
        people=people,
        found=len(counted),
        recall=recall,
        precision=precision,
        coasting=coasting,
        pck150_rel=pck_rel,
        pck150_rel_all=pck_rel * recall,
        pck150_abs=float(metrics.pck(joints, true_joints).mean()),
        mpjpe_rel_mm=1000 * float(metrics.mpjpe(rel[:, BODY], true_rel[:, BODY]).mean()),
        root_depth_rel_err=float(np.median(depth)),
        id_switches=switches,
    )

"""What a branch finds in labelled frames: people matched on the image, their errors in metres.

N true people, M estimated ones, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask
from dualpose_ros.datasets.labels import OUTSIDE, People
from dualpose_ros.metrics import poses as metrics
from dualpose_ros.people import Pose3D, box_area, oks
from dualpose_ros.skeleton import BODY, H36M17

MIN_VISIBLE, MIN_JOINTS = 0.2, 5
"""Asked for are people of whom as much is in view and so many joints lie within the image."""

FOUND_OKS, NEAR_M = 0.5, 0.5
_AREA_SHARE = 0.53
"""Of a body's box that it covers, as COCO's similarity wants it."""


@dataclass(frozen=True)
class FrameScores:
    """One frame. Of each true person (N,): height_px; counted: whether asked for; found: matched at FOUND_OKS on the
    image; near: found with the root within NEAR_M; pck_rel and pck_abs, shares of joints within 150 mm, and auc_rel,
    their mean over thresholds up to there, all 0 where not found; depth_error of the root, relative, NaN where not
    found; true_roots (N, 3).
    Of each estimate (M,): roots (M, 3), scores, estimate_height_px, and match: the true person that it is, or -1.
    """

    height_px: Floats
    counted: Mask
    found: Mask
    near: Mask
    pck_rel: Floats
    pck_abs: Floats
    auc_rel: Floats
    depth_error: Floats
    true_roots: Floats
    roots: Floats
    scores: Floats
    estimate_height_px: Floats
    match: Indices


def asked_for(people: People) -> Mask:
    """Who of the people in a frame has to be found (N,); no error is held against finding the others."""
    inside = (people.visibility != OUTSIDE).sum(axis=1) >= MIN_JOINTS
    return np.asarray((people.visible_fraction >= MIN_VISIBLE) & inside, dtype=bool)


def heights_px(joints_px: AnyFloats) -> Floats:
    """From the topmost to the lowest of joints (N, K, 2) on the image, those outside it included: (N,)."""
    joints = np.asarray(joints_px, dtype=np.float64).reshape(-1, H36M17.num_joints, 2)
    return np.asarray(np.ptp(joints[..., 1], axis=1), dtype=np.float64)


def match_people(people: People, keypoints_px: AnyFloats) -> Indices:
    """The true person (N) whom each estimate (M, K, 2) is, by similarity on the image, or -1: (M,).

    Object keypoint similarity over the joints within the image; of the pairs that reach FOUND_OKS,
    those of the largest total. Depth plays no part.
    """
    match = np.full(len(keypoints_px), -1, dtype=np.intp)
    if len(people) == 0 or len(match) == 0:
        return match
    area = _AREA_SHARE * box_area(people.boxes_px)
    weights = (people.visibility != OUTSIDE).astype(np.float64)
    alike = oks(keypoints_px[:, None], people.joints_px[None], area[None], H36M17.oks_sigmas, weights[None])
    alike = np.where(alike >= FOUND_OKS, alike, 0.0)
    for estimate, person in zip(*linear_sum_assignment(-alike), strict=True):
        if alike[estimate, person] > 0:
            match[estimate] = person
    return match


def score_frame(people: People, persons: Sequence[Pose3D]) -> FrameScores:
    """Compare a frame's estimated people with its true ones."""
    count, joints = len(people), H36M17.num_joints
    keypoints = np.array([p.keypoints_px for p in persons], dtype=np.float64).reshape(-1, joints, 2)
    estimates = np.array([p.joints_cam for p in persons], dtype=np.float64).reshape(-1, joints, 3)
    match = match_people(people, keypoints)
    rows = np.flatnonzero(match >= 0)
    truth, estimate = people.joints_cam[match[rows]].astype(np.float64), estimates[rows]
    root = H36M17.root
    found, near = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    pck_rel, pck_abs, auc_rel, depth_error = *np.zeros((3, count)), np.full(count, np.nan)
    found[match[rows]] = True
    near[match[rows]] = metrics.joint_errors(estimate, truth)[:, root] <= NEAR_M
    rel, true_rel = estimate - estimate[:, root : root + 1], truth - truth[:, root : root + 1]
    pck_rel[match[rows]] = metrics.pck(rel[:, BODY], true_rel[:, BODY])
    pck_abs[match[rows]] = metrics.pck(estimate, truth)
    auc_rel[match[rows]] = metrics.auc(metrics.joint_errors(rel, true_rel)[:, BODY])
    depth_error[match[rows]] = metrics.root_depth_error(estimate[:, root, 2], truth[:, root, 2])
    return FrameScores(
        height_px=heights_px(people.joints_px),
        counted=asked_for(people),
        found=found,
        near=near,
        pck_rel=pck_rel,
        pck_abs=pck_abs,
        auc_rel=auc_rel,
        depth_error=depth_error,
        true_roots=people.joints_cam[:, root].astype(np.float64).reshape(-1, 3),
        roots=estimates[:, root],
        scores=np.array([p.score for p in persons], dtype=np.float64),
        estimate_height_px=heights_px(keypoints),
        match=match,
    )


def root_average_precision(frames: Iterable[FrameScores], low_px: float = 0.0, high_px: float = np.inf) -> float:
    """AP_root_25, 0..1, of the counted people from `low_px` up to, not including, `high_px` tall.

    Neither right nor wrong are estimates that are right about somebody else or matched to
    somebody else on the image, and of the remaining wrong ones those of another height.
    """
    scores, right, people = [], [], 0
    for frame in frames:
        wanted = frame.counted & (frame.height_px >= low_px) & (frame.height_px < high_px)
        people += int(wanted.sum())
        own = metrics.right_roots(frame.roots, frame.scores, frame.true_roots[wanted]) >= 0
        others = metrics.right_roots(frame.roots[~own], frame.scores[~own], frame.true_roots[~wanted]) >= 0
        excused = np.zeros(len(own), dtype=bool)
        excused[~own] = others
        other_match = (frame.match >= 0) & ~np.append(wanted, False)[frame.match]
        tall = frame.estimate_height_px
        excused |= other_match | ((frame.match < 0) & ((tall < low_px) | (tall >= high_px)))
        kept = own | ~excused
        scores.append(frame.scores[kept])
        right.append(own[kept])
    if not people:
        return float("nan")
    return metrics.average_precision(np.concatenate(scores), np.concatenate(right), people)


def people_figures(frames: Sequence[FrameScores], chosen: Sequence[Mask]) -> dict[str, Any]:
    """Figures in per cent over the chosen people (N,) of each frame; None where there is nobody to measure.

    root_depth_pct: median over those found, the other shares over all.
    """

    def of(name: str) -> Floats:
        parts = [getattr(frame, name)[mask] for frame, mask in zip(frames, chosen, strict=True)]
        return np.concatenate([*parts, np.zeros(0)]).astype(np.float64)

    found, depth = of("found"), of("depth_error")

    def percent(values: Floats) -> float | None:
        return 100 * float(values.mean()) if len(values) else None

    return {
        "people": len(found),
        "recall": percent(found),
        "within_0.5_m": percent(of("near")),
        "pck150_rel": percent(of("pck_rel")),
        "pck150_abs": percent(of("pck_abs")),
        "root_depth_pct": 100 * float(np.nanmedian(depth)) if found.any() else None,
    }

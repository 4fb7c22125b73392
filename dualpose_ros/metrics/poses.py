"""Errors of 3D poses and the average precision of roots, as pure functions of arrays: no sampling of data sets.

Shapes (..., K, 3) in metres unless said otherwise; results keep the leading axes.
"""

import numpy as np
from scipy.stats import chi2

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask

RECALL_LEVELS = np.linspace(0, 1, 101)

SIGMA_SHARES = (float(chi2.cdf(1, 1)), float(chi2.cdf(4, 1)))
"""Of a Gaussian, within one and two standard deviations."""


def joint_errors(estimate: AnyFloats, truth: AnyFloats) -> Floats:
    """Distance of each joint to its true place: (..., K)."""
    estimate, truth = _pair(estimate, truth)
    return np.asarray(np.linalg.norm(estimate - truth, axis=-1))


def mpjpe(estimate: AnyFloats, truth: AnyFloats, root: int | None = None) -> Floats:
    """Mean per-joint position error (...,); root-relative where a root joint is named."""
    estimate, truth = _pair(estimate, truth)
    if root is not None:
        estimate = estimate - estimate[..., root : root + 1, :]
        truth = truth - truth[..., root : root + 1, :]
    return np.asarray(joint_errors(estimate, truth).mean(axis=-1))


def procrustes(estimate: AnyFloats, truth: AnyFloats) -> Floats:
    """The estimate (..., K, 3) moved, turned and scaled (never mirrored) to fit the truth best in least squares.

    Umeyama (1991). An estimate whose joints all coincide is moved to the truth's middle.
    """
    estimate, truth = _pair(estimate, truth)
    mean_a, mean_b = estimate.mean(axis=-2, keepdims=True), truth.mean(axis=-2, keepdims=True)
    a, b = estimate - mean_a, truth - mean_b
    u, singular, vt = np.linalg.svd(np.swapaxes(a, -1, -2) @ b)
    sign = np.ones_like(singular)
    sign[..., -1] = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    rotation = (u * sign[..., None, :]) @ vt
    spread = np.sum(a * a, axis=(-1, -2))
    scale = np.divide(np.sum(singular * sign, axis=-1), spread, out=np.zeros_like(spread), where=spread > 1e-18)
    return np.asarray(scale[..., None, None] * (a @ rotation) + mean_b)


def pa_mpjpe(estimate: AnyFloats, truth: AnyFloats) -> Floats:
    """Mean per-joint position error (...,) after the best similarity transform."""
    return mpjpe(procrustes(estimate, truth), truth)


def pck(estimate: AnyFloats, truth: AnyFloats, threshold_m: float = 0.15, root: int | None = None) -> Floats:
    """Share of joints (...,) within a distance of their true places; root-relative where a root joint is named."""
    if not threshold_m > 0:
        raise ValueError(f"threshold {threshold_m} m is not positive")
    estimate, truth = _pair(estimate, truth)
    if root is not None:
        estimate = estimate - estimate[..., root : root + 1, :]
        truth = truth - truth[..., root : root + 1, :]
    return np.asarray((joint_errors(estimate, truth) <= threshold_m).mean(axis=-1))


def auc(errors_m: AnyFloats, limit_m: float = 0.15, steps: int = 30) -> Floats:
    """Area (...), 0..1, under the curve of the share of errors (..., K) within a threshold, up to `limit_m`.

    The mean over `steps` thresholds, evenly spaced above 0: every 5 mm up to 150 mm, as MuPoTS-3D's, which counts
    0 mm too.
    """
    thresholds = np.linspace(0, limit_m, steps + 1)[1:]
    within = np.asarray(errors_m, dtype=np.float64)[..., None] <= thresholds
    return np.asarray(within.mean(axis=(-2, -1)))


def root_depth_error(estimate: AnyFloats, truth: AnyFloats) -> Floats:
    """Relative error |z - z*| / z* (...) of root depths (...); ValueError unless all true depths are positive."""
    z, true_z = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if np.any(~(true_z > 0)):
        raise ValueError("a true root depth is not positive")
    return np.asarray(np.abs(z - true_z) / true_z)


def average_precision(scores: AnyFloats, right: Mask, people: int) -> float:
    """Mean over 101 recall levels of the best precision at that recall or more; NaN without people."""
    if people == 0:
        return float("nan")
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(np.asarray(right)[order])
    recall = hits / people
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(np.mean(envelope[np.searchsorted(recall, RECALL_LEVELS, side="left")]))


def right_roots(roots: AnyFloats, scores: AnyFloats, true_roots: AnyFloats, limit_m: float = 0.25) -> Indices:
    """Which true root of an image each estimated root is right about; best score first, each takes the nearest free
    one.

    At 250 mm, the average precision of what is right is AP_root_25 (Moon, Chang, Lee, "Camera distance-aware top-down
    approach", ICCV 2019).

    roots: (M, 3) in metres; scores: (M,); true_roots: (N, 3); limit_m: distance up to which one is right.
    Returns (M,), -1 for none.
    """
    if not limit_m > 0:
        raise ValueError(f"limit {limit_m} m is not positive")
    roots = np.asarray(roots, dtype=np.float64).reshape(-1, 3)
    true_roots = np.asarray(true_roots, dtype=np.float64).reshape(-1, 3)
    distance = np.linalg.norm(roots[:, None] - true_roots[None], axis=-1)
    taken = np.full(len(roots), -1, dtype=np.intp)
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        nearest = int(np.argmin(distance[index])) if len(true_roots) else -1
        if nearest >= 0 and distance[index, nearest] <= limit_m:
            taken[index] = nearest
            distance[:, nearest] = np.inf
    return taken


def point_counts(points: AnyFloats, true_points: AnyFloats, limit_m: float) -> tuple[int, int, int]:
    """Right, superfluous and missed ones of a frame's joints, as JTA's evaluations count them.

    Fabbri et al., "Compressed volumetric heatmaps for multi-person 3D pose estimation", CVPR 2020: each true joint
    chooses the nearest estimate of its kind within `limit_m`; of those who chose the same one, one is right.

    points: (M, J, 3) in metres, NaN where there is no joint; true_points: (N, J, 3); limit_m: distance up to which one
    is right.
    """
    estimate, truth = (np.asarray(given, dtype=np.float64) for given in (points, true_points))
    given, wanted = (int(np.isfinite(side).all(axis=-1).sum()) for side in (estimate, truth))
    right = 0
    if len(estimate) and len(truth):
        distance = np.nan_to_num(np.linalg.norm(truth[:, None] - estimate[None], axis=-1), nan=np.inf)
        nearest, reached = distance.argmin(axis=1), distance.min(axis=1) <= limit_m
        right = sum(len(np.unique(nearest[reached[:, joint], joint])) for joint in range(truth.shape[1]))
    return right, given - right, wanted - right


def f1_score(right: int, superfluous: int, missed: int) -> float:
    """2 right / (2 right + superfluous + missed), and 1 where there is nothing to find and nothing found."""
    total = 2 * right + superfluous + missed
    return 2 * right / total if total else 1.0


def mpre(roots: AnyFloats, true_roots: AnyFloats) -> Floats:
    """Position error (...,) of roots (..., 3) in the camera frame, whose mean is MPRE."""
    return np.asarray(np.linalg.norm(np.asarray(roots, np.float64) - np.asarray(true_roots, np.float64), axis=-1))


def sigma_radii(axes: int) -> tuple[float, float]:
    """The distances, in standard deviations on an axis, within which a Gaussian of so many axes holds the shares that
    one of one axis holds within 1 and 2: 68.3 and 95.4 %."""
    one, two = (float(np.sqrt(chi2.ppf(share, axes))) for share in SIGMA_SHARES)
    return one, two


def _pair(estimate: AnyFloats, truth: AnyFloats) -> tuple[Floats, Floats]:
    a, b = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape or a.ndim < 2 or a.shape[-1] != 3:
        raise ValueError(f"joints have shapes {a.shape} and {b.shape}; needed are two alike (..., K, 3)")
    return a, b

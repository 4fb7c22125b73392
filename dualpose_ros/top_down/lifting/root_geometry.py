"""Where a person stands, from geometry: the translation that makes a 3D pose project onto its 2D joints.

Weighted linear least squares as in Sárándi et al., "MeTRAbs", T-BIOM 2021, section III-D, with full
perspective. A person twice as far away looks half as large, so the pose's own scale gives the depth: its
error is that of the person's assumed size, which no residual shows. The network states a depth too;
where both are known, they are weighed by their variances. N people, K joints; virtual camera
axes of `person_view`, metres.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats

RAY_NOISE = 0.03
"""Standard deviation of a ray as a share of the person's extent on the image."""

SIZE_STDDEV = 0.03
"""Relative error of the pose's scale, common to all its joints, so not to be seen in how well they fit."""

SPREAD = 2.0
"""How much larger the errors of a fit are than independent joints of the stated deviations would make them."""

_MIN_DEPTH_M = 0.1


@dataclass(frozen=True)
class RootFit:
    """root (N, 3): the pelvis; log_depth_variance (N,): of the logarithm of its depth, infinite without a fit."""

    root: AnyFloats
    log_depth_variance: AnyFloats


def fit_root(
    rays: AnyFloats, confidence: AnyFloats, joints: AnyFloats, stddev: AnyFloats, depth: AnyFloats, extent: AnyFloats
) -> RootFit:
    """Root positions that best reproject joints relative to them.

    An equation weighs the confidence over the variance of its residual at a first guess of the depth: that of the
    joint, and that of the ray. People with fewer than two joints seen, or who would stand behind the camera, have no
    fit.

    rays: (N, K, 2); confidence: (N, K), 0 where a joint was not found; joints: (N, K, 3) in metres, from the root;
    stddev: (N, K) of them; depth: (N,), the first guess in metres; extent: (N,), the person's size in rays.
    """
    seen = confidence > 0
    z = joints[..., 2] + depth[:, None]
    of_ray = (RAY_NOISE * extent[:, None] * z)[..., None] ** 2
    variance = np.maximum(stddev, 0.005)[..., None] ** 2 * (1 + rays**2) + of_ray
    weight = np.where(seen, confidence, 0.0)[..., None] / variance
    wanted = rays * joints[..., 2:] - joints[..., :2]
    normal, right = np.zeros((len(rays), 3, 3)), np.zeros((len(rays), 3))
    for axis in (0, 1):
        w, u = weight[..., axis], rays[..., axis]
        normal[:, axis, axis] = w.sum(axis=1)
        normal[:, axis, 2] = normal[:, 2, axis] = -(w * u).sum(axis=1)
        normal[:, 2, 2] += (w * u * u).sum(axis=1)
        right[:, axis] = (w * wanted[..., axis]).sum(axis=1)
        right[:, 2] -= (w * u * wanted[..., axis]).sum(axis=1)
    solvable = (seen.sum(axis=1) >= 2) & (np.linalg.det(normal) > 1e-9 * np.prod(np.einsum("nii->ni", normal), axis=1))
    normal = np.where(solvable[:, None, None], normal, np.eye(3))
    root = np.asarray(np.linalg.solve(normal, right[..., None])[..., 0], dtype=np.float64)
    solvable &= root[:, 2] > _MIN_DEPTH_M
    spread = np.linalg.inv(normal)[:, 2, 2] / np.maximum(root[:, 2], _MIN_DEPTH_M) ** 2
    return RootFit(root, np.where(solvable, SPREAD**2 * spread + SIZE_STDDEV**2, np.inf))


def fuse_depth(depth: AnyFloats, log_variance: AnyFloats, fit: RootFit) -> tuple[Floats, Floats]:
    """Depths (N,) and variances (N,) of their logarithms, from given ones and those of a fit, by variance.

    The variances weigh the two as if they were independent; but both come of the same network, so the result's
    deviation takes their errors to go together.
    """
    share = np.where(np.isfinite(fit.log_depth_variance), log_variance / (log_variance + fit.log_depth_variance), 0.0)
    fitted = np.where(share > 0, fit.root[:, 2], depth)
    other = np.where(share > 0, fit.log_depth_variance, 0.0)
    fused = np.exp((1 - share) * np.log(depth) + share * np.log(np.maximum(fitted, _MIN_DEPTH_M)))
    return np.asarray(fused), np.asarray(((1 - share) * np.sqrt(log_variance) + share * np.sqrt(other)) ** 2)

"""Root translation by least squares against SciPy, and what is done where there is none."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from dualpose_ros.top_down.lifting.root_geometry import RAY_NOISE, SIZE_STDDEV, RootFit, fit_root, fuse_depth

K = 17


def people(seed: int, count: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root-relative joints (N, K, 3), roots (N, 3) and exact rays (N, K, 2)."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, [0.3, 0.5, 0.25], (count, K, 3))
    joints[:, 0] = 0
    root = np.stack([rng.normal(0, 0.5, count), rng.normal(0, 0.3, count), rng.uniform(2, 9, count)], axis=1)
    placed = joints + root[:, None]
    return joints, root, placed[..., :2] / placed[..., 2:]


def test_exact_joints_give_the_exact_root() -> None:
    joints, root, rays = people(0)
    confidence = np.random.default_rng(1).uniform(0, 1, (5, K)) * (np.random.default_rng(2).random((5, K)) < 0.6)
    fit = fit_root(rays, confidence, joints, np.full((5, K), 0.05), 0.7 * root[:, 2], np.full(5, 0.1))
    np.testing.assert_allclose(fit.root, root, atol=1e-8)
    assert (fit.log_depth_variance > SIZE_STDDEV**2).all() and np.isfinite(fit.log_depth_variance).all()


def test_noisy_joints_against_scipy() -> None:
    joints, root, rays = people(3)
    rng = np.random.default_rng(4)
    rays = rays + rng.normal(0, 0.01, rays.shape)
    confidence, stddev = rng.uniform(0.1, 1, (5, K)), rng.uniform(0.02, 0.2, (5, K))
    guess, extent = root[:, 2] * 1.1, np.full(5, 0.12)
    fit = fit_root(rays, confidence, joints, stddev, guess, extent)
    for n in range(5):

        def residuals(at: np.ndarray, n: int = n) -> np.ndarray:
            out = []
            for k in range(K):
                for axis in (0, 1):
                    u = rays[n, k, axis]
                    error = joints[n, k, axis] + at[axis] - u * (joints[n, k, 2] + at[2])
                    of_ray = RAY_NOISE * extent[n] * (joints[n, k, 2] + guess[n])
                    variance = stddev[n, k] ** 2 * (1 + u**2) + of_ray**2
                    out.append(error * np.sqrt(confidence[n, k] / variance))
            return np.array(out)

        expected = least_squares(residuals, [0.0, 0.0, 1.0])
        np.testing.assert_allclose(fit.root[n], expected.x, atol=1e-5)
        covariance = np.linalg.inv(expected.jac.T @ expected.jac)
        spread = 4 * covariance[2, 2] / expected.x[2] ** 2 + SIZE_STDDEV**2
        assert fit.log_depth_variance[n] == pytest.approx(spread, rel=1e-4)


def test_without_enough_joints_there_is_no_fit() -> None:
    joints, root, rays = people(5, count=3)
    confidence = np.zeros((3, K))
    confidence[1, 4] = 1
    confidence[2] = 1
    rays[2] = -rays[2]  # upside down: only a person behind the camera looks like that
    fit = fit_root(rays, confidence, joints, np.full((3, K), 0.05), root[:, 2], np.full(3, 0.1))
    assert np.isinf(fit.log_depth_variance).all()
    depth, variance = fuse_depth(root[:, 2], np.full(3, 0.01), fit)
    np.testing.assert_allclose(depth, root[:, 2], rtol=1e-12)
    np.testing.assert_allclose(variance, 0.01, rtol=1e-12)


def test_fusing_weighs_by_variance() -> None:
    fit = RootFit(np.array([[0.0, 0.0, 4.0]]), np.array([0.01]))
    depth, variance = fuse_depth(np.array([2.0]), np.array([0.01]), fit)
    assert depth[0] == pytest.approx(np.sqrt(8.0))
    assert variance[0] == pytest.approx(0.01)
    nearer, _ = fuse_depth(np.array([2.0]), np.array([0.0001]), fit)
    assert nearer[0] == pytest.approx(2.0, rel=0.01)

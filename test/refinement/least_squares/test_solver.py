"""Terms against finite differences, steps against a dense solver, deviations against drawn errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from dualpose_ros.refinement.least_squares.noise import ErrorModel, inverses
from dualpose_ros.refinement.least_squares.normal import step_system
from dualpose_ros.refinement.least_squares.solver import Observations, SolverConfig, refine, terms_of
from dualpose_ros.refinement.least_squares.terms import (
    PARENTS,
    Terms,
    bone_residuals,
    cost,
    motion_residuals,
    reprojection_jacobian,
    reprojection_residuals,
)
from support import windows

CONFIG = SolverConfig()


def packed(joints: np.ndarray) -> np.ndarray:
    """All unknowns in the order of the blocks: by joint, coordinates frame by frame."""
    return np.swapaxes(joints, 0, 1).reshape(-1)


def unpacked(values: np.ndarray, frames: int) -> np.ndarray:
    return np.swapaxes(values.reshape(len(PARENTS), frames, 3), 0, 1)


def whitened(terms: Terms, joints: np.ndarray) -> np.ndarray:
    """All residuals over their deviations, whose half square is the cost, by Cholesky factors of the informations."""

    def root(information: np.ndarray) -> np.ndarray:
        return np.swapaxes(np.linalg.cholesky(information), -1, -2)

    parts = [
        root(terms.prior_information) @ np.swapaxes(terms.prior - joints, 0, 1),
        root(terms.ray_information) @ np.swapaxes(reprojection_residuals(joints, terms.rays), 0, 1),
        np.sqrt(terms.motion_information)[..., None] * motion_residuals(terms, joints),
        bone_residuals(joints, terms.lengths)[1] / terms.bone_stddev,
    ]
    return np.concatenate([part.reshape(-1) for part in parts])


def dense_jacobian(terms: Terms, joints: np.ndarray) -> np.ndarray:
    values, frames, step = packed(joints), len(joints), 1e-6
    columns = []
    for i in range(len(values)):
        shift = np.zeros_like(values)
        shift[i] = step
        ahead, behind = (whitened(terms, unpacked(values + sign * shift, frames)) for sign in (1, -1))
        columns.append((ahead - behind) / (2 * step))
    return np.array(columns).T


def together(*observed: Observations) -> Observations:
    """People's windows, an axis of people before the others."""
    return Observations(*(np.stack(parts) for parts in zip(*(vars(one).values() for one in observed), strict=True)))


def moved_window(seed: int) -> tuple[Terms, np.ndarray]:
    """Terms about one place, joints at another."""
    observed, start = windows.random_window(seed, frames=4)
    terms = terms_of(observed, start, CONFIG)
    return terms, start + np.random.default_rng(seed).normal(0, 0.02, start.shape)


def test_jacobian_of_reprojection_is_that_of_finite_differences() -> None:
    joints = windows.walk(np.array([0.0, 0.5]))[:, 4:7]
    joints[1, 2, 2] = -1.0
    jacobian = reprojection_jacobian(joints)
    rays = np.zeros((2, 3, 2))
    for t, k, c in np.ndindex(2, 3, 2):

        def value(point: np.ndarray, t: int = t, k: int = k, c: int = c) -> float:
            moved = joints.copy()
            moved[t, k] = point
            return float(reprojection_residuals(moved, rays)[t, k, c])

        np.testing.assert_allclose(approx_fprime(joints[t, k], value, 1e-7), jacobian[t, k, c], atol=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_joints_by_themselves_are_as_the_residuals_jacobian_has_them(seed: int) -> None:
    terms, joints = moved_window(seed)
    residuals = whitened(terms, joints)
    assert cost(terms, joints) == pytest.approx(residuals @ residuals / 2)
    jacobian = dense_jacobian(terms, joints)
    bones = len(PARENTS) * len(joints)
    alone, right = jacobian[:-bones], -jacobian[:-bones].T @ residuals[:-bones]
    system = step_system(Terms(*(np.asarray(part)[None] for part in vars(terms).values())), joints[None])
    directions = jacobian[-bones:] * np.tile(terms.bone_stddev, len(joints))[:, None]
    for k in range(len(PARENTS)):
        own = np.arange(12 * k, 12 * k + 12)  # frame by frame, where the system has axis by axis
        covariance = np.linalg.inv(alone[:, own].T @ alone[:, own])
        mean = (covariance @ right[own]).reshape(4, 3).T
        np.testing.assert_allclose(system.mean[0, k], mean, atol=1e-5 * np.abs(mean).max())
        within = np.array([covariance[3 * w : 3 * w + 3, 3 * w : 3 * w + 3] for w in range(4)])
        found = np.array([system.covariance(frame)[0, k] for frame in range(4)])
        np.testing.assert_allclose(found, within, atol=1e-5 * within.max())
        at = np.arange(4) * len(PARENTS) + k
        toward = (covariance @ directions[np.ix_(at, own)].T).reshape(4, 3, 4).swapaxes(0, 1)
        np.testing.assert_allclose(system.toward[0, k], toward, atol=1e-5 * within.max())


def test_a_step_and_its_deviations_are_those_of_dense_algebra() -> None:
    observed, start = windows.random_window(3, frames=4)
    terms = terms_of(observed, start, CONFIG)
    jacobian, residuals = dense_jacobian(terms, start), whitened(terms, start)
    hessian = jacobian.T @ jacobian
    expected = packed(start) - np.linalg.solve(hessian, jacobian.T @ residuals)
    solution = refine(together(observed), start[None], CONFIG)
    np.testing.assert_allclose(packed(solution.joints[0]), expected, atol=1e-5)
    inverse = np.linalg.inv(hessian)
    stddev = solution.spread(2)
    assert stddev is not None
    for k in range(len(PARENTS)):
        rows = 12 * k + 6 + np.arange(3)
        assert stddev[k] == pytest.approx(np.sqrt(np.linalg.eigvalsh(inverse[np.ix_(rows, rows)])[-1]), rel=1e-4)


def test_windows_refined_together_are_those_refined_alone() -> None:
    windows_, starts = zip(*(windows.random_window(seed, frames=6) for seed in range(3)), strict=True)
    # One whose equations can't be solved keeps its joints, and the others are not harmed.
    broken = replace(windows_[1], prior=np.full_like(windows_[1].prior, np.nan))
    found = refine(together(windows_[0], broken, windows_[2]), np.array(starts), CONFIG, 2)
    np.testing.assert_array_equal(found.joints[1], starts[1])
    assert found.spread(3, 1) is None
    for n in (0, 2):
        alone = refine(together(windows_[n]), starts[n][None], CONFIG, 2)
        np.testing.assert_allclose(found.joints[n], alone.joints[0], atol=1e-12)
        own, other = found.spread(3, n), alone.spread(3)
        assert own is not None and other is not None
        np.testing.assert_allclose(own, other, rtol=1e-9)


def test_steps_lower_the_cost_and_converge() -> None:
    observed, joints = windows.random_window(1, frames=12)
    steps = []
    for _ in range(15):
        terms, before = terms_of(observed, joints, CONFIG), joints
        joints = refine(together(observed), before[None], CONFIG).joints[0]
        assert cost(terms, joints) <= cost(terms, before) * (1 + 1e-3)
        steps.append(np.linalg.norm(joints - before, axis=-1).mean())
    assert steps[0] > 0.02 and steps[-1] < 2e-3
    truth = windows.walk(observed.times)
    errors = [np.linalg.norm(x - truth, axis=-1).mean() for x in (joints, observed.prior)]
    assert errors[0] < 0.8 * errors[1]


def test_slow_errors_are_not_averaged_away() -> None:
    times = np.arange(30) / 30
    ones = np.ones((1, 30))
    sure = {
        slow: 1 / inverses(ErrorModel(correlated_share=slow).covariances(times, ones, ones)).sum()
        for slow in (0.0, 0.9)
    }
    assert sure[0.0] == pytest.approx(1 / 30)
    assert sure[0.9] > 0.5
    covariance = ErrorModel(correlated_share=0.5).covariances(times[:2], ones[:, :2], np.array([[1.0, 0.1]]))[0]
    slow = 0.5 * np.exp(-1 / 30)
    np.testing.assert_allclose(covariance, [[1, slow], [slow, 10]])

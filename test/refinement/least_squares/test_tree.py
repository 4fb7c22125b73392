"""What goes up and down the tree against dense linear algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.refinement.least_squares.noise import inverses
from dualpose_ros.refinement.least_squares.tree import TreeSystem, solve

PARENTS = (-1, 0, 1, 1, 0, 4, 1)
PEOPLE, N, AXES, FRAMES = 2, len(PARENTS), 2, 3
SIZE = AXES * FRAMES


def random_system(seed: int) -> tuple[np.ndarray, np.ndarray, TreeSystem]:
    """Each person's information (P, N A W, N A W) and right-hand side, and the same as a tree."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(PEOPLE, N, SIZE, SIZE + 3))
    covariance = roots @ np.swapaxes(roots, -1, -2)
    mean, slack = rng.normal(size=(PEOPLE, N, SIZE)), rng.uniform(0.1, 1, (PEOPLE, N))
    direction, excess = rng.normal(size=(PEOPLE, N, AXES, FRAMES)), rng.normal(size=(PEOPLE, N, FRAMES))
    direction[:, 0] = excess[:, 0] = 0.0
    spread = np.zeros((PEOPLE, N, FRAMES, AXES, FRAMES))
    for frame in range(FRAMES):
        spread[:, :, frame, :, frame] = direction[..., frame]
    rows = spread.reshape(PEOPLE, N, FRAMES, SIZE)
    dense, right = np.zeros((PEOPLE, N, SIZE, N, SIZE)), np.zeros((PEOPLE, N, SIZE))
    for p, n in np.ndindex(PEOPLE, N):
        dense[p, n, :, n] += np.linalg.inv(covariance[p, n])
        right[p, n] += np.linalg.solve(covariance[p, n], mean[p, n])
        for one, sign in ((n, 1), (PARENTS[n], -1)) if n else ():
            right[p, one] -= sign * rows[p, n].T @ excess[p, n] / slack[p, n]
            for other, turn in ((n, 1), (PARENTS[n], -1)):
                dense[p, one, :, other] += sign * turn * rows[p, n].T @ rows[p, n] / slack[p, n]
    up = np.maximum(PARENTS, 0)
    shape = (PEOPLE, N, AXES, FRAMES, FRAMES)
    toward, behind = (part @ np.swapaxes(rows, -1, -2) for part in (covariance, covariance[:, up]))
    blocks = covariance.reshape(PEOPLE, N, AXES, FRAMES, AXES, FRAMES)
    system = TreeSystem(
        PARENTS,
        mean.reshape(PEOPLE, N, AXES, FRAMES),
        lambda frame: blocks[:, :, :, frame, :, frame].copy(),
        direction,
        excess,
        slack,
        toward.reshape(shape),
        behind.reshape(shape),
    )
    return dense.reshape(PEOPLE, N * SIZE, N * SIZE), right.reshape(PEOPLE, -1), system


@pytest.mark.parametrize("seed", range(4))
def test_solution_is_that_of_the_dense_system(seed: int) -> None:
    dense, right, system = random_system(seed)
    found = solve(system).mean.reshape(PEOPLE, -1)
    np.testing.assert_allclose(found, np.linalg.solve(dense, right[..., None])[..., 0], atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_variances_are_blocks_of_the_inverse(seed: int) -> None:
    dense, _, system = random_system(seed)
    inverse = np.linalg.inv(dense)
    found = solve(system)
    for frame in range(FRAMES):
        blocks = found.variances(frame)
        for p, n in np.ndindex(PEOPLE, N):
            at = n * SIZE + frame + FRAMES * np.arange(AXES)
            np.testing.assert_allclose(blocks[p, n], inverse[p][np.ix_(at, at)], rtol=1e-7, atol=1e-9)


def test_what_is_not_finite_of_one_person_harms_nobody_else() -> None:
    _, _, system = random_system(0)
    whole = solve(system).mean
    toward = system.toward.copy()
    toward[1, 3] = np.nan
    broken = solve(replace(system, toward=toward)).mean
    np.testing.assert_allclose(broken[0], whole[0], atol=1e-12)
    assert np.isnan(broken[1]).any()


@pytest.mark.parametrize("size", [1, 2, 12, 33])
def test_inverses(size: int) -> None:
    roots = np.random.default_rng(size).normal(size=(3, 2, size, size + 2))
    matrices = roots @ np.swapaxes(roots, -1, -2)
    np.testing.assert_allclose(inverses(matrices) @ matrices, np.broadcast_to(np.eye(size), matrices.shape), atol=1e-6)
    matrices[1, 1] = np.nan
    found = inverses(matrices)
    assert np.isnan(found[1, 1]).all() and np.isfinite(found[:1]).all()

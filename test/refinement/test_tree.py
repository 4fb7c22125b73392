"""The tree's elimination against dense linear algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.refinement import tree
from dualpose_ros.refinement.tree import NotPositiveError, TreeSystem, factorise, solve, variances

PARENTS = (-1, 0, 1, 1, 0, 4)
N, SIZE = len(PARENTS), 5


def random_system(seed: int) -> tuple[np.ndarray, TreeSystem]:
    """A dense matrix, and the same as a tree."""
    rng = np.random.default_rng(seed)
    rows = np.arange(N * SIZE).reshape(N, SIZE)
    dense = np.zeros((N * SIZE, N * SIZE))
    for i, parent in enumerate(PARENTS):
        touched = np.concatenate([rows[i], rows[parent]]) if parent >= 0 else rows[i]
        jacobian = rng.normal(size=(len(touched) + 3, len(touched)))
        dense[np.ix_(touched, touched)] += jacobian.T @ jacobian
    diagonal = np.array([dense[np.ix_(r, r)] for r in rows])
    above = np.array([dense[np.ix_(rows[i], rows[p])] if p >= 0 else np.zeros((SIZE, SIZE))
                      for i, p in enumerate(PARENTS)])  # fmt: skip
    return dense, TreeSystem(PARENTS, diagonal, above)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("one_thread", [200_000, 60])
def test_solution_is_that_of_the_dense_system(seed: int, one_thread: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_ONE_THREAD", one_thread)
    dense, system = random_system(seed)
    right = np.random.default_rng(seed).normal(size=(N, SIZE))
    found = solve(factorise(system), right)
    np.testing.assert_allclose(found.reshape(-1), np.linalg.solve(dense, right.reshape(-1)), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_variances_are_blocks_of_the_inverse(seed: int) -> None:
    dense, system = random_system(seed)
    columns = np.array([[0, 3], [4, 1], [4, 2], [0, 1], [2, 3], [3, 0]])
    found = variances(factorise(system), columns)
    inverse = np.linalg.inv(dense)
    for i, (block, column) in enumerate(zip(found, columns, strict=True)):
        np.testing.assert_allclose(block, inverse[np.ix_(i * SIZE + column, i * SIZE + column)], atol=1e-10)


def test_the_system_is_left_as_it_was_and_others_are_refused() -> None:
    dense, system = random_system(0)
    factorise(system)
    np.testing.assert_array_equal(system.diagonal[0], dense[:SIZE, :SIZE])
    weak = system.diagonal.copy()
    weak[0] -= 1.01 * np.linalg.eigvalsh(dense)[-1] * np.eye(SIZE)
    nan = system.diagonal.copy()
    nan[-1] = np.nan
    for diagonal in (weak, nan):
        with pytest.raises(NotPositiveError):
            factorise(replace(system, diagonal=diagonal))

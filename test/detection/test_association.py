"""Assignment against SciPy's, and the costs against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from dualpose_ros.detection.association import FORBIDDEN, assign, overlap_cost, size_ratios


def scipy_total(cost: np.ndarray, limit: float) -> float:
    """Least total of (cost - limit) over any partial matching: leaving a row alone is a column of zeros."""
    gain = np.minimum(cost - limit, 0)
    square = np.zeros((sum(cost.shape),) * 2)
    square[: cost.shape[0], : cost.shape[1]] = gain
    rows, columns = linear_sum_assignment(square)
    return float(square[rows, columns].sum())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10**6), st.floats(0.1, 2.0))
def test_assignment_is_as_cheap_as_scipys(rows: int, columns: int, seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(-0.5, 2, (rows, columns))
    cost[rng.random((rows, columns)) < 0.2] = FORBIDDEN
    matched, taken, left, free = assign(cost, limit)
    assert sorted([*matched, *left]) == list(range(rows)) and sorted([*taken, *free]) == list(range(columns))
    assert np.all(cost[matched, taken] <= limit)
    assert (cost[matched, taken] - limit).sum() == pytest.approx(scipy_total(cost, limit), abs=1e-9)


def test_nan_is_refused_and_infinity_forbidden() -> None:
    with pytest.raises(ValueError, match="NaN"):
        assign(np.array([[np.nan, 1.0]]), 1.0)
    matched, *_ = assign(np.array([[np.inf]]), 1.0)
    assert len(matched) == 0


def test_overlap_cost_by_hand() -> None:
    a = np.array([[0.0, 0, 2, 2]])
    assert overlap_cost(a, a)[0, 0] == 0
    # Same size, shifted by its width: no overlap, middles 2 apart, enclosing diagonal squared 4^2 + 2^2.
    assert overlap_cost(a, np.array([[2.0, 0, 4, 2]]))[0, 0] == pytest.approx(1 + 4 / 20)
    assert overlap_cost(a, np.array([[1.0, 0, 3, 2]]))[0, 0] == pytest.approx(1 - 1 / 3 + 1 / 13)
    far = overlap_cost(a, np.array([[200.0, 0, 202, 2], [20.0, 0, 22, 2]]))[0]
    assert far[0] > far[1] > 1 and far[0] < 2
    assert overlap_cost(np.zeros((0, 4)), a).shape == (0, 1)


def test_size_ratios_by_hand() -> None:
    ratios = size_ratios(np.array([[0.0, 0, 2, 2], [0, 0, 4, 6]]), np.array([[5.0, 5, 7, 7], [0, 0, 1, 12]]))
    np.testing.assert_allclose(ratios, [[1, 2], [2, 2]])

"""The costs of pairs against their definitions."""

import numpy as np
import pytest

from dualpose_ros.detection.association import overlap_cost, size_ratios


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

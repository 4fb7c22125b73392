import numpy as np
import pytest

from dualpose_ros.lab.training.calibration import fit_calibration
from dualpose_ros.metrics.poses import sigma_radii


def test_the_factors_that_spoilt_gaussian_deviations_are_found() -> None:
    factors = np.array([0.5, 1.0, 3.0])
    distance = np.linalg.norm(np.random.default_rng(0).normal(size=(100_000, 3, 3)), axis=2)
    found = fit_calibration(distance / factors, sigma_radii(3))
    np.testing.assert_allclose(np.exp(found), 1 / factors, rtol=0.01)
    depth = np.abs(np.random.default_rng(1).normal(0, 2, 100_000))
    assert np.exp(fit_calibration(depth, sigma_radii(1))) == pytest.approx(2, rel=0.01)

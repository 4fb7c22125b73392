"""Making stated standard deviations hold the share of errors that a Gaussian's would."""

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.metrics.poses import SIGMA_SHARES


def fit_calibration(sigmas: Floats, radii: tuple[float, ...]) -> Floats:
    """What to add to log deviations, by column of errors (B, ...) in such deviations, for them to hold SIGMA_SHARES.

    Errors have heavier tails than a Gaussian, so that no factor makes both shares right. Of the logarithms of
    the two that would make one right each, the first counts twice.
    """
    one, two = (np.quantile(sigmas, share, axis=0) / radius for share, radius in zip(SIGMA_SHARES, radii, strict=True))
    return np.asarray((2 * np.log(np.maximum(one, 1e-6)) + np.log(np.maximum(two, 1e-6))) / 3)

"""How errors of a branch hang together in time, and what that leaves a window of frames to say.

An error has a slow part, which is nearly the same in neighbouring frames (an Ornstein-Uhlenbeck process), and a
part of its own in each frame. Averaging over frames takes away the second part alone, so that a smoother which took
all of it for the second would soon be sure of what it does not know. W frames, N quantities; seconds.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.settings import Settings, setting


@dataclass(frozen=True)
class ErrorModel(Settings):
    """How errors hang together in time, and how heavy their tails are."""

    correlated_share: float = setting(
        0.5, "share of the errors' variance that changes slowly; the rest is each frame's own", least=0, below=1
    )
    correlation_time_s: float = setting(1.0, "time constant of the slow part", unit="s", above=0, most=1000)
    student_t_dof: float = setting(
        5.0, "degrees of freedom of the tails (Student's t): with few, outliers count little", above=0
    )

    def correlation(self, times: Floats) -> Floats:
        """Correlation (..., W, W) of the slow part at times (..., W)."""
        return np.asarray(np.exp(-np.abs(times[..., :, None] - times[..., None, :]) / self.correlation_time_s))

    def covariances(self, times: Floats, stddev: Floats, trust: Floats) -> Floats:
        """Covariances of errors in time.

        times: (..., W) in seconds; stddev: deviations (..., N, W) of each quantity; trust: (..., N, W) in 0..1; it
        divides a frame's variance, and what is added is the frame's own.
        Returns (..., N, W, W).
        """
        correlation = self.correlated_share * self.correlation(times)[..., None, :, :]
        slow = correlation * stddev[..., :, None] * stddev[..., None, :]
        at = np.arange(times.shape[-1])
        slow[..., at, at] += stddev**2 * (1 / trust - self.correlated_share)
        return slow

    def trust(self, squares: Floats, axes: int) -> Floats:
        """Trust (...,) in errors whose squares (...,), in variances, sum over so many axes: 1 up to where they are
        usual."""
        return np.asarray(np.minimum((self.student_t_dof + axes) / (self.student_t_dof + squares), 1))


_FEW = 256
"""Rows of matrices from which on they are inverted row by row."""


def inverses(matrices: Floats) -> Floats:
    """Inverses (..., n, n) of positive definite matrices; NaN for those that are not finite.

    By Cholesky's factors, which are inverted row by row for all matrices at once: for many small ones LAPACK's
    inversion takes twice as long, for few less.
    """
    if matrices.size < _FEW * matrices.shape[-1]:
        return np.asarray(np.linalg.inv(matrices))
    try:
        factor = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.inv(matrices))
    at = np.arange(factor.shape[-1])
    inverse, diagonal = np.zeros_like(factor), 1 / factor[..., at, at]
    inverse[..., at, at] = diagonal
    rows = factor * -diagonal[..., None]
    for i in at[1:]:
        inverse[..., i : i + 1, :i] = rows[..., i : i + 1, :i] @ inverse[..., :i, :i]
    return np.asarray(np.swapaxes(inverse, -1, -2) @ inverse)

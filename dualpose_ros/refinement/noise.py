"""How errors of a branch hang together in time, and what that leaves a window of frames to say.

An error has a slow part, which is nearly the same in neighbouring frames (an Ornstein-Uhlenbeck process), and a
part of its own in each frame. Averaging over frames takes away the second part alone, so that a smoother which took
all of it for the second would soon be sure of what it does not know. W frames, N quantities; seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats


@dataclass(frozen=True)
class ErrorModel:
    """slow: share of the variance that is slow; seconds: its time constant; freedom: degrees of freedom of the tails
    (Student's t), by which single frames that are far off lose their weight."""

    slow: float
    seconds: float
    freedom: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.slow < 1:
            raise ValueError(f"slow is {self.slow}; it must lie in 0..1, below 1")
        for name in ("seconds", "freedom"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    def correlation(self, times: Floats) -> Floats:
        """Correlation (W, W) of the slow part at times (W,)."""
        return np.asarray(np.exp(-np.abs(times[:, None] - times[None]) / self.seconds))

    def covariances(self, times: Floats, stddev: Floats, trust: Floats) -> Floats:
        """Covariances (N, W, W) of errors with deviations stddev (N, W).

        A frame's trust (N, W) in 0..1 divides its variance; what is added is the frame's own.
        """
        slow = self.slow * self.correlation(times) * stddev[:, :, None] * stddev[:, None, :]
        at = np.arange(len(times))
        slow[:, at, at] += stddev**2 * (1 / trust - self.slow)
        return slow

    def trust(self, squares: Floats, axes: int) -> Floats:
        """Trust (...,) in errors whose squares (...,), in variances, sum over so many axes: 1 up to where they are
        usual."""
        return np.asarray(np.minimum((self.freedom + axes) / (self.freedom + squares), 1))


def informations(covariances: Floats) -> Floats:
    """Inverses (N, W, W) of positive definite matrices."""
    inverse = np.linalg.inv(covariances)
    return np.asarray((inverse + np.swapaxes(inverse, -1, -2)) / 2)

"""How far away the person is in each frame of a window, from the integrated poses' root distances.

By itself, and as a logarithm: its error is a share of the distance and lasts, and moving everything closer does not
make changes of a logarithm smaller, as it does motions in metres. W frames; with several people together, an axis of
them stands before.
"""

import numpy as np

from dualpose_ros.arrays import Floats

LASTING_SHARE = 0.85
"""Of the variance of a distance's error, what lasts: who is taken to be larger than he or she is stays so. It moves all
of a window together, so that no number of frames makes it smaller, and the answer does not depend on it. Errors of
rendered people have correlations of 0.96 in neighbouring frames, 0.91, 0.85 and 0.80 after 0.3, 1 and 2 s."""

APPROACH_M_S = 0.7
"""Deviation of the speed with which people come nearer or go away, when a window begins."""

CHANGE_M_S = 0.7
"""Deviation of how much that speed changes in a second: a random walk of it, which follows who sets off in time."""


def smooth_distances(said: Floats, stddev: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Distances as they are, from those that were said: the mean of a Gaussian process, an integrated random walk from
    anywhere, given values with independent errors.

    said: logarithms (W,) of distances, with deviations `stddev` (W,); stddev: see `said`; times: (W,) in seconds.
    Returns logarithms (W,) of distances, and their deviations (W,).
    """
    since = times - times[..., :1]
    one, other = since[..., :, None], since[..., None, :]
    early, late = np.minimum(one, other), np.maximum(one, other)
    walked = APPROACH_M_S**2 * one * other + CHANGE_M_S**2 * early**2 * (3 * late - early) / 6
    motion = walked * np.exp(-2 * said.mean(axis=-1))[..., None, None]
    own = (1 - LASTING_SHARE) * stddev**2
    information = np.linalg.inv(motion + own[..., None] * np.eye(said.shape[-1]))
    weight = information.sum(axis=-1)
    total = weight.sum(axis=-1, keepdims=True)
    level = np.sum(weight * said, axis=-1, keepdims=True) / total
    gain = motion @ information
    found = level + (gain @ (said - level)[..., None])[..., 0]
    variance = np.sum((np.eye(said.shape[-1]) - gain) * motion, axis=-1)
    variance += (1 - (motion @ weight[..., None])[..., 0]) ** 2 / total
    return found, np.sqrt(variance + LASTING_SHARE * stddev**2)

"""How far away the person is in each frame of a window, from the integrated poses' root distances.

By itself, and as a logarithm: its error is a share of the distance and lasts, and moving everything closer does not
make changes of a logarithm smaller, as it does motions in metres. W frames; with several people
together, an axis of them stands before.
"""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.noise import ErrorModel

_ROUNDS = 2
OVERSHOOT = 0.1
"""After a jump in what is said, velocity would carry the answer past all of it: it leaves the range of the last three
frames by no more than this share."""


def smooth_distances(
    said: Floats, stddev: Floats, times: Floats, model: ErrorModel, motion: Floats,
    motion_stddev: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Distances as they are, from those that were said. Frames whose own error is unusual lose their weight.

    said: logarithms (W,) of distances, with deviations `stddev` (W,); stddev: see `said`; times: (W,) in seconds;
    model: how the errors of what was said hang together; motion: weights (W, W) of a value less its prediction from
    past frames; motion_stddev: deviation (W,) of that.
    Returns logarithms (W,) of distances, and their deviations (W,).
    """
    slow = model.correlated_share * model.correlation(times) * stddev[..., :, None] * stddev[..., None, :]
    fresh = (1 - model.correlated_share) * stddev**2
    weighed = motion / motion_stddev[..., :, None]
    stiffness = np.swapaxes(weighed, -1, -2) @ weighed
    trust, at = np.ones(said.shape), np.arange(said.shape[-1])
    for _ in range(_ROUNDS):
        own = slow.copy()
        own[..., at, at] += fresh / trust
        information = np.linalg.inv(own)
        covariance = np.linalg.inv(information + stiffness)
        found = (covariance @ (information @ said[..., None]))[..., 0]
        pull = information @ (said - found)[..., None]
        trust = model.trust((said - found - (slow @ pull)[..., 0]) ** 2 / fresh, 1)
    last = said[..., np.maximum(at - np.arange(3)[:, None], 0)]
    held = np.clip(found, last.min(axis=-2) - OVERSHOOT, last.max(axis=-2) + OVERSHOOT)
    return held, np.sqrt(covariance[..., at, at])

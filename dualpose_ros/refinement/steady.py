"""What is published of a track: a new frame changes what was said of those before it, which comes in gradually.

Each frame moves on from the one published before it as the window now has it from one to the other; what the window now
says otherwise of the frame before fades in. The pose about the root simply follows: much of how it changes between
frames is error. K joints of `skeleton.H36M17`; metres, seconds, camera optical frame.
"""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.terms import NEAREST_M
from dualpose_ros.skeleton import H36M17

_ROOT = H36M17.root


def steadied(published: Floats, before: Floats, now: Floats, left: Floats | float) -> Floats:
    """People's joints of a frame to publish.

    Args:
        published: (..., K, 3), the frame before it, as it was published.
        before, now: (..., K, 3), that frame and this one, as they are in the window.
        left: (...,), share of a difference that is still there by now.

    Returns:
        Joints (..., K, 3) in metres.
    """
    share = np.asarray(left)[..., None]
    (far, ray), (far_before, ray_before), (far_published, ray_published) = (
        _distance_and_ray(joints[..., _ROOT, :]) for joints in (now, before, published)
    )
    root = far * (far_published / far_before) ** share * (ray + share * (ray_published - ray_before))
    pose, pose_published = now - now[..., _ROOT, None, :], published - published[..., _ROOT, None, :]
    return np.asarray(root[..., None, :] + pose + share[..., None] * (pose_published - pose))


def still_left(elapsed_s: float, time_constant_s: float) -> float:
    """Share of a difference that is left after a while, with that time constant; 0 keeps nothing."""
    return float(np.exp(-elapsed_s / time_constant_s)) if time_constant_s > 0 else 0.0


def _distance_and_ray(root: Floats) -> tuple[Floats, Floats]:
    distance = np.maximum(np.sqrt(np.sum(root**2, axis=-1, keepdims=True)), NEAREST_M)
    return distance, root / distance

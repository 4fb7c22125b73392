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


def steadied(published: Floats, before: Floats, now: Floats, left: float) -> Floats:
    """A frame's joints to publish.

    Args:
        published: (K, 3), the frame before it, as it was published.
        before, now: (K, 3), that frame and this one, as they are in the window.
        left: share of a difference that is still there by now.

    Returns:
        Joints (K, 3) in metres.
    """
    (far, ray), (far_before, ray_before), (far_published, ray_published) = (
        _distance_and_ray(joints[_ROOT]) for joints in (now, before, published)
    )
    root = far * (far_published / far_before) ** left * (ray + left * (ray_published - ray_before))
    pose, pose_published = now - now[_ROOT], published - published[_ROOT]
    return np.asarray(root + pose + left * (pose_published - pose))


def still_left(elapsed_s: float, time_constant_s: float) -> float:
    """Share of a difference that is left after a while, with that time constant; 0 keeps nothing."""
    return float(np.exp(-elapsed_s / time_constant_s)) if time_constant_s > 0 else 0.0


def _distance_and_ray(root: Floats) -> tuple[float, Floats]:
    distance = max(float(np.sqrt(root @ root)), NEAREST_M)
    return distance, root / distance

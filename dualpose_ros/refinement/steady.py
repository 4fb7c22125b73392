"""What is published of a track: a new frame changes what was said of those before it, which comes in gradually.

Each frame moves on from the one published before it as the window now has it from one to the other; what the window now
says otherwise of the frame before fades in. The pose about the root simply follows: much of how it changes between
frames is error, but for joints that move, which follow the sooner. K joints of `skeleton.H36M17`; metres, seconds,
camera optical frame.
"""

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.least_squares.terms import NEAREST_M
from dualpose_ros.skeleton import H36M17

SWIFT_M_S = 0.8
"""A joint's way about the root counts as the time that it takes at this speed: what moves so fast is followed twice as
fast. On rendered videos, not following faster left 1 to 2 % of error; following faster still let noise through."""

DISTANCE_TIMES = 2.0
"""By how much slower corrections of the distance fade in, which are larger than all others. With 3, errors of
accelerations along the ray are 12 % smaller, but fewer roots within 25 cm (29.8 -> 29.0 AP on 32 rendered videos)."""

_ROOT = H36M17.root


def steadied(published: Floats, before: Floats, now: Floats, elapsed_s: Floats, time_constant_s: float) -> Floats:
    """People's joints of a frame to publish.

    published: (..., K, 3), the frame before it, as it was published; before, now: (..., K, 3), that frame and this one,
    as they are in the window; elapsed_s: (...,), seconds between the two; infinite where none was before.
    time_constant_s: with which differences fade; 0 keeps nothing.
    Returns joints (..., K, 3) in metres.
    """
    (far, ray), (far_before, ray_before), (far_published, ray_published) = (
        _distance_and_ray(joints[..., _ROOT, :]) for joints in (now, before, published)
    )
    pose, pose_before, pose_published = (joints - joints[..., _ROOT, None, :] for joints in (now, before, published))
    moved = np.sqrt(np.sum((pose - pose_before) ** 2, axis=-1, keepdims=True))
    elapsed = np.asarray(elapsed_s)[..., None]
    left = _left(elapsed, time_constant_s)
    nearer = _left(elapsed, DISTANCE_TIMES * time_constant_s)
    root = far * (far_published / far_before) ** nearer * (ray + left * (ray_published - ray_before))
    left = _left(elapsed[..., None] + moved / SWIFT_M_S, time_constant_s)
    return np.asarray(root[..., None, :] + pose + left * (pose_published - pose))


def _left(elapsed_s: Floats, time_constant_s: float) -> Floats:
    """Shares of differences that are still there after a while."""
    return np.asarray(np.exp(-elapsed_s / time_constant_s) if time_constant_s > 0 else np.zeros_like(elapsed_s))


def _distance_and_ray(root: Floats) -> tuple[Floats, Floats]:
    distance = np.maximum(np.sqrt(np.sum(root**2, axis=-1, keepdims=True)), NEAREST_M)
    return distance, root / distance

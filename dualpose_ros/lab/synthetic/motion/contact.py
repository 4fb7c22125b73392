"""Whether two bodies touch or run into each other: capsules between the joints of H36M17.

K joints, C capsules; world or camera frame, metres: nothing here knows which way is up, but
`separating_move`, which moves people on the floor of a y-up world.
"""

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.skeleton import H36M17

CAPSULES: tuple[tuple[str, str, float, float], ...] = (
    ("left_hip", "right_hip", 1.0, 0.085),
    ("pelvis", "spine", 1.0, 0.105),
    ("spine", "thorax", 1.0, 0.11),
    ("thorax", "neck", 1.0, 0.045),
    ("neck", "head_top", 0.57, 0.085),
    ("left_shoulder", "right_shoulder", 1.0, 0.05),
    *(
        (f"{side}_{near}", f"{side}_{far}", 1.0, radius)
        for side in ("left", "right")
        for near, far, radius in (
            ("hip", "knee", 0.065), ("knee", "ankle", 0.04), ("shoulder", "elbow", 0.04), ("elbow", "wrist", 0.03),
        )
    ),
)  # fmt: skip
"""(from, to, how far along the bone, radius in metres on the reference adult).

Between the 10th percentile and the median of the distances from bone to skin on MakeHuman's adults, and half the
depth of the trunk: flesh gives, so that a hug or a handshake is contact. The head's capsule ends where its cap
reaches the head's top. Hands and feet beyond wrist and ankle have no joints here, so no capsules.
"""

_FROM = np.array([H36M17.index(row[0]) for row in CAPSULES])
_TO = np.array([H36M17.index(row[1]) for row in CAPSULES])
_SHARE = np.array([row[2] for row in CAPSULES])[:, None]
_RADIUS_M = np.array([row[3] for row in CAPSULES])
_CHILD, _PARENT = (np.array(column) for column in zip(*((c, p) for p, c in H36M17.bones), strict=True))
_DIRECTIONS = 24
_STEP_M, _TOUCHING_M = 5e-4, 1e-9


def _bones_m(joints_m: Floats) -> Floats:
    """Sum of the bones' lengths (...)."""
    return np.asarray(np.linalg.norm(joints_m[..., _CHILD, :] - joints_m[..., _PARENT, :], axis=-1).sum(axis=-1))


_REFERENCE_M = float(_bones_m(REST_JOINTS_M))


def body_size(joints_m: AnyFloats) -> Floats:
    """Size (...) of bodies (..., K, 3) against the reference adult, 1.0: by the sum of their bones' lengths."""
    return _bones_m(np.asarray(joints_m, dtype=np.float64)) / _REFERENCE_M


def segment_distance(start_a: AnyFloats, along_a: AnyFloats, start_b: AnyFloats, along_b: AnyFloats) -> Floats:
    """Distances (..., A, B) of the segments start_a + [0, 1] along_a (..., A, 3) from those of b (..., B, 3).

    Segments may be points. Good to about 1e-7 of the greatest coordinate: everything is in dot products.
    """
    a, b = np.sum(along_a**2, axis=-1)[..., :, None], np.sum(along_b**2, axis=-1)[..., None, :]
    swapped_b, swapped_start = np.swapaxes(along_b, -1, -2), np.swapaxes(start_b, -1, -2)
    ab = along_a @ swapped_b
    ar = np.sum(along_a * start_a, axis=-1)[..., :, None] - along_a @ swapped_start
    br = start_a @ swapped_b - np.sum(along_b * start_b, axis=-1)[..., None, :]
    rr = np.sum(start_a**2, axis=-1)[..., :, None] + np.sum(start_b**2, axis=-1)[..., None, :]
    rr = rr - 2 * start_a @ swapped_start
    safe_a, safe_b = np.maximum(a, 1e-12), np.maximum(b, 1e-12)
    both = a * b - ab * ab
    skew = both > 1e-9 * safe_a * safe_b
    s = np.clip(np.where(skew, (ab * br - ar * b) / np.where(skew, both, 1.0), 0.0), 0, 1)
    t = np.clip((ab * s + br) / safe_b, 0, 1)
    s = np.clip((ab * t - ar) / safe_a, 0, 1)  # the nearest of a to that point of b: no change where t was inside
    t = np.clip((ab * s + br) / safe_b, 0, 1)
    squared = rr + s * s * a + t * t * b + 2 * (s * ar - t * br - s * t * ab)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def clearance(a: AnyFloats, b: AnyFloats) -> Floats:
    """Smallest gap (...) in metres between two bodies (..., K, 3) of H36M17; negative: they overlap by that much.

    Radii are those of `CAPSULES`, scaled by each body's size. Leading shapes broadcast. ValueError for other joints.
    """
    first, second = (np.asarray(joints, dtype=np.float64) for joints in (a, b))
    for joints in (first, second):
        if joints.ndim < 2 or joints.shape[-2:] != (H36M17.num_joints, 3):
            raise ValueError(f"joints have shape {joints.shape}, not (..., {H36M17.num_joints}, 3)")
    radius_a, radius_b = (body_size(joints)[..., None] * _RADIUS_M for joints in (first, second))
    origin = np.broadcast_to(first[..., :1, :], np.broadcast_shapes(first[..., :1, :].shape, second[..., :1, :].shape))
    first, second = first - origin, second - origin
    starts = [joints[..., _FROM, :] for joints in (first, second)]
    alongs = [_SHARE * (joints[..., _TO, :] - joints[..., _FROM, :]) for joints in (first, second)]
    gaps = segment_distance(starts[0], alongs[0], starts[1], alongs[1])
    gaps = gaps - radius_a[..., :, None] - radius_b[..., None, :]
    return np.asarray(gaps.min(axis=(-2, -1)))


def penetration(a: AnyFloats, b: AnyFloats) -> Floats:
    """Greatest overlap (...) in metres of any capsule of one body (..., K, 3) with any of the other; 0: apart.

    Shapes, radii and errors as for `clearance`.
    """
    return np.maximum(-clearance(a, b), 0.0)


def separating_move(a: AnyFloats, b: AnyFloats, limit_m: float = 0.02) -> Floats:
    """The least move on the floor (x, z) of b (T, K, 3) after which no frame overlaps a by more than limit_m.

    Twenty-four directions are tried, beginning with that from a to b. Each is followed in steps of the overlap that
    is left, which is never too far: moving by x takes x from an overlap at most.
    """
    first, second = (np.asarray(joints, dtype=np.float64) for joints in (a, b))
    gaps = clearance(first, second)
    if gaps.min() >= -limit_m:
        return np.zeros(2)
    between = (second[:, 0] - first[:, 0]).mean(axis=0)
    angles = np.arctan2(between[0], between[2]) + _spread(_DIRECTIONS)
    best, move = np.inf, np.zeros(2)
    for angle in angles:
        direction = np.array([np.sin(angle), 0.0, np.cos(angle)])
        far = _march(first, second, gaps, direction, limit_m, best)
        if far < best:
            best, move = far, far * direction[[0, 2]]
    return move


def _spread(count: int) -> Floats:
    """Angles all around, the smallest turns first."""
    angles = (np.arange(count) - count // 2) * 2 * np.pi / count
    return angles[np.argsort(np.abs(angles), kind="stable")]


def _march(a: Floats, b: Floats, gaps: Floats, direction: Floats, limit_m: float, at_most: float) -> float:
    """How far b goes in a direction until it is free; infinite where that is at_most or more."""
    far = max(-float(gaps.min()) - limit_m, _STEP_M)
    while far < at_most:
        near = gaps - far < -limit_m  # others can't have come to touch yet
        left = -float(clearance(a[near], b[near] + far * direction).min()) - limit_m
        if left <= _TOUCHING_M:
            return far
        far += max(left, _STEP_M)
    return np.inf

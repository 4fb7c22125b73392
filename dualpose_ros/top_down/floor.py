"""People's sizes from the floor that they share.

One camera can't tell a tall person far away from a short one nearby, so a lifting network places both at
the depth of a person of average size. But several people stand on one floor: with a plane under all of
them, the feet of someone placed too far lie below it, of someone placed too near above it. The plane and
the people's sizes are found together; one person alone says nothing, and then nothing changes.

For the floor {p: q . p = -1} and feet p_t of person i, who is exp(b_i) of the assumed size,
log(-q . p_t) + b_i = 0: solved for q (3) and b (N) by least squares with priors on both. The logarithm
matters: with plain q . p_t exp(b_i) + 1 smaller people would leave smaller residuals. Camera optical
frame, metres.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dualpose_ros.camera import Camera
from dualpose_ros.pose import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting import LiftedPose

FloatArray = npt.NDArray[np.float64]

_ANKLES = (H36M17.index("left_ankle"), H36M17.index("right_ankle"))
_MIN_SCORE = 0.3
_EDGE = 0.015
"""Ankles in this lowest share of the image may be the last that is seen of a leg."""

_CAMERA_HEIGHT_M = 1.2
_LARGEST_CHANGE = 0.2
_ITERATIONS = 6
_HORIZON = 0.05
"""Feet this near the floor's horizon, as a share of the camera's height, say nothing."""


@dataclass(frozen=True)
class FloorConfig:
    """size_stddev: of people's sizes; noise: of one sight of the feet, as a share of the depth; roll_rad,
    pitch_rad: how far cameras are from level; interval_s: between two sights that count; memory_s: how
    long they count, after which a camera that was tilted has its new floor."""

    size_stddev: float = 0.06
    noise: float = 0.06
    roll_rad: float = 0.06
    pitch_rad: float = 0.5
    interval_s: float = 0.2
    memory_s: float = 15.0


@dataclass(frozen=True)
class Scale:
    """factor by which a person's pose and place are to be multiplied, and the relative deviation that is left."""

    factor: float
    stddev: float


class FloorScale:
    """Collects where people's feet are seen, and says how much larger or smaller people are than assumed."""

    def __init__(self, config: FloorConfig | None = None) -> None:
        self.config = config if config is not None else FloorConfig()
        self._sights: dict[int, deque[tuple[int, FloatArray]]] = {}
        self._scales: dict[int, Scale] = {}

    def add(self, stamp_ns: int, feet: dict[int, FloatArray]) -> None:
        """Take in the lower foot (3,) of everybody whose feet are seen in a frame, by id."""
        limit_ns, interval_ns = int(self.config.memory_s * 1e9), int(self.config.interval_s * 1e9)
        for identity in list(self._sights):
            sights = self._sights[identity]
            while sights and not 0 <= stamp_ns - sights[0][0] <= limit_ns:
                sights.popleft()
            if not sights:
                del self._sights[identity]
        changed = False
        for identity, foot in feet.items():
            sights = self._sights.setdefault(identity, deque())
            if not sights or stamp_ns - sights[-1][0] >= interval_ns:
                sights.append((stamp_ns, np.asarray(foot, dtype=np.float64)))
                changed = True
        if changed:
            self._solve()

    def scale(self, identity: int) -> Scale:
        """What is known of a person's size; a factor of 1 and the prior deviation for somebody never seen."""
        return self._scales.get(identity, Scale(1.0, self.config.size_stddev))

    def _solve(self) -> None:
        ids = list(self._sights)
        feet = np.array([foot for i in ids for _, foot in self._sights[i]])
        person = np.repeat(np.arange(len(ids)), [len(self._sights[i]) for i in ids])
        sizes, stddev = fit_floor(feet, person, self.config)
        factors = np.exp(np.clip(sizes, -_LARGEST_CHANGE, _LARGEST_CHANGE))
        self._scales = {i: Scale(float(f), float(s)) for i, f, s in zip(ids, factors, stddev, strict=True)}


def lower_foot(pose: Pose2D, lifted: LiftedPose | None, camera: Camera) -> FloatArray | None:
    """The lower ankle (3,) in the camera frame, None where both are not clearly seen or it may be cut off."""
    if lifted is None or float(pose.scores[list(_ANKLES)].min()) < _MIN_SCORE:
        return None
    joints = lifted.joints_cam
    ankle = max(_ANKLES, key=lambda joint: float(joints[joint, 1]))
    inside = float(pose.joints_px[ankle, 1]) < (1 - _EDGE) * camera.height
    return joints[ankle] if inside and joints[ankle, 2] > 0 else None


def scaled(lifted: LiftedPose, scale: Scale, config: FloorConfig) -> LiftedPose:
    """The pose of a person of another size, seen alike; what is learned of the size narrows the root's deviation."""
    relative = lifted.root_depth_stddev / lifted.root_depth
    variance = max(relative**2 + scale.stddev**2 - config.size_stddev**2, relative**2 / 4)
    depth = lifted.root_depth * scale.factor
    return replace(
        lifted,
        joints_rel=lifted.joints_rel * scale.factor,
        joint_stddev=lifted.joint_stddev * scale.factor,
        root_depth=depth,
        root_depth_stddev=float(depth * np.sqrt(variance)),
    )


def fit_floor(feet: FloatArray, person: npt.NDArray[np.intp], config: FloorConfig) -> tuple[FloatArray, FloatArray]:
    """Log sizes b (N,) of the people and their standard deviations, from feet (M, 3) and whose each is (M,).

    Gauss-Newton with Cauchy weights from the plane that fits everybody at the assumed size.
    """
    count = int(person.max(initial=-1)) + 1
    tilt = np.array([config.roll_rad, np.inf, config.pitch_rad]) / _CAMERA_HEIGHT_M
    # The floor's height is free; a trace of a prior keeps one sight from being singular.
    prior = np.concatenate([tilt**-2.0 + 1e-6, np.full(count, config.size_stddev**-2)])
    plane = np.linalg.solve(feet.T @ feet / config.noise**2 + np.diag(prior[:3]), -feet.sum(axis=0) / config.noise**2)
    state = np.concatenate([plane, np.zeros(count)])
    covariance = np.diag(1 / prior)
    for _ in range(_ITERATIONS):
        below = -feet @ state[:3]
        usable = below > _HORIZON
        below = np.where(usable, below, 1.0)
        residual = np.where(usable, np.log(below) + state[3 + person], 0.0)
        rows = np.zeros((len(feet), 3 + count))
        rows[:, :3] = -feet / below[:, None]
        rows[np.arange(len(feet)), 3 + person] = 1
        weight = usable / (1 + (residual / (2 * config.noise)) ** 2) / config.noise**2
        covariance = np.linalg.inv((rows * weight[:, None]).T @ rows + np.diag(prior))
        state = state - covariance @ (rows.T @ (weight * residual) + prior * state)
    return state[3:], np.sqrt(np.diag(covariance)[3:])

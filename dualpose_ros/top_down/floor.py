"""People's sizes from the floor that they share.

One camera can't tell a tall person far away from a short one nearby, so a lifting network places both at
the depth of a person of average size. But several people stand on one floor: with a plane under all of
them, the feet of someone placed too far lie below it, of someone placed too near above it. The plane and
the people's sizes are found together; one person alone says nothing, and then nothing changes.

For the floor {p: q . p = -1} and feet p_t of person i, who is exp(b_i) of the assumed size and for a spell e
put exp(-d_e) too near, log(-q . p_t) + b_i + d_e = 0: solved for q (3), b (N) and d (E) by least squares with
priors on all. The logarithm matters: without it smaller people would leave smaller residuals. Camera
optical frame, metres.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.arrays import Floats, Indices
from dualpose_ros.camera import Camera
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting import LiftedPose

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
    """size_stddev: of people's sizes; spell_stddev: of the errors in depth that last for about spell_s, as a
    pose does that the network misjudges; noise: of one sight of the feet, as a share of the depth; roll_rad,
    pitch_rad: how far cameras are from level; interval_s: between two sights that count; memory_s: how
    long they count, after which a camera that was tilted has its new floor."""

    size_stddev: float = 0.06
    spell_stddev: float = 0.06
    spell_s: float = 1.5
    noise: float = 0.06
    roll_rad: float = 0.06
    pitch_rad: float = 0.5
    interval_s: float = 0.2
    memory_s: float = 15.0


@dataclass(frozen=True)
class Scale:
    """By what a person's pose, and by what the depth, is to be multiplied, and the depth's relative deviation."""

    size: float
    depth: float
    stddev: float


def _factor(log_size: float) -> float:
    return float(np.exp(np.clip(log_size, -_LARGEST_CHANGE, _LARGEST_CHANGE)))


class FloorScale:
    """Collects where people's feet are seen, and says how much larger or smaller people are than assumed."""

    def __init__(self, config: FloorConfig | None = None) -> None:
        self.config = config if config is not None else FloorConfig()
        self._sights: dict[int, deque[tuple[int, Floats]]] = {}
        self._scales: dict[int, Scale] = {}

    def add(self, stamp_ns: int, feet: dict[int, Floats]) -> None:
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
        """What is known of a person's size; factors of 1 and the prior deviation for somebody never seen."""
        unknown = Scale(1.0, 1.0, float(np.hypot(self.config.size_stddev, self.config.spell_stddev)))
        return self._scales.get(identity, unknown)

    def _solve(self) -> None:
        ids = list(self._sights)
        feet = np.array([foot for i in ids for _, foot in self._sights[i]])
        person = np.repeat(np.arange(len(ids)), [len(self._sights[i]) for i in ids])
        stamps = np.array([stamp for i in ids for stamp, _ in self._sights[i]], dtype=np.int64)
        newest = np.array([self._sights[i][-1][0] for i in ids], dtype=np.int64)
        # Spells are counted back from each person's last sight, so that the last one is whole.
        back = (newest[person] - stamps) // int(self.config.spell_s * 1e9)
        pairs, spell = np.unique(np.stack([person, back]), axis=1, return_inverse=True)
        sizes, depths, stddev = fit_floor(feet, person, np.asarray(spell).reshape(-1), self.config)
        last = [int(np.flatnonzero((pairs[0] == n) & (pairs[1] == 0))[0]) for n in range(len(ids))]
        self._scales = {
            i: Scale(_factor(sizes[n]), _factor(sizes[n] + depths[e]), float(stddev[e]))
            for n, (i, e) in enumerate(zip(ids, last, strict=True))
        }


def lower_foot(pose: Pose2D, lifted: LiftedPose | None, camera: Camera) -> Floats | None:
    """The lower ankle (3,) in the camera frame, None where both are not clearly seen or it may be cut off."""
    if lifted is None or float(pose.scores[list(_ANKLES)].min()) < _MIN_SCORE:
        return None
    joints = lifted.joints_cam
    ankle = max(_ANKLES, key=lambda joint: float(joints[joint, 1]))
    inside = float(pose.joints_px[ankle, 1]) < (1 - _EDGE) * camera.height
    return joints[ankle] if inside and joints[ankle, 2] > 0 else None


def scaled(lifted: LiftedPose, scale: Scale, config: FloorConfig) -> LiftedPose:
    """The pose at its scale; what is learned of size and depth narrows the root's deviation.

    Where both factors are the same, the person still projects onto the same pixels.
    """
    relative = lifted.root_depth_stddev / lifted.root_depth
    before = config.size_stddev**2 + config.spell_stddev**2
    variance = max(relative**2 + scale.stddev**2 - before, relative**2 / 4)
    depth = lifted.root_depth * scale.depth
    return replace(
        lifted,
        joints_rel=lifted.joints_rel * scale.size,
        joint_stddev=lifted.joint_stddev * scale.size,
        root_depth=depth,
        root_depth_stddev=float(depth * np.sqrt(variance)),
    )


def fit_floor(feet: Floats, person: Indices, spell: Indices, config: FloorConfig) -> tuple[Floats, Floats, Floats]:
    """Log sizes b (N,), log depth errors d (E,) of spells, and standard deviations (E,) of b + d of each spell.

    feet (M, 3), whose each is (M,), and in which spell it was seen (M,); a spell is of one person. Gauss-Newton with
    Cauchy weights from the plane that fits everybody at the assumed size.
    """
    people, spells = int(person.max(initial=-1)) + 1, int(spell.max(initial=-1)) + 1
    tilt = np.array([config.roll_rad, np.inf, config.pitch_rad]) / _CAMERA_HEIGHT_M
    stddev = np.concatenate([np.full(people, config.size_stddev), np.full(spells, config.spell_stddev)])
    # The floor's height is free; a trace of a prior keeps one sight from being singular.
    prior = np.concatenate([tilt**-2.0 + 1e-6, stddev**-2.0])
    plane = np.linalg.solve(feet.T @ feet / config.noise**2 + np.diag(prior[:3]), -feet.sum(axis=0) / config.noise**2)
    state = np.concatenate([plane, np.zeros(people + spells)])
    covariance = np.diag(1 / prior)
    at = np.arange(len(feet))
    for _ in range(_ITERATIONS):
        below = -feet @ state[:3]
        usable = below > _HORIZON
        below = np.where(usable, below, 1.0)
        error = np.where(usable, np.log(below) + state[3 + person] + state[3 + people + spell], 0.0)
        rows = np.zeros((len(feet), len(state)))
        rows[:, :3] = -feet / below[:, None]
        rows[at, 3 + person] = rows[at, 3 + people + spell] = 1
        weight = usable / (1 + (error / (2 * config.noise)) ** 2) / config.noise**2
        covariance = np.linalg.inv((rows * weight[:, None]).T @ rows + np.diag(prior))
        state = state - covariance @ (rows.T @ (weight * error) + prior * state)
    owner = np.zeros(spells, dtype=np.intp)
    owner[spell] = person
    size, depth = 3 + owner, 3 + people + np.arange(spells)
    both = covariance[size, size] + covariance[depth, depth] + 2 * covariance[size, depth]
    return state[3 : 3 + people], state[3 + people :], np.sqrt(both)

"""How far the integrated poses are too large and too far away, from where feet meet a known ground.

One Kalman filter over all people and the ground. Its state: by what the ground is off (logarithm of the camera's
height, pitch, roll), and for each person the logarithm of how much too large and far he or she is said to be: a part
that lasts (the size, which nobody sees) and one that passes (a misjudged pose). A foot p that stands on the ground
{n . x = h}, seen from the camera as it is said, tells their sum: log(n . p / h). What the ground is off by is common
to all: it is learnt with them, and what is not known of it stays in everybody's deviation.
Metres, seconds, radians, camera optical frame; K joints of `skeleton.H36M17`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, Ground, GroundAccuracy, pixels_to_rays
from dualpose_ros.refinement.terms import NEAREST_M, bone_vectors
from dualpose_ros.refinement.window import Frame
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

_ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]
_UPRIGHT = (
    [H36M17.index(name) for name in ("right_knee", "left_knee", "right_ankle", "left_ankle")],
    [H36M17.index(name) for name in ("spine", "thorax", "neck", "head_top")],
)
HEIGHT_OVER_BONES = 1.040
"""Height of a standing person over the bones from ankle to crown: of shaped bodies, of 0.3 % deviation."""

ANKLE_OVER_HEIGHT = 0.043
"""Height of an ankle over the sole's, as a share of the person's."""

HEIGHT_STDDEV = 0.015
"""Share by which a height is off though the ground and the distance are right: how far a head leans, posture."""

FRAME_STDDEV = 0.015
"""Share of the root's distance by which a frame errs by itself, less what its neighbours share."""

_HEAD = H36M17.index("head_top")
_HEAD_BIAS = 0.012
"""Logarithm of by how much heights come out too large, as heads are said to be nearer than they are: measured."""

_UPRIGHT_SHARE, _LEAST_HEIGHT_M = 0.85, 0.5
_HEIGHT_MEMORY_S, _LONGEST_SIGHT_S = 10.0, 0.2

_GROUND = 3
_HORIZON_M = 0.05
"""Feet that are said to be less below the camera say nothing."""
_EDGE = 0.03
"""Ankles in this lowest share of the image may be the last that is seen of a leg."""

_MOST_TOO_NEAR, _MOST_TOO_FAR = 0.3, 0.8
"""Logarithms of distances that nobody is off by, as even small children are no smaller, nor anybody as much larger than
they seem: where feet are hidden, they are found where they are not."""

_ONE_FOOT, _SURE_SCORE = 0.5, 0.6
"""Weight of a foot alone, which may be in the air; score from which on a foot counts in full."""


@dataclass(frozen=True)
class StandingConfig(Settings):
    """What is assumed of people's sizes, and of feet."""

    size_stddev: float = setting(
        0.15, "deviation of how much too large people are said to be, as a share", above=0, most=1
    )
    pose_stddev: float = setting(0.06, "deviation of how much too far a misjudged pose puts them", above=0, most=1)
    pose_time_constant_s: float = setting(0.6, "time constant of misjudged poses", unit="s", above=0, most=60)
    foot_stddev_m: float = setting(
        0.045, "deviation of how high a standing foot seems above the ground", unit="m", above=0, most=1
    )
    foot_time_constant_s: float = setting(0.2, "time constant of that", unit="s", above=0, most=60)
    lasting_foot_stddev_m: float = setting(
        0.02, "deviation of what lasts of that for as long as somebody is there", unit="m", above=0, most=1
    )
    foot_lift_m: float = setting(0.03, "how high the lower ankle is, on the mean, above one of a flat foot", unit="m",
                                 least=0, most=0.5)  # fmt: skip
    contact_m: float = setting(0.12, "a foot so much higher than the other counts half", unit="m", above=0, most=1)
    min_foot_score: float = setting(0.7, "2D ankles with lower scores say nothing", least=0, below=1)
    ground_time_constant_s: float = setting(
        120.0, "time constant with which what the ground is off by changes", unit="s", above=0, most=1e5
    )


@dataclass(frozen=True)
class Correction:
    """What the ground says of a person.

    Logarithms of by how much the person is said to be too large (`size`), and besides too far (`depth`), and the
    deviation of their sum; how tall he or she stands in metres, with its deviation, 0 until seen upright.
    """

    size: float
    depth: float
    stddev: float
    height_m: float
    height_stddev_m: float


@dataclass
class _Height:
    """How tall somebody stands: mean of weighed logarithms, the sum of weights, and the seconds that they are of."""

    mean: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0

    def add(self, log_height: float, stddev: float, seconds: float) -> None:
        """Take in a sight that counts for so many seconds."""
        weight = seconds / stddev**2
        left = np.exp(-seconds / _HEIGHT_MEMORY_S)
        self.weight, self.seconds = left * self.weight + weight, left * self.seconds + seconds
        self.mean += weight / self.weight * (log_height - self.mean)

    @property
    def said(self) -> tuple[float, float]:
        """Height and deviation in metres: errors last, so that many sights are no surer than one."""
        if not self.weight:
            return 0.0, 0.0
        height = float(np.exp(self.mean))
        return height, height * float(np.sqrt(self.seconds / self.weight))


def corrected(frame: Frame, correction: Correction) -> Frame:
    """The frame whose root is no farther than the ground has it, and how surely that is known."""
    distance = max(float(np.linalg.norm(frame.prior[H36M17.root])), NEAREST_M)
    stddev = distance * float(np.hypot(FRAME_STDDEV, correction.stddev))
    return replace(frame, too_far=correction.depth, depth_stddev=min(stddev, frame.depth_stddev))


def bones_height(lengths: Floats) -> float:
    """Height in metres of a standing person of bone lengths (K,), both legs' mean."""
    legs, trunk = _UPRIGHT
    return float(HEIGHT_OVER_BONES * (lengths[legs].sum() / 2 + lengths[trunk].sum()))


class Standing:
    """Takes in a frame's people, and says by how much they are to be corrected."""

    def __init__(self, config: StandingConfig | None = None) -> None:
        self.config = config if config is not None else StandingConfig()
        self._ids: list[int] = []
        self._mean = np.zeros(_GROUND)
        self._covariance = np.zeros((_GROUND, _GROUND))
        self._accuracy: GroundAccuracy | None = None
        self._start = np.zeros(_GROUND)
        self._ground: Ground | None = None
        self._time = 0.0
        self._camera_height_m = np.inf
        self._seen: dict[int, float] = {}
        self._heights: dict[int, _Height] = {}

    def keep(self, identities: Collection[int]) -> None:
        """Leave out everybody but these."""
        index = [n for n, identity in enumerate(self._ids) if identity in identities]
        if len(index) < len(self._ids):
            rows = np.array([*range(_GROUND), *(_GROUND + 2 * n + part for n in index for part in range(2))])
            self._ids = [self._ids[n] for n in index]
            self._seen = {identity: self._seen[identity] for identity in self._ids}
            self._heights = {identity: self._heights[identity] for identity in self._ids}
            self._mean, self._covariance = self._mean[rows], self._covariance[np.ix_(rows, rows)]

    def correction(self, identity: int) -> Correction | None:
        """Of a person; None of somebody never seen on a ground."""
        if identity not in self._ids:
            return None
        at = _GROUND + 2 * self._ids.index(identity)
        stddev = float(np.sqrt(self._covariance[at : at + 2, at : at + 2].sum()))
        lasting = self.config.lasting_foot_stddev_m / self._camera_height_m
        height = self._heights[identity].said
        return Correction(float(self._mean[at]), float(self._mean[at + 1]), float(np.hypot(stddev, lasting)), *height)

    def begin(self, time: float, ground: Ground | None) -> None:
        """Begin a frame: time passes, and the ground is there; where it is None, what was learnt still holds."""
        self._ground = ground
        if ground is not None:
            self._camera_height_m = ground.height_m
        if ground is not None and ground.accuracy != self._accuracy:
            self._learn_anew(ground.accuracy)
        c, elapsed = self.config, max(time - self._time, 0.0)
        keep, added = np.ones(len(self._mean)), np.zeros(len(self._mean))
        left = np.exp(-elapsed / c.ground_time_constant_s)
        keep[:_GROUND], added[:_GROUND] = left, (1 - left**2) * self._start
        left = np.exp(-elapsed / c.pose_time_constant_s)
        keep[_GROUND + 1 :: 2], added[_GROUND + 1 :: 2] = left, (1 - left**2) * c.pose_stddev**2
        self._mean = self._mean * keep
        self._covariance = self._covariance * keep[:, None] * keep + np.diag(added)
        self._time = time

    def _learn_anew(self, accuracy: GroundAccuracy) -> None:
        """A ground that is known so well: nothing is known yet of what it is off by."""
        self._accuracy = accuracy
        self._start = np.array([accuracy.height_stddev, accuracy.pitch_stddev_rad, accuracy.roll_stddev_rad]) ** 2
        self._mean[:_GROUND] = 0
        self._covariance[:_GROUND] = self._covariance[:, :_GROUND] = 0
        self._covariance[np.arange(_GROUND), np.arange(_GROUND)] = self._start

    def see(self, identity: int, frame: Frame, camera: Camera) -> None:
        """Take in somebody's pose of a frame that has begun; without a ground, or feet, it says nothing."""
        if self._ground is None:
            return
        if identity not in self._ids:
            self._add(identity)
        sight = foot_sight(self._ground, frame, _lowest_ray(camera), self.config)
        if sight is not None:
            elapsed = self._time - self._seen[identity]
            self._update(identity, self._ground, *sight, frame.pixel)
            self._measure(identity, self._ground, frame, min(elapsed, _LONGEST_SIGHT_S))

    def _measure(self, identity: int, ground: Ground, frame: Frame, seconds: float) -> None:
        """Take in how high over the ground the head of somebody upright is."""
        at = _GROUND + 2 * self._ids.index(identity)
        upright = upright_share(frame.prior, ground.down)
        head = np.append(frame.rays[_HEAD], 1.0) * frame.prior[_HEAD, 2] * np.exp(-self._mean[at : at + 2].sum())
        # As in `_update`, with what was learnt of the ground.
        camera, below = ground.height_m * np.exp(self._mean[0]), float(ground.down @ head)
        tilted = np.array([float(axis @ head) for axis in ground.level_axes])
        height = float(camera - below - tilted @ self._mean[1:_GROUND])
        if frame.scores[_HEAD] < _SURE_SCORE or upright < _UPRIGHT_SHARE or height < _LEAST_HEIGHT_M:
            return
        row = np.zeros(len(self._mean))
        row[:_GROUND], row[at : at + 2] = (camera, *-tilted), below
        lasting = below * self.config.lasting_foot_stddev_m / ground.height_m
        off = np.sqrt(float(row @ self._covariance @ row) + lasting**2) / height
        self._heights[identity].add(np.log(height / upright) - _HEAD_BIAS, float(np.hypot(HEIGHT_STDDEV, off)), seconds)

    def _add(self, identity: int) -> None:
        count = len(self._mean)
        covariance = np.zeros((count + 2, count + 2))
        covariance[:count, :count] = self._covariance
        covariance[count, count], covariance[-1, -1] = self.config.size_stddev**2, self.config.pose_stddev**2
        self._ids.append(identity)
        self._seen[identity] = -np.inf
        self._heights[identity] = _Height()
        self._mean, self._covariance = np.append(self._mean, [0.0, 0.0]), covariance

    def _update(self, identity: int, ground: Ground, point: Floats, weight: float, pixel: float) -> None:
        c, at = self.config, _GROUND + 2 * self._ids.index(identity)
        below = float(ground.down @ point)
        ahead, right = ground.level_axes
        row = np.zeros(len(self._mean))
        # down as it is = down + pitch * ahead + roll * right; n . p = h exp(height) exp(size + depth)
        row[:_GROUND] = 1.0, -float(ahead @ point) / below, -float(right @ point) / below
        row[at], row[at + 1] = 1.0, 1.0
        too_far = np.log(below / ground.height_m)
        if not -_MOST_TOO_NEAR < too_far < _MOST_TOO_FAR:
            return
        off = too_far - float(row @ self._mean)
        elapsed = self._time - self._seen[identity]
        self._seen[identity] = self._time
        own = np.hypot(c.foot_stddev_m / ground.height_m, pixel * point[2] / below)
        noise = own**2 / weight * max(c.foot_time_constant_s / max(elapsed, 1e-3), 1.0)
        toward = self._covariance @ row
        spread = float(row @ toward)
        square = off**2 / (spread + own**2 / weight)
        # A foot in the air seems too far away; below the ground is none.
        most = 2.0 if off < 0 else 4.0
        noise *= max(square / most, 1.0) ** 2
        gain = toward / (spread + noise)
        self._mean = self._mean + gain * off
        self._covariance = self._covariance - np.outer(gain, toward)


def foot_sight(ground: Ground, frame: Frame, lowest_ray: float, config: StandingConfig) -> tuple[Floats, float] | None:
    """Where the sole of somebody's lower foot is said to be (3,), on its ray, with a weight in 0..1; None if unseen."""
    joints, scores, rays = frame.prior[_ANKLES], frame.scores[_ANKLES], frame.rays[_ANKLES]
    seen = (scores >= config.min_foot_score) & (joints[:, 2] > NEAREST_M) & (rays[:, 1] < lowest_ray)
    sole = ANKLE_OVER_HEIGHT * bones_height(bone_vectors(frame.prior[None])[1][0]) + config.foot_lift_m
    feet = np.column_stack([rays, np.ones(2)]) * joints[:, 2:] + sole * ground.down
    below = feet @ ground.down
    seen &= below > _HORIZON_M
    if not seen.any():
        return None
    weight = seen * scores / (1 + ((below[seen].max() - below) / config.contact_m) ** 2)
    both = 1.0 if seen.all() else _ONE_FOOT
    return weight @ feet / weight.sum(), both * min(float(weight.max()) / _SURE_SCORE, 1.0)


def upright_share(joints: Floats, down: Floats) -> float:
    """How much of a person's height a pose (K, 3) shows: from the lower sole to the crown, over all bones between."""
    height = bones_height(bone_vectors(joints[None])[1][0])
    sole = float((joints[_ANKLES] @ down).max()) + ANKLE_OVER_HEIGHT * height
    return (sole - float(joints[_HEAD] @ down)) / height


def _lowest_ray(camera: Camera) -> float:
    """y of the rays where feet may be the last that is seen of a leg."""
    return float(pixels_to_rays(camera, np.array([camera.cx, (1 - _EDGE) * camera.height]))[1])

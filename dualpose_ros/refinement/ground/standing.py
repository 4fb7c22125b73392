"""How far the integrated poses are too large and too far away, from where feet meet a known ground.

A Kalman filter over all people and the ground. Its state: by what the ground is off (logarithm of the camera's
height, pitch, roll), and for each person the logarithms of how much too large and far he or she is said to be: a part
that lasts (the size, which nobody sees) and one that passes (a misjudged pose), and of how far away the person is,
with its change a second. Each pose tells the sum of all but the last. A foot p that stands on the ground {n . x = h},
seen from the camera as it is said, tells the sum of the first two: log(n . p / h). What the ground is off by is
common to all: it is learnt with them, and what is not known of it stays in everybody's deviation. A second filter
takes the ground for much less sure than it says; both count by how well they foretell the feet.
Metres, seconds, radians, camera optical frame; K joints of `skeleton.H36M17`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import erf

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, Ground, GroundAccuracy
from dualpose_ros.refinement.ground.stance import (
    DOUBTS,
    Sight,
    Stance,
    StandingConfig,
    foot_sight,
    head_sight,
    stance_of,
    upright,
)
from dualpose_ros.refinement.window import Frame, log_distances
from dualpose_ros.skeleton import H36M17

HEIGHT_STDDEV = 0.02
"""Share by which a height is off though the ground and the distance are right: how far a head leans, posture."""

LASTING_LEAN_M = 0.02
"""Deviation of how far standing feet are before or behind the hips for as long as somebody is there."""

FRAME_STDDEV = 0.015
"""Share of the root's distance by which a frame errs by itself."""

_HEAD_BIAS, _HEAD_SHARE, _USUAL_M = -0.0085, 0.96, 1.55
"""Of people who are taller or smaller than usual, heads are said as much nearer to where usual ones are: the share of
the difference (of logarithms) that is left, measured on shaped bodies, and by how much all come out too large."""

_LEAST_HEIGHT_M, _TALLEST_M = 0.5, 2.1
_GUESS_TIME_CONSTANT_S = 2.0
"""Time constant of how wrong a pose has legs of which nothing is seen."""

_HEIGHT_MEMORY_S, _LONGEST_SIGHT_S = 10.0, 0.2

_GROUND, _OWN, _PLACE = 3, 4, 2
"""The state: of the ground height, pitch, roll; of each person size, depth, distance (the third) and its change a
second."""

_ANYWHERE, _DISTANCES = 3.0, (-1.0, 4.0)
"""Deviation of a distance's logarithm before one is said; logarithms between which shares of distances are speeds."""

_MOST_TOO_NEAR, _MOST_TOO_FAR = 0.3, 0.8
"""Logarithms of distances that nobody is off by, as even small children are no smaller, nor anybody as much larger than
they seem: where feet are hidden, they are found where they are not."""

_SPEED_M_S, _SPEED_TIME_CONSTANT_S = 1.0, 1.0
"""Deviation of how fast people come nearer, and how long they go on so."""

_WITHIN_ONE, _HALVINGS = 0.6827, 12
"""Share of errors within one deviation of a Gaussian; halvings by which that of a sum of them is found."""

_LEAST_STATED, _MOST_STATED = 0.71, 0.86
"""Feet are weighed as less sure than they are, as their errors last for times that differ: distances that they tell are
stated by the first of these shares of what the filter has, those that nothing but the size tells by the second
(measured)."""

_MIDDLE = 8
"""Power of their chances with which filters count for where people are: nearer to the middle of what is likely than the
mean, which small chances of much would move."""


@dataclass(frozen=True)
class Correction:
    """What the ground says of a person.

    Logarithms of by how much the person is said to be too large (`size`) and of how far away he or she is (`distance`),
    with its deviation; how tall he or she stands in metres, with its deviation, 0 until seen upright.
    """

    size: float
    distance: float
    stddev: float
    height_m: float
    height_stddev_m: float


@dataclass(frozen=True)
class GroundFound:
    """What people's feet say of the ground: by what it is off from where it was said to be, with deviations.

    off, stddev (3,): logarithm of the camera's height, pitch (it looks down by so much more), roll (its right side so
    much lower) in radians; giants: heights in metres of people who come out taller than anybody is.
    """

    off: Floats
    stddev: Floats
    accuracy: GroundAccuracy
    giants: tuple[float, ...]


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


class Standing:
    """Takes in a frame's people, and says by how much they are to be corrected.

    M filters, each of which takes the ground for less sure than the one before; they count by how well they foretell
    where feet are seen.
    """

    def __init__(self, config: StandingConfig | None = None) -> None:
        self.config = config if config is not None else StandingConfig()
        self._ids: list[int] = []
        self._mean = np.zeros((len(DOUBTS), _GROUND))
        self._covariance = np.zeros((len(DOUBTS), _GROUND, _GROUND))
        self._start = np.zeros((len(DOUBTS), _GROUND))
        self._beliefs = self._first_beliefs
        self._accuracy: GroundAccuracy | None = None
        self._ground: Ground | None = None
        self._time = 0.0
        self._camera_height_m = np.inf
        self._seen: dict[int, float] = {}
        self._heights: dict[int, _Height] = {}

    @property
    def _first_beliefs(self) -> Floats:
        return np.log([1 - self.config.doubt, self.config.doubt])

    def keep(self, identities: Collection[int]) -> None:
        """Leave out everybody but these."""
        index = [n for n, identity in enumerate(self._ids) if identity in identities]
        if len(index) < len(self._ids):
            rows = np.array([*range(_GROUND), *(_GROUND + _OWN * n + part for n in index for part in range(_OWN))])
            self._ids = [self._ids[n] for n in index]
            self._seen = {identity: self._seen[identity] for identity in self._ids}
            self._heights = {identity: self._heights[identity] for identity in self._ids}
            self._mean, self._covariance = self._mean[:, rows], self._covariance[:, rows[:, None], rows]

    @property
    def _weights(self) -> Floats:
        """How likely each filter (M,) is."""
        weights = np.exp(self._beliefs - self._beliefs.max())
        return np.asarray(weights / weights.sum())

    def correction(self, identity: int) -> Correction | None:
        """Of a person; None of somebody never seen on a ground."""
        if identity not in self._ids:
            return None
        at, weights = _GROUND + _OWN * self._ids.index(identity), self._weights
        place, sharp = at + _PLACE, weights**_MIDDLE / (weights**_MIDDLE).sum()
        distances = self._mean[:, place]
        size, distance = float(sharp @ self._mean[:, at]), float(sharp @ distances)
        spreads = np.sqrt(self._covariance[:, place, place])
        stddev = two_thirds(weights, distances - distance, spreads)
        lasting = np.hypot(
            self.config.lasting_foot_stddev_m / self._camera_height_m, LASTING_LEAN_M * np.exp(-distance)
        )
        stddev = float(np.hypot(stddev, lasting))
        unsure = min(stddev / self.config.size_stddev, 1.0) ** 2
        stddev *= _LEAST_STATED + (_MOST_STATED - _LEAST_STATED) * unsure
        return Correction(size, distance, stddev, *self._heights[identity].said)

    @property
    def found(self) -> GroundFound | None:
        """What is known of the ground now; None before one was said."""
        if self._accuracy is None:
            return None
        weights, off = self._weights, self._mean[:, :_GROUND]
        spread = np.diagonal(self._covariance, axis1=1, axis2=2)[:, :_GROUND]
        mean = weights @ off
        heights = [height.said for height in self._heights.values()]
        giants = tuple(height for height, stddev in heights if height - stddev > _TALLEST_M)
        return GroundFound(mean, np.sqrt(weights @ (spread + off**2) - mean**2), self._accuracy, giants)

    def begin(self, time: float, ground: Ground | None) -> None:
        """Begin a frame: time passes, and the ground is there; where it is None, what was learnt still holds."""
        self._ground = ground
        if ground is not None:
            self._camera_height_m = ground.height_m
        if ground is not None and ground.accuracy != self._accuracy:
            self._learn_anew(ground.accuracy)
        self._predict(max(time - self._time, 0.0))
        self._time = time

    def _learn_anew(self, accuracy: GroundAccuracy) -> None:
        """A ground that is known so well: nothing is known yet of what it is off by."""
        self._accuracy, self._beliefs = accuracy, self._first_beliefs
        stddevs = np.array([accuracy.height_stddev, accuracy.pitch_stddev_rad, accuracy.roll_stddev_rad])
        self._start = np.outer(DOUBTS, stddevs) ** 2
        self._mean[:, :_GROUND] = 0
        self._covariance[:, :_GROUND] = self._covariance[:, :, :_GROUND] = 0
        self._covariance[:, range(_GROUND), range(_GROUND)] = self._start

    def _predict(self, elapsed: float) -> None:
        """Let so many seconds pass."""
        c, count = self.config, self._mean.shape[1]
        step, added = np.eye(count), np.zeros_like(self._mean)
        step[range(_GROUND), range(_GROUND)] = left = np.exp(-elapsed / c.ground_time_constant_s)
        added[:, :_GROUND] = (1 - left**2) * self._start
        self._beliefs = left * self._beliefs + (1 - left) * self._first_beliefs
        sizes = np.arange(_GROUND, count, _OWN)
        depths, distances, speeds = sizes + 1, sizes + 2, sizes + 3
        step[depths, depths] = left = np.exp(-elapsed / c.pose_time_constant_s)
        added[:, depths] = (1 - left**2) * c.pose_stddev**2
        step[speeds, speeds] = left = np.exp(-elapsed / _SPEED_TIME_CONSTANT_S)
        step[distances, speeds] = elapsed
        metres = np.exp(np.clip(self._mean[:, distances], *_DISTANCES))
        added[:, speeds] = (1 - left**2) * (_SPEED_M_S / metres) ** 2
        added[:, distances] = added[:, speeds] * elapsed**2 / 3
        self._mean = self._mean @ step.T
        self._covariance = step @ self._covariance @ step.T
        self._covariance[:, range(count), range(count)] += added

    def see(self, identity: int, frame: Frame, camera: Camera) -> Frame:
        """Take in somebody's pose of a frame that has begun; without a ground, or feet, it says nothing of sizes.

        The frame is given back, upright where the ground is known and the person stands.
        """
        ground = self._ground
        if ground is None:
            if identity in self._ids:
                self._follow(identity, frame)
            return frame
        stance = upright(stance_of(frame, ground.down), ground.down)
        frame = stance.frame
        if identity not in self._ids:
            self._add(identity, _log_distance(frame))
        self._follow(identity, frame)
        sight = foot_sight(ground, stance, camera, self.config)
        if sight is not None:
            elapsed = self._time - self._seen[identity]
            self._stand(identity, ground, sight, frame.pixel)
            self._measure(identity, ground, stance, min(elapsed, _LONGEST_SIGHT_S))
        return frame

    def _measure(self, identity: int, ground: Ground, stance: Stance, seconds: float) -> None:
        """Take in how high over the ground the head of somebody upright is, as the likeliest filter has it."""
        head = head_sight(stance)
        if head is None:
            return
        likeliest = int(self._weights.argmax())
        mean, covariance = self._mean[likeliest], self._covariance[likeliest]
        at = _GROUND + _OWN * self._ids.index(identity)
        head = head * np.exp(-mean[at : at + 2].sum())
        # As in `_stand`, with what was learnt of the ground.
        camera, below = ground.height_m * np.exp(mean[0]), float(ground.down @ head)
        tilted = np.array([float(axis @ head) for axis in ground.level_axes])
        height = float(camera - below - tilted @ mean[1:_GROUND])
        if height < _LEAST_HEIGHT_M:
            return
        row = np.zeros(len(mean))
        row[:_GROUND], row[at : at + 2] = (camera, *-tilted), below
        lasting = below * self.config.lasting_foot_stddev_m / ground.height_m
        off = np.sqrt(float(row @ covariance @ row) + lasting**2) / height
        unusual = (np.log(height / stance.shown / _USUAL_M) - _HEAD_BIAS) / _HEAD_SHARE
        self._heights[identity].add(np.log(_USUAL_M) + unusual, float(np.hypot(HEIGHT_STDDEV, off)), seconds)

    def _add(self, identity: int, log_distance: float) -> None:
        filters, count = self._mean.shape
        c, own = self.config, range(count, count + _OWN)
        covariance = np.zeros((filters, count + _OWN, count + _OWN))
        covariance[:, :count, :count] = self._covariance
        speed = _SPEED_M_S / np.exp(np.clip(log_distance, *_DISTANCES))
        covariance[:, own, own] = np.array([c.size_stddev, c.pose_stddev, _ANYWHERE, speed]) ** 2
        self._ids.append(identity)
        self._seen[identity] = -np.inf
        self._heights[identity] = _Height()
        self._mean, self._covariance = np.pad(self._mean, ((0, 0), (0, _OWN))), covariance
        self._mean[:, count + _PLACE] = log_distance

    def _follow(self, identity: int, frame: Frame) -> None:
        """Take in how far away a pose is said to be: as far as the person is, and what it is wrong by besides."""
        at = _GROUND + _OWN * self._ids.index(identity)
        row = np.zeros(self._mean.shape[1])
        row[at : at + _PLACE + 1] = 1.0
        off = _log_distance(frame) - self._mean @ row
        self._take_in(row, off, FRAME_STDDEV**2, np.full(len(off), 4.0))

    def _stand(self, identity: int, ground: Ground, sight: Sight, pixel: float) -> None:
        """Take in where a foot stands."""
        point = sight.sole
        c, at = self.config, _GROUND + _OWN * self._ids.index(identity)
        below = float(ground.down @ point)
        too_far = np.log(below / ground.height_m)
        if not -_MOST_TOO_NEAR < too_far < _MOST_TOO_FAR:
            return
        ahead, right = ground.level_axes
        row = np.zeros(self._mean.shape[1])
        # down as it is = down + pitch * ahead + roll * right; n . p = h exp(height) exp(size + depth)
        row[:_GROUND] = 1.0, -float(ahead @ point) / below, -float(right @ point) / below
        row[at : at + 2] = 1.0
        off = too_far - self._mean @ row
        elapsed = self._time - self._seen[identity]
        self._seen[identity] = self._time
        parts = np.array([c.foot_stddev_m / ground.height_m, pixel * point[2] / below, sight.lean_stddev_m / point[2]])
        own = float(parts @ parts) / sight.weight
        # A foot in the air seems too far away; below the ground is none.
        most = np.where(off < 0, 2.0, 4.0)
        lasts = c.foot_time_constant_s if sight.seen else _GUESS_TIME_CONSTANT_S
        variance = self._take_in(row, off, own, most, max(lasts / max(elapsed, 1e-3), 1.0))
        if sight.seen:
            self._beliefs = self._beliefs - 0.5 * (off**2 / variance + np.log(variance))

    def _take_in(self, row: Floats, off: Floats, own: float, most: Floats, steady: float = 1.0) -> Floats:
        """Take in a measurement of variance `own`, of which its mean over time has `steady` times as much.

        row (S,): how it hangs on the state; off (M,): by how much it is more than each filter foretells, by more than
        `most` (M,) variances of which it loses its weight. The variances (M,) of what was foretold.
        """
        toward = self._covariance @ row
        spread = toward @ row
        variance = spread + own * steady * np.maximum(off**2 / (spread + own) / most, 1.0) ** 2
        gain = toward / variance[:, None]
        self._mean = self._mean + gain * off[:, None]
        self._covariance = self._covariance - gain[:, :, None] * toward[:, None]
        return np.asarray(variance)


def two_thirds(weights: Floats, means: Floats, stddevs: Floats) -> float:
    """How near to 0 two thirds of a sum of Gaussians (M,) are: small chances of much make it little larger."""
    parts = list(zip(weights.tolist(), means.tolist(), (np.sqrt(2) * stddevs).tolist(), strict=True))
    low, high = 0.0, float(np.max(np.abs(means) + stddevs))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = sum(w * (erf((middle - mean) / d) + erf((middle + mean) / d)) / 2 for w, mean, d in parts)
        low, high = (middle, high) if inside < _WITHIN_ONE else (low, middle)
    return high


def _log_distance(frame: Frame) -> float:
    return float(log_distances(frame.prior[H36M17.root]))

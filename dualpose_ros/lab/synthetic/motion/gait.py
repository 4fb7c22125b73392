"""Where the feet go: plans of footsteps for standing, walking, running and turning.

World frame, y up; xz is the floor. A heading (yaw) of 0 faces +z, and grows to the left (+x).
T frames; sides are left, right.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion.curves import bump, ease, passing, smooth
from dualpose_ros.lab.synthetic.motion.kinematics import ANKLE_HEIGHT_M, LEFT, RIGHT, SIDE_SIGN

RUN_FROM_M_S = 2.2
"""Above this speed both feet leave the floor."""


@dataclass(frozen=True)
class Support:
    """The feet over time, and the path of the body that they carry.

    ankles_m (T, 2, 3), swing (T, 2): 0 on the floor to 1 in mid-air, root_xz (T, 2), yaw (T,), speed (T,) in m/s.
    """

    ankles_m: Floats
    swing: Floats
    root_xz: Floats
    yaw: Floats
    speed: Floats


@dataclass(frozen=True)
class _Step:
    lift_s: float
    land_s: float
    xz: Floats
    yaw: float
    height_m: float


def heading(direction_xz: Floats) -> float:
    """Yaw that faces along a direction on the floor."""
    return float(np.arctan2(direction_xz[0], direction_xz[1]))


def facing(yaw: Floats | float) -> Floats:
    """Unit floor direction (..., 2) that a yaw faces."""
    return np.stack([np.sin(yaw), np.cos(yaw)], axis=-1)


def leftward(yaw: Floats | float) -> Floats:
    """Unit floor direction (..., 2) to the left of a yaw."""
    return np.stack([np.cos(yaw), -np.sin(yaw)], axis=-1)


def angle_between(a: float, b: float) -> float:
    """The turn from yaw a to yaw b, within -pi..pi."""
    return float((b - a + np.pi) % (2 * np.pi) - np.pi)


def step_length(speed: float) -> float:
    """Natural step length in metres of an adult at a speed in m/s."""
    return 0.72 * (speed / 1.3) ** 0.6 if speed < RUN_FROM_M_S else 1.08 * (speed / 3.0) ** 0.9


class Footsteps:
    """Plans steps one action after another; `support` samples the plan."""

    def __init__(self, xz: Floats, yaw: float, width_m: float = 0.2, stagger_m: float = 0.0) -> None:
        self.time_s = 0.0
        self.xz = np.asarray(xz, dtype=np.float64)
        self.yaw = yaw
        self.width_m = width_m
        self._steps: tuple[list[_Step], list[_Step]] = ([], [])
        self._next = LEFT
        for side in (LEFT, RIGHT):
            place = self._beside(self.xz, yaw, side, width_m) + SIDE_SIGN[side] * 0.5 * stagger_m * facing(yaw)
            self._steps[side].append(_Step(-2.0, -1.0, place, yaw, 0.0))
        self._root: list[tuple[float, Floats, float]] = [(0.0, self.xz, yaw)]

    @staticmethod
    def _beside(xz: Floats, yaw: float, side: int, width_m: float) -> Floats:
        return xz + 0.5 * width_m * SIDE_SIGN[side] * leftward(yaw)

    def _step(self, side: int, land_s: float, duration_s: float, xz: Floats, yaw: float, height_m: float) -> None:
        earliest = self._steps[side][-1].land_s + 0.05
        self._steps[side].append(_Step(max(land_s - duration_s, earliest), land_s, xz, yaw, height_m))
        self._next = 1 - side

    def _key(self, time_s: float) -> None:
        self._root.append((time_s, self.xz, self.yaw))

    def stand(self, duration_s: float) -> None:
        """Keep both feet where they are."""
        if duration_s > 0:
            self._key(self.time_s)
            self.time_s += duration_s
            self._key(self.time_s)

    def turn(self, yaw: float, step_s: float = 0.5) -> None:
        """Turn on the spot to face `yaw`, in steps of 50 degrees at most."""
        angle = angle_between(self.yaw, yaw)
        count = int(np.ceil(abs(angle) / np.radians(50)))
        self._next = LEFT if angle > 0 else RIGHT
        self._key(self.time_s)
        for _ in range(count + 1):
            target = self.yaw if _ == count else self.yaw + angle / count
            side = self._next
            self._step(side, self.time_s + step_s, 0.8 * step_s, self._beside(self.xz, target, side, self.width_m),
                       target, 0.05)  # fmt: skip
            self.yaw = target
            self.time_s += step_s
            self._key(self.time_s)

    def walk(self, waypoints_xz: Floats, speed: float) -> None:
        """Walk (or run) from here through the waypoints (M, 2), corners rounded, and stop."""
        path, arc = _rounded(np.concatenate([self.xz[None], np.atleast_2d(waypoints_xz)]))
        length = float(arc[-1])
        if length < 0.05:
            return
        first = heading(path[min(10, len(path) - 1)] - path[0])
        if abs(angle_between(self.yaw, first)) > np.radians(50):
            self.turn(first)
        count = max(1, round(length / step_length(speed)))
        stride = length / count
        step_s = float(np.clip(stride / speed, 0.28, 1.0))
        run = speed > RUN_FROM_M_S
        swing_s = step_s * (1.4 if run else 0.76)
        height = 0.12 if not run else 0.3
        width = 0.5 * self.width_m
        self._key(self.time_s)
        land = self.time_s + (1.25 if not run else 1.1) * step_s
        for k in range(1, count + 2):
            along = min(k * stride, length)
            xz, ahead = _at(path, arc, along), _at(path, arc, min(along + 0.15, length))
            back = _at(path, arc, max(along - 0.15, 0.0))
            self.yaw += angle_between(self.yaw, heading(ahead - back))
            last = k == count + 1
            side = self._next
            place = self._beside(xz, self.yaw, side, self.width_m if last else width)
            self._step(side, land, swing_s, place, self.yaw, height if not last else 0.06)
            self.xz = xz
            self._key(land + step_s - 0.5 * swing_s)
            land += step_s
        self.time_s = land + 0.2
        self._key(self.time_s)

    def support(self, times: Floats, fps: float) -> Support:
        """Sample the plan at evenly spaced times (T,)."""
        feet = [self._foot(side, times) for side in (LEFT, RIGHT)]
        ankles, swing = (np.stack(parts, axis=1) for parts in zip(*feet, strict=True))
        keys = [self._root[0]]
        for key in self._root[1:]:
            if key[0] > keys[-1][0] + 1e-6:
                keys.append(key)
            else:
                keys[-1] = key
        key_times = np.array([key[0] for key in keys])
        values = np.array([[*key[1], key[2]] for key in keys])
        body = smooth(passing(times, key_times, values), fps, 0.14)
        sway = 0.028 * (swing[:, 1] - swing[:, 0])[:, None] * leftward(body[:, 2])
        root = body[:, :2] + smooth(sway, fps, 0.08)
        speed = np.zeros(len(times))
        if len(times) > 1:
            speed = smooth(np.linalg.norm(np.gradient(body[:, :2], axis=0), axis=1) * fps, fps, 0.1)
        return Support(ankles, swing, root, body[:, 2], speed)

    def _foot(self, side: int, times: Floats) -> tuple[Floats, Floats]:
        """Ankle (T, 3) and swing (T,) of one foot: the heel rises, swings, lands."""
        steps = self._steps[side]
        lift, land, yaw, height = (
            np.array([getattr(step, name) for step in steps]) for name in ("lift_s", "land_s", "yaw", "height_m")
        )
        place = np.array([step.xz for step in steps])
        now = np.clip(np.searchsorted(lift, times, side="right") - 1, 0, len(steps) - 1)
        before, after = np.maximum(now - 1, 0), np.minimum(now + 1, len(steps) - 1)
        u = np.clip((times - lift[now]) / (land[now] - lift[now]), 0, 1)
        moved = ease(u)[:, None]
        turned = yaw[before] * (1 - moved[:, 0]) + yaw[now] * moved[:, 0]
        heel = np.where(after > now, ease((times - (lift[after] - 0.2)) / 0.2) * np.minimum(height[after] * 4, 0.5), 0)
        heel = np.maximum(heel, (1 - ease(u * 1.6)) * np.minimum(height[now] * 4, 0.5) * (u < 1))
        xz = place[before] * (1 - moved) + place[now] * moved + 0.1 * heel[:, None] * facing(turned)
        rise = height[now] * np.sin(np.pi * u**0.75) ** 2 * (u < 1)
        y = ANKLE_HEIGHT_M + rise + 0.13 * heel
        swing = bump(u) * (u < 1) * (now > 0)
        return np.stack([xz[:, 0], y, xz[:, 1]], axis=1), swing


def _rounded(corners: Floats) -> tuple[Floats, Floats]:
    """A polyline (M, 2) sampled every 2 cm with rounded corners, and the arc length of each sample."""
    pieces = [corners[:1]]
    for a, b in pairwise(corners):
        count = max(1, int(np.linalg.norm(b - a) / 0.02))
        pieces.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    path = np.concatenate(pieces)
    if len(corners) > 2:
        rounded = smooth(path, 1 / 0.02, 0.35)
        edge = ease(np.minimum(np.arange(len(path)), np.arange(len(path))[::-1]) * 0.02 / 0.5)[:, None]
        path = path * (1 - edge) + rounded * edge
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return path, arc


def _at(path: Floats, arc: Floats, along: float) -> Floats:
    return np.array([np.interp(along, arc, path[:, i]) for i in range(2)])

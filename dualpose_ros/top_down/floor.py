"""People's sizes from the floor that they share.

One camera can't tell a tall person far away from a short one nearby, so a lifting network places both at
the depth of a person of average size. But several people stand on one floor: with a plane under all of
them, the feet of someone placed too far lie below it, of someone placed too near above it. The plane and
the people's sizes are found together; one person alone says nothing, and then nothing changes.

For the floor {p: q . p = -1} and feet p_t of person i, who is exp(b_i) of the assumed size and for a spell e
put exp(-d_e) too near, log(-q . p_t) + b_i + d_e = 0: solved for q (3), b (N) and d (E) by least squares with
priors on all. The logarithm matters: without it smaller people would leave smaller residuals. Camera
optical frame, metres.

Who comes later stands on the same floor, so sights are remembered, until feet say that the camera was tilted;
that it sways is taken out of them before (`sway`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dualpose_ros.arrays import Floats, Indices, Mask
from dualpose_ros.camera import Camera
from dualpose_ros.people import Pose2D
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.lifter import LiftedPose

_ANKLES = (H36M17.index("left_ankle"), H36M17.index("right_ankle"))
_MIN_SCORE = 0.3
_EDGE = 0.015
"""Ankles in this lowest share of the image may be the last that is seen of a leg."""

_CAMERA_HEIGHT_M = 1.2
_LARGEST_CHANGE = 0.2
_ITERATIONS = 6
_HORIZON = 0.05
"""Feet this near the floor's horizon, as a share of the camera's height, say nothing."""
_DETAIL_S, _BEFORE_S = 15.0, 6.0
"""Of older sights one a spell is kept; where a person stood before is said by those up to the second before now."""
_STEEPEST, _TINY = 1.0, 1e-6
_TILTED = 2.5
"""Deviations, of what sizes and poses explain, by which everybody's feet have moved where the camera was tilted."""


@dataclass(frozen=True)
class FloorConfig(Settings):
    """What is assumed of people's sizes and of the floor that they share."""

    enabled: bool = setting(True, "learn people's sizes from the floor that they share", live=True)
    size_stddev: float = setting(0.06, "deviation of people's sizes, as a share", above=0, most=1)
    pose_error_stddev: float = setting(
        0.06, "deviation of depth errors that last as long as a misjudged pose, as a share", above=0, most=1
    )
    pose_error_time_s: float = setting(
        1.5, "how long depth errors of a misjudged pose last", unit="s", above=0, most=60
    )
    foot_stddev: float = setting(
        0.06, "deviation of the depth of one sight of the feet, as a share of it", above=0, most=1
    )
    camera_roll_stddev_rad: float = setting(0.06, "how far cameras are rolled from level", unit="rad", above=0, most=3)
    camera_pitch_stddev_rad: float = setting(0.5, "how far cameras are pitched from level", unit="rad", above=0, most=3)
    sight_interval_s: float = setting(0.2, "least time between two sights that count", unit="s", least=0, most=60)
    memory_s: float = setting(
        60.0, "how long sights count, unless feet say that the camera was tilted", unit="s", above=0, most=600
    )


@dataclass(frozen=True)
class Scale:
    """By what a person's pose, and by what the depth, is to be multiplied, and the depth's relative deviation."""

    size: float
    depth: float
    stddev: float


def _factors(log_sizes: Floats) -> list[float]:
    return [float(factor) for factor in np.exp(np.clip(log_sizes, -_LARGEST_CHANGE, _LARGEST_CHANGE))]


class FloorScale:
    """Collects where people's feet are seen, and says how much larger or smaller people are than assumed."""

    def __init__(self, config: FloorConfig | None = None) -> None:
        self.config = config if config is not None else FloorConfig()
        self._ids = np.zeros(0, dtype=np.int64)
        self._stamps_ns = np.zeros(0, dtype=np.int64)
        self._feet = np.zeros((0, 3))
        self._scales: dict[int, Scale] = {}
        self.horizon = 0.0
        """How far below the optical axis the floor's horizon is, in focal lengths; 0 while no floor is known."""

    def add(self, stamp_ns: int, feet: dict[int, Floats]) -> None:
        """Take in the lower foot (3,) of everybody whose feet are seen in a frame, by id, without the camera's sway."""
        age_ns = stamp_ns - self._stamps_ns
        kept = (age_ns >= 0) & (age_ns <= int(self.config.memory_s * 1e9))
        lately = set(self._ids[kept & (age_ns < int(self.config.sight_interval_s * 1e9))].tolist())
        new = [identity for identity in feet if identity not in lately]
        if new:
            kept &= ~self._repeated(age_ns)
        self._ids = np.concatenate([self._ids[kept], np.array(new, dtype=np.int64)])
        self._stamps_ns = np.concatenate([self._stamps_ns[kept], np.full(len(new), stamp_ns)])
        self._feet = np.concatenate([self._feet[kept], np.array([feet[i] for i in new]).reshape(-1, 3)])
        if new:
            self._solve()

    def scale(self, identity: int) -> Scale:
        """What is known of a person's size; factors of 1 and the prior deviation for somebody never seen."""
        unknown = Scale(1.0, 1.0, float(np.hypot(self.config.size_stddev, self.config.pose_error_stddev)))
        return self._scales.get(identity, unknown)

    def _repeated(self, age_ns: Indices) -> Mask:
        """Which old sights (M,) follow one of the same person in the same spell."""
        (old,) = (age_ns > int(_DETAIL_S * 1e9)).nonzero()
        repeated = np.zeros(len(age_ns), dtype=np.bool_)
        repeated[old] = True
        spell = self._stamps_ns[old] // int(self.config.pose_error_time_s * 1e9)
        _, first = np.unique(np.stack([self._ids[old], spell]), axis=1, return_index=True)
        repeated[old[first]] = False
        return repeated

    def _solve(self) -> None:
        ids, person = np.unique(self._ids, return_inverse=True)
        newest = np.zeros(len(ids), dtype=np.int64)
        newest[person] = self._stamps_ns  # of a person's several, the last, which is the newest
        # Spells are counted back from each person's last sight, so that the last one is whole.
        back = (newest[person] - self._stamps_ns) // int(self.config.pose_error_time_s * 1e9)
        places, spell = np.unique(person * (back.max() + 1) + back, return_inverse=True)
        fit = fit_floor(self._feet, person, spell, self.config)
        now = self._stamps_ns[-1] - self._stamps_ns < int(self.config.pose_error_time_s * 1e9)
        if not now.all() and self._is_tilted(fit.plane, person, now):
            self._ids, self._stamps_ns, self._feet = self._ids[now], self._stamps_ns[now], self._feet[now]
            return self._solve()
        # Level cameras have plane[1] < 0; a floor that stands on its edge has no horizon in view.
        self.horizon = float(np.clip(-fit.plane[2] / min(fit.plane[1], -_TINY), -_STEEPEST, _STEEPEST))
        last = np.searchsorted(places, np.arange(len(ids)) * (back.max() + 1))
        scales = map(Scale, _factors(fit.sizes), _factors(fit.sizes + fit.depths[last]), fit.stddev[last].tolist())
        self._scales = dict(zip(ids.tolist(), scales, strict=True))

    def _is_tilted(self, plane: Floats, person: Indices, now: Mask) -> bool:
        """Whether those who are seen now (M,) stand off the floor, together, by more than sizes and poses explain:
        each compared with where they stood before, or with somebody of average size."""
        config = self.config
        error = np.log(np.maximum(-self._feet @ plane, _HORIZON))
        before = ~now & (self._stamps_ns[-1] - self._stamps_ns < int(_BEFORE_S * 1e9))
        moved = []
        for one in np.unique(person[now]):
            seen, known = error[now & (person == one)], error[before & (person == one)]
            other = (
                config.pose_error_stddev**2 + config.foot_stddev**2 / len(known)
                if len(known)
                else config.size_stddev**2
            )
            variance = config.pose_error_stddev**2 + config.foot_stddev**2 / len(seen) + other
            moved.append((np.median(seen) - (np.median(known) if len(known) else 0.0)) / np.sqrt(variance))
        return bool(abs(sum(moved)) > _TILTED * np.sqrt(len(moved)))


def lower_foot(pose: Pose2D, lifted: LiftedPose | None, camera: Camera) -> Floats | None:
    """The lower ankle (3,) in the camera frame, in metres; None where both are not clearly seen or it may be cut off.

    pose: the 2D joints; lifted: the same person in 3D, None where there is nothing; camera: of the image.
    """
    if lifted is None or float(pose.scores[list(_ANKLES)].min()) < _MIN_SCORE:
        return None
    joints = lifted.joints_cam
    ankle = max(_ANKLES, key=lambda joint: float(joints[joint, 1]))
    inside = float(pose.joints_px[ankle, 1]) < (1 - _EDGE) * camera.height
    return joints[ankle] if inside and joints[ankle, 2] > 0 else None


def scaled(lifted: LiftedPose, scale: Scale, config: FloorConfig) -> LiftedPose:
    """The pose at its scale; what is learned of size and depth narrows the root's deviation.

    Where both factors are the same, the person still projects onto the same pixels.

    lifted: the pose as the network has it; scale: what is known of the person; config: with the deviations that the
    network's already contains.
    """
    relative = lifted.root_depth_stddev / lifted.root_depth
    before = config.size_stddev**2 + config.pose_error_stddev**2
    variance = max(relative**2 + scale.stddev**2 - before, relative**2 / 4)
    depth = lifted.root_depth * scale.depth
    return replace(
        lifted,
        joints_rel=lifted.joints_rel * scale.size,
        joint_stddev=lifted.joint_stddev * scale.size,
        root_depth=depth,
        root_depth_stddev=float(depth * np.sqrt(variance)),
    )


class FloorFit(NamedTuple):
    """Log sizes b (N,), log depth errors d (E,) of spells, standard deviations (E,) of b + d of each spell, and the
    plane q (3,) of the floor."""

    sizes: Floats
    depths: Floats
    stddev: Floats
    plane: Floats


def fit_floor(feet: Floats, person: Indices, spell: Indices, config: FloorConfig) -> FloorFit:
    """The floor, and people's sizes, that agree best with where feet were seen.

    Gauss-Newton with Cauchy weights from the plane that fits everybody at the assumed size. Spells meet nobody but
    their person, and people nothing but the plane: both are eliminated one by one (Schur); three equations are left.

    feet: (M, 3) in metres; person, spell: (M,), whose each is, and in which spell it was seen; a spell is of one
    person. config: what is likely.
    """
    tilt = np.array([config.camera_roll_stddev_rad, np.inf, config.camera_pitch_stddev_rad]) / _CAMERA_HEIGHT_M
    # The floor's height is free; a trace of a prior keeps one sight from being singular.
    plane_prior = np.diag(tilt**-2.0 + 1e-6)
    plane = np.linalg.solve(
        feet.T @ feet / config.foot_stddev**2 + plane_prior, -feet.sum(axis=0) / config.foot_stddev**2
    )
    people, spells = int(person.max(initial=-1)) + 1, int(spell.max(initial=-1)) + 1
    # Sights of a spell side by side, so that sums over spells are sums over runs.
    order = np.argsort(spell, kind="stable")
    feet, person, spell = feet[order], person[order], spell[order]
    starts = np.searchsorted(spell, np.arange(spells))
    owner = person[starts]
    sizes, depths = np.zeros(people), np.zeros(spells)
    system = None
    for _ in range(_ITERATIONS):
        below = -feet @ plane
        usable = below > _HORIZON
        below = np.where(usable, below, 1.0)
        error = np.where(usable, np.log(below) + sizes[person] + depths[spell], 0.0)
        weight = usable / (1 + (error / (2 * config.foot_stddev)) ** 2) / config.foot_stddev**2
        slope = -feet / below[:, None]
        rows = np.column_stack([slope, np.ones(len(feet)), error])
        sums = np.add.reduceat(rows * weight[:, None], starts)
        plane_rows = (slope * weight[:, None]).T @ rows
        system = _System.of(plane_prior + plane_rows[:, :3], sums[:, :3], sums[:, 3], owner, people, config)
        change = system.solve(
            plane_rows[:, 4] + plane_prior @ plane,
            system.whose @ sums[:, 4] + sizes / config.size_stddev**2,
            sums[:, 4] + depths / config.pose_error_stddev**2,
        )
        plane, sizes, depths = plane - change[0], sizes - change[1], depths - change[2]
    assert system is not None
    return FloorFit(sizes, depths, system.spread(), plane)


@dataclass(frozen=True)
class _System:
    """Normal equations of plane (3), sizes (N) and spells (E), without spells and then without sizes.

    whose (N, E): 1 where a spell is of a person, and owner (E,) who that is; spell_slope (E, 3), spell_weight (E,),
    spell_own (E,): a spell's equation toward plane and size, and its diagonal; share (E,): how much of it its
    elimination leaves to the size; size_slope (N, 3), size_own (N,): equations of sizes without spells; plane (3, 3):
    what is left.
    """

    whose: Floats
    owner: Indices
    spell_slope: Floats
    spell_weight: Floats
    spell_own: Floats
    share: Floats
    size_slope: Floats
    size_own: Floats
    plane: Floats

    @classmethod
    def of(
        cls, plane: Floats, slope: Floats, weight: Floats, owner: Indices, people: int, config: FloorConfig
    ) -> _System:
        """The equations with their part (3, 3) of the plane, and spells' sums of slopes (E, 3) and weights (E,)."""
        whose = (np.arange(people)[:, None] == owner).astype(np.float64)
        own = weight + config.pose_error_stddev**-2.0
        share = config.pose_error_stddev**-2.0 / own
        size_slope = whose @ (slope * share[:, None])
        size_own = whose @ (weight * share) + config.size_stddev**-2.0
        plane = plane - (slope / own[:, None]).T @ slope - (size_slope / size_own[:, None]).T @ size_slope
        return cls(whose, owner, slope, weight, own, share, size_slope, size_own, plane)

    def solve(self, plane: Floats, sizes: Floats, spells: Floats) -> tuple[Floats, Floats, Floats]:
        """The solution (3,), (N,), (E,) for right-hand sides of these shapes."""
        rest = spells / self.spell_own
        sizes = sizes - self.whose @ (self.spell_weight * rest)
        plane = plane - rest @ self.spell_slope - (sizes / self.size_own) @ self.size_slope
        plane = np.asarray(np.linalg.solve(self.plane, plane), dtype=np.float64)
        sizes = (sizes - self.size_slope @ plane) / self.size_own
        return plane, sizes, rest - (self.spell_slope @ plane + self.spell_weight * sizes[self.owner]) / self.spell_own

    def spread(self) -> Floats:
        """Standard deviations (E,) of each spell with its person's size."""
        own = self.size_own[self.owner]
        toward = self.spell_slope / self.spell_own[:, None] + self.size_slope[self.owner] * (self.share / own)[:, None]
        of_plane = np.sum(toward * np.linalg.solve(self.plane, toward.T).T, axis=-1)
        return np.asarray(np.sqrt(1 / self.spell_own + self.share**2 / own + of_plane))

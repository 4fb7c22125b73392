"""What a pose says of where somebody's feet and head are over a known ground, and how tall he or she is.

Of people who stand, networks hardly know how far feet are before or behind the hips as the camera sees it: they say it
to 8 cm, and lean everybody toward the camera, where people are upright to 4 cm. So poses of who stands are made
upright, their joints moved along their rays.
Metres, camera optical frame; K joints of `skeleton.H36M17`.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, Ground, pixels_to_rays
from dualpose_ros.refinement.least_squares.terms import NEAREST_M, bone_vectors
from dualpose_ros.refinement.window import Frame
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

_ANKLES = [H36M17.index("right_ankle"), H36M17.index("left_ankle")]
_KNEES = [H36M17.index("right_knee"), H36M17.index("left_knee")]
_HEAD = H36M17.index("head_top")
_STRETCHED = (
    [H36M17.index(name) for name in ("right_knee", "left_knee", "right_ankle", "left_ankle")],
    [H36M17.index(name) for name in ("spine", "thorax", "neck", "head_top")],
)
HEIGHT_OVER_BONES = 1.040
"""Height of a standing person over the bones from ankle to crown: of shaped bodies, of 0.3 % deviation."""

ANKLE_OVER_HEIGHT, KNEE_OVER_HEIGHT = 0.043, 0.255
"""Heights of an ankle and of a knee over the sole's, as shares of the person's: knees of who stands or sits."""

_KNEE_WEIGHT, _GUESS_WEIGHT = 0.25, 0.05
"""Weights beside that of feet: of knees, which are half as sure to be as high, and of where a pose has legs of which
nothing is seen."""

_UPRIGHT_SHARE = 0.85
"""Heights are those of heads of people whose poses show at least so much of them."""

_BENT, _UPRIGHT = 0.8, 0.9
"""Shares of people's height that poses show: from the second on they stand, under the first they don't."""

_LEAN_STDDEV_M = 0.1, 0.05
"""How far feet are from where they are taken to be, along the view: of who sits or lies, and of who stands."""

_HEAD_LEAN_SHARE, _HEAD_LEAN_M = 0.4, 0.03
"""Of who is upright, by how much the head is behind the hips: the share of what is said of it that is true, and what is
to be added."""

_HORIZON_M = 0.05
"""Feet that are said to be less below the camera say nothing."""
_LEAST_LEVEL, _LEAST_LIMB_M = 0.2, 0.2
"""Rays steeper than this say little of how far along the ground something is; legs and trunks are longer upright."""

_EDGE = 0.03
"""Ankles in this lowest share of the image may be the last that is seen of a leg."""

DOUBTS = 1.0, 6.0
"""By how many times what it says of itself the ground may be off: the second by the chance `StandingConfig.doubt`."""

_ONE_FOOT, _SURE_SCORE = 0.5, 0.6
"""Weight of a foot alone, which may be in the air; score from which on a head is where it is said to be."""

_NO_FOOT, _SURE_FOOT, _FOOT_POWER, _LEAST_FOOT = 0.6, 0.95, 3, 0.03
"""A foot counts by a power of how far its score is from the first toward the second, and no less than the last: feet
behind things are found where they are not, for long."""


@dataclass(frozen=True)
class StandingConfig(Settings):
    """What is assumed of people's sizes, and of feet."""

    size_stddev: float = setting(
        0.18, "deviation of how much too large people are said to be, as a share", above=0, most=1
    )
    pose_stddev: float = setting(0.06, "deviation of how much too far a misjudged pose puts them", above=0, most=1)
    pose_time_constant_s: float = setting(0.3, "time constant of misjudged poses", unit="s", above=0, most=60)
    foot_stddev_m: float = setting(
        0.03, "deviation of how high a standing foot seems above the ground", unit="m", above=0, most=1
    )
    foot_time_constant_s: float = setting(0.2, "time constant of that", unit="s", above=0, most=60)
    lasting_foot_stddev_m: float = setting(
        0.015, "deviation of what lasts of that for as long as somebody is there", unit="m", above=0, most=1
    )
    foot_lift_m: float = setting(0.01, "how high the lower ankle is, on the mean, above one of a flat foot", unit="m",
                                 least=0, most=0.5)  # fmt: skip
    min_foot_score: float = setting(
        0.7, "2D ankles with lower scores say nothing, and little with hardly higher ones", least=0, below=1
    )
    doubt: float = setting(
        0.25, f"chance that the ground is off by {DOUBTS[1]:g} times as much as it says of itself", above=0, below=1
    )
    ground_time_constant_s: float = setting(
        120.0, "time constant with which what the ground is off by changes", unit="s", above=0, most=1e5
    )


def bones_height(lengths: Floats) -> float:
    """Height in metres of a standing person of bone lengths (K,), both legs' mean."""
    legs, trunk = _STRETCHED
    return float(HEIGHT_OVER_BONES * (lengths[legs].sum() / 2 + lengths[trunk].sum()))


@dataclass(frozen=True)
class Stance:
    """Somebody's pose over a ground: its frame, how tall the bones make him or her stand, in metres, and the share of
    that which the pose shows, from the lower sole to the crown."""

    frame: Frame
    height_m: float
    shown: float

    @property
    def standing(self) -> float:
        """From 0 for people who lie, sit or bend down to 1 for those who stand."""
        return min(max((self.shown - _BENT) / (_UPRIGHT - _BENT), 0.0), 1.0)


def stance_of(frame: Frame, down: Floats) -> Stance:
    """How the person of a frame stands on a ground that is so far down."""
    height = bones_height(bone_vectors(frame.prior[None])[1][0])
    sole = float((frame.prior[_ANKLES] @ down).max()) + ANKLE_OVER_HEIGHT * height
    return Stance(frame, height, (sole - float(frame.prior[_HEAD] @ down)) / height)


def upright(stance: Stance, down: Floats) -> Stance:
    """The pose of somebody who stands made upright: feet below the hips, joints moved along their rays."""
    joints, share = stance.frame.prior, stance.standing
    root = joints[H36M17.root]
    level = root - (root @ down) * down
    view = level / max(float(np.linalg.norm(level)), NEAREST_M)
    behind, below = (joints - root) @ view, (joints - root) @ down
    legs, trunk = below[_ANKLES].mean(), below[_HEAD]
    if not share or legs < _LEAST_LIMB_M or trunk > -_LEAST_LIMB_M:
        return stance
    feet, head = -behind[_ANKLES].mean(), (_HEAD_LEAN_SHARE - 1) * behind[_HEAD] + _HEAD_LEAN_M
    moved = share * np.where(below > 0, feet * below / legs, head * below / trunk)
    rays = joints / np.maximum(joints[:, 2:], NEAREST_M)
    along = (moved / np.maximum(rays @ view, _LEAST_LEVEL))[:, None] * rays
    return stance_of(stance.frame.with_prior(joints + along), down)


@dataclass(frozen=True)
class Sight:
    """Where the sole of a standing foot is said to be (3,), with a weight in 0..1, and the deviation of that in metres
    along the view; whether it, or the knee above it, is seen."""

    sole: Floats
    weight: float
    lean_stddev_m: float
    seen: bool = True


def foot_sight(ground: Ground, stance: Stance, camera: Camera, config: StandingConfig) -> Sight | None:
    """Where somebody's lower foot stands: on its ray, below the knee where that is surer, or as the pose has it where
    neither is seen; None where that is not below the camera."""
    frame, height = stance.frame, stance.height_m
    lean = float(np.interp(stance.standing, (0, 1), _LEAN_STDDEV_M))
    ankle = ANKLE_OVER_HEIGHT * height
    feet = _sole(ground, frame, camera, config, _ANKLES, ankle + config.foot_lift_m)
    if feet is not None and feet[1] >= _KNEE_WEIGHT:
        return Sight(*feet, lean)
    knees = _sole(ground, frame, camera, config, _KNEES, KNEE_OVER_HEIGHT * height)
    if knees is not None and (feet is None or _KNEE_WEIGHT * knees[1] > feet[1]):
        return Sight(knees[0], _KNEE_WEIGHT * knees[1], lean)
    if feet is not None:
        return Sight(*feet, lean)
    root, legs = frame.prior[H36M17.root], frame.prior[_ANKLES] - frame.prior[H36M17.root]
    sole = root + (float((legs @ ground.down).max()) + ankle) * ground.down
    unseen = root[2] <= NEAREST_M or sole @ ground.down <= _HORIZON_M
    return None if unseen else Sight(sole, _GUESS_WEIGHT, lean, seen=False)


def _sole(
    ground: Ground, frame: Frame, camera: Camera, config: StandingConfig, pair: list[int], above_m: float
) -> tuple[Floats, float] | None:
    """The sole (3,) below the lower of two joints that are so high above it, with a weight; None where it's unseen.

    The lower one alone: of people who walk the other foot is in the air.
    """
    joints, scores, rays = frame.prior[pair], frame.scores[pair], frame.rays[pair]
    seen = (scores >= config.min_foot_score) & (joints[:, 2] > NEAREST_M) & (rays[:, 1] < _lowest_ray(camera))
    soles = np.column_stack([rays, np.ones(2)]) * joints[:, 2:] + above_m * ground.down
    below = soles @ ground.down
    seen &= below > _HORIZON_M
    if not seen.any():
        return None
    both = 1.0 if seen.all() else _ONE_FOOT
    sure = min(max(float(scores[seen].max()) - _NO_FOOT, 0.0) / (_SURE_FOOT - _NO_FOOT), 1.0) ** _FOOT_POWER
    return soles[np.where(seen, below, -np.inf).argmax()], both * max(sure, _LEAST_FOOT)


def head_sight(stance: Stance) -> Floats | None:
    """Where the head of somebody upright is said to be (3,), on its ray; None where it is unsure, or not upright."""
    frame = stance.frame
    if frame.scores[_HEAD] < _SURE_SCORE or stance.shown < _UPRIGHT_SHARE:
        return None
    return np.append(frame.rays[_HEAD], 1.0) * frame.prior[_HEAD, 2]


def _lowest_ray(camera: Camera) -> float:
    """y of the rays where feet may be the last that is seen of a leg."""
    return float(pixels_to_rays(camera, np.array([camera.cx, (1 - _EDGE) * camera.height]))[1])

"""Motions told as a list of actions: walk there, stop, turn, wave, sit down.

World frame, y up, floor y = 0; xz are floor coordinates in metres, yaw 0 faces +z.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion.curves import ease
from dualpose_ros.lab.synthetic.motion.gait import Footsteps, facing
from dualpose_ros.lab.synthetic.motion.gestures import ONE_HANDED, TWO_HANDED, Arms, Pose, blend, combine, hang
from dualpose_ros.lab.synthetic.motion.kinematics import assemble, solve_arms, solve_legs, solve_trunk
from dualpose_ros.lab.synthetic.motion.stances import Body, upright

Gesture = Callable[[np.random.Generator, Pose], Arms]
_DOWN_S, _UP_S = 1.5, 1.4


@dataclass(frozen=True)
class Motion:
    """A body in motion, in a y-up world whose floor is y = 0.

    joints_m (T, 17, 3) on the reference adult (`kinematics.REST_JOINTS_M`); head_forward
    (T, 3) unit vectors from the middle of the head to the nose, where known.
    """

    joints_m: Floats
    fps: float
    head_forward: Floats | None = None


@dataclass(frozen=True)
class Walk:
    """Walk (run above 2.2 m/s) through floor points (M, 2) and stop at the last."""

    waypoints_xz: Sequence[Sequence[float]]
    speed: float = 1.2


@dataclass(frozen=True)
class Turn:
    """Turn on the spot to face a yaw."""

    yaw: float


@dataclass(frozen=True)
class Stand:
    """Stay for some seconds; `gesture` names one of TWO_HANDED, or one of ONE_HANDED for `hand`."""

    duration_s: float
    gesture: str = "hang"
    hand: str = "both"


@dataclass(frozen=True)
class Sit:
    """Sit down on a seat of this height right behind, stay, and rise if another action follows."""

    duration_s: float
    seat_m: float = 0.45
    gesture: str = "lap"
    hand: str = "both"


Action = Walk | Turn | Stand | Sit


def gesture_named(name: str, hand: str = "both") -> Gesture:
    """The gesture of one hand ("left", "right") or "both"; ValueError names what there is."""
    if hand == "both" and name in TWO_HANDED:
        return TWO_HANDED[name]
    if hand == "left" and name in ONE_HANDED:
        return lambda rng, pose: combine(rng, pose, name, "hang")
    if hand == "right" and name in ONE_HANDED:
        return lambda rng, pose: combine(rng, pose, "hang", name)
    table = TWO_HANDED if hand == "both" else ONE_HANDED
    raise ValueError(f"no gesture '{name}' for hand '{hand}' (left, right or both); there are {', '.join(table)}")


def solve(rng: np.random.Generator, body: Body, arms: Gesture, fps: float) -> Motion:
    """Joints of a body whose arms make a gesture."""
    trunk = solve_trunk(body.root_m, body.pelvis, body.spine, body.head)
    knees, ankles = solve_legs(trunk, body.ankles_m, body.knee_out)
    wrists, swivel = arms(rng, Pose(body, trunk, knees))
    joints = assemble(trunk, (knees, ankles), solve_arms(trunk, wrists, swivel, fps))
    joints[..., 1] += max(0.0, 0.03 - float(joints[..., 1].min()))
    return Motion(joints, fps, trunk.head_rotation[..., 2].copy())


def perform(
    rng: np.random.Generator,
    fps: float,
    start_xz: Sequence[float],
    yaw: float,
    actions: Sequence[Action],
    duration_s: float | None = None,
) -> Motion:
    """One person doing the actions in turn from a place and heading; cut or held to duration_s."""
    if not fps > 0:
        raise ValueError(f"fps {fps} is not positive")
    steps = Footsteps(np.asarray(start_xz, dtype=np.float64), yaw, rng.uniform(0.16, 0.24))
    gestures: list[tuple[float, float, Gesture]] = []
    sits: list[tuple[float, float, float]] = []
    for index, action in enumerate(actions):
        begin, last = steps.time_s, index == len(actions) - 1
        if isinstance(action, Walk):
            steps.walk(np.asarray(action.waypoints_xz, dtype=np.float64), action.speed)
        elif isinstance(action, Turn):
            steps.turn(action.yaw)
        elif isinstance(action, Stand):
            steps.stand(action.duration_s)
            end = np.inf if last else steps.time_s
            gestures.append((begin, end, gesture_named(action.gesture, action.hand)))
        else:
            steps.stand(max(action.duration_s, _DOWN_S) + (0 if last else _UP_S))
            end = np.inf if last else steps.time_s
            sits.append((begin, end, action.seat_m))
            gestures.append((begin + 0.5, end, gesture_named(action.gesture, action.hand)))
    total = steps.time_s if duration_s is None else duration_s
    times = np.arange(max(1, round(total * fps))) / fps
    body = upright(rng, times, fps, steps.support(times, fps))
    for begin, end, seat_m in sits:
        _sit(body, begin, end, seat_m)
    return solve(rng, body, lambda r, pose: _scheduled(r, pose, gestures), fps)


def _sit(body: Body, begin: float, end: float, seat_m: float) -> None:
    """Lower the body onto a seat behind the feet, bowing on the way down and up."""
    w = ease((body.times - begin) / _DOWN_S)
    if np.isfinite(end):
        w = w - ease((body.times - (end - _UP_S)) / _UP_S)
    bow = 4 * w * (1 - w)
    back = facing(body.yaw) * 0.37
    body.root_m[:, [0, 2]] -= w[:, None] * back
    body.root_m[:, 1] += w * (seat_m + 0.09 - body.root_m[:, 1])
    body.pelvis[:, 1] += 0.6 * bow - 0.12 * w
    body.spine[:, 1] += 0.2 * bow + 0.22 * w
    body.head[:, 1] -= 0.35 * bow
    body.knee_out += 0.1 * w[:, None]


def _scheduled(rng: np.random.Generator, pose: Pose, gestures: list[tuple[float, float, Gesture]]) -> Arms:
    """Arms hang (and swing) but for the intervals in which a gesture is asked for."""
    arms = hang(rng, pose)
    for begin, end, gesture in gestures:
        weight = ease((pose.times - begin) / 0.8)
        if np.isfinite(end):
            weight = weight * (1 - ease((pose.times - (end - 0.8)) / 0.8))
        arms = blend(pose, arms, gesture(rng, pose), weight)
    return arms

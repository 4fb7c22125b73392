"""Natural motion of one or two people: by kind, by script, or from motion capture.

World frame: y up, floor y = 0, metres; a person at yaw 0 faces +z with the left side toward
+x. Everything is drawn from the generator passed in, so a seed decides it all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dualpose_ros.synthetic.curves import FloatArray, bump, ease
from dualpose_ros.synthetic.gait import Footsteps, heading
from dualpose_ros.synthetic.gestures import Arms, Pose, blend, hang
from dualpose_ros.synthetic.kinematics import rotation
from dualpose_ros.synthetic.motion_library import RECIPES, both_hands, now_and_then, one_hand
from dualpose_ros.synthetic.retarget import from_clip
from dualpose_ros.synthetic.script import Action, Gesture, Motion, Sit, Stand, Turn, Walk, perform, solve
from dualpose_ros.synthetic.stances import upright

__all__ = [
    "KINDS", "MEETINGS", "Action", "Motion", "Sit", "Stand", "Turn", "Walk",
    "from_clip", "generate", "meeting", "perform", "place", "random_pose", "walk_path",
]  # fmt: skip

KINDS: tuple[str, ...] = tuple(RECIPES)
"""What `generate` can be asked for."""

MEETINGS = ("talk", "handshake", "hug", "side_by_side", "walk_together", "pass_by", "show")
"""What `meeting` can be asked for."""


def generate(kind: str, rng: np.random.Generator, duration_s: float, fps: float) -> Motion:
    """A motion of one kind, near the origin and facing +z at first.

    Raises ValueError for an unknown kind, a duration that is not positive or fps outside 1..240.
    """
    if kind not in RECIPES:
        raise ValueError(f"no motion of kind '{kind}'; there are {', '.join(KINDS)}")
    times = _times(duration_s, fps)
    body, arms = RECIPES[kind](rng, times, fps)
    return solve(rng, body, arms, fps)


def _times(duration_s: float, fps: float) -> FloatArray:
    if not (np.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration {duration_s} s is not positive")
    if not 1 <= fps <= 240:
        raise ValueError(f"{fps} frames/s is not between 1 and 240")
    return np.arange(max(2, round(duration_s * fps))) / fps


def random_pose(rng: np.random.Generator, kind: str | None = None) -> Motion:
    """One frame of any kind (or of `kind`), turned any way: for still pictures."""
    chosen = KINDS[int(rng.integers(len(KINDS)))] if kind is None else kind
    motion = generate(chosen, rng, 2.4, 20.0)
    frame = int(rng.integers(len(motion.joints_m)))
    still = slice(frame, frame + 1)
    assert motion.head_forward is not None
    one = Motion(motion.joints_m[still], motion.fps, motion.head_forward[still])
    centre = one.joints_m[0, 0, [0, 2]]
    centred = Motion(one.joints_m - [centre[0], 0.0, centre[1]], one.fps, one.head_forward)
    return place(centred, (0.0, 0.0), rng.uniform(-np.pi, np.pi))


def place(motion: Motion, xz: Sequence[float], yaw: float) -> Motion:
    """The motion turned by yaw about the world's origin, then moved on the floor by xz."""
    turn = rotation(np.array([yaw, 0.0, 0.0]))
    joints = motion.joints_m @ turn.T + [xz[0], 0.0, xz[1]]
    forward = None if motion.head_forward is None else motion.head_forward @ turn.T
    return Motion(joints, motion.fps, forward)


def walk_path(
    rng: np.random.Generator,
    waypoints_xz: npt.ArrayLike,
    fps: float,
    speed: float,
    then: Sequence[Action] = (),
    duration_s: float | None = None,
) -> Motion:
    """Walking from the first of the waypoints (M, 2) through the others; then the further actions.

    Raises ValueError unless there are two waypoints or more and the speed is 0.2 to 6 m/s.
    """
    points = np.asarray(waypoints_xz, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise ValueError(f"waypoints have shape {points.shape}; needed are two or more (x, z) points")
    if not 0.2 <= speed <= 6.0:
        raise ValueError(f"a speed of {speed} m/s is not between 0.2 and 6")
    actions = [Walk(points[1:].tolist(), speed), *then]
    return perform(rng, fps, points[0].tolist(), heading(points[1] - points[0]), actions, duration_s)


def meeting(
    rng: np.random.Generator, duration_s: float, fps: float, kind: str | None = None
) -> tuple[Motion, Motion]:
    """Two people who have to do with each other, in one world frame around the origin.

    Raises ValueError for a kind that is not in MEETINGS.
    """
    chosen = MEETINGS[int(rng.integers(len(MEETINGS)))] if kind is None else kind
    if chosen not in MEETINGS:
        raise ValueError(f"no meeting of kind '{chosen}'; there are {', '.join(MEETINGS)}")
    if chosen in ("walk_together", "pass_by"):
        return _walking_two(rng, duration_s, fps, chosen == "pass_by")
    if chosen == "side_by_side":
        first, second = (generate(_standing_kind(rng), rng, duration_s, fps) for _ in range(2))
        gap = 0.5 * rng.uniform(0.5, 1.0)
        return place(first, (-gap, 0.0), rng.normal(0, 0.3)), place(second, (gap, 0.0), rng.normal(0, 0.3))
    distance = {"talk": rng.uniform(0.7, 1.5), "handshake": rng.uniform(0.75, 0.95), "hug": rng.uniform(0.27, 0.36)}
    times = _times(duration_s, fps)
    apart = distance.get(chosen, rng.uniform(0.7, 1.1))
    gestures = _facing_gestures(rng, chosen, times, apart)
    motions = []
    for gesture in gestures:
        steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.16, 0.3), rng.normal(0, 0.08))
        body = upright(rng, times, fps, steps.support(times, fps))
        if chosen == "hug":
            body.spine[:, 1] += 0.12
            body.head[:, 2] += rng.choice([-1, 1]) * 0.25
            body.root_m[:, 0] += 0.04
        motions.append(solve(rng, body, gesture, fps))
    side = rng.normal(0, 0.25) if chosen in ("talk", "show") else 0.0
    return place(motions[0], (0.0, -apart / 2), 0.0), place(motions[1], (side, apart / 2), np.pi)


def _standing_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(["stand", "conversation", "arms_crossed", "hands_on_hips", "text", "point", "wave"]))


def _facing_gestures(rng: np.random.Generator, kind: str, times: FloatArray, apart: float) -> list[Gesture]:
    """What each of two people facing each other at this distance does with the arms."""
    if kind == "hug":
        return [both_hands("hug"), both_hands("hug")]
    if kind == "handshake":
        start = rng.uniform(0.0, 0.3) * times[-1]
        shake = 0.025 * np.sin(2 * np.pi * 2.2 * (times - start)) * bump((times - start - 0.7) / 1.6)
        weight = ease((times - start) / 0.8) * (1 - ease((times - start - 2.3) / 0.8))
        hand = np.stack([np.zeros_like(times), 1.02 + shake, np.full_like(times, apart / 2 - 0.06)], axis=1)
        return [_right_hand_to(hand, weight)] * 2
    talkative = one_hand("conversation", "conversation", "hold_cup", other=("hang", "conversation", "pocket"))
    listening = both_hands("arms_crossed", "hang", "on_hips", "hands_together")
    if kind == "show":
        return [now_and_then(one_hand("point", "hold_phone")), listening]
    return [talkative, talkative if rng.random() < 0.5 else listening]


def _right_hand_to(target: FloatArray, weight: FloatArray) -> Gesture:
    """The right hand at a place (T, 3) of the person's own frame while the weight (T,) is one."""

    def gesture(rng: np.random.Generator, pose: Pose) -> Arms:
        rest = hang(rng, pose)
        wrists = np.array(rest[0])
        wrists[:, 1] = target
        return blend(pose, rest, (wrists, rest[1]), np.stack([np.zeros_like(weight), weight], axis=1))

    return gesture


def _walking_two(rng: np.random.Generator, duration_s: float, fps: float, opposite: bool) -> tuple[Motion, Motion]:
    """Two people walking beside each other, or past each other in opposite directions."""
    speed = rng.uniform(0.8, 1.5)
    half = 0.5 * speed * duration_s + 0.3
    beside = rng.uniform(0.5, 0.9)
    ways = [np.array([[0.0, -half], [0.0, half]]), np.array([[beside, -half], [beside, half]])]
    if opposite:
        ways[1] = ways[1][::-1]
    ways = [way + rng.normal(0, 0.05, way.shape) for way in ways]
    first, second = (walk_path(rng, way, fps, speed, duration_s=duration_s) for way in ways)
    return first, second

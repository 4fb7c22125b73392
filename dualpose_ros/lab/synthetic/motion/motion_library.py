"""The kinds of motion that can be asked for by name, each a recipe of stance and gesture.

A recipe takes a generator, times (T,) and fps and returns a `Body` and what its arms do.
"""

from collections.abc import Callable

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion.curves import cycles, drift, ease, keyframes
from dualpose_ros.lab.synthetic.motion.gait import Footsteps
from dualpose_ros.lab.synthetic.motion.gestures import ONE_HANDED, TWO_HANDED, Arms, Pose, blend, combine, hang
from dualpose_ros.lab.synthetic.motion.kinematics import HIP_HEIGHT_M, SIDE_SIGN, rotation, solve_trunk
from dualpose_ros.lab.synthetic.motion.script import Gesture
from dualpose_ros.lab.synthetic.motion.stances import (
    Body,
    crouch,
    floor_seat,
    jump,
    kneel,
    lying,
    place_ankles,
    seated,
    still_body,
    upright,
)

Recipe = Callable[[np.random.Generator, Floats, float], tuple[Body, Gesture]]
_HANDS_FREE = ("hang", "pocket", "on_hip", "bag_strap", "hold_cup", "hold_phone", "conversation", "chin")
_SEAT_STYLES = ("feet_down", "feet_down", "leg_crossed", "ankle_on_knee", "ankles_crossed")


def one_hand(*names: str, other: tuple[str, ...] = ("hang", "hang", "pocket", "on_hip")) -> Gesture:
    """A gesture of either hand drawn from `names`, the other hand doing one of `other`."""

    def gesture(rng: np.random.Generator, pose: Pose) -> Arms:
        pair = [str(rng.choice(names)), str(rng.choice(other))]
        if rng.random() < 0.5:
            pair.reverse()
        return combine(rng, pose, pair[0], pair[1])

    return gesture


def both_hands(*names: str) -> Gesture:
    """A gesture of both hands drawn from `names`."""
    return lambda rng, pose: TWO_HANDED[str(rng.choice(names))](rng, pose)


def now_and_then(gesture: Gesture, always: float = 0.5) -> Gesture:
    """The gesture for all the time (with chance `always`), or from or until some moment."""

    def mixed(rng: np.random.Generator, pose: Pose) -> Arms:
        arms = gesture(rng, pose)
        if rng.random() < always or len(pose.times) < 2:
            return arms
        at = rng.uniform(-0.2, 0.8) * pose.times[-1]
        weight = ease((pose.times - at) / rng.uniform(0.7, 1.1))
        return blend(pose, hang(rng, pose), arms, weight if rng.random() < 0.6 else 1 - weight)

    return mixed


def standing(arms: Gesture, look_down: float = 0.0) -> Recipe:
    """Standing somewhere near the origin, now and then with a shifted step."""

    def recipe(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
        steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.14, 0.4), rng.normal(0, 0.08))
        if rng.random() < 0.3 and times[-1] > 2:
            steps.stand(rng.uniform(0.2, 0.6) * times[-1])
            steps.turn(rng.normal(0, 0.4), rng.uniform(0.5, 0.7))
        body = upright(rng, times, fps, steps.support(times, fps))
        body.head[:, 1] += look_down
        return body, arms

    return recipe


def _path(rng: np.random.Generator, length: float) -> Floats:
    """A gently winding way of a few corners: (M, 2)."""
    points, yaw, at = [], 0.0, np.zeros(2)
    while length > 0:
        leg = min(length, rng.uniform(1.5, 4.0))
        at = at + leg * np.array([np.sin(yaw), np.cos(yaw)])
        points.append(at)
        yaw, length = yaw + rng.normal(0, 0.5), length - leg
    return np.array(points)


def travelling(slow: float, fast: float, arms: Gesture) -> Recipe:
    """Walking or running along a winding path, already under way at the first frame."""

    def recipe(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
        speed = rng.uniform(slow, fast)
        before = rng.uniform(1.2, 2.4)
        steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.12, 0.24))
        steps.walk(_path(rng, speed * (times[-1] + before + 3.0)), speed)
        late = np.arange(round(before * fps) + len(times)) / fps
        full = steps.support(late, fps)
        body = upright(rng, late, fps, full)
        for name in ("root_m", "pelvis", "spine", "head", "ankles_m", "knee_out", "swing", "stride_m", "speed"):
            setattr(body, name, getattr(body, name)[-len(times) :])
        body.times = times
        return body, arms

    return recipe


def turning(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Turning on the spot, either way, with pauses."""
    steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.16, 0.24))
    while steps.time_s < times[-1]:
        steps.stand(rng.uniform(0.1, 1.0))
        steps.turn(steps.yaw + rng.uniform(0.5, 3.0) * rng.choice([-1, 1]), rng.uniform(0.4, 0.65))
    return upright(rng, times, fps, steps.support(times, fps)), hang


def sitting(arms: Gesture, styles: tuple[str, ...] = _SEAT_STYLES, pitch: float = 0.0) -> Recipe:
    """Sitting on seats of any usual height."""

    def recipe(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
        body = seated(rng, times, float(np.clip(rng.normal(0.46, 0.07), 0.33, 0.8)), str(rng.choice(styles)))
        body.head[:, 1] += pitch * rng.uniform(0.6, 1.2)
        return body, arms

    return recipe


def changing_seat(rise: bool) -> Recipe:
    """Sitting down on a seat behind, or standing up from it, once in the time given."""

    def recipe(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
        steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.18, 0.34), rng.normal(0, 0.05))
        body = upright(rng, times, fps, steps.support(times, fps))
        length = rng.uniform(1.2, 1.8)
        w = ease((times - max(0.0, times[-1] - length) * rng.random()) / min(length, max(times[-1], 0.1)))
        w = 1 - w if rise else w
        bow = 4 * w * (1 - w)
        body.root_m[:, 2] -= 0.37 * w
        body.root_m[:, 1] += w * (rng.uniform(0.36, 0.55) + 0.09 - body.root_m[:, 1])
        body.pelvis[:, 1] += rng.uniform(0.45, 0.75) * bow - 0.1 * w
        body.spine[:, 1] += 0.25 * bow + 0.2 * w
        body.head[:, 1] -= 0.4 * bow
        to_lap = ONE_HANDED["lap"]
        return body, lambda r, pose: blend(pose, hang(r, pose), to_lap(r, pose), w)

    return recipe


def leaning(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Leaning on a table or rail in front, against a wall behind, or to one side."""
    body, _ = standing(hang)(rng, times, fps)
    way = rng.choice(["front", "wall", "side"])
    if way == "front":
        amount = rng.uniform(0.25, 0.8)
        body.pelvis[:, 1] += amount
        body.root_m[:, 2] -= 0.2 * amount
        body.head[:, 1] -= 0.5 * amount
        return body, both_hands("typing", "handlebar", "hang")
    if way == "wall":
        body.pelvis[:, 1] -= rng.uniform(0.08, 0.25)
        body.root_m[:, 2] -= 0.12
        return body, both_hands("arms_crossed", "hang", "behind_back")
    tilt = rng.choice([-1, 1]) * rng.uniform(0.1, 0.3)
    body.spine[:, 2] += tilt
    body.pelvis[:, 2] += 0.3 * tilt
    return body, one_hand("on_hip", "rail", "head", "pocket")


def picking_up(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Bending down to the floor and up again, knees more or less bent, with one hand or two."""
    period = rng.uniform(2.4, 4.0)
    phase = np.mod(cycles(rng, times, period), 1.0)
    w = ease(phase / 0.35) - ease((phase - 0.55) / 0.35)
    knees = rng.uniform(0.1, 0.8)
    body = crouch(rng, times, fps, knees * w)
    body.pelvis[:, 1] += (1.0 - 0.5 * knees) * w
    body.spine[:, 1] += 0.4 * w
    body.root_m[:, 2] -= 0.16 * w * (1 - knees)
    hands = rng.choice([0, 1, 2])

    def arms(r: np.random.Generator, pose: Pose) -> Arms:
        rest = hang(r, pose)
        target = np.array(rest[0])
        place = np.array([[s * 0.12, r.uniform(0.1, 0.35), r.uniform(0.3, 0.5)] for s in SIDE_SIGN])
        target[:] = place
        weight = np.repeat(w[:, None], 2, axis=1)
        if hands < 2:
            weight[:, 1 - hands] = 0
        return blend(pose, rest, (target, rest[1]), weight)

    return body, arms


def squatting(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Crouching low, or going down and up."""
    moving = 0.5 + 0.5 * np.sin(2 * np.pi * cycles(rng, times, 3.0))
    depth = rng.uniform(0.4, 1.0) * (moving if rng.random() < 0.4 else np.ones(len(times)))
    return crouch(rng, times, fps, depth), both_hands("lap", "hang", "hands_together", "balance", "conversation")


def lunging(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """A long stance with one leg far ahead, knees bent: lunges, stretching, fencing, boarding."""
    stance = rng.uniform(0.5, 1.0) * rng.choice([-1, 1])
    steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.1, 0.4), stance)
    body = upright(rng, times, fps, steps.support(times, fps))
    body.root_m[:, 1] -= rng.uniform(0.05, 0.3) * (0.6 + 0.4 * np.sin(2 * np.pi * cycles(rng, times, 3.0)))
    body.root_m[:, 2] += 0.2 * abs(stance) * rng.uniform(-1, 1)
    body.pelvis[:, 1] += rng.uniform(-0.1, 0.3)
    return body, both_hands("on_hips", "balance", "random", "raised", "hang", "t_pose")


def boarding(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Sideways on a board (surf, skate, snow): wide bent legs, looking along the board, arms out."""
    steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.45, 0.8))
    body = upright(rng, times, fps, steps.support(times, fps))
    body.root_m[:, 1] -= rng.uniform(0.08, 0.35) + drift(rng, times, (), 0.03, 1.5)
    side = rng.choice([-1, 1])
    body.pelvis[:, 1] += rng.uniform(0.05, 0.5)
    body.pelvis[:, 2] += drift(rng, times, (), 0.1, 2.0)
    body.spine[:, 0] += side * rng.uniform(0.2, 0.7)
    body.head[:, 0] += side * rng.uniform(0.3, 0.7)
    body.knee_out += rng.uniform(0.2, 0.6)
    return body, both_hands("balance", "t_pose", "random", "raised")


def skiing(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Parallel bent legs, hands ahead with poles, weight from side to side."""
    body = crouch(rng, times, fps, rng.uniform(0.15, 0.6))
    swing = 0.12 * np.sin(2 * np.pi * cycles(rng, times, 2.2))
    body.pelvis[:, 2] += swing
    body.root_m[:, 0] -= 0.5 * swing
    body.knee_out *= 0.2
    return body, both_hands("poles", "handlebar", "balance")


def riding(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Astride a horse, bicycle or motorcycle, hands on reins or handlebar; legs may pedal."""
    seat = rng.uniform(0.7, 1.0)
    body = seated(rng, times, seat, "astride")
    if rng.random() < 0.5:
        phase = 2 * np.pi * cycles(rng, times, rng.uniform(0.7, 1.2))[:, None] + np.array([0, np.pi])
        feet = np.stack(
            [np.broadcast_to(SIDE_SIGN * 0.12, phase.shape), seat - 0.52 + 0.17 * np.cos(phase),
             0.22 + 0.17 * np.sin(phase)], axis=-1)  # fmt: skip
        place_ankles(body, feet)
        body.knee_out[:] = 0.05
    body.pelvis[:, 1] += rng.uniform(0.0, 0.6)
    body.head[:, 1] -= rng.uniform(0.0, 0.4)
    return body, both_hands("handlebar", "handlebar", "carry_box", "hang")


def striking(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Throwing, serving, swinging a racket, bat or club: wind up, strike, follow through."""
    paths = {
        "throw": [(0.12, -0.1, 0.28), (0.5, 0.12, -0.28), (0.22, 0.35, 0.5), (-0.12, -0.35, 0.4)],
        "racket": [(0.2, -0.2, 0.35), (0.6, -0.1, -0.22), (0.35, -0.1, 0.5), (-0.3, 0.1, 0.3)],
        "serve": [(0.2, -0.1, 0.35), (0.3, 0.2, -0.18), (0.2, 0.62, 0.2), (-0.15, -0.4, 0.4)],
        "bat": [(0.2, 0.0, 0.24), (0.34, 0.08, 0.14), (-0.02, -0.25, 0.5), (-0.3, 0.02, 0.3)],
        "club": [(0.02, -0.5, 0.3), (0.35, 0.22, 0.15), (0.0, -0.5, 0.32), (-0.3, 0.2, 0.25)],
    }
    name = str(rng.choice(list(paths)))
    marks = np.array([*paths[name], paths[name][0]]) + rng.normal(0, 0.04, (5, 3))
    hand = int(rng.integers(2))
    period = rng.uniform(2.8, 3.8)
    at = np.mod(times + rng.uniform(0, period), period)
    key_times = np.array([0.0, 0.38, 0.52, 0.64, 1.0]) * period
    mark = keyframes(at, key_times, marks * [SIDE_SIGN[hand], 1, 1])
    twist = keyframes(at, key_times, -SIDE_SIGN[hand] * np.array([0.0, 0.6, -0.15, -0.6, 0.0]))
    steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.25, 0.5), -SIDE_SIGN[hand] * rng.uniform(0.1, 0.5))
    body = upright(rng, times, fps, steps.support(times, fps))
    body.root_m[:, 1] -= rng.uniform(0.02, 0.12)
    body.spine[:, 0] += 0.8 * twist
    body.pelvis[:, 0] += 0.35 * twist
    body.head[:, 0] -= 0.6 * twist
    body.spine[:, 1] += rng.uniform(0.0, 0.4) + (0.3 if name == "club" else 0.0)
    other = "both" if name in ("bat", "club") else str(rng.choice(["hang", "balance", "hold_cup"]))

    def arms(r: np.random.Generator, pose: Pose) -> Arms:
        free = hang(r, pose) if other == "both" else {**ONE_HANDED, **TWO_HANDED}[other](r, pose)
        chest = np.array(pose.trunk.to_chest(free[0]))
        chest[:, hand] = mark
        if other == "both":
            chest[:, 1 - hand] = mark + np.array([-0.05 * SIDE_SIGN[hand], -0.06, 0.02])
        return pose.trunk.from_chest(chest), free[1]

    return body, arms


def kicking(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Kicking with one leg: back, through, and down again; or a leg held high."""
    body, _ = standing(hang)(rng, times, fps)
    leg = int(rng.integers(2))
    period, height = rng.uniform(1.6, 2.6), rng.uniform(0.1, 0.75)
    at = np.mod(times + rng.uniform(0, period), period)
    marks = [(0, 0, 0), (0.02, 0.28, -0.42), (-0.05, height, 0.3 + 0.35 * height), (0, 0.12, 0.25), (0, 0, 0)]
    move = keyframes(at, np.array([0.0, 0.3, 0.48, 0.7, 1.0]) * period, np.array(marks) * [SIDE_SIGN[leg], 1, 1])
    body.ankles_m[:, leg] += move
    body.swing[:, leg] = np.minimum(move[:, 1] / 0.02, 1)
    lifted = ease(move[:, 1] / 0.2)
    body.root_m[:, 0] -= 0.06 * SIDE_SIGN[leg] * lifted
    body.pelvis[:, 1] -= 0.3 * move[:, 2]
    body.spine[:, 1] += 0.25 * move[:, 2]
    return body, both_hands("balance", "hang", "random")


def unusual(rng: np.random.Generator, times: Floats, fps: float) -> tuple[Body, Gesture]:
    """Anything that joints allow: trunk, legs and arms drawn at random, upright, tilted or in the air."""
    body = still_body(rng, times, HIP_HEIGHT_M)
    count = 2 + int(times[-1] / 1.5)
    keys = np.cumsum(rng.uniform(1.0, 2.0, count)) - 1.5
    scale = np.array([0.45, 0.4, 0.25])
    bent = np.clip(rng.normal(0.1, scale, (count, 3)), [-0.9, -0.5, -0.5], [0.9, 0.95, 0.5])
    body.spine = keyframes(times, keys, bent)
    tilt = rng.choice([0.15, 0.5, 1.2], p=[0.5, 0.3, 0.2])
    body.pelvis += keyframes(times, keys, rng.normal(0, [0.2, tilt, 0.7 * tilt], (count, 3)))
    reach = rng.uniform(0.4, 0.86, (count, 2, 1))
    spread = np.clip(rng.normal([0.15, 0.25], [0.25, 0.55], (count, 2, 2)), [-0.4, -0.5], [0.9, 1.4])
    local = np.stack([SIDE_SIGN * np.sin(spread[..., 0]), -np.cos(spread[..., 0]) * np.cos(spread[..., 1]),
                      np.cos(spread[..., 0]) * np.sin(spread[..., 1])], axis=-1)  # fmt: skip
    legs = keyframes(times, keys, local * reach)
    body.knee_out += rng.uniform(-0.1, 0.7)
    lie_on_floor = rng.random() < 0.8
    trunk = solve_trunk(body.root_m, body.pelvis, body.spine, body.head)
    body.ankles_m = trunk.hips_m + np.einsum("tij,tsj->tsi", rotation(body.pelvis), legs)
    low = np.min(np.concatenate([body.ankles_m[..., 1], trunk.head_top_m[:, None, 1] - 0.02], axis=1), axis=1)
    lift = (ANKLE_CLEARANCE_M if lie_on_floor else 0.35) - np.min(low)
    body.root_m[:, 1] += lift
    body.ankles_m[..., 1] += lift
    body.swing = np.ones_like(body.swing)
    return body, both_hands("random", "random", "raised", "t_pose", "behind_head", "balance")


ANKLE_CLEARANCE_M = 0.08

RECIPES: dict[str, Recipe] = {
    "stand": standing(one_hand(*_HANDS_FREE, other=_HANDS_FREE)),
    "conversation": standing(now_and_then(one_hand("conversation", "point", "hold_cup", other=_HANDS_FREE))),
    "wave": standing(now_and_then(one_hand("wave"))),
    "reach": standing(one_hand("reach", other=_HANDS_FREE)),
    "point": standing(now_and_then(one_hand("point", other=_HANDS_FREE))),
    "phone": standing(now_and_then(one_hand("phone_to_ear", other=_HANDS_FREE), always=0.8)),
    "text": standing(both_hands("hold_phone"), look_down=0.45),
    "photograph": standing(one_hand("camera", other=("camera", "hang"))),
    "arms_crossed": standing(now_and_then(both_hands("arms_crossed"), always=0.8)),
    "hands_on_hips": standing(both_hands("on_hips")),
    "hands_held": standing(both_hands("hands_together", "behind_back", "behind_head")),
    "carry": standing(both_hands("carry_box")),
    "raise_arms": standing(now_and_then(both_hands("raised", "t_pose", "clap"))),
    "stretch": standing(now_and_then(both_hands("stretch_up", "behind_head", "t_pose"))),
    "walk": travelling(0.6, 1.9, one_hand("hang", other=("hang", "hang", "hang", "pocket", "bag_strap"))),
    "walk_busy": travelling(0.5, 1.5, one_hand("phone_to_ear", "hold_phone", "wave", "hold_cup", "bag_strap")),
    "walk_carrying": travelling(0.5, 1.4, both_hands("carry_box")),
    "run": travelling(2.4, 4.2, hang),
    "turn": turning,
    "sit_down": changing_seat(rise=False),
    "stand_up": changing_seat(rise=True),
    "sit": sitting(one_hand("lap", "conversation", "chin", "head", "hold_cup", other=("lap", "lap", "conversation"))),
    "sit_hands_on_lap": sitting(both_hands("lap", "hands_together")),
    "sit_typing": sitting(both_hands("typing"), ("feet_down", "ankles_crossed"), 0.25),
    "sit_eating": sitting(one_hand("eat", other=("lap", "rail", "hold_cup")), ("feet_down", "ankles_crossed"), 0.2),
    "sit_phone": sitting(one_hand("phone_to_ear", "hold_phone", other=("lap", "hold_phone")), pitch=0.3),
    "sit_arms_crossed": sitting(both_hands("arms_crossed", "behind_head")),
    "sit_leg_crossed": sitting(
        one_hand("lap", "conversation", other=("lap", "chin")), ("leg_crossed", "ankle_on_knee")
    ),
    "sit_floor": lambda rng, times, fps: (floor_seat(rng, times), both_hands("lap", "conversation", "hang", "typing")),
    "lean": leaning,
    "pick_up": picking_up,
    "squat": squatting,
    "kneel": lambda rng, times, fps: (kneel(rng, times), both_hands("lap", "conversation", "typing", "hang", "random")),
    "lunge": lunging,
    "jump": lambda rng, times, fps: (jump(rng, times, fps), both_hands("balance", "raised", "random", "hang")),
    "lie": lambda rng, times, fps: (lying(rng, times), both_hands("random", "behind_head", "hang", "hands_together")),
    "strike": striking,
    "kick": kicking,
    "ski": skiing,
    "board": boarding,
    "ride": riding,
    "unusual": unusual,
}

"""What legs, pelvis and back do: standing, walking, sitting, crouching, lying and the like.

Each function returns a `Body`: everything of a motion but the arms. World frame, y up;
angles (yaw, pitch, roll) as in `kinematics`; T frames; sides left, right.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion.curves import bump, cycles, drift, ease, keyframes, smooth
from dualpose_ros.lab.synthetic.motion.gait import RUN_FROM_M_S, Footsteps, Support, facing, leftward
from dualpose_ros.lab.synthetic.motion.kinematics import (
    ANKLE_HEIGHT_M,
    HIP_HEIGHT_M,
    LEFT,
    LEG_M,
    RIGHT,
    SIDE_SIGN,
    rotation,
)


@dataclass
class Body:
    """Targets of everything but the arms over T frames.

    times (T,); root_m (T, 3) pelvis; pelvis, spine, head angles (T, 3);
    ankles_m (T, 2, 3); knee_out (T, 2); swing (T, 2) 0 where a foot is planted.
    """

    times: Floats
    root_m: Floats
    pelvis: Floats
    spine: Floats
    head: Floats
    ankles_m: Floats
    knee_out: Floats
    swing: Floats
    stride_m: Floats
    """(T,) how far the left ankle is ahead of the right: arms swing against it."""
    speed: Floats

    @property
    def yaw(self) -> Floats:
        """Heading (T,) of the pelvis."""
        return self.pelvis[:, 0]


def supported_height(root_xz: Floats, yaw: Floats, ankles_m: Floats, swing: Floats) -> Floats:
    """Highest pelvis (T,) from which both legs still reach their planted ankles."""
    hips = root_xz[:, None] + 0.09 * SIDE_SIGN[None, :, None] * leftward(yaw)[:, None]
    aside = np.linalg.norm(ankles_m[..., [0, 2]] - hips, axis=-1)
    limit = ankles_m[..., 1] + np.sqrt(np.maximum((0.975 * LEG_M) ** 2 - aside**2, 0.01)) + 0.3 * swing
    softness = 0.008
    return -softness * np.log(np.sum(np.exp(-limit / softness), axis=1))


def upright(rng: np.random.Generator, times: Floats, fps: float, support: Support) -> Body:
    """Standing and walking on planned feet: the pelvis rides over the legs and turns with the stride."""
    count = len(times)
    forward = facing(support.yaw)
    ankles = support.ankles_m
    stride = np.sum((ankles[:, LEFT] - ankles[:, RIGHT])[:, [0, 2]] * forward, axis=1)
    running = ease((support.speed - RUN_FROM_M_S + 0.3) / 0.6)
    moving = ease(support.speed / 0.5)
    still = 1 - moving
    shift = drift(rng, times, (), rng.uniform(0.005, 0.03), 5.0) * still
    root_xz = support.root_xz + shift[:, None] * leftward(support.yaw)
    root_xz = root_xz + (drift(rng, times, (), 0.008, 3.5) * still)[:, None] * forward
    limit = supported_height(root_xz, support.yaw, ankles, support.swing)
    relaxed = HIP_HEIGHT_M - rng.uniform(0.005, 0.03) - 0.015 * moving
    height = -0.01 * np.log(np.exp(-limit / 0.01) + np.exp(-relaxed / 0.01))
    flight = 0.035 * np.max(support.swing, axis=1) - 0.05
    springy = -0.01 * np.log(np.exp(-limit / 0.01) + np.exp(-(relaxed + flight) / 0.01))
    height = smooth(height * (1 - running) + springy * running, fps, 0.05)
    lean = 0.03 * moving + rng.normal(0, 0.02) + rng.uniform(0.08, 0.2) * running
    difference = support.swing[:, RIGHT] - support.swing[:, LEFT]
    pelvis = np.stack([support.yaw - 0.16 * stride, np.broadcast_to(lean, count), 0.05 * difference], axis=1)
    pelvis[:, 2] -= 1.2 * shift
    spine = np.zeros((count, 3))
    spine[:, 0] = 0.3 * stride
    spine[:, 1] = rng.uniform(-0.05, 0.1) + 0.012 * np.sin(2 * np.pi * cycles(rng, times, 3.8))
    spine[:, 2] = 1.2 * shift - 0.05 * difference
    head = gaze(rng, times)
    head[:, 0] -= 0.14 * stride
    knee_out = np.full((count, 2), rng.uniform(0.05, 0.25))
    root = np.stack([root_xz[:, 0], height, root_xz[:, 1]], axis=1)
    return Body(times, root, pelvis, spine, head, ankles, knee_out, support.swing, stride, support.speed)


def gaze(rng: np.random.Generator, times: Floats) -> Floats:
    """Head angles (T, 3) that look around: shifts every one to four seconds, and never quite still."""
    end = float(times[-1]) if len(times) else 0.0
    keys, values = [float(times[0]) - rng.uniform(0, 2)], []
    while keys[-1] < end + 0.5:
        hold = rng.uniform(0.6, 3.5)
        keys += [keys[-1] + hold, keys[-1] + hold + rng.uniform(0.45, 0.8)]
    for _ in range((len(keys) + 1) // 2):
        look = np.clip(rng.normal(0, [0.3, 0.12, 0.06]), [-0.95, -0.4, -0.25], [0.95, 0.45, 0.25])
        values += [look, look]
    head = keyframes(times, keys, np.array(values[: len(keys)])) + drift(rng, times, (3,), 0.02, 2.5)
    head[:, 1] += 0.03
    return head


def still_body(rng: np.random.Generator, times: Floats, root_y: float) -> Body:
    """A body resting in one place, ankles below the hips; functions here then pose it."""
    count = len(times)
    root = np.zeros((count, 3))
    root[:, 1] = root_y
    root += drift(rng, times, (3,), 0.003, 4.0)
    pelvis = drift(rng, times, (3,), 0.01, 4.0)
    ankles = np.zeros((count, 2, 3))
    zero = np.zeros((count, 2))
    spine = drift(rng, times, (3,), 0.02, 4.0)
    return Body(
        times, root, pelvis, spine, gaze(rng, times), ankles, zero.copy(), zero, np.zeros(count), np.zeros(count)
    )


def place_ankles(body: Body, offsets: Floats) -> None:
    """Put the ankles at offsets (2, 3) or (T, 2, 3): left, up from the floor, ahead of the body's first place."""
    yaw = body.pelvis[0, 0]
    offsets = np.broadcast_to(offsets, body.ankles_m.shape)
    xz = offsets[..., :1] * leftward(yaw) + offsets[..., 2:] * facing(yaw)
    origin = body.root_m.mean(axis=0)
    body.ankles_m = np.stack([origin[0] + xz[..., 0], offsets[..., 1], origin[2] + xz[..., 1]], axis=-1)


def seated(rng: np.random.Generator, times: Floats, seat_m: float, style: str = "feet_down") -> Body:
    """Sitting on a seat of this height; style: feet_down, leg_crossed, ankle_on_knee, ankles_crossed, astride."""
    body = still_body(rng, times, seat_m + 0.09)
    slump = rng.uniform(-0.1, 0.45)
    body.pelvis[:, 1] += rng.uniform(-0.3, 0.1)
    body.spine[:, 1] += slump
    body.head[:, 1] -= 0.4 * slump
    body.spine[:, 2] += rng.normal(0, 0.06)
    apart = rng.uniform(0.07, 0.22)
    ahead = float(np.clip(rng.normal(0.42, 0.1), 0.2, 0.7))
    feet = np.array([[s * apart, ANKLE_HEIGHT_M, ahead + rng.normal(0, 0.03)] for s in SIDE_SIGN])
    body.knee_out += rng.uniform(-0.05, 0.45)
    seat_knee = np.array([0.0, min(seat_m + 0.1, 0.62), 0.42])
    side = int(rng.integers(2))
    if style == "leg_crossed":
        feet[side] = seat_knee + np.array([-SIDE_SIGN[side] * 0.16, -0.16, 0.13])
        body.knee_out[:, side] = -0.15
    elif style == "ankle_on_knee":
        feet[side] = seat_knee + np.array([-SIDE_SIGN[side] * 0.1, 0.06, -0.06])
        body.knee_out[:, side] = 1.15
    elif style == "ankles_crossed":
        feet = np.array([[-s * 0.07, ANKLE_HEIGHT_M, ahead + 0.15 + 0.06 * s] for s in SIDE_SIGN])
        body.knee_out[:] = 0.35
    elif style == "astride":
        feet = np.array([[s * 0.27, max(ANKLE_HEIGHT_M, seat_m - 0.62), 0.08] for s in SIDE_SIGN])
        body.knee_out[:] = 0.5
    place_ankles(body, feet)
    return body


def crouch(rng: np.random.Generator, times: Floats, fps: float, depth: Floats | float) -> Body:
    """Squatting over both feet; depth (T,) or number, 0 standing to 1 on the heels."""
    d = np.broadcast_to(np.asarray(depth, dtype=np.float64), times.shape)
    steps = Footsteps(np.zeros(2), 0.0, rng.uniform(0.2, 0.5), rng.normal(0, 0.12))
    body = upright(rng, times, fps, steps.support(times, fps))
    body.root_m[:, 1] -= d * (body.root_m[:, 1] - rng.uniform(0.28, 0.42))
    body.root_m[:, 2] -= 0.2 * bump(0.5 * d) * (1 - 0.4 * d)
    lean = rng.uniform(0.15, 0.5)
    body.pelvis[:, 1] += lean * d
    body.spine[:, 1] += rng.uniform(0.2, 0.6) * d
    body.head[:, 1] -= 0.7 * lean * d
    body.knee_out += rng.uniform(0.1, 0.7) * d[:, None]
    body.ankles_m[..., 1] += (rng.random() < 0.5) * 0.07 * ease(d * 2 - 1)[:, None]
    return body


def kneel(rng: np.random.Generator, times: Floats) -> Body:
    """On one knee, on both, or sitting on the heels."""
    style = rng.choice(["one", "both", "heels"])
    height = {"one": 0.5, "both": 0.5, "heels": 0.26}[style]
    body = still_body(rng, times, height)
    apart = rng.uniform(0.08, 0.18)
    back = np.array([[s * apart, 0.08, -0.38 if style != "heels" else -0.06] for s in SIDE_SIGN])
    if style == "one":
        front = int(rng.integers(2))
        back[front] = [SIDE_SIGN[front] * rng.uniform(0.1, 0.2), ANKLE_HEIGHT_M, rng.uniform(0.3, 0.5)]
    place_ankles(body, back)
    body.spine[:, 1] += rng.uniform(-0.05, 0.5)
    body.pelvis[:, 1] += rng.uniform(-0.05, 0.15)
    return body


def floor_seat(rng: np.random.Generator, times: Floats) -> Body:
    """Sitting on the floor: legs crossed, stretched out, or knees drawn up."""
    style = rng.choice(["crossed", "out", "up"])
    body = still_body(rng, times, 0.1)
    body.pelvis[:, 1] += rng.uniform(-0.4, 0.0)
    body.spine[:, 1] += rng.uniform(0.0, 0.6)
    if style == "crossed":
        feet = np.array([[-s * 0.1, 0.07, rng.uniform(0.18, 0.3)] for s in SIDE_SIGN])
        body.knee_out[:] = 1.15
    elif style == "out":
        feet = np.array([[s * rng.uniform(0.05, 0.35), 0.07, rng.uniform(0.65, 0.82)] for s in SIDE_SIGN])
    else:
        feet = np.array([[s * rng.uniform(0.08, 0.2), ANKLE_HEIGHT_M, rng.uniform(0.3, 0.5)] for s in SIDE_SIGN])
        body.knee_out[:] = rng.uniform(0.0, 0.3)
    place_ankles(body, feet)
    return body


def lying(rng: np.random.Generator, times: Floats) -> Body:
    """On the back, on the front, or on one side."""
    side = rng.choice(["back", "front", "side"], p=[0.5, 0.25, 0.25])
    body = still_body(rng, times, {"back": 0.13, "front": 0.13, "side": 0.18}[side])
    pitch = np.pi / 2 if side == "front" else -np.pi / 2
    body.pelvis[:, 0] += rng.uniform(-np.pi, np.pi)
    if side == "side":
        body.pelvis[:, 2] += np.pi / 2 * rng.choice([-1, 1])
    else:
        body.pelvis[:, 1] += pitch
    local = np.zeros((len(times), 2, 3))
    for index, sign in enumerate(SIDE_SIGN):
        bent = rng.uniform(0, 1) if side != "front" else rng.uniform(0, 0.15)
        ahead = -0.3 * bent if side == "front" else 0.35 * bent
        local[:, index] = [sign * rng.uniform(0.06, 0.2), -0.83 + 0.4 * bent, ahead]
    local += drift(rng, times, (2, 3), 0.01, 4.0)
    body.ankles_m = body.root_m[:, None] + np.einsum("tij,tsj->tsi", rotation(body.pelvis), local)
    body.ankles_m[..., 1] = np.maximum(body.ankles_m[..., 1], 0.06)
    body.head[:, 1] += rng.uniform(-0.1, 0.5) if side == "back" else rng.uniform(-0.5, 0.0)
    return body


def jump(rng: np.random.Generator, times: Floats, fps: float) -> Body:
    """Repeated jumps: crouch, flight under gravity with the legs tucked or spread, landing."""
    height = rng.uniform(0.12, 0.5)
    flight = 2 * np.sqrt(2 * height / 9.81)
    period = flight + rng.uniform(0.7, 1.1)
    u = np.mod(times + rng.uniform(0, period), period)
    airborne = u < flight
    air = np.where(airborne, u / flight, 0.0)
    rise = 4 * height * air * (1 - air)
    ground = np.where(airborne, 0.0, (u - flight) / (period - flight))
    depth = rng.uniform(0.25, 0.55) * np.where(airborne, 0.0, bump(ground) ** 0.5)
    body = crouch(rng, times, fps, smooth(depth, fps, 0.04))
    rise = smooth(rise, fps, 0.02)
    tuck = rng.uniform(0.0, 0.35) * bump(air)
    body.root_m[:, 1] += rise
    body.ankles_m[..., 1] += (rise + tuck)[:, None]
    body.ankles_m[..., 0] += SIDE_SIGN * rng.choice([0.0, 0.0, 0.25]) * bump(air)[:, None]
    body.swing = np.repeat((rise > 1e-3).astype(np.float64)[:, None], 2, axis=1)
    return body

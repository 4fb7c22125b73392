"""What the arms do: hanging, swinging, waving, resting on things, held in many ways.

A gesture gives wrist targets (T, 2, 3) in the world and elbow swivels (T, 2), sides left,
right, for a `Pose` whose trunk and legs are solved. Chest, pelvis and head frames: x left,
y up, z forward of that part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion import kinematics
from dualpose_ros.lab.synthetic.motion.curves import cycles, drift, ease, keyframes
from dualpose_ros.lab.synthetic.motion.gait import RUN_FROM_M_S
from dualpose_ros.lab.synthetic.motion.stances import Body

Arms = tuple[Floats, Floats]
SHOULDER_CHEST = kinematics.REST_JOINTS_M[list(kinematics.SHOULDERS)] - kinematics.CHEST_ORIGIN_M


@dataclass(frozen=True)
class Pose:
    """A body with solved trunk and legs (knees_m (T, 2, 3)), ready to be given arms."""

    body: Body
    trunk: kinematics.Trunk
    knees_m: Floats

    @property
    def times(self) -> Floats:
        """Seconds (T,)."""
        return self.body.times


def _swivel(pose: Pose, value: float = 0.0) -> Floats:
    return np.full((len(pose.times), 2), value)


def _tile(pose: Pose, points: Floats) -> Floats:
    return np.broadcast_to(points, (len(pose.times), 2, 3))


def _mirrored(x: float, y: float, z: float) -> Floats:
    """The same place at either hand: (2, 3)."""
    return np.array([[sign * x, y, z] for sign in kinematics.SIDE_SIGN])


def _live(rng: np.random.Generator, pose: Pose, points: Floats, amount_m: float = 0.008) -> Floats:
    """Targets that no living hand holds quite still."""
    return _tile(pose, points) + drift(rng, pose.times, (2, 3), amount_m, 2.0)


def hang(rng: np.random.Generator, pose: Pose) -> Arms:
    """Hanging under gravity, and swinging against the stride when walking; bent when running."""
    body, trunk = pose.body, pose.trunk
    count = len(pose.times)
    bend, out = rng.uniform(0.01, 0.08), rng.uniform(0.02, 0.12)
    gain = rng.uniform(0.35, 0.75) * np.where(rng.random(2) < 0.9, 1.0, 0.2)
    swing = -kinematics.SIDE_SIGN[None] * body.stride_m[:, None] * gain[None]
    angle = np.clip(swing * 1.1, -0.75, 0.85) + drift(rng, pose.times, (2,), 0.03, 3.0)
    down = np.zeros((count, 2, 3))
    reach = kinematics.ARM_M - bend - 0.05 * np.maximum(angle, 0)
    down[..., 0] = kinematics.SIDE_SIGN * out
    down[..., 1] = -np.cos(angle) * reach
    down[..., 2] = np.sin(angle) * reach + 0.02
    heading = np.stack([body.yaw, np.zeros(count), np.zeros(count)], axis=1)
    shoulders = trunk.from_chest(_tile(pose, SHOULDER_CHEST))
    world = shoulders + np.einsum("tij,tsj->tsi", kinematics.rotation(heading), down)
    chest = trunk.from_chest(SHOULDER_CHEST + down)
    wrists = 0.6 * world + 0.4 * chest
    run = ease((body.speed - RUN_FROM_M_S + 0.3) / 0.6)[:, None, None]
    if np.any(run > 0):
        pumped = np.stack(
            [kinematics.SIDE_SIGN * (0.2 - 0.12 * np.maximum(angle, 0)), -0.33 + 0.3 * angle, 0.2 + 0.42 * angle],
            axis=-1,
        )
        wrists = wrists * (1 - run) + trunk.from_chest(pumped) * run
    return wrists, _swivel(pose)


def conversation(rng: np.random.Generator, pose: Pose) -> Arms:
    """Hands that talk: now and then to a new place in front of the body."""
    keys = [float(pose.times[0]) - rng.uniform(0, 1)]
    while keys[-1] < pose.times[-1] + 0.6:
        keys.append(keys[-1] + rng.uniform(0.45, 1.3))
    low, high = np.array([0.02, -0.42, 0.16]), np.array([0.4, 0.02, 0.42])
    values = rng.uniform(low, high, (len(keys), 2, 3))
    values[..., 0] *= kinematics.SIDE_SIGN
    return pose.trunk.from_chest(keyframes(pose.times, keys, values)), _swivel(pose, rng.uniform(-0.2, 0.4))


def wave(rng: np.random.Generator, pose: Pose) -> Arms:
    """Hand up beside the head, waving from the elbow."""
    centre = _mirrored(rng.uniform(0.25, 0.5), rng.uniform(0.08, 0.42), rng.uniform(0.05, 0.3))
    phase = 2 * np.pi * cycles(rng, pose.times, rng.uniform(0.45, 0.8))
    points = np.array(_tile(pose, centre))
    points[..., 0] += rng.uniform(0.07, 0.14) * np.sin(phase)[:, None]
    points[..., 1] -= 0.03 * np.cos(2 * phase)[:, None]
    return pose.trunk.from_chest(points), _swivel(pose, rng.uniform(-0.2, 0.2))


def point(rng: np.random.Generator, pose: Pose) -> Arms:
    """A nearly straight arm toward something in front or aside, changing its mind sometimes."""
    keys = [0.0]
    while keys[-1] < pose.times[-1]:
        keys += [keys[-1] + rng.uniform(0.6, 2.5), keys[-1] + 3.2]
    directions = []
    for _ in range((len(keys) + 1) // 2):
        azimuth, height = rng.uniform(-0.3, 1.5), rng.uniform(-0.5, 0.7)
        direction = [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
        mirrored = direction * np.stack([kinematics.SIDE_SIGN, [1.0, 1.0], [1.0, 1.0]], axis=-1)
        directions += [mirrored, mirrored]
    reach = rng.uniform(0.85, 0.99) * kinematics.ARM_M
    points = SHOULDER_CHEST + reach * keyframes(pose.times, keys, np.array(directions[: len(keys)]))
    return pose.trunk.from_chest(points), _swivel(pose)


def reach(rng: np.random.Generator, pose: Pose) -> Arms:
    """Reaching out for something and drawing the hand back, again and again."""
    azimuth, height = rng.uniform(-0.4, 1.2), rng.uniform(-0.7, 1.1)
    far = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    out = SHOULDER_CHEST + 0.95 * kinematics.ARM_M * far * np.stack(
        [kinematics.SIDE_SIGN, [1.0, 1.0], [1.0, 1.0]], axis=-1
    )
    near = _mirrored(rng.uniform(0.1, 0.3), rng.uniform(-0.45, -0.2), rng.uniform(0.15, 0.3))
    start = -rng.uniform(0, 2)
    keys, values = [start], [near]
    while keys[-1] < pose.times[-1] + 0.5:
        go, stay, back = rng.uniform(0.6, 1.0), rng.uniform(0.2, 1.0), rng.uniform(0.6, 1.0)
        keys += [keys[-1] + go, keys[-1] + go + stay, keys[-1] + go + stay + back, keys[-1] + go + 2 * stay + back]
        values += [out, out, near, near]
    return pose.trunk.from_chest(keyframes(pose.times, keys, np.array(values))), _swivel(pose)


def lap(rng: np.random.Generator, pose: Pose) -> Arms:
    """Hands resting on the thighs."""
    along = rng.uniform(0.3, 0.9, 2)[None, :, None]
    thigh = pose.trunk.hips_m * (1 - along) + pose.knees_m * along
    above = np.array([0.0, 0.075, 0.0]) + drift(rng, pose.times, (2, 3), 0.004, 3.0)
    return thigh + above, _swivel(pose, rng.uniform(0, 0.4))


def eat(rng: np.random.Generator, pose: Pose) -> Arms:
    """Hand between a plate in front and the mouth."""
    phase = np.mod(cycles(rng, pose.times, 3.0), 1.0)
    w = (ease(phase / 0.25) - ease((phase - 0.45) / 0.25))[:, None, None]
    plate = pose.trunk.from_pelvis(_tile(pose, _mirrored(0.14, 0.3, 0.36)))
    mouth = pose.trunk.from_head(_tile(pose, _mirrored(0.08, -0.02, 0.16)))
    return plate * (1 - w) + mouth * w, _swivel(pose, 0.3)


def typing(rng: np.random.Generator, pose: Pose) -> Arms:
    """Hands on a keyboard or a table in front, small quick movements."""
    height, ahead = rng.uniform(0.18, 0.32), rng.uniform(0.3, 0.45)
    points = _live(rng, pose, _mirrored(rng.uniform(0.08, 0.2), height, ahead), 0.01)
    return pose.trunk.from_pelvis(points + drift(rng, pose.times, (2, 3), 0.004, 0.5)), _swivel(pose, 0.2)


def clap(rng: np.random.Generator, pose: Pose) -> Arms:
    """Clapping in front of the chest."""
    open_m = 0.04 + 0.07 * (1 + np.sin(2 * np.pi * cycles(rng, pose.times, rng.uniform(0.35, 0.6))))
    points = np.array(_tile(pose, _mirrored(1.0, rng.uniform(-0.3, 0.0), rng.uniform(0.25, 0.35))))
    points[..., 0] = kinematics.SIDE_SIGN * open_m[:, None]
    return pose.trunk.from_chest(points), _swivel(pose, 0.2)


def random_arms(rng: np.random.Generator, pose: Pose) -> Arms:
    """Any reachable place, each hand on its own, moved between a few of them."""
    count = 2 + int(pose.times[-1] / 1.2)
    keys = np.cumsum(rng.uniform(0.8, 1.6, count)) - 1.0
    vector = rng.normal(size=(count, 2, 3))
    vector /= np.linalg.norm(vector, axis=-1, keepdims=True)
    vector[..., 0] = np.where(vector[..., 0] * kinematics.SIDE_SIGN < -0.4, -vector[..., 0], vector[..., 0])
    vector[..., 2] = np.where(vector[..., 2] < -0.45, -vector[..., 2], vector[..., 2])
    radius = rng.uniform(0.35, 1.0, (count, 2, 1)) * kinematics.ARM_M
    path = keyframes(pose.times, keys, vector * radius)
    short = keyframes(pose.times, keys, radius)[..., 0] - np.linalg.norm(path, axis=-1)
    path[..., 2] += 0.6 * short  # around the shoulder, not through it
    return pose.trunk.from_chest(SHOULDER_CHEST + path), _swivel(pose, rng.uniform(-0.3, 0.5))


def _held(
    frame: str, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], swivel: float = 0.0
) -> Callable[[np.random.Generator, Pose], Arms]:
    """A gesture that holds both hands at a mirrored place of the chest, pelvis or head frame."""

    def gesture(rng: np.random.Generator, pose: Pose) -> Arms:
        place = _mirrored(rng.uniform(*x), rng.uniform(*y), rng.uniform(*z))
        points = _live(rng, pose, place + rng.normal(0, 0.015, (2, 3)))
        to_world = {"chest": pose.trunk.from_chest, "pelvis": pose.trunk.from_pelvis, "head": pose.trunk.from_head}
        return to_world[frame](points), _swivel(pose, swivel + rng.normal(0, 0.1))

    return gesture


ONE_HANDED: dict[str, Callable[[np.random.Generator, Pose], Arms]] = {
    "hang": hang,
    "wave": wave,
    "point": point,
    "reach": reach,
    "eat": eat,
    "conversation": conversation,
    "random": random_arms,
    "lap": lap,
    "phone_to_ear": _held("head", (0.1, 0.14), (0.0, 0.07), (0.02, 0.08)),
    "hold_phone": _held("chest", (0.0, 0.14), (-0.26, -0.05), (0.24, 0.34)),
    "hold_cup": _held("chest", (0.05, 0.2), (-0.35, -0.15), (0.2, 0.32)),
    "camera": _held("head", (0.05, 0.15), (-0.02, 0.12), (0.25, 0.4)),
    "on_hip": _held("pelvis", (0.19, 0.23), (0.05, 0.14), (-0.03, 0.05), 0.6),
    "pocket": _held("pelvis", (0.18, 0.22), (-0.08, 0.0), (0.02, 0.1), 0.3),
    "chin": _held("head", (0.02, 0.07), (-0.07, 0.0), (0.12, 0.17)),
    "head": _held("head", (0.06, 0.14), (0.1, 0.22), (-0.08, 0.1), 0.2),
    "behind_back": _held("pelvis", (0.03, 0.1), (0.0, 0.12), (-0.19, -0.15), 0.2),
    "bag_strap": _held("chest", (0.1, 0.16), (-0.16, -0.06), (0.14, 0.18)),
    "overhead": _held("chest", (0.1, 0.35), (0.45, 0.6), (0.0, 0.2)),
    "rail": _held("chest", (0.2, 0.4), (-0.35, -0.1), (0.3, 0.45)),
}
"""Gestures that one hand can make while the other does something else."""

TWO_HANDED: dict[str, Callable[[np.random.Generator, Pose], Arms]] = {
    "hang": hang,
    "conversation": conversation,
    "clap": clap,
    "typing": typing,
    "lap": lap,
    "random": random_arms,
    "arms_crossed": _held("chest", (-0.15, -0.09), (-0.26, -0.14), (0.17, 0.22), 0.35),
    "on_hips": _held("pelvis", (0.19, 0.23), (0.05, 0.14), (-0.03, 0.05), 0.6),
    "carry_box": _held("chest", (0.14, 0.26), (-0.38, -0.12), (0.28, 0.4)),
    "hands_together": _held("pelvis", (0.03, 0.07), (-0.1, 0.25), (0.17, 0.24), 0.2),
    "behind_back": _held("pelvis", (0.03, 0.08), (0.0, 0.1), (-0.19, -0.15), 0.2),
    "behind_head": _held("head", (0.05, 0.11), (0.06, 0.14), (-0.12, -0.07), 0.0),
    "raised": _held("chest", (0.15, 0.5), (0.35, 0.6), (-0.05, 0.15)),
    "stretch_up": _held("chest", (0.02, 0.12), (0.55, 0.65), (-0.05, 0.1)),
    "t_pose": _held("chest", (0.6, 0.72), (-0.15, 0.2), (-0.1, 0.1)),
    "handlebar": _held("chest", (0.2, 0.32), (-0.4, -0.1), (0.35, 0.48), 0.2),
    "hug": _held("chest", (-0.12, 0.1), (-0.15, 0.05), (0.35, 0.45), 0.4),
    "hold_phone": _held("chest", (0.02, 0.1), (-0.3, -0.05), (0.22, 0.36)),
    "balance": _held("chest", (0.4, 0.65), (-0.35, 0.15), (-0.1, 0.3)),
    "poles": _held("chest", (0.22, 0.36), (-0.45, -0.25), (0.2, 0.4), 0.3),
}
"""Gestures of both hands together."""


def combine(rng: np.random.Generator, pose: Pose, left: str, right: str) -> Arms:
    """Arms whose left and right hands make gestures of ONE_HANDED."""
    first, second = ONE_HANDED[left](rng, pose), ONE_HANDED[right](rng, pose)
    wrists = np.stack([first[0][:, 0], second[0][:, 1]], axis=1)
    return wrists, np.stack([first[1][:, 0], second[1][:, 1]], axis=1)


def blend(pose: Pose, before: Arms, after: Arms, weight: Floats) -> Arms:
    """From one gesture to another by weight (T,) or (T, 2); in between, hands pass in front of the body."""
    w = weight if weight.ndim == 2 else np.repeat(weight[:, None], 2, axis=1)
    a, b = pose.trunk.to_chest(before[0]), pose.trunk.to_chest(after[0])
    middle = a * (1 - w[..., None]) + b * w[..., None]
    middle[..., 2] += 4 * w * (1 - w) * 0.28 * np.linalg.norm(b - a, axis=-1)
    return pose.trunk.from_chest(middle), before[1] * (1 - w) + after[1] * w

"""Forward and inverse kinematics of the reference adult that motions are written for.

World frame: y up, floor y = 0. At rest the body faces +z with its left side toward +x.
T frames, K joints of `skeleton.H36M17`; sides are ordered left, right (SIDE_SIGN +1, -1).
Angles are (yaw, pitch, roll) in radians: yaw turns left, pitch leans forward, roll leans
to the right; applied in this order, each about the turned axes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion.curves import smooth
from dualpose_ros.skeleton import H36M17

LEFT, RIGHT = 0, 1
SIDE_SIGN = np.array([1.0, -1.0])
_SIDES = ("left", "right")
HIPS = tuple(H36M17.index(f"{side}_hip") for side in _SIDES)
KNEES = tuple(H36M17.index(f"{side}_knee") for side in _SIDES)
ANKLES = tuple(H36M17.index(f"{side}_ankle") for side in _SIDES)
SHOULDERS = tuple(H36M17.index(f"{side}_shoulder") for side in _SIDES)
ELBOWS = tuple(H36M17.index(f"{side}_elbow") for side in _SIDES)
WRISTS = tuple(H36M17.index(f"{side}_wrist") for side in _SIDES)
PELVIS, SPINE, THORAX, NECK, HEAD_TOP = (
    H36M17.index(name) for name in ("pelvis", "spine", "thorax", "neck", "head_top")
)

_REST = {
    "pelvis": (0.0, 0.935, 0.0),
    "left_hip": (0.09, 0.935, 0.0),
    "left_knee": (0.095, 0.505, 0.0),
    "left_ankle": (0.095, 0.085, -0.01),
    "spine": (0.0, 1.1375, -0.005),
    "thorax": (0.0, 1.34, -0.01),
    "neck": (0.0, 1.522, 0.0),
    "head_top": (0.0, 1.72, 0.01),
    "left_shoulder": (0.18, 1.39, -0.015),
    "left_elbow": (0.205, 1.10, -0.03),
    "left_wrist": (0.215, 0.85, 0.0),
}


def _rest_joints() -> Floats:
    mirrored = {name.replace("left_", "right_"): (-x, y, z) for name, (x, y, z) in _REST.items()}
    return np.array([{**mirrored, **_REST}[name] for name in H36M17.joint_names])


REST_JOINTS_M = _rest_joints()
"""The reference adult standing at rest, arms down: (17, 3)."""

CHEST_ORIGIN_M = np.array([0.0, 1.41, -0.02])
"""Where the chest's frame starts at rest: between the shoulders, above the thorax joint."""

ANKLE_HEIGHT_M = float(REST_JOINTS_M[ANKLES[0], 1])
HIP_HEIGHT_M = float(REST_JOINTS_M[PELVIS, 1])


def _length(child: int) -> float:
    return float(np.linalg.norm(REST_JOINTS_M[child] - REST_JOINTS_M[H36M17.parents[child]]))


THIGH_M, SHANK_M = _length(KNEES[0]), _length(ANKLES[0])
UPPER_ARM_M, FOREARM_M = _length(ELBOWS[0]), _length(WRISTS[0])
LEG_M, ARM_M = THIGH_M + SHANK_M, UPPER_ARM_M + FOREARM_M


@dataclass(frozen=True)
class Trunk:
    """Where the trunk is: joints (T, 3) by name, chest_m the chest frame's origin, and rotations (T, 3, 3) body part ->
    world."""

    pelvis_m: Floats
    spine_m: Floats
    thorax_m: Floats
    chest_m: Floats
    neck_m: Floats
    head_top_m: Floats
    pelvis_rotation: Floats
    chest_rotation: Floats
    head_rotation: Floats

    @property
    def hips_m(self) -> Floats:
        """Left and right hip joint: (T, 2, 3)."""
        offsets = REST_JOINTS_M[list(HIPS)] - REST_JOINTS_M[PELVIS]
        return self.pelvis_m[:, None] + np.einsum("tij,sj->tsi", self.pelvis_rotation, offsets)

    def from_chest(self, points: Floats) -> Floats:
        """World position of points (T, S, 3) given in the chest frame (origin chest_m)."""
        return self.chest_m[:, None] + np.einsum("tij,tsj->tsi", self.chest_rotation, points)

    def to_chest(self, points: Floats) -> Floats:
        """Chest frame coordinates of world points (T, S, 3)."""
        return np.einsum("tji,tsj->tsi", self.chest_rotation, points - self.chest_m[:, None])

    def from_pelvis(self, points: Floats) -> Floats:
        """World position of points (T, S, 3) given in the pelvis frame."""
        return self.pelvis_m[:, None] + np.einsum("tij,tsj->tsi", self.pelvis_rotation, points)

    def from_head(self, points: Floats) -> Floats:
        """World position of points (T, S, 3) given in the head frame (origin neck)."""
        return self.neck_m[:, None] + np.einsum("tij,tsj->tsi", self.head_rotation, points)


def rotation(angles: Floats) -> Floats:
    """Rotation matrices (..., 3, 3) of (yaw, pitch, roll) (..., 3): R = Ry Rx Rz."""
    angles = np.asarray(angles, dtype=np.float64)
    return Rotation.from_euler("YXZ", angles.reshape(-1, 3)).as_matrix().reshape(*angles.shape, 3)


def solve_trunk(root_m: Floats, pelvis: Floats, spine: Floats, head: Floats) -> Trunk:
    """Trunk from the pelvis position (T, 3) and angles (T, 3) of pelvis, spine and head.

    Spine angles turn the chest against the pelvis, head angles the head against the chest;
    the joint between takes a share, so that the back and the neck bend in an arc.
    """
    rest = REST_JOINTS_M
    pelvis_rotation = rotation(pelvis)
    middle = pelvis_rotation @ rotation(0.35 * spine)
    upper = pelvis_rotation @ rotation(0.8 * spine)
    chest = pelvis_rotation @ rotation(spine)
    neck_rotation = chest @ rotation(0.45 * head)
    head_rotation = chest @ rotation(head)
    spine_m = root_m + middle @ (rest[SPINE] - rest[PELVIS])
    thorax_m = spine_m + upper @ (rest[THORAX] - rest[SPINE])
    chest_m = thorax_m + chest @ (CHEST_ORIGIN_M - rest[THORAX])
    neck_m = thorax_m + neck_rotation @ (rest[NECK] - rest[THORAX])
    head_m = neck_m + head_rotation @ (rest[HEAD_TOP] - rest[NECK])
    return Trunk(root_m, spine_m, thorax_m, chest_m, neck_m, head_m, pelvis_rotation, chest, head_rotation)


def soft_reach(distance: Floats, low: float, high: float) -> Floats:
    """Distance kept within low..high by smooth saturation over the last fiftieth at either end."""
    margin = 0.02 * (high - low)
    d = np.asarray(distance, dtype=np.float64)
    over = np.maximum(d - (high - margin), 0) / margin
    under = np.maximum((low + margin) - d, 0) / margin
    inside = np.clip(d, low + margin, high - margin)
    return inside + margin * (1 - np.exp(-over)) - margin * (1 - np.exp(-under))


def two_bone(start: Floats, target: Floats, pole: Floats, upper: float, lower: float) -> tuple[Floats, Floats]:
    """Middle joint and end (..., 3) of a limb from `start` toward `target`, bent toward `pole`.

    The end meets the target where a limb of these lengths reaches it with at most 150 degrees
    of flexion; else it stops short on the line to it.
    """
    line = target - start
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    direction = line / np.maximum(distance, 1e-9)
    shortest = np.sqrt(upper**2 + lower**2 - 2 * upper * lower * np.cos(np.radians(30)))
    reach = soft_reach(distance, float(shortest), 0.998 * (upper + lower))
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    normal = pole - np.sum(pole * direction, axis=-1, keepdims=True) * direction
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return start + along * direction + aside * normal, start + reach * direction


def solve_legs(trunk: Trunk, ankles_m: Floats, knee_out: Floats) -> tuple[Floats, Floats]:
    """Knees and ankles (T, 2, 3) for ankle targets (T, 2, 3); knee_out (T, 2) opens the knees.

    The knee points where it would if the hip swung the straight leg there without twisting.
    """
    hips = trunk.hips_m
    local = np.einsum("tji,tsj->tsi", trunk.pelvis_rotation, ankles_m - hips)
    direction = local / np.maximum(np.linalg.norm(local, axis=-1, keepdims=True), 1e-9)
    forward = np.stack([np.sin(knee_out) * SIDE_SIGN, np.zeros_like(knee_out), np.cos(knee_out)], axis=-1)
    pole = np.einsum("tij,tsj->tsi", trunk.pelvis_rotation, _swing_from_down(direction, forward))
    return two_bone(hips, ankles_m, pole, THIGH_M, SHANK_M)


def _swing_from_down(direction: Floats, vector: Floats) -> Floats:
    """`vector` turned by the smallest rotation that takes straight down to `direction` (unit)."""
    axis = np.stack([-direction[..., 2], np.zeros_like(direction[..., 0]), direction[..., 0]], axis=-1)
    cosine = -direction[..., 1:2]
    along = np.sum(axis * vector, axis=-1, keepdims=True)
    return vector * cosine + np.cross(axis, vector) + axis * along / np.maximum(1 + cosine, 0.05)


def solve_arms(trunk: Trunk, wrists_m: Floats, swivel: Floats, fps: float) -> tuple[Floats, Floats, Floats]:
    """Shoulders, elbows and wrists (T, 2, 3) for wrist targets (T, 2, 3) in the world.

    The shoulder girdle follows the arm; elbows hang back and down, or out when the arm is up;
    swivel (T, 2) in radians turns the elbow outward about the line from shoulder to wrist.
    Elbows and wrists stay above the floor where the arm allows it.
    """
    wrists_m = np.array(wrists_m)
    wrists_m[..., 1] = np.maximum(wrists_m[..., 1], 0.05)
    down = REST_JOINTS_M[THORAX] - CHEST_ORIGIN_M
    rest = REST_JOINTS_M[list(SHOULDERS)] - REST_JOINTS_M[THORAX]
    target = _outside_torso(trunk.to_chest(wrists_m))
    toward = (target - (rest + down)) / ARM_M
    sign = SIDE_SIGN[None, :]
    raised = np.clip(toward[..., 1] + 0.3, 0, 1.3)
    shift = np.stack(
        [np.minimum(toward[..., 0] * sign, 0.3) * 0.04 * sign, 0.055 * raised**2, 0.045 * toward[..., 2]], axis=-1
    )
    offset = rest + shift
    offset *= np.linalg.norm(rest, axis=-1)[None, :, None] / np.linalg.norm(offset, axis=-1, keepdims=True)
    offset += down
    line = target - offset
    direction = line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)
    # The elbow's side is undefined for a hand in line with its pole: smoothing in time bridges that.
    pole = smooth(_elbow_pole(direction, swivel), fps, 0.1)
    elbow, wrist = two_bone(offset, target, pole, UPPER_ARM_M, FOREARM_M)
    depth = np.clip((0.12 - trunk.from_chest(elbow)[..., 1:2]) / 0.12, 0, 1)
    if np.any(depth > 0):
        up = np.broadcast_to(trunk.chest_rotation[:, None, 1], pole.shape)
        pole = smooth(pole * (1 - depth) + up * depth, fps, 0.1)
        elbow, wrist = two_bone(offset, target, pole, UPPER_ARM_M, FOREARM_M)
    return trunk.from_chest(offset), trunk.from_chest(elbow), trunk.from_chest(wrist)


def _elbow_pole(direction: Floats, swivel: Floats) -> Floats:
    """Where the elbow points (chest frame) for a unit shoulder-to-wrist direction (T, 2, 3)."""
    up = np.clip((direction[..., 1:2] + 0.25) / 1.0, 0, 1)
    up = up * up * (3 - 2 * up)
    out = SIDE_SIGN[None, :, None] * np.array([1.0, 0.0, 0.0])
    pole = (1 - up) * (0.35 * out + np.array([0.0, -0.6, -0.75])) + up * (out + np.array([0.0, -0.1, 0.3]))
    pole = pole - np.sum(pole * direction, axis=-1, keepdims=True) * direction
    angle = (swivel * SIDE_SIGN[None, :])[..., None]
    return pole * np.cos(angle) + np.cross(direction, pole) * np.sin(angle)


def _outside_torso(wrists: Floats) -> Floats:
    """Wrists (T, 2, 3) in the chest frame pushed out of an upright elliptic torso."""
    half = np.array([0.2, 0.155])
    below = np.clip((0.1 - wrists[..., 1]) / 0.15, 0, 1) * np.clip((wrists[..., 1] + 0.75) / 0.2, 0, 1)
    radius = np.linalg.norm(wrists[..., [0, 2]] / half, axis=-1)
    wanted = np.where(radius < 1, 0.5 * (radius**2 + 1), radius)
    push = 1 + below * (wanted / np.maximum(radius, 0.25) - 1)
    return wrists * np.stack([push, np.ones_like(push), push], axis=-1)


def assemble(trunk: Trunk, legs: tuple[Floats, Floats], arms: tuple[Floats, ...]) -> Floats:
    """All joints (T, 17, 3) from the solved trunk, (knees, ankles) and (shoulders, elbows, wrists)."""
    joints = np.empty((len(trunk.pelvis_m), H36M17.num_joints, 3))
    for index, value in (
        (PELVIS, trunk.pelvis_m),
        (SPINE, trunk.spine_m),
        (THORAX, trunk.thorax_m),
        (NECK, trunk.neck_m),
        (HEAD_TOP, trunk.head_top_m),
    ):
        joints[:, index] = value
    for indices, values in zip(
        (HIPS, KNEES, ANKLES, SHOULDERS, ELBOWS, WRISTS), (trunk.hips_m, *legs, *arms), strict=True
    ):
        joints[:, list(indices)] = values
    return joints

"""From joint positions to the rotations of a body's parts, and back to that body's joints.

A motion gives positions of `skeleton.H36M17` on some reference skeleton. Bone directions
and hinge axes define the world rotation of each part of a target body (a `Rig`), whose own
bone lengths then give its own joints. World frame: y up, floor at y = 0, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dualpose_ros.skeleton import H36M17

Array = npt.NDArray[np.float64]

PARTS = (
    "pelvis", "abdomen", "chest", "neck", "head",
    "left_clavicle", "left_upper_arm", "left_forearm", "left_hand",
    "right_clavicle", "right_upper_arm", "right_forearm", "right_hand",
    "left_thigh", "left_shin", "left_foot",
    "right_thigh", "right_shin", "right_foot",
)  # fmt: skip
"""Rigid parts of a body, parents before children."""

PART_PARENT = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 0, 16, 17)
PART = {name: index for index, name in enumerate(PARTS)}

JOINT_PART = tuple(
    PART[name]
    for name in (
        "pelvis", "right_thigh", "right_shin", "right_foot", "left_thigh", "left_shin", "left_foot",
        "chest", "neck", "head", "head", "left_upper_arm", "left_forearm", "left_hand",
        "right_upper_arm", "right_forearm", "right_hand",
    )
)  # fmt: skip
"""The part that each joint of H36M17 moves with."""

_J = {name: index for index, name in enumerate(H36M17.joint_names)}
_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Rig:
    """A body at rest, facing +z with its arms down and outwards.

    origins (19, 3): where each part turns; joints (17, 3): the joints of H36M17;
    sole_y: height of the soles. Metres, y up.
    """

    origins: Array
    joints: Array
    sole_y: float


@dataclass(frozen=True)
class PosedRig:
    """A rig in T poses: rotations (T, 19, 3, 3) and origins (T, 19, 3) of parts, joints (T, 17, 3), world frame."""

    rotations: Array
    origins: Array
    joints: Array


def normalised(vectors: Array) -> Array:
    """Unit vectors (..., 3); zero vectors stay zero."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-9)


def cross(a: Array, b: Array) -> Array:
    """Cross products (..., 3); several times faster than NumPy's on small arrays."""
    x, y, z = a[..., 0], a[..., 1], a[..., 2]
    u, v, w = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


def frame(primary: Array, hint: Array) -> Array:
    """Rotations (..., 3, 3) with columns (a, b, a x b): a along `primary`, b the part of `hint` across it."""
    a = normalised(primary)
    b = normalised(hint - np.sum(hint * a, axis=-1, keepdims=True) * a)
    return np.stack([a, b, cross(a, b)], axis=-1)


def axis_rotation(axis: Array, angle: Array) -> Array:
    """Rotations (..., 3, 3) about unit axes (..., 3) by angles (...,) (Rodrigues)."""
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    s, c = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.asarray(np.eye(3) + s * skew + (1 - c) * (skew @ skew))


def _shortest_rotation(source: Array, target: Array) -> Array:
    """Rotations that turn unit vectors `source` onto `target` along the shortest arc."""
    axis = cross(source, target)
    sine = np.linalg.norm(axis, axis=-1)
    cosine = np.sum(source * target, axis=-1)
    fallback = np.broadcast_to(np.array([0.0, 0.0, 1.0]), axis.shape)
    safe = np.where((sine > 1e-6)[..., None], axis / np.maximum(sine, 1e-9)[..., None], fallback)
    return axis_rotation(safe, np.arctan2(sine, cosine))


def _nearest_rotation(matrices: Array) -> Array:
    """The rotations nearest to matrices (..., 3, 3)."""
    u, _, vt = np.linalg.svd(matrices)
    u = u.copy()
    u[..., 2] *= np.linalg.det(u @ vt)[..., None]
    return np.asarray(u @ vt)


def _limb_rest(rig: Rig, first: int, hinge: Array) -> tuple[Array, Array]:
    """Rest frames of the two bones of a limb whose joints are first, first + 1 and first + 2."""
    upper = rig.joints[first + 1] - rig.joints[first]
    lower = rig.joints[first + 2] - rig.joints[first + 1]
    return frame(upper, hinge), frame(lower, hinge)


def _torso(joints: Array, head_forward: Array | None) -> dict[str, Array]:
    """World rotations (T, 3, 3) of pelvis, abdomen, chest, neck and head; columns x, y, z of the body."""

    def upright(up: Array, left: Array) -> Array:
        columns = frame(up, left)  # (y, x, -z)
        return np.stack([columns[..., 1], columns[..., 0], -columns[..., 2]], axis=-1)

    hips = joints[:, _J["left_hip"]] - joints[:, _J["right_hip"]]
    shoulders = joints[:, _J["left_shoulder"]] - joints[:, _J["right_shoulder"]]
    pelvis = upright(joints[:, _J["spine"]] - joints[:, _J["pelvis"]], hips)
    chest = upright(joints[:, _J["thorax"]] - joints[:, _J["spine"]], shoulders)
    neck = upright(joints[:, _J["neck"]] - joints[:, _J["thorax"]], shoulders)
    up = joints[:, _J["head_top"]] - joints[:, _J["neck"]]
    if head_forward is None:
        head = upright(up, shoulders)
    else:
        columns = frame(head_forward, up)  # (z, y, -x)
        head = np.stack([-columns[..., 2], columns[..., 1], columns[..., 0]], axis=-1)
    abdomen = _nearest_rotation(pelvis + chest)
    return {"pelvis": pelvis, "abdomen": abdomen, "chest": chest, "neck": neck, "head": head}


def _hinge(upper: Array, lower: Array, fallback: Array) -> Array:
    """Axis (T, 3) that a limb bends about; a straight limb does not show it, so `fallback` takes over."""
    axis = cross(upper, lower)
    weight = np.clip((np.linalg.norm(axis, axis=-1, keepdims=True) - 0.15) / 0.35, 0, 1)
    return np.asarray(weight * normalised(axis) + (1 - weight) * fallback)


def _arm(rig: Rig, joints: Array, chest: Array, side: str, pronation: float) -> dict[str, Array]:
    """World rotations of clavicle, upper arm, forearm and hand."""
    first = _J[f"{side}_shoulder"]
    upper = normalised(joints[:, first + 1] - joints[:, first])
    lower = normalised(joints[:, first + 2] - joints[:, first + 1])
    rest_upper = rig.joints[first + 1] - rig.joints[first]
    rest_hinge = cross(rest_upper, rig.joints[first + 2] - rig.joints[first + 1])
    swing = _shortest_rotation(chest @ normalised(rest_upper), upper) @ chest
    hinge = _hinge(upper, lower, swing @ normalised(rest_hinge))
    rest = _limb_rest(rig, first, rest_hinge)
    forearm = frame(lower, hinge) @ rest[1].T
    turn = np.full(len(joints), pronation)
    local = np.einsum("tji,tj->ti", chest, upper)
    elevation = np.clip((np.arccos(np.clip(-local[:, 1], -1, 1)) - 0.5) / 3, 0, 0.7)  # scapulohumeral rhythm
    roll = elevation * (1.0 if side == "left" else -1.0)
    return {
        f"{side}_clavicle": chest @ axis_rotation(np.broadcast_to([0.0, 0.0, 1.0], local.shape), roll),
        f"{side}_upper_arm": frame(upper, hinge) @ rest[0].T,
        f"{side}_forearm": axis_rotation(lower, 0.5 * turn) @ forearm,
        f"{side}_hand": axis_rotation(lower, turn) @ forearm,
    }


def _leg(rig: Rig, joints: Array, pelvis: Array, side: str) -> dict[str, Array]:
    """World rotations of thigh, shin and foot; a foot near the floor lies flat."""
    first = _J[f"{side}_hip"]
    upper = normalised(joints[:, first + 1] - joints[:, first])
    lower = normalised(joints[:, first + 2] - joints[:, first + 1])
    hinge = _hinge(upper, lower, pelvis[..., 0])
    rest = _limb_rest(rig, first, np.array([1.0, 0.0, 0.0]))
    shin = frame(lower, hinge) @ rest[1].T
    ankle_y = joints[:, first + 2, 1]
    floor_y = np.percentile(joints[:, [_J["right_ankle"], _J["left_ankle"]], 1], 5)
    lifted = np.clip((ankle_y - floor_y - 0.06) / 0.15, 0, 1)[:, None, None]
    columns = frame(np.broadcast_to(_UP, lower.shape), hinge)  # (y, x, -z)
    flat = np.stack([columns[..., 1], columns[..., 0], -columns[..., 2]], axis=-1)
    level = np.abs(normalised(hinge)[:, 1])[:, None, None] < 0.8
    foot = np.where(level, _nearest_rotation((1 - lifted) * flat + lifted * shin), shin)
    return {f"{side}_thigh": frame(upper, hinge) @ rest[0].T, f"{side}_shin": shin, f"{side}_foot": foot}


def pose_rig(
    rig: Rig, joints_m: Array, head_forward: Array | None = None, pronation: tuple[float, float] = (0.0, 0.0)
) -> PosedRig:
    """Put a rig into the T poses that joint positions (T, 17, 3) show, feet on the floor.

    head_forward (T, 3) turns the head; pronation (left, right) turns the hands about the forearms, radians.
    """
    joints = np.asarray(joints_m, dtype=np.float64)
    rotations = _torso(joints, head_forward)
    for side, turn in zip(("left", "right"), pronation, strict=True):
        rotations |= _arm(rig, joints, rotations["chest"], side, turn)
        rotations |= _leg(rig, joints, rotations["pelvis"], side)
    world = np.stack([rotations[name] for name in PARTS], axis=1)
    origins = np.zeros((len(joints), len(PARTS), 3))
    hips = (joints[:, _J["left_hip"]] + joints[:, _J["right_hip"]]) / 2
    legs = [np.linalg.norm(np.diff(j[..., [4, 5, 6], :], axis=-2), axis=-1).sum(-1) for j in (joints, rig.joints)]
    origins[:, 0] = hips * [1, 0, 1] + hips * [0, 1, 0] * (legs[1] / legs[0])[:, None]
    for part, parent in enumerate(PART_PARENT):
        if parent >= 0:
            offset = rig.origins[part] - rig.origins[parent]
            origins[:, part] = origins[:, parent] + world[:, parent] @ offset
    local = rig.joints - rig.origins[list(JOINT_PART)]
    posed = origins[:, JOINT_PART] + np.einsum("tjab,jb->tja", world[:, JOINT_PART], local)
    lift = np.array([0.0, _floor_offset(rig, joints, origins, world, posed), 0.0])
    return PosedRig(world, origins + lift, posed + lift)


def _floor_offset(rig: Rig, source: Array, origins: Array, world: Array, posed: Array) -> float:
    """How far to raise the body so that its lowest sole keeps the height above the floor that the source has."""
    feet = [PART["left_foot"], PART["right_foot"]]
    ankle_height = rig.origins[feet[0], 1] - rig.sole_y
    soles = []
    for reach in (-0.05, 0.15):  # heel and toes, ahead of the ankle
        offset = np.array([0.0, -ankle_height, reach])
        soles.append(origins[:, feet, 1] + world[:, feet, 1] @ offset)
    lowest = float(np.percentile(np.min(soles, axis=(0, 2)), 2))
    body = float(np.percentile(np.min(posed[:, :, 1], axis=1), 2)) - 0.09  # flesh around a joint near the floor
    ankles = source[:, [_J["right_ankle"], _J["left_ankle"]], 1]
    airborne = max(float(np.percentile(np.min(ankles, axis=1), 2)) - 0.15, 0.0)
    return airborne - min(lowest, body)

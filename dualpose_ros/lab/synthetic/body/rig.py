"""From joint positions to the rotations of a body's parts, and back to that body's joints.

A motion gives positions of `skeleton.H36M17` on some reference skeleton. Bone directions
and hinge axes define the world rotation of each part of a target body (a `Rig`), whose own
bone lengths then give its own joints. World frame: y up, floor at y = 0, metres.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.skeleton import H36M17

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
        "abdomen", "chest", "neck", "head", "left_upper_arm", "left_forearm", "left_hand",
        "right_upper_arm", "right_forearm", "right_hand",
    )
)  # fmt: skip
"""The part that each joint of H36M17 moves with; the spine lies half way from pelvis to thorax in every pose."""

_J = {name: index for index, name in enumerate(H36M17.joint_names)}
_UP = np.array([0.0, 1.0, 0.0])

_LIMB_JOINTS = np.array(
    [[_J[f"{side}_{name}"] for name in chain]
     for chain in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")) for side in ("left", "right")]
)  # fmt: skip
"""Joints of left arm, right arm, left leg, right leg."""

_ANKLES = [_J["left_ankle"], _J["right_ankle"]]
_FEET = [PART["left_foot"], PART["right_foot"]]
_STEM = tuple(max(parent, 0) for parent in PART_PARENT)


def _ancestry() -> Floats:
    """(19, 19): 1 where the column's part is the row's or one that it hangs from."""
    held = np.eye(len(PARTS))
    for part, parent in enumerate(PART_PARENT):
        if parent >= 0:
            held[part] += held[parent]
    return held


_ANCESTRY = _ancestry()


@dataclass(frozen=True)
class Rig:
    """A body at rest, facing +z with its arms down and outwards.

    origins (19, 3): where each part turns; joints (17, 3): the joints of H36M17;
    sole_y: height of the soles. Metres, y up.
    """

    origins: Floats
    joints: Floats
    sole_y: float

    @cached_property
    def limb_frames(self) -> Floats:
        """Rest frames (2, 4, 3, 3) of the upper and lower bones of the limbs: (along the bone, across: the hinge)."""
        bones = np.diff(self.joints[_LIMB_JOINTS], axis=1)
        hinge = np.tile([1.0, 0.0, 0.0], (4, 1))  # knees turn about x
        hinge[:2] = cross(bones[:2, 0], bones[:2, 1])
        return frame(bones.swapaxes(0, 1), np.stack([hinge, hinge]))

    @cached_property
    def part_offsets(self) -> Floats:
        """Where each part turns (19, 3), from where its parent turns; zero for the pelvis."""
        return self.origins - self.origins[list(_STEM)]

    @cached_property
    def joint_offsets(self) -> Floats:
        """The joints (17, 3) from where the parts that they move with turn."""
        return self.joints - self.origins[list(JOINT_PART)]


@dataclass(frozen=True)
class PosedRig:
    """A rig in T poses: rotations (T, 19, 3, 3) and origins (T, 19, 3) of parts, joints (T, 17, 3), world frame."""

    rotations: Floats
    origins: Floats
    joints: Floats


def normalised(vectors: Floats) -> Floats:
    """Unit vectors (..., 3); zero vectors stay zero."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-9)


def cross(a: Floats, b: Floats) -> Floats:
    """Cross products (..., 3); several times faster than NumPy's on small arrays."""
    x, y, z = a[..., 0], a[..., 1], a[..., 2]
    u, v, w = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


def frame(primary: Floats, hint: Floats) -> Floats:
    """Rotations (..., 3, 3) with columns (a, b, a x b): a along `primary`, b the part of `hint` across it."""
    a = normalised(primary)
    b = normalised(hint - np.sum(hint * a, axis=-1, keepdims=True) * a)
    return np.stack([a, b, cross(a, b)], axis=-1)


def _turned_along(vectors: Floats, source: Floats, target: Floats) -> Floats:
    """Vectors after the shortest rotation that takes unit vectors `source` onto `target`."""
    axis = cross(source, target)
    cosine = np.sum(source * target, axis=-1, keepdims=True)
    along = axis * np.sum(axis * vectors, axis=-1, keepdims=True) / np.maximum(1 + cosine, 1e-6)
    return np.asarray(cosine * vectors + cross(axis, vectors) + along)


def _nearest_rotation(matrices: Floats) -> Floats:
    """The rotations nearest to matrices (..., 3, 3)."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., 2] *= np.linalg.det(u @ vt)[..., None]
    return np.asarray(u @ vt)


def _upright(up: Floats, left: Floats) -> Floats:
    """Rotations (..., 3, 3) with columns x, y, z of a body: y along `up`, x the part of `left` across it."""
    y = normalised(up)
    x = normalised(left - np.sum(left * y, axis=-1, keepdims=True) * y)
    return np.stack([x, y, cross(x, y)], axis=-1)


def _torso(joints: Floats, head_forward: Floats | None) -> Floats:
    """World rotations (T, 4, 3, 3) of pelvis, chest, neck and head."""
    starts, ends = ("pelvis", "spine", "thorax", "neck"), ("spine", "thorax", "neck", "head_top")
    up = joints[:, [_J[name] for name in ends]] - joints[:, [_J[name] for name in starts]]
    left = [_J["left_hip"]] + 3 * [_J["left_shoulder"]], [_J["right_hip"]] + 3 * [_J["right_shoulder"]]
    world = _upright(up, joints[:, left[0]] - joints[:, left[1]])
    if head_forward is not None:
        columns = frame(head_forward, up[:, 3])  # (z, y, -x)
        world[:, 3] = np.stack([-columns[..., 2], columns[..., 1], columns[..., 0]], axis=-1)
    return world


def _hinge(upper: Floats, lower: Floats, fallback: Floats) -> Floats:
    """Axis (..., 3) that a limb bends about; a straight limb does not show it, so `fallback` takes over."""
    axis = cross(upper, lower)
    weight = np.clip((np.sqrt(np.sum(axis * axis, axis=-1, keepdims=True)) - 0.15) / 0.35, 0, 1)
    return np.asarray(weight * normalised(axis) + (1 - weight) * fallback)


@dataclass(frozen=True)
class _Limbs:
    """Left arm, right arm, left leg, right leg in T poses: unit bone directions and hinge axes (T, 4, 3), and
    world rotations (T, 4, 3, 3) of the upper and lower parts."""

    upper: Floats
    lower: Floats
    hinge: Floats
    upper_world: Floats
    lower_world: Floats


def _limbs(rig: Rig, joints: Floats, pelvis: Floats, chest: Floats) -> _Limbs:
    points = joints[:, _LIMB_JOINTS]
    bones = normalised(np.diff(points, axis=2))
    upper, lower = bones[:, :, 0], bones[:, :, 1]
    rest = rig.limb_frames
    fallback = np.repeat(pelvis[:, None, :, 0], 4, axis=1)
    carried = chest[:, None] @ rest[0, :2]  # bone and hinge of the upper arms, were they to rest on this chest
    fallback[:, :2] = _turned_along(carried[..., 1], carried[..., 0], upper[:, :2])
    hinge = _hinge(upper, lower, fallback)
    world = frame(bones.swapaxes(1, 2), hinge[:, None]) @ rest.swapaxes(-1, -2)
    return _Limbs(upper, lower, hinge, world[:, 0], world[:, 1])


def _clavicles(chest: Floats, upper_arms: Floats) -> Floats:
    """World rotations (T, 2, 3, 3) of left and right clavicle: they rise with the arms (scapulohumeral rhythm)."""
    down = np.einsum("ti,tsi->ts", chest[..., 1], upper_arms)
    elevation = np.clip((np.arccos(np.clip(-down, -1, 1)) - 0.5) / 3, 0, 0.7)
    turn = Rotation.from_euler("z", (elevation * [1.0, -1.0]).reshape(-1, 1)).as_matrix()
    return np.asarray(chest[:, None] @ turn.reshape(*elevation.shape, 3, 3))


def _flat_feet(joints: Floats, limbs: _Limbs) -> tuple[Floats, Mask]:
    """Sums (T, 2, 3, 3) of shin and level rotation, to be made rotations of feet near the floor, and where they apply.

    A foot near the floor lies flat, a lifted one goes on from the shin.
    """
    shin, hinge = limbs.lower_world[:, 2:], limbs.hinge[:, 2:]
    ankle_y = joints[:, _ANKLES, 1]
    lifted = np.clip((ankle_y - _low(ankle_y, 5) - 0.06) / 0.15, 0, 1)[..., None, None]
    flat = _upright(np.broadcast_to(_UP, hinge.shape), hinge)
    level = np.abs(normalised(hinge)[..., 1]) < 0.8
    return (1 - lifted) * flat + lifted * shin, level


def pose_rig(
    rig: Rig, joints_m: Floats, head_forward: Floats | None = None, pronation: tuple[float, float] = (0.0, 0.0)
) -> PosedRig:
    """Put a rig into the T poses that joint positions (T, 17, 3) show, feet on the floor.

    head_forward (T, 3) turns the head; pronation (left, right) turns the hands about the forearms, radians.
    """
    joints = np.asarray(joints_m, dtype=np.float64)
    torso = _torso(joints, head_forward)
    pelvis, chest = torso[:, 0], torso[:, 1]
    limbs = _limbs(rig, joints, pelvis, chest)
    feet, level = _flat_feet(joints, limbs)
    between = _nearest_rotation(np.concatenate([(pelvis + chest)[:, None], feet], axis=1))
    twist = np.stack([0.5 * np.asarray(pronation), np.asarray(pronation)])  # forearms, hands
    turn = Rotation.from_rotvec((limbs.lower[:, None, :2] * twist[..., None]).reshape(-1, 3)).as_matrix()
    turned = turn.reshape(-1, 2, 2, 3, 3) @ limbs.lower_world[:, None, :2]
    world = np.empty((len(joints), len(PARTS), 3, 3))
    world[:, [PART[name] for name in ("pelvis", "chest", "neck", "head")]] = torso
    world[:, PART["abdomen"]] = between[:, 0]
    sides = (
        ("clavicle", _clavicles(chest, limbs.upper[:, :2])), ("upper_arm", limbs.upper_world[:, :2]),
        ("forearm", turned[:, 0]), ("hand", turned[:, 1]), ("thigh", limbs.upper_world[:, 2:]),
        ("shin", limbs.lower_world[:, 2:]),
        ("foot", np.where(level[..., None, None], between[:, 1:], limbs.lower_world[:, 2:])),
    )  # fmt: skip
    for name, rotations in sides:
        world[:, [PART[f"left_{name}"], PART[f"right_{name}"]]] = rotations
    return _placed(rig, joints, world)


def _placed(rig: Rig, source: Floats, world: Floats) -> PosedRig:
    """Hang the turned parts (T, 19, 3, 3) on each other and set the body where the source joints (T, 17, 3) stand."""
    hips = (source[:, _J["left_hip"]] + source[:, _J["right_hip"]]) / 2
    legs = [np.linalg.norm(np.diff(j[..., [4, 5, 6], :], axis=-2), axis=-1).sum(-1) for j in (source, rig.joints)]
    steps = (world[:, list(_STEM)] @ rig.part_offsets[..., None])[..., 0]
    steps[:, 0] = hips
    steps[:, 0, 1] *= legs[1] / legs[0]
    origins = _ANCESTRY @ steps
    posed = origins[:, JOINT_PART] + (world[:, JOINT_PART] @ rig.joint_offsets[..., None])[..., 0]
    posed[:, _J["spine"]] = (posed[:, _J["pelvis"]] + posed[:, _J["thorax"]]) / 2
    lift = np.array([0.0, _floor_offset(rig, source, origins, world, posed), 0.0])
    return PosedRig(world, origins + lift, posed + lift)


def _low(values: Floats, percent: float) -> float:
    """A low percentile; the least of a single pose's values, which has no outliers."""
    return float(values.min() if len(values) == 1 else np.percentile(values, percent))


def _floor_offset(rig: Rig, source: Floats, origins: Floats, world: Floats, posed: Floats) -> float:
    """How far to raise the body so that its lowest sole keeps the height above the floor that the source has."""
    ankle_height = rig.origins[_FEET[0], 1] - rig.sole_y
    reach = np.array([[0.0, -ankle_height, -0.05], [0.0, -ankle_height, 0.15]])  # heel, and toes ahead of the ankle
    soles = origins[:, _FEET, 1, None] + world[:, _FEET, 1] @ reach.T
    lowest = _low(soles.min((1, 2)), 2)
    body = _low(np.delete(posed[:, :, 1], _ANKLES, 1).min(1), 2) - 0.09  # flesh around a joint near the floor
    airborne = max(_low(source[:, _ANKLES, 1].min(1), 2) - 0.15, 0.0)
    return airborne - min(lowest, body)

"""Rotations of a body's parts from joint positions: exact limbs, proper rotations, feet on the floor."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.body.body import BodyModel, shape_body
from dualpose_ros.lab.synthetic.body.rig import JOINT_PART, PART, PART_PARENT, PARTS, PosedRig, Rig, pose_rig
from dualpose_ros.lab.synthetic.motion import kinematics, motion
from dualpose_ros.skeleton import H36M17

J = {name: index for index, name in enumerate(H36M17.joint_names)}
LIMBS = [
    (J[f"{side}_{a}"], J[f"{side}_{b}"])
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
RIGID = [*LIMBS, (J["pelvis"], J["left_hip"]), (J["left_hip"], J["right_hip"])]


def lengths(joints: Floats, bones: list[tuple[int, int]]) -> Floats:
    starts, ends = zip(*bones, strict=True)
    return np.asarray(np.linalg.norm(joints[..., ends, :] - joints[..., starts, :], axis=-1))


def directions(joints: Floats) -> Floats:
    starts, ends = zip(*LIMBS, strict=True)
    bones = joints[..., ends, :] - joints[..., starts, :]
    return np.asarray(bones / np.linalg.norm(bones, axis=-1, keepdims=True))


def random_case(model: BodyModel, seed: int) -> tuple[Rig, motion.Motion, PosedRig, tuple[float, float]]:
    rng = np.random.default_rng(seed)
    rig = shape_body(model, rng).rig
    kinds = list(motion.KINDS)
    moving = motion.generate(str(kinds[seed % len(kinds)]), rng, 1.0, 15.0)
    pronation = (float(rng.normal()), float(rng.normal()))
    return rig, moving, pose_rig(rig, moving.joints_m, moving.head_forward, pronation), pronation


@pytest.mark.parametrize("seed", range(len(motion.KINDS)))
def test_bones_are_the_rigs_and_directions_the_sources(builtin: BodyModel, seed: int) -> None:
    rig, moving, posed, _ = random_case(builtin, seed)
    np.testing.assert_allclose(lengths(posed.joints, RIGID), np.tile(lengths(rig.joints, RIGID), (15, 1)), atol=1e-9)
    np.testing.assert_allclose(directions(posed.joints), directions(moving.joints_m), atol=1e-9)
    identity = posed.rotations @ posed.rotations.swapaxes(-1, -2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(posed.rotations), 1, atol=1e-9)


@pytest.mark.parametrize("seed", (0, 5, 11))
def test_parts_hang_on_their_parents_and_carry_their_joints(model: BodyModel, seed: int) -> None:
    rig, _, posed, _ = random_case(model, seed)
    for time in (0, 9):
        for part, parent in enumerate(PART_PARENT):
            if parent >= 0:
                arm = posed.rotations[time, parent] @ (rig.origins[part] - rig.origins[parent])
                np.testing.assert_allclose(posed.origins[time, part], posed.origins[time, parent] + arm, atol=1e-9)
        for joint, part in enumerate(JOINT_PART):
            if joint == J["spine"]:
                continue
            arm = posed.rotations[time, part] @ (rig.joints[joint] - rig.origins[part])
            np.testing.assert_allclose(posed.joints[time, joint], posed.origins[time, part] + arm, atol=1e-9)


@pytest.mark.parametrize("seed", (0, 5, 11))
def test_the_spine_lies_half_way_from_pelvis_to_thorax(model: BodyModel, seed: int) -> None:
    _, _, posed, _ = random_case(model, seed)
    middle = (posed.joints[:, J["pelvis"]] + posed.joints[:, J["thorax"]]) / 2
    np.testing.assert_allclose(posed.joints[:, J["spine"]], middle, atol=1e-12)


def test_abdomen_turns_halfway_between_pelvis_and_chest(builtin: BodyModel) -> None:
    _, _, posed, _ = random_case(builtin, 3)
    for pelvis, abdomen, chest in posed.rotations[:, [PART["pelvis"], PART["abdomen"], PART["chest"]]]:
        between = Rotation.from_matrix(np.stack([pelvis, chest])).mean()
        assert (between.inv() * Rotation.from_matrix(abdomen)).magnitude() < 1e-6


def test_hands_turn_about_the_forearm_by_the_pronation(builtin: BodyModel) -> None:
    rig, moving, posed, pronation = random_case(builtin, 4)
    plain = pose_rig(rig, moving.joints_m, moving.head_forward)
    for side, angle in zip(("left", "right"), pronation, strict=True):
        axis = directions(posed.joints)[:, LIMBS.index((J[f"{side}_elbow"], J[f"{side}_wrist"]))]
        for part, share in (("forearm", 0.5), ("hand", 1.0)):
            number = PART[f"{side}_{part}"]
            turn = Rotation.from_rotvec(share * angle * axis).as_matrix()
            np.testing.assert_allclose(posed.rotations[:, number], turn @ plain.rotations[:, number], atol=1e-9)
    np.testing.assert_allclose(posed.joints, plain.joints, atol=1e-9)


def test_rest_joints_give_the_rest_pose_back(model: BodyModel) -> None:
    rig = shape_body(model, np.random.default_rng(2), adult=True).rig
    standing = rig.joints - [0, rig.sole_y, 0]
    posed = pose_rig(rig, standing[None])
    away = np.linalg.norm(posed.joints[0] - standing, axis=-1)
    necks = [J["neck"], J["head_top"]]  # a rest mesh's neck leans forward, which counts as bent
    assert np.delete(away, necks).max() < 0.04 and away[necks].max() < 0.1
    angles = Rotation.from_matrix(posed.rotations[0]).magnitude()
    for name in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot"):
        assert angles[PART[f"left_{name}"]] < 0.04 and angles[PART[f"right_{name}"]] < 0.04
    assert angles[PART["pelvis"]] < 0.1 and angles[PART["chest"]] < 0.1  # spines lean a little at rest


def test_reference_at_rest_stands_upright(model: BodyModel) -> None:
    rig = shape_body(model, np.random.default_rng(2), adult=True).rig
    posed = pose_rig(rig, kinematics.REST_JOINTS_M[None])
    angles = Rotation.from_matrix(posed.rotations[0]).magnitude()
    for name in ("pelvis", "abdomen", "chest", "head", "left_foot", "right_foot"):
        assert angles[PART[name]] < 0.1, name


@pytest.mark.parametrize("kind", ("walk", "stand"))
def test_feet_stand_on_the_floor(model: BodyModel, kind: str) -> None:
    if kind not in motion.KINDS:
        kind = next(k for k in motion.KINDS if kind in k)
    rng = np.random.default_rng(8)
    rig = shape_body(model, rng).rig
    moving = motion.generate(kind, rng, 2.0, 20.0)
    posed = pose_rig(rig, moving.joints_m, moving.head_forward)
    ankle = rig.joints[[3, 6], 1].mean() - rig.sole_y
    lowest = posed.joints[:, [3, 6], 1].min(1)
    assert np.abs(np.percentile(lowest, 5) - ankle) < 0.01
    assert lowest.min() > 0


def test_a_jump_leaves_the_floor(builtin: BodyModel) -> None:
    rig = shape_body(builtin, np.random.default_rng(1), adult=True).rig
    standing = kinematics.REST_JOINTS_M[None]
    lifted = pose_rig(rig, standing + np.array([0, 0.5, 0])).joints - pose_rig(rig, standing).joints
    assert (lifted[..., 1] > 0.3).all()


def test_head_looks_where_it_is_told(builtin: BodyModel) -> None:
    rig = shape_body(builtin, np.random.default_rng(1)).rig
    rng = np.random.default_rng(0)
    forward = rng.normal(0, 1, (20, 3)) * [1, 0.2, 1]
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    posed = pose_rig(rig, np.repeat(kinematics.REST_JOINTS_M[None], 20, 0), forward)
    np.testing.assert_allclose(posed.rotations[:, PART["head"], :, 2], forward, atol=1e-9)


def test_single_poses_turn_with_the_body(builtin: BodyModel) -> None:
    rig = shape_body(builtin, np.random.default_rng(1)).rig
    for seed in range(10):
        still = motion.random_pose(np.random.default_rng(seed))
        turn = Rotation.from_euler("y", 1.1 + seed).as_matrix()
        head = still.head_forward
        plain = pose_rig(rig, still.joints_m, head)
        turned = pose_rig(rig, still.joints_m @ turn.T + [3, 0, -2], None if head is None else head @ turn.T)
        np.testing.assert_allclose(
            (turned.joints - turned.joints[:, :1]), (plain.joints - plain.joints[:, :1]) @ turn.T, atol=1e-9
        )
        np.testing.assert_allclose(turned.joints[..., 1], plain.joints[..., 1], atol=1e-9)


def test_parts_come_after_their_parents() -> None:
    assert all(parent < part for part, parent in enumerate(PART_PARENT))
    assert len(PARTS) == len(PART_PARENT) == len(set(PARTS))

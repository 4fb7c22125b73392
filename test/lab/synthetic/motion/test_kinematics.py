"""Rotations against SciPy, limbs against their lengths, the back against rest."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.lab.synthetic.motion import kinematics as kin
from dualpose_ros.skeleton import H36M17
from support.limbs import flexion


def test_rotation_is_yaw_then_pitch_then_roll() -> None:
    angles = np.random.default_rng(0).uniform(-3, 3, (50, 3))
    expected = Rotation.from_euler("YXZ", angles).as_matrix()
    np.testing.assert_allclose(kin.rotation(angles), expected, atol=1e-12)


def test_positive_angles_turn_left_lean_forward_lean_right() -> None:
    ahead = kin.rotation(np.array([0.1, 0.0, 0.0])) @ [0, 0, 1]
    leaning = kin.rotation(np.array([0.0, 0.1, 0.0])) @ [0, 1, 0]
    tilted = kin.rotation(np.array([0.0, 0.0, 0.1])) @ [0, 1, 0]
    assert ahead[0] > 0.09
    assert leaning[2] > 0.09
    assert tilted[0] < -0.09


def test_a_limb_reaches_its_target_with_constant_lengths_on_the_pole_side() -> None:
    rng = np.random.default_rng(1)
    start = rng.normal(size=(200, 3))
    direction = rng.normal(size=(200, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    target = start + direction * rng.uniform(0.3, 0.8, (200, 1))
    pole = rng.normal(size=(200, 3))
    middle, end = kin.two_bone(start, target, pole, 0.43, 0.42)
    np.testing.assert_allclose(end, target, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(middle - start, axis=1), 0.43, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=1), 0.42, atol=1e-9)
    aside = middle - start - np.sum((middle - start) * direction, axis=1, keepdims=True) * direction
    assert np.all(np.sum(aside * pole, axis=1) > 0)


def test_out_of_reach_stops_short_on_the_line() -> None:
    start = np.zeros((3, 3))
    target = np.array([[0.0, -2.0, 0.0], [0.0, -0.01, 0.0], [0.0, -0.9, 0.0]])
    middle, end = kin.two_bone(start, target, np.tile([0.0, 0.0, 1.0], (3, 1)), 0.43, 0.42)
    np.testing.assert_allclose(end[:, [0, 2]], 0, atol=1e-12)
    assert np.all(end[:, 1] < 0)
    bend = np.array([flexion(np.stack([s, m, e]), 0, 1, 2) for s, m, e in zip(start, middle, end, strict=True)])
    assert np.all(bend >= 0)
    assert np.degrees(bend.max()) <= 150.5
    assert np.linalg.norm(end[0]) < 0.85


def test_reach_is_smooth_and_monotonic() -> None:
    distance = np.linspace(0.0, 1.5, 3000)
    reach = kin.soft_reach(distance, 0.2, 0.8)
    slope = np.diff(reach) / np.diff(distance)
    assert np.all(slope >= -1e-12)
    assert np.all(slope <= 1 + 1e-9)
    assert reach.min() >= 0.2
    assert reach.max() <= 0.8
    assert np.abs(np.diff(slope)).max() < 0.06


def test_rest_angles_give_the_rest_pose_of_the_trunk() -> None:
    zero = np.zeros((1, 3))
    trunk = kin.solve_trunk(kin.REST_JOINTS_M[[kin.PELVIS]], zero, zero, zero)
    np.testing.assert_allclose(trunk.head_top_m[0], kin.REST_JOINTS_M[kin.HEAD_TOP], atol=1e-12)
    np.testing.assert_allclose(trunk.hips_m[0], kin.REST_JOINTS_M[list(kin.HIPS)], atol=1e-12)


def test_the_trunk_of_the_reference_is_that_of_captured_skeletons() -> None:
    rest, shoulders = kin.REST_JOINTS_M, kin.REST_JOINTS_M[list(kin.SHOULDERS)].mean(axis=0)
    np.testing.assert_allclose(rest[kin.PELVIS], rest[list(kin.HIPS)].mean(axis=0))
    np.testing.assert_allclose(rest[kin.SPINE], (rest[kin.PELVIS] + rest[kin.THORAX]) / 2)
    assert shoulders[1] - rest[kin.THORAX, 1] == pytest.approx(0.05, abs=0.005)
    assert rest[kin.NECK, 1] - shoulders[1] == pytest.approx(0.13, abs=0.005)


def test_the_reference_is_symmetric() -> None:
    mirrored = kin.REST_JOINTS_M[list(H36M17.mirror)] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, kin.REST_JOINTS_M)


def test_flexion_of_a_right_angle() -> None:
    joints = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert float(flexion(joints, 0, 1, 2)) == pytest.approx(np.pi / 2)

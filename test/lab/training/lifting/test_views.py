"""Simulated views of people against their own geometry."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from dualpose_ros.lab.training.lifting import views as views
from dualpose_ros.lab.training.lifting.bank import Bank, BankConfig, make_bank, with_bone_lengths
from dualpose_ros.skeleton import H36M17

SMALL = BankConfig(motions=24, bodies=4, motion_s=3.0)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(SMALL, np.random.default_rng(0))


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(joints[..., c, :] - joints[..., p, :], axis=-1) for p, c in H36M17.bones], axis=-1)


def test_the_bank_is_whole_bodies_moving(bank: Bank) -> None:
    assert bank.lengths.sum() == len(bank.joints_m)
    assert bank.weight.sum() == pytest.approx(1)
    for start, length in zip(bank.starts, bank.lengths, strict=True):
        lengths = bone_lengths(bank.joints_m[start : start + length])
        assert np.ptp(lengths[:, [0, 1, 2, 3, 4, 5]], axis=0).max() < 1e-3


def test_bone_lengths_scale_and_directions_stay() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(3, 5, 17, 3))
    scale = rng.uniform(0.8, 1.2, (3, 17))
    out = with_bone_lengths(joints, scale)
    children = [c for _, c in H36M17.bones]
    np.testing.assert_allclose(bone_lengths(out), bone_lengths(joints) * scale[:, None, children], rtol=1e-4)
    np.testing.assert_allclose(out[:, :, H36M17.root], joints[:, :, H36M17.root], rtol=1e-6)


def test_exact_views_reproject_onto_their_truth(bank: Bank) -> None:
    config = views.ViewConfig(noise=0.0, faults=False)
    drawn = views.draw_sequences(bank, config, np.random.default_rng(1), 60, 20)
    there = np.arange(20) < drawn.frames[:, None]
    found = (drawn.scores > 0) & there[..., None]
    assert found.sum() > 0.7 * there.sum() * 17 > 5000
    rays = drawn.joints_cam[..., :2] / drawn.joints_cam[..., 2:]
    assert np.abs(rays - drawn.rays)[found].max() < 1e-4
    gaps = np.diff(drawn.times, axis=1)[there[:, 1:]]
    assert gaps.min() > 0


def test_frames_in_which_nobody_was_found_are_left_out(bank: Bank) -> None:
    drawn = views.draw_sequences(bank, views.ViewConfig(), np.random.default_rng(4), 300, 30)
    there = np.arange(30) < drawn.frames[:, None]
    found = (drawn.scores > 0).sum(axis=2)
    assert found[there].min() >= views.MIN_FOUND
    assert 0.5 < there.mean() < 0.98
    assert (np.diff(drawn.times, axis=1)[there[:, 1:]] > 0).all()


def test_a_recombined_person_faces_one_way_and_keeps_both_shapes(bank: Bank) -> None:
    rng = np.random.default_rng(5)
    config = views.ViewConfig(mixed=0.0, vary_bones=0.0, vary_size=0.0)
    _, legs = views.draw_motion(bank, config, rng, 40, 6)
    _, upper = views.draw_motion(bank, config, rng, 40, 6)
    out = views.recombined(legs, upper)
    lower = [H36M17.index(n) for n in H36M17.joint_names if n.endswith(("hip", "knee", "ankle"))]
    np.testing.assert_array_equal(out[:, :, lower], legs[:, :, lower])
    above = np.delete(np.arange(17), [0, *lower])
    between = np.linalg.norm(out[:, :, above, None] - out[:, :, None, above], axis=-1)
    expected = np.linalg.norm(upper[:, :, above, None] - upper[:, :, None, above], axis=-1)
    np.testing.assert_allclose(between, expected, atol=1e-4)
    # Turned by as much as the hips were apart: the same person recombined with herself is herself.
    turned = legs @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], dtype=legs.dtype)
    np.testing.assert_allclose(views.recombined(legs, turned), legs, atol=1e-4)


def test_cameras_are_upright_at_the_asked_distance_and_see_people(bank: Bank) -> None:
    rng = np.random.default_rng(2)
    config = views.ViewConfig(distance_m=(3.0, 5.0))
    times, world = views.draw_motion(bank, config, rng, 300, 20)
    joints_cam, half = views.film(world, times, config, rng)
    np.testing.assert_allclose(bone_lengths(joints_cam), bone_lengths(world), rtol=2e-3, atol=1e-4)
    distance = np.linalg.norm(joints_cam[:, -1, 0], axis=-1)
    assert distance.min() > 2.99
    assert distance.max() < 5.01
    up = world[:, -1, H36M17.index("head_top"), 1] - world[:, -1, H36M17.index("right_ankle"), 1]
    down = joints_cam[:, -1, H36M17.index("right_ankle"), 1] - joints_cam[:, -1, H36M17.index("head_top"), 1]
    standing = up > 1.2
    assert np.all(down[standing] > 0.5)
    inside = np.abs(joints_cam[:, -1, 0, :2] / joints_cam[:, -1, 0, 2:]) < half
    assert inside.all(axis=1).mean() > 0.9
    left = joints_cam[:, -1, H36M17.index("left_shoulder")] - joints_cam[:, -1, H36M17.index("right_shoulder")]
    assert 0.3 < (left[:, 0] > 0).mean() < 0.7


def test_camera_axes_are_a_rotation_that_faces_its_yaw() -> None:
    axes = views._camera_axes(np.array([0.3]), np.array([0.0]), np.array([0.0]))[0]
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    np.testing.assert_allclose(axes[2], [np.sin(0.3), 0, np.cos(0.3)], atol=1e-12)
    np.testing.assert_allclose(axes[1], [0, -1, 0], atol=1e-12)


def test_noise_is_of_the_asked_size_and_faults_cost_joints(bank: Bank) -> None:
    rng = np.random.default_rng(3)
    shape = (400, 28, 17)
    rays, scores, size = np.zeros((*shape, 2)), np.ones(shape), np.full(shape[:2], 2.0)
    times = np.tile(-np.arange(shape[1])[::-1] / 30.0, (400, 1))
    config = views.ViewConfig(noise=0.01, faults=False)
    noisy, _ = views.imperfect(rays, scores, size, times, config, rng)
    assert 0.006 < np.median(np.abs(noisy)) < 0.02
    jumps = np.abs(np.diff(noisy, axis=1)).mean()
    assert jumps < np.abs(noisy).mean() * 1.2
    lost = views._lose(scores, times, np.random.default_rng(0).normal(size=(*shape, 2)), rng)
    assert 0.5 < (lost > 0).mean() < 0.9


def test_spells_befall_as_often_as_asked() -> None:
    rng = np.random.default_rng(7)
    times = np.tile(np.arange(60) / 30.0, (4000, 1))
    spells = views._runs(rng, times, (4000, 1), 0.1, 0.2)[..., 0]
    begun = (np.diff(spells.astype(int), axis=1) > 0).sum() + spells[:, 0].sum()
    # A chance of 0.1 a second, over two seconds and the time before in which one may have begun.
    assert 0.8 * 0.2 < begun / 4000 < 1.25 * 0.22


def test_stolen_limbs_are_of_the_size_of_the_person_and_score_less() -> None:
    rng = np.random.default_rng(8)
    rays = rng.normal(0, 0.1, (500, 30, 17, 2))
    size = np.ptp(rays, axis=2).max(axis=2)
    times = np.tile(np.arange(30) / 15.0, (500, 1))
    out, scores = views._steal(rays, np.ones((500, 30, 17)), size, times, rng)
    moved = np.any(out != rays, axis=-1)
    assert 0.005 < moved.mean() < 0.2
    assert (scores[moved] <= 0.8).all() and (scores[~moved] == 1).all()
    assert np.linalg.norm(out - rays, axis=-1)[moved].max() < 3 * size.max()

"""The virtual camera against geometry: it looks straight at people, and nothing is lost on the way back."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.camera import turned_to
from dualpose_ros.top_down.lifting import person_view as pv


def person(seed: int = 0, depth: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, [0.3, 0.5, 0.25], (17, 3)) + np.array([0.4, 0.1, depth])


def view_of(joints_cam: np.ndarray, confidence: np.ndarray | None = None) -> pv.PersonView:
    rays = joints_cam[..., :2] / joints_cam[..., 2:]
    return pv.view_person(rays, np.ones(rays.shape[:2]) if confidence is None else confidence)


def test_turned_to_is_the_shortest_rotation() -> None:
    rays = np.random.default_rng(1).normal(0, 0.7, (50, 2))
    turned = turned_to(rays)
    direction = np.concatenate([rays, np.ones((50, 1))], axis=1)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    np.testing.assert_allclose(turned[:, :, 2], direction, atol=1e-12)
    np.testing.assert_allclose(turned @ np.swapaxes(turned, 1, 2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    angle = Rotation.from_matrix(turned).magnitude()
    np.testing.assert_allclose(angle, np.arccos(direction[:, 2]), atol=1e-7)


def test_through_and_back_is_where_it_was() -> None:
    rays = np.random.default_rng(2).normal(0, 0.4, (20, 17, 2))
    to_camera = turned_to(rays.mean(axis=1))
    np.testing.assert_allclose(pv.back(to_camera, pv.through(to_camera, rays)), rays, atol=1e-12)


def test_through_is_the_projection_of_a_turned_camera() -> None:
    joints = person(3)[None]
    view = view_of(joints)
    turned = joints @ view.to_camera[0]
    np.testing.assert_allclose(view.rays, turned[..., :2] / turned[..., 2:], atol=1e-12)


def test_a_person_twice_as_large_twice_as_far_looks_the_same() -> None:
    near, far = view_of(person()[None]), view_of(2 * person()[None])
    np.testing.assert_allclose(near.scaled_joints(), far.scaled_joints(), atol=1e-6)
    np.testing.assert_allclose(near.features(), far.features(), atol=1e-6)


def test_only_the_scale_changes_when_a_flat_person_walks_away() -> None:
    flat = person(2, depth=0.0)
    flat[:, :2] -= flat[:, :2].mean(axis=0)
    flat[:, 2] = 0
    near, far = (view_of((flat + np.array([0, 0, depth]))[None]) for depth in (3.0, 9.0))
    np.testing.assert_allclose(near.scaled_joints(), far.scaled_joints(), atol=1e-6)
    assert near.extent[0] / far.extent[0] == pytest.approx(3.0)
    assert near.features()[0, 0] - far.features()[0, 0] == pytest.approx(np.log(3.0), abs=1e-5)


def test_turning_the_camera_changes_the_direction_alone() -> None:
    joints = person(3)
    turn = Rotation.from_euler("y", 0.4).as_matrix()
    first, second = view_of(joints[None]), view_of((joints @ turn.T)[None])
    # The middle of the 2D joints is no point of the body, so that it moves a little with perspective.
    np.testing.assert_allclose(first.scaled_joints(), second.scaled_joints(), atol=0.12)
    assert abs(first.features()[0, 1] - second.features()[0, 1]) > 0.3


def test_missing_joints_are_zero_whatever_their_place() -> None:
    rays = np.random.default_rng(0).normal(0, 0.2, (2, 17, 2))
    rays[1] = rays[0]
    rays[1, 5] = np.nan
    confidence = np.ones((2, 17))
    confidence[:, 5] = 0
    view = pv.view_person(rays, confidence)
    np.testing.assert_array_equal(view.scaled_joints()[0], view.scaled_joints()[1])
    np.testing.assert_array_equal(view.scaled_joints()[0, 5], 0)
    np.testing.assert_array_equal(view.features()[0], view.features()[1])


def test_place_root_finds_the_root_of_exact_joints() -> None:
    joints = np.stack([person(4), person(5)])
    view = view_of(joints)
    virtual = np.einsum("nab,nka->nkb", view.to_camera, joints)
    root = virtual[:, 0]
    found = pv.place_root(view, virtual - root[:, None], np.full((2, 17), 0.05), root[:, 2])
    np.testing.assert_allclose(found, joints[:, 0], atol=1e-9)

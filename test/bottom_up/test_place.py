from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.bottom_up.decode import FramePeople
from dualpose_ros.bottom_up.place import MISSING_STDDEV, fill_missing, place_people
from dualpose_ros.camera import Camera, in_view, project
from dualpose_ros.skeleton import H36M17, K
from support import scenes

CAMERA = Camera(640, 480, 500.0, 520.0, 330.0, 236.0)
LENS = replace(CAMERA, distortion=(-0.25, 0.06, 0.001, -0.0005, 0.0))


def same(points: Any) -> Any:
    return points


def people_at(joints: Any, camera: Camera, root_stddev: float = 0.0, rel_stddev: float = 0.0) -> FramePeople:
    """What a perfect decoder says of people (P, K, 3), in pixels of the image itself."""
    joints = np.asarray(joints)
    root = joints[:, 0, 2]
    rel = joints[..., 2] - root[:, None]
    ones = np.ones(joints.shape[:2])
    return FramePeople(project(camera, joints), ones, np.arange(len(joints), dtype=float), root,
                       np.full(len(joints), root_stddev), rel, rel_stddev * ones)  # fmt: skip


def figure(seed: int = 0, place: tuple[float, float, float] = (0.4, 0.1, 3.0)) -> Any:
    return scenes.person(np.random.default_rng(seed), place)


@pytest.mark.parametrize("camera", [CAMERA, LENS])
def test_people_come_back_through_the_lens(camera: Camera) -> None:
    truth = np.array([figure(0), figure(1, (-1.0, 0.3, 4.0))])
    placed = place_people(people_at(truth, camera), same, camera)
    for person, joints in zip(placed, truth, strict=True):
        assert np.abs(person.joints_cam - joints).max() < 1e-6
        assert np.allclose(person.keypoints_px, project(camera, joints))
        assert (person.joint_scores == 1).all()


def test_network_pixels_are_mapped_to_the_image_first() -> None:
    truth = figure()[None]
    people = people_at(truth, CAMERA)
    shrunk = replace(people, joints_px=people.joints_px / 2 - 3)
    placed = place_people(shrunk, lambda points: (points + 3) * 2, CAMERA)
    assert np.abs(placed[0].joints_cam - truth[0]).max() < 1e-9


def test_deviation_is_that_of_drawn_errors() -> None:
    truth = figure()[None]
    people = people_at(truth, CAMERA, root_stddev=0.2, rel_stddev=0.1)
    people.rel_depth_stddev[:, 0] = 0
    (person,) = place_people(people, same, CAMERA, pixel_stddev=4.0)
    rng, errors = np.random.default_rng(0), []
    for _ in range(4000):
        off = replace(
            people,
            joints_px=people.joints_px + rng.normal(0, 4, people.joints_px.shape),
            root_depth=people.root_depth + rng.normal(0, 0.2, 1),
            rel_depth=people.rel_depth + people.rel_depth_stddev * rng.normal(0, 1, people.rel_depth.shape),
        )
        errors.append(place_people(off, same, CAMERA)[0].joints_cam - truth[0])
    drawn = np.array(errors)
    spread = np.einsum("eka,ekb->kab", drawn, drawn) / len(drawn)
    np.testing.assert_allclose(person.joint_stddev, np.sqrt(np.linalg.eigvalsh(spread)[:, -1]), rtol=0.05)


def test_where_depth_is_sure_the_pixels_deviation_counts() -> None:
    people = people_at(figure()[None], CAMERA, root_stddev=0.001, rel_stddev=0.001)
    stddev = [
        place_people(replace(people, scores=score * people.scores), same, CAMERA, pixel_stddev=4.0)[0].joint_stddev
        for score in (1.0, 0.25)
    ]
    np.testing.assert_allclose(stddev[1], 4 * stddev[0])


def standing(turn: float, place: tuple[float, float, float] = (0.4, 0.1, 3.0)) -> Any:
    """Somebody upright, exactly as the table of bones has it, and turned about the vertical."""
    across = np.array([0, -0.12, -0.12, -0.12, 0.12, 0.12, 0.12, 0, 0, 0, 0, 0.16, 0.2, 0.2, -0.16, -0.2, -0.2])
    arm = (-0.44, -0.16, 0.09)
    down = np.array([0, 0, 0.43, 0.85, 0, 0.43, 0.85, -0.22, -0.46, -0.56, -0.75, *arm, *arm])
    return np.stack([across * np.cos(turn), down, across * np.sin(turn)], axis=1) + place


@pytest.mark.parametrize("turn", [0.0, 0.9, np.pi, -2.0])
@pytest.mark.parametrize("missing", [["left_ankle", "left_knee"], ["head_top"], ["pelvis", "spine"], ["right_wrist"]])
def test_missing_joints_of_an_upright_person_are_put_where_they_are(turn: float, missing: list[str]) -> None:
    truth = standing(turn)[None]
    found = np.ones((1, K), bool)
    found[0, [H36M17.index(name) for name in missing]] = False
    joints, stddev = fill_missing(np.where(found[..., None], truth, 99.0), np.full((1, K), 0.05), found)
    assert np.abs(joints - truth).max() < 0.08
    assert (joints[found] == truth[found]).all() and (stddev[found] == 0.05).all()
    assert (stddev[~found] >= MISSING_STDDEV).all()


def test_a_chain_of_missing_joints_hangs_from_the_nearest_found_and_gets_less_sure() -> None:
    found = np.zeros((1, K), bool)
    found[0, [H36M17.index(name) for name in ("neck", "thorax", "head_top", "left_shoulder", "right_shoulder")]] = True
    truth = standing(0.4)[None]
    joints, stddev = fill_missing(truth * found[..., None], np.zeros((1, K)), found)
    assert np.abs(joints - truth).max() < 0.1
    chain = [H36M17.index(name) for name in ("spine", "pelvis", "left_hip", "left_knee", "left_ankle")]
    assert (np.diff(stddev[0, chain]) > 0).all()


def test_a_person_without_a_root_keeps_the_depth_that_the_network_gave() -> None:
    truth = figure()[None]
    people = people_at(truth, CAMERA)
    scores = people.scores.copy()
    scores[0, :8] = 0
    broken = np.where(scores[..., None] > 0, people.joints_px, 1e5)
    (person,) = place_people(replace(people, scores=scores, joints_px=broken), same, CAMERA)
    assert person.joints_cam[0, 2] == truth[0, 0, 2]
    assert np.abs(person.joints_cam[8:] - truth[0, 8:]).max() < 1e-9
    assert np.abs(person.joints_cam[:8] - truth[0, :8]).max() < 0.6
    assert (person.joint_scores[:8] == 0).all() and (person.joint_stddev[:8] >= MISSING_STDDEV).all()
    assert np.allclose(person.keypoints_px, project(CAMERA, person.joints_cam))


def test_depths_behind_the_camera_are_not_believed_and_nobody_is_nothing() -> None:
    people = people_at(figure()[None], CAMERA)
    (person,) = place_people(replace(people, rel_depth=people.rel_depth - 20), same, CAMERA)
    assert (person.joints_cam[:, 2] > 0).all() and np.isfinite(person.keypoints_px).all()
    assert len(place_people(people[:0], same, CAMERA)) == 0


def test_joints_outside_the_image_are_not_seen() -> None:
    truth = figure(0, (0.0, 1.6, 2.2))[None]
    (person,) = place_people(people_at(truth, CAMERA), same, CAMERA)
    seen = in_view(CAMERA, project(CAMERA, truth[0]))
    assert 0 < seen.sum() < K
    np.testing.assert_array_equal(person.joint_scores > 0, seen)
    assert (person.joint_stddev[~seen] >= MISSING_STDDEV).all()

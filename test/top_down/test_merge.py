import numpy as np
import pytest

from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17, K
from dualpose_ros.top_down.decode import PatchPeople
from dualpose_ros.top_down.merge import BEST_JOINTS, merge_patches, pose_similarity, suppressed_scores
from dualpose_ros.top_down.patch import apply_affines, invert_affines, patch_affines
from support import people_maps as maps


def patch_people(
    affine: np.ndarray, joints: list[np.ndarray], scores: list[np.ndarray], utility: list[float]
) -> PatchPeople:
    placed = np.stack([apply_affines(affine, j) for j in joints]) if joints else np.zeros((0, K, 2))
    return PatchPeople(placed, np.array(scores).reshape(-1, K), np.zeros(len(joints)), np.array(utility))


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two people of an image, and the affines of their own patches."""
    left, right = maps.figure(200, 100, 240), maps.figure(262, 110, 230)
    return left, right, patch_affines(np.stack([maps.figure_box(left), maps.figure_box(right)]), 256)


def test_every_track_gets_its_own_person_in_image_pixels() -> None:
    left, right, affines = scene()
    full = np.full(K, 0.9)
    people = [
        patch_people(affines[0], [left, right], [full, full], [3.0, 1.0]),
        patch_people(affines[1], [left, right], [full, full], [1.0, 3.0]),
    ]
    first, second = merge_patches(people, invert_affines(affines)).poses
    assert first is not None and second is not None
    assert np.allclose(first.joints_px, left) and np.allclose(second.joints_px, right)


def test_a_person_goes_to_one_track_only() -> None:
    """Both patches prefer the left person; the second track gets the other one."""
    left, right, affines = scene()
    full = np.full(K, 0.9)
    people = [
        patch_people(affines[0], [left], [full], [3.0]),
        patch_people(affines[1], [left + 1.0, right], [full, full], [2.2, 1.6]),
    ]
    first, second = merge_patches(people, invert_affines(affines)).poses
    assert first is not None and second is not None
    assert np.allclose(first.joints_px, left) and np.allclose(second.joints_px, right)
    alone = [people[0], patch_people(affines[1], [left + 1.0], [full], [2.2])]
    assert merge_patches(alone, invert_affines(affines)).poses[1] is None


def test_people_whom_no_track_owns_are_told_once() -> None:
    left, right, affines = scene()
    stranger, full, half = right + np.array([40.0, 0.0]), np.full(K, 0.9), np.full(K, 0.5)
    people = [
        patch_people(affines[0], [left, stranger], [full, half], [3.0, 0.2]),
        patch_people(affines[1], [right, stranger + 0.5], [full, full], [3.0, 0.2]),
    ]
    merged = merge_patches(people, invert_affines(affines))
    assert all(pose is not None for pose in merged.poses)
    (other,) = merged.others()
    assert np.allclose(other.joints_px, stranger + 0.5) and np.allclose(other.scores, full)


def test_joints_missing_in_the_own_patch_come_from_the_other() -> None:
    left, right, affines = scene()
    full, partial = np.full(K, 0.9), np.full(K, 0.4)
    partial[[3, 16]] = 0.0
    moved = left + 2.0
    people = [
        patch_people(affines[0], [left], [partial], [3.0]),
        patch_people(affines[1], [moved, right], [full, full], [1.0, 3.0]),
    ]
    first, _ = merge_patches(people, invert_affines(affines)).poses
    assert first is not None
    others = np.isin(np.arange(K), [3, 16])
    assert np.allclose(first.joints_px[others], moved[others]) and np.allclose(first.scores[others], 0.9)
    assert np.allclose(first.joints_px[~others], left[~others]) and np.allclose(first.scores[~others], 0.4)


def test_a_track_keeps_the_person_that_it_had() -> None:
    """The second track explains its box better by the left person, but had the right one a frame before."""
    left, right, affines = scene()
    full = np.full(K, 0.9)
    people = [
        patch_people(affines[0], [left], [full], [2.0]),
        patch_people(affines[1], [left + 1.0, right], [full, full], [2.4, 1.6]),
    ]
    free = merge_patches(people, invert_affines(affines)).poses
    assert free[0] is not None and np.allclose(free[0].joints_px, left)
    had = [Pose2D(left - 2.0, full), Pose2D(right - 2.0, full)]
    first, second = merge_patches(people, invert_affines(affines), previous=had).poses
    assert first is not None and second is not None
    assert np.allclose(first.joints_px, left) and np.allclose(second.joints_px, right)
    swapped = merge_patches(people[1:], invert_affines(affines[1:]), previous=[Pose2D(right - 2.0, full)]).poses[0]
    assert swapped is not None and np.allclose(swapped.joints_px, right)
    forgetful = merge_patches(people[1:], invert_affines(affines[1:])).poses[0]
    assert forgetful is not None and np.allclose(forgetful.joints_px, left + 1.0)


def test_suppression_spares_the_best_and_the_senior() -> None:
    left, right, _ = scene()
    poses = [Pose2D(left + 3, np.full(K, 0.6)), Pose2D(left, np.full(K, 0.9)), Pose2D(right, np.full(K, 0.5))]
    like = pose_similarity(np.stack([left + 3, left]), np.full((2, K), 0.5))[0, 1]
    beside = pose_similarity(np.stack([right, left, left + 3]), np.full((3, K), 0.5))[0, 1:].max()
    expected = [0.6 * (1 - like), 0.9, 0.5 * (1 - beside)]
    np.testing.assert_allclose(suppressed_scores(poses), expected)
    senior = suppressed_scores(poses, np.array([5, 0, 0]))
    assert senior[0] == pytest.approx(0.6) and senior[1] == pytest.approx(0.9 * (1 - like))
    twins = suppressed_scores([poses[1], poses[1]])
    assert sorted(twins) == pytest.approx([0.0, 0.9])
    assert suppressed_scores([]).shape == (0,)
    sure = suppressed_scores(poses, bonus=np.array([0.2, 0.0, 0.1]))
    np.testing.assert_allclose(sure, [0.8 * (1 - like), 0.9, 0.6 * (1 - beside)])
    few = Pose2D(left, np.where(np.arange(K) < BEST_JOINTS - 1, 0.9, 0.0))
    assert suppressed_scores([few])[0] == pytest.approx(0.9 * (BEST_JOINTS - 1) / BEST_JOINTS)


def test_two_of_one_patch_are_never_one_person() -> None:
    left, _, affines = scene()
    full = np.full(K, 0.9)
    people = [
        patch_people(affines[0], [left, left + 1], [full, full - 0.1], [3.0, 2.0]),
        patch_people(affines[1], [left + 1], [full - 0.2], [2.5]),
    ]
    first, second = merge_patches(people, invert_affines(affines)).poses
    assert first is not None and second is not None
    # The second track's is who the first patch has at the left: there its other one is left.
    assert np.allclose(first.joints_px, left + 1) and np.allclose(first.scores, 0.8)
    assert np.allclose(second.joints_px, left + 1) and np.allclose(second.scores, 0.7)


def test_nobody_anywhere_and_poor_explanations_give_none() -> None:
    left, _, affines = scene()
    empty = patch_people(affines[0], [], [], [])
    assert merge_patches([empty, empty], invert_affines(affines)).poses == [None, None]
    poses, others = merge_patches([], np.zeros((0, 2, 3)))
    assert poses == others() == []
    poor = patch_people(affines[0], [left], [np.full(K, 0.2)], [0.1])
    assert merge_patches([poor], invert_affines(affines[:1])).poses == [None]


def test_similarity_equals_the_formula_written_out() -> None:
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 100, (4, K, 2)) + np.arange(4)[:, None, None]
    joints[1] = joints[0] + rng.normal(0, 4, (K, 2))
    scores = (rng.random((4, K)) < 0.7).astype(float)
    scores[3, 2:] = 0
    areas = []
    for j, s in zip(joints, scores, strict=True):
        seen = j[s > 0]
        areas.append(np.prod(seen.max(axis=0) - seen.min(axis=0)))
    found = pose_similarity(joints, scores)
    for a in range(4):
        for b in range(4):
            terms = [
                np.exp(-np.sum((joints[a, k] - joints[b, k]) ** 2) / (2 * min(areas[a], areas[b]) * (2 * s) ** 2))
                for k, s in enumerate(H36M17.oks_sigmas)
                if scores[a, k] and scores[b, k]
            ]
            assert found[a, b] == pytest.approx(np.mean(terms) if len(terms) >= 3 else 0.0)

"""What the integration network is told of a pair: as its own camera sees it, nothing of who is not there."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.camera import turned_to
from dualpose_ros.fusion.pairs import (
    JOINTS,
    NUM_BRANCH,
    NUM_FEATURES,
    PRESENT,
    ROOT,
    BranchPoses,
    K,
    Pairs,
    branch_poses,
    root_weights,
    view_pairs,
)
from dualpose_ros.people import Persons, Pose3D, Source, TrackingState


def branch(rng: np.random.Generator, present: list[bool], roots: np.ndarray | None = None) -> BranchPoses:
    """People who are anywhere in view; zero where they are not present."""
    count = len(present)
    there = np.array(present, dtype=bool)
    at = rng.uniform([-1.5, -0.5, 2.5], [1.5, 0.5, 8], (count, 3)) if roots is None else roots
    joints = at[:, None] + rng.normal(0, 0.3, (count, K, 3))
    joints[:, 0] = at
    return BranchPoses(
        np.where(there[:, None, None], joints, 0.0),
        np.where(there[:, None], rng.uniform(0.1, 1, (count, K)), 0.0),
        np.where(there[:, None], rng.uniform(0.03, 0.4, (count, K)), 1.0),
        np.where(there, rng.uniform(0.3, 1, count), 0.0),
        there,
    )


def turned(one: BranchPoses, rotation: np.ndarray) -> BranchPoses:
    return replace(one, joints_cam=one.joints_cam @ rotation.T)


def pose(rng: np.random.Generator) -> Pose3D:
    return Pose3D(
        4, TrackingState.CONFIRMED, Source.TOP_DOWN, float(rng.random()), np.zeros(4), rng.normal(size=(K, 3)),
        rng.random(K), rng.random(K), np.zeros((K, 2)),
    )  # fmt: skip


def test_poses_become_rows_and_nobody_is_zero() -> None:
    rng = np.random.default_rng(0)
    one, other = pose(rng), pose(rng)
    rows = branch_poses(Persons.of([one, other]), np.array([0, -1, 1]))
    assert rows.present.tolist() == [True, False, True] and len(rows) == 3
    for row, its in ((0, one), (2, other)):
        np.testing.assert_array_equal(rows.joints_cam[row], its.joints_cam)
        np.testing.assert_array_equal(rows.joint_scores[row], its.joint_scores)
        np.testing.assert_array_equal(rows.joint_stddev[row], its.joint_stddev)
        assert rows.scores[row] == its.score
        np.testing.assert_allclose(rows.joints_rel[row], its.joints_cam - its.joints_cam[0])
        np.testing.assert_array_equal(rows.roots[row], its.joints_cam[0])
    assert not rows.joints_cam[1].any() and not rows.joint_scores[1].any() and rows.scores[1] == 0
    assert (rows.joint_stddev[1] == 1).all()
    nobody = branch_poses(Persons.empty(), np.zeros(0, dtype=int))
    assert len(nobody) == 0 and nobody.joints_cam.shape == (0, K, 3)


def test_features_of_an_absent_branch_are_zero() -> None:
    rng = np.random.default_rng(1)
    pairs = Pairs(branch(rng, [True, False, True]), branch(rng, [False, True, True]))
    view = view_pairs(pairs)
    assert view.features.shape == (3, NUM_FEATURES) and view.features.dtype == np.float32
    own, other = view.features[:, :NUM_BRANCH], view.features[:, NUM_BRANCH : 2 * NUM_BRANCH]
    assert not own[1].any() and not other[0].any()
    assert own[[0, 2], PRESENT].tolist() == [1, 1] and other[[1, 2], PRESENT].tolist() == [1, 1]
    # What an absent pose holds makes no difference.
    filled = pairs.top_down.joints_cam.copy()
    filled[1] = [3.0, -2.0, 5.0]
    changed = replace(pairs.top_down, joints_cam=filled)
    again = view_pairs(Pairs(changed, pairs.bottom_up))
    np.testing.assert_array_equal(again.features, view.features)
    np.testing.assert_array_equal(again.to_camera, view.to_camera)
    np.testing.assert_array_equal(again.depth, view.depth)


def test_nobody_at_all() -> None:
    view = view_pairs(
        Pairs(
            branch_poses(Persons.empty(), np.zeros(0, dtype=int)), branch_poses(Persons.empty(), np.zeros(0, dtype=int))
        )
    )
    assert view.features.shape == (0, NUM_FEATURES) and view.to_camera.shape == (0, 3, 3) and len(view.depth) == 0
    padding = view_pairs(Pairs(*[branch_poses(Persons.empty(), np.array([-1]))] * 2))
    assert np.isfinite(padding.features).all() and not padding.features[:, : 2 * NUM_BRANCH].any()
    assert np.isfinite(padding.depth).all()


def test_features_against_a_slow_form() -> None:
    rng = np.random.default_rng(2)
    roots = rng.uniform([-1, -0.4, 3], [1, 0.4, 7], (5, 3))
    pairs = Pairs(branch(rng, [True] * 5, roots), branch(rng, [True] * 5, roots * rng.uniform(0.9, 1.1, (5, 1))))
    view = view_pairs(pairs)
    for n in range(5):
        rays = [b.joints_cam[n, 0, :2] / b.joints_cam[n, 0, 2] for b in (pairs.top_down, pairs.bottom_up)]
        middle = sum(rays) / 2
        axis = np.append(middle, 1) / np.linalg.norm(np.append(middle, 1))
        # The shortest way from the z axis to there.
        turn = np.cross([0, 0, 1], axis)
        angle = np.arccos(axis[2])
        rotation = Rotation.from_rotvec(angle * turn / np.linalg.norm(turn)).as_matrix()
        np.testing.assert_allclose(view.to_camera[n], rotation, atol=1e-9)
        variances = [(b.joint_stddev[n, 0] / b.joints_cam[n, 0, 2]) ** 2 for b in (pairs.top_down, pairs.bottom_up)]
        seen = [b.joints_cam[n] @ rotation for b in (pairs.top_down, pairs.bottom_up)]
        logs = [np.log(points[0, 2]) for points in seen]
        log_depth = (logs[0] / variances[0] + logs[1] / variances[1]) / (1 / variances[0] + 1 / variances[1])
        assert view.depth[n] == pytest.approx(np.exp(log_depth))
        for index, b in enumerate((pairs.top_down, pairs.bottom_up)):
            row = view.features[n, index * NUM_BRANCH : (index + 1) * NUM_BRANCH]
            np.testing.assert_allclose(row[JOINTS].reshape(K, 3), seen[index] - seen[index][0], atol=1e-5)
            np.testing.assert_allclose(row[3 * K : 4 * K], b.joint_scores[n], atol=1e-6)
            np.testing.assert_allclose(row[4 * K : 5 * K], np.log(b.joint_stddev[n] / 0.2), atol=1e-5)
            place = [*(seen[index][0, :2] / seen[index][0, 2]), logs[index] - log_depth]
            np.testing.assert_allclose(row[ROOT], place, atol=1e-5)
            assert row[5 * K + 3] == pytest.approx(np.log(b.joint_stddev[n, 0] / seen[index][0, 2] / 0.05), abs=1e-4)
            assert row[5 * K + 4] == pytest.approx(b.scores[n]) and row[PRESENT] == 1
        own = view.features[n, 2 * NUM_BRANCH :]
        np.testing.assert_allclose(own, [log_depth - 1.3, *np.arctan(middle)], atol=1e-5)


def test_turning_the_camera_changes_only_from_where_they_are_seen() -> None:
    rng = np.random.default_rng(3)
    depth = rng.uniform(3, 7, (6, 1))
    ahead = np.concatenate([np.zeros((6, 2)), depth], axis=1)
    pairs = Pairs(branch(rng, [True] * 5 + [False], ahead), branch(rng, [True] * 4 + [False, True], 1.1 * ahead))
    before = view_pairs(pairs)
    for ray in rng.uniform(-0.6, 0.6, (5, 2)):
        rotation = turned_to(ray)
        after = view_pairs(Pairs(turned(pairs.top_down, rotation), turned(pairs.bottom_up, rotation)))
        np.testing.assert_allclose(after.features[:, :-2], before.features[:, :-2], atol=1e-5)
        np.testing.assert_allclose(after.features[:, -2:], np.tile(np.arctan(ray), (6, 1)), atol=1e-5)
        np.testing.assert_allclose(after.depth, before.depth)
        np.testing.assert_allclose(after.to_camera, np.tile(rotation, (6, 1, 1)), atol=1e-9)


def test_weights_of_the_depths_add_up_to_one() -> None:
    rng = np.random.default_rng(4)
    pairs = Pairs(branch(rng, [True, True, False]), branch(rng, [True, False, True]))
    one, other = root_weights(pairs)
    np.testing.assert_allclose(one + other, 1)
    assert one[1] == 1 and other[2] == 1
    relative = [b.joint_stddev[0, 0] / b.joints_cam[0, 0, 2] for b in (pairs.top_down, pairs.bottom_up)]
    assert one[0] / other[0] == pytest.approx((relative[1] / relative[0]) ** 2)


def test_somebody_behind_the_camera_does_no_harm() -> None:
    rng = np.random.default_rng(5)
    behind = np.array([[0.3, 0.0, -1.0], [0.0, 0.0, 0.0]])
    for pairs in (
        Pairs(branch(rng, [True] * 2, behind), branch(rng, [True] * 2)),
        Pairs(branch(rng, [True] * 2, behind), branch(rng, [False] * 2)),
    ):
        view = view_pairs(pairs)
        assert np.isfinite(view.features).all() and (view.depth > 0).all()
        assert np.abs(view.features[:, ROOT]).max() <= 1

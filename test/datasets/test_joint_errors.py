"""Measured 2D errors: a network that errs in a known way, and the file that keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets import joint_errors
from dualpose_ros.datasets.cache import shard_path, write_shard
from dualpose_ros.datasets.labels import OUTSIDE, UNKNOWN, VISIBLE, LabelledImage, People
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation import joints
from dualpose_ros.lab.evaluation.joints import jittered, measure_joint_errors
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17, K


def labelled_image(seed: int, people: int = 3) -> LabelledImage:
    rng = np.random.default_rng(seed)
    joints = rng.uniform(20, 180, (people, K, 2)).astype(np.float32)
    visibility = np.full((people, K), VISIBLE, np.uint8)
    visibility[:, 3] = OUTSIDE
    boxes = np.concatenate([joints.min(axis=1), joints.max(axis=1)], axis=1)
    fraction = np.linspace(1.0, 0.1, people).astype(np.float32)
    labels = People(
        np.arange(people, dtype=np.int32), boxes, joints, visibility, np.zeros((people, K, 3), np.float32), fraction
    )
    image = np.zeros((200, 200, 3), np.uint8)
    return LabelledImage(image, image[..., 0], labels, camera_from_hfov(200, 200, 1.0))


class OffBy:
    """An estimator whose joints are all off by the same pixels, joint 5 never found, the second person not at all."""

    def __init__(self, people: People, offset: tuple[float, float]) -> None:
        self.people, self.offset, self.boxes = people, np.array(offset), np.zeros((0, 4))

    def __call__(self, image: np.ndarray, boxes_px: np.ndarray) -> OffBy:
        self.boxes = boxes_px
        scores = np.full(K, 0.8)
        scores[5] = 0
        self.poses = [Pose2D(self.people.joints_px[i] + self.offset, scores) for i in range(len(boxes_px))]
        self.poses[1:2] = [None] * len(self.poses[1:2])  # type: ignore[list-item]
        return self


def measured(offset: tuple[float, float]) -> tuple[joint_errors.JointErrors, LabelledImage, OffBy]:
    image = labelled_image(0)
    estimator = OffBy(image.people, offset)
    return measure_joint_errors([image], estimator, np.random.default_rng(0)), image, estimator  # type: ignore[arg-type]


def test_errors_are_shares_of_the_persons_size() -> None:
    errors, image, estimator = measured((6.0, -8.0))
    size = np.ptp(image.people.joints_px[0], axis=0).max()
    assert len(errors) == 1 and len(estimator.boxes) == 2  # the third is hardly in view, the second was not found
    expected = np.tile(np.array([6.0, -8.0]) / size, (K, 1))
    expected[5] = 0
    np.testing.assert_allclose(errors.offsets[0], expected, atol=1e-6)
    assert errors.scores[0, 5] == 0 and errors.labelled[0].sum() == K - 1 and not errors.labelled[0, 3]
    figures = joint_errors.error_figures(errors)
    assert figures["found"] == pytest.approx((K - 2) / (K - 1))
    assert figures["median_error"] == pytest.approx(10 / size, rel=1e-5)
    assert figures["within_10_percent"] == float(10 / size < 0.1)


def test_frames_in_which_nobody_is_labelled_are_an_error_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = labelled_image(0)
    image.people.visibility[:] = UNKNOWN
    write_shard(shard_path(tmp_path, 0), [image])
    monkeypatch.setattr(joints, "load_top_down", lambda name: None)
    monkeypatch.setattr(joints, "PoseEstimator", lambda network: OffBy(image.people[:0], (0.0, 0.0)))
    with pytest.raises(InputError, match="in 1 frames nobody is in view with 8 joints that are labelled"):
        joints.evaluate_joints(tmp_path, None, 5, 0, tmp_path / "errors.npz")
    assert not (tmp_path / "errors.npz").exists()


def test_joints_that_nobody_judged_do_not_count_in_figures_or_size() -> None:
    image = labelled_image(0)
    image.people.visibility[0, [7, 9]] = UNKNOWN
    image.people.visibility[1, :12] = UNKNOWN
    image.people.joints_px[0, [7, 9]] = 0
    estimator = OffBy(image.people, (6.0, -8.0))
    errors = measure_joint_errors([image], estimator, np.random.default_rng(0))  # type: ignore[arg-type]
    assert len(errors) == 1 and len(estimator.boxes) == 1
    assert np.flatnonzero(~errors.judged[0]).tolist() == [7, 9]
    size = np.ptp(np.delete(image.people.joints_px[0], [7, 9], axis=0), axis=0).max()
    np.testing.assert_allclose(errors.offsets[0, 0], np.array([6.0, -8.0]) / size, atol=1e-6)
    assert not errors.offsets[0, [7, 9]].any()
    assert joint_errors.error_figures(errors)["found"] == pytest.approx((K - 4) / (K - 3))


def test_boxes_stay_boxes_however_far_they_are_moved() -> None:
    boxes = np.array([[10.0, 20.0, 12.0, 80.0]] * 500)
    moved = jittered(boxes, 0.2, np.random.default_rng(1))
    assert (moved[:, 2:] >= moved[:, :2]).all() and np.abs(moved - boxes).max() <= 0.2 * 60 + 1e-9
    assert np.std(moved[:, 3] - boxes[:, 3]) > 2
    assert jittered(np.zeros((0, 4)), 0.1, np.random.default_rng(0)).shape == (0, 4)


def test_files_round_trip_and_bad_ones_are_named(tmp_path: Path) -> None:
    errors, _, _ = measured((3.0, 1.0))
    joint_errors.save_joint_errors(tmp_path / "errors.npz", errors)
    again = joint_errors.load_joint_errors(tmp_path / "errors.npz")
    np.testing.assert_allclose(again.offsets, errors.offsets, atol=1e-3)
    np.testing.assert_array_equal(again.labelled, errors.labelled)
    with pytest.raises(joint_errors.JointErrorsError, match=r"missing\.npz"):
        joint_errors.load_joint_errors(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(joint_errors.JointErrorsError, match=r"text\.npz"):
        joint_errors.load_joint_errors(tmp_path / "text.npz")
    nobody = measure_joint_errors([], None, np.random.default_rng(0))  # type: ignore[arg-type]
    joint_errors.save_joint_errors(tmp_path / "nobody.npz", nobody)
    with pytest.raises(joint_errors.JointErrorsError, match="nobody"):
        joint_errors.load_joint_errors(tmp_path / "nobody.npz")
    assert np.isnan(joint_errors.error_figures(nobody)["median_error"])


def test_measured_errors_are_those_of_the_file_with_little_jitter() -> None:
    rng = np.random.default_rng(3)
    errors = joint_errors.JointErrors(
        rng.normal(0, 0.2, (40, 17, 2)).astype(np.float32),
        rng.uniform(0.1, 1, (40, 17)).astype(np.float32),
        rng.random((40, 17)) < 0.9,
        np.ones((40, 17), bool),
    )
    n, m = 50, 28
    rays, times = rng.normal(size=(n, m, 17, 2)), np.tile(np.arange(m) / 30.0, (n, 1))
    seen, size = np.ones((n, m, 17)), rng.uniform(0.1, 1, (n, m))
    seen[:, :, 4] = 0
    out, scores = joint_errors.with_measured(rays, seen, size, times, errors, rng)
    assert (scores[:, :, 4] == 0).all()
    made = ((out - rays) / size[..., None, None]).reshape(n * m, -1)
    mirror = list(H36M17.mirror)
    both = np.concatenate([errors.offsets, errors.offsets[:, mirror] * np.array([-1, 1])]).reshape(80, -1)
    distance = np.linalg.norm(made[:, None] - both[None], axis=2)
    which = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 0.06 * 0.7  # jitter of 0.004 on 34 numbers, against 0.2
    kept = np.where(errors.labelled, errors.scores, 0)
    expected = np.concatenate([kept, kept[:, mirror]])[which].reshape(n, m, 17)
    np.testing.assert_array_equal(np.delete(scores, 4, axis=2), np.delete(expected, 4, axis=2))
    changes = (which.reshape(n, m)[:, 1:] != which.reshape(n, m)[:, :-1]).mean(axis=1)
    assert 0.01 < changes.mean() < 0.2  # rates of 0.7 to 8 a second, at 30 frames a second
    assert len(set(which)) > 60


def test_joints_that_nobody_judged_err_like_those_of_people_scored_alike() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 1, (3000, 17)).astype(np.float32)
    offsets = np.repeat((0.3 * (1 - scores))[..., None], 2, axis=2).astype(np.float32)
    judged = rng.random((3000, 17)) < 0.5
    judged[:, 3] = False
    errors = joint_errors.JointErrors(np.where(judged[..., None], offsets, 9.0), scores, np.ones_like(judged), judged)
    out = joint_errors.filled(errors, rng)
    np.testing.assert_array_equal(out.offsets[judged], offsets[judged])
    np.testing.assert_array_equal(out.scores, scores)
    others = np.delete(np.arange(17), 3)
    assert np.abs(out.offsets - offsets)[:, others].max() < 0.04
    assert not out.offsets[:, 3].any()

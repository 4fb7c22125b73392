"""Measures of refinement against slow references, and rows that are of the same frames."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.labels import VISIBLE, People
from dualpose_ros.lab.evaluation.fusion.measures import RecordedFrame
from dualpose_ros.lab.evaluation.refinement import measures
from dualpose_ros.lab.evaluation.refinement.cost import cost_row, least_cost, solved_window
from dualpose_ros.lab.evaluation.refinement.published_solver import Stage
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.people import Persons, Pose3D, Source, TrackingState
from dualpose_ros.refinement.bones import with_lengths
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.least_squares.solver import SolverConfig, terms_of
from dualpose_ros.refinement.least_squares.terms import cost
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.refinement.window import LEAST_RELATIVE_M
from dualpose_ros.skeleton import H36M17, K

CAMERA = camera_from_hfov(640, 480, 1.2)
FEW = {"few steps": (Stage(steps=2),)}


def walk(times: np.ndarray) -> np.ndarray:
    """Somebody (T, K, 3) who walks by and waves."""
    joints = np.tile(REST_JOINTS_M * [-1.0, -1.0, 1.0] + np.array([-0.4, 1.0, 4.0]), (len(times), 1, 1))
    joints[:, (13, 16), 1] += 0.1 * np.sin(3 * times)[:, None]
    return joints + times[:, None, None] * np.array([0.4, 0.0, 0.5])


def pose_of(joints: np.ndarray, track_id: int = 1) -> Pose3D:
    pixels, stddev = project(CAMERA, joints), np.full(K, 0.15)
    stddev[H36M17.root] = 0.12
    box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
    return Pose3D(track_id, TrackingState.CONFIRMED, Source.FUSED, 0.9, box, joints, np.full(K, 0.9), stddev, pixels)


def movement(frames: int = 20, lost: tuple[int, ...] = (), noise: float = 0.03, seed: int = 0) -> measures.Movement:
    rng = np.random.default_rng(seed)
    stamps = np.cumsum(rng.integers(60, 100, frames)) * 1_000_000
    truth = walk((stamps - stamps[0]) * 1e-9)
    said = truth + rng.normal(0, noise, truth.shape)
    poses = tuple(None if t in lost else pose_of(said[t]) for t in range(frames))
    return measures.Movement(CAMERA, tuple(stamps.tolist()), truth, poses)


def test_figures_are_those_of_slow_loops() -> None:
    rng = np.random.default_rng(1)
    series = []
    for frames in (9, 6):
        times = np.cumsum(rng.uniform(0.05, 0.35, frames))
        truth = walk(times)
        series.append(measures.Series(times, truth + rng.normal(0, 0.05, truth.shape), truth))
    relative, absolute, accelerations, bones = [], [], [], []
    for one in series:
        for t in range(len(one.times)):
            for k in range(K):
                absolute.append(np.linalg.norm(one.joints[t, k] - one.truth[t, k]))
                if k:
                    own, true = one.joints[t, k] - one.joints[t, 0], one.truth[t, k] - one.truth[t, 0]
                    relative.append(np.linalg.norm(own - true))
                if t >= 2 and one.times[t] - one.times[t - 2] <= 0.5:
                    fits = [2 * np.polyfit(one.times[t - 2 : t + 1], j[t - 2 : t + 1, k], 2)[0]
                            for j in (one.joints, one.truth)]  # fmt: skip
                    accelerations.append(np.linalg.norm(fits[0] - fits[1]))
        for parent, child in H36M17.bones:
            length = np.linalg.norm(one.joints[:, child] - one.joints[:, parent], axis=-1)
            bones += ((length - length.mean()) ** 2).tolist()
    assert 0 < len(accelerations) < (9 + 6 - 4) * K
    expected = (1e3 * np.mean(relative), 1e3 * np.mean(absolute), np.mean(accelerations), 1e3 * np.sqrt(np.mean(bones)))
    assert measures.series_figures(series) == pytest.approx(dict(zip(measures.COLUMNS, expected, strict=True)))


def test_nothing_measured_is_none() -> None:
    assert set(measures.series_figures([]).values()) == {None}
    one = measures.Series(np.zeros(1), np.zeros((1, K, 3)), np.ones((1, K, 3)))
    assert [measures.series_figures([one])[column] is None for column in measures.COLUMNS] == [False, False, True, True]


def test_the_reference_starts_from_what_was_said_and_leaves_lost_frames_out() -> None:
    one = movement(12, lost=(4, 5))
    said = np.array([pose.joints_cam for pose in one.said()])
    np.testing.assert_array_equal(measures.by_reference(one, (Stage(steps=0),)), said)
    moved = measures.by_reference(one, (Stage(steps=5, rate=1e-3),))
    assert moved.shape == said.shape == (10, K, 3) and 0 < np.abs(moved - said).max() < 0.01


def test_late_answers_belong_to_their_frames() -> None:
    one, config = movement(12), RefinementConfig(lag_frames=measures.LAG_FRAMES)
    stage = RefinementStage(config)
    given = [f for s, p in zip(one.stamps_ns, one.said(), strict=True) for f in stage.process(s, CAMERA, (p,))]
    assert [frame.stamp_ns for frame in given] == list(one.stamps_ns[: -measures.LAG_FRAMES])
    found = measures.by_stage(one, config)
    assert (
        np.isnan(found.joints[-measures.LAG_FRAMES :]).all() and np.isfinite(found.joints[: -measures.LAG_FRAMES]).all()
    )
    for t, frame in enumerate(given):
        np.testing.assert_array_equal(found.joints[t], frame.persons[0].joints_cam)
        np.testing.assert_array_equal(found.stddev[t], frame.persons[0].joint_stddev)


def test_people_are_predicted_while_lost_until_they_are_given_up() -> None:
    one = movement(30, lost=tuple(range(10, 22)))
    found = measures.by_stage(one, RefinementConfig(max_coast_s=0.3))
    assert len(found.joints) == 18 and np.isfinite(found.joints).all() and len(found.lost) == 12
    known = np.all(np.isfinite(found.lost), axis=(1, 2))
    assert 1 <= known.sum() <= 5 and known[: known.sum()].all()
    late = measures.by_stage(one, RefinementConfig(max_coast_s=0.3, lag_frames=2))
    given = np.isfinite(late.joints).all(axis=(1, 2))
    assert np.flatnonzero(~given).tolist() == [16, 17], "the last ones wait for more"


def test_all_rows_are_of_the_same_frames() -> None:
    movements = [movement(14, lost=(6,)), movement(14, seed=3)]
    answers = [measures.answer_all(one, RefinementConfig(), FEW) for one in movements]
    rows = measures.table_6(movements, answers)
    assert [row["row"] for row in rows] == [measures.BASELINE, "few steps", measures.OURS, measures.lagging_name()]
    # What is wrong only where the late row has no answer counts for none.
    truth = [one.joints_cam[one.seen] for one in movements]
    for answer, true in zip(answers, truth, strict=True):
        answer.joints[measures.BASELINE] = (
            true + (np.arange(len(true)) >= len(true) - measures.LAG_FRAMES)[:, None, None]
        )
    first = measures.table_6(movements, answers)[0]
    assert first["mpjpe_abs_mm"] == pytest.approx(0) and first["accel_m_s2"] == pytest.approx(0)
    late = [row["mpjpe_abs_mm"] for row in measures.table_6(movements, answers)]
    assert all(value > 0 for value in late[1:])


def test_what_known_distances_would_gain() -> None:
    plain = movement(12, lost=(3,), noise=0.0)
    poses = []
    for t, pose in enumerate(plain.poses):
        share = np.exp(0.1 + (0.02 if t % 2 else -0.02))  # frames 0, 1, 2, 4 .. 11: five even, six odd
        joints = plain.joints_cam[t]
        poses.append(None if pose is None else replace(pose, joints_cam=joints + (share - 1) * joints[H36M17.root]))
    said, averaged, known = measures.distance_bounds([replace(plain, poses=tuple(poses))])
    mean = np.exp(np.mean([0.1 + (0.02 if t % 2 else -0.02) for t in plain.seen]))
    roots = np.linalg.norm(plain.joints_cam[plain.seen][:, H36M17.root], axis=-1)
    assert averaged["mpjpe_abs_mm"] == pytest.approx(1e3 * (mean - 1) * roots.mean())
    assert averaged["accel_m_s2"] < 0.1 * said["accel_m_s2"]
    for column in ("mpjpe_mm", "mpjpe_abs_mm", "accel_m_s2"):
        assert known[column] == pytest.approx(0, abs=1e-9)


def test_rates_and_true_2d_joints() -> None:
    movements = [movement(10, lost=(3,))]
    still, moved = measures.rate_rows(movements, (Stage(steps=5),), (0.0, 1e-3))
    said = np.array([pose.joints_cam for pose in movements[0].said()])
    off = np.linalg.norm(said - movements[0].joints_cam[movements[0].seen], axis=-1).mean()
    assert still["mpjpe_abs_mm"] == pytest.approx(1e3 * off) and moved["mpjpe_abs_mm"] != still["mpjpe_abs_mm"]
    true = movements[0].with_true_2d()
    assert true.poses[3] is None and true.poses[4] is not None and (true.poses[4].joint_scores == 1).all()
    np.testing.assert_allclose(true.poses[4].keypoints_px, project(CAMERA, true.joints_cam[4]))
    np.testing.assert_array_equal(true.poses[4].joints_cam, said[3])


def test_predicting_a_walk_beats_holding_the_last_pose() -> None:
    movements = [movement(16, lost=(12, 13, 14), noise=0.0)]
    held, ours = measures.lost_rows(movements, [measures.answer_all(movements[0], RefinementConfig(), {})])
    assert held["lost"] == held["predicted"] == ours["predicted"] == 3
    last, truth = movements[0].poses[11], movements[0].joints_cam
    assert last is not None
    expected = np.mean([np.linalg.norm(last.joints_cam - truth[t], axis=-1).mean() for t in (12, 13, 14)])
    assert held["mpjpe_abs_mm"] == pytest.approx(1e3 * expected) and ours["mpjpe_abs_mm"] < held["mpjpe_abs_mm"]
    assert (
        measures.lost_rows([movement(8)], [measures.answer_all(movement(8), RefinementConfig(), {})])[0]["mpjpe_abs_mm"]
        is None
    )


def test_calibration_is_of_ellipsoids_that_are_long_along_the_ray() -> None:
    rng = np.random.default_rng(2)
    joints = rng.normal((0, 0, 6), 1, (3000, K, 3))
    own, depth = rng.uniform(0.03, 0.1, (3000, K)), rng.uniform(0.1, 0.5, (3000, 1))
    own[:, 0] = LEAST_RELATIVE_M
    ray = joints[:, :1] / np.linalg.norm(joints[:, :1], axis=-1, keepdims=True)
    too_near = (depth * rng.normal(size=(3000, 1)))[..., None] * ray
    truth = joints + own[..., None] * rng.normal(size=joints.shape) + too_near
    stddev = np.hypot(np.where(np.arange(K) > 0, own, 0), depth)
    row = measures.calibration_row("gaussian", measures.Stated(joints, stddev, truth))
    assert row["joints"] == 3000 * K
    for prefix in ("", "depth_"):
        assert row[prefix + "within_1_sigma"] == pytest.approx(0.683, abs=0.02)
        assert row[prefix + "within_2_sigma"] == pytest.approx(0.954, abs=0.02)
    assert measures.calibration_row("nobody", measures.Stated.empty())["within_1_sigma"] is None
    movements = [movement(10, lost=(4,))]
    stated = measures.stated_of_movements(movements, [measures.answer_all(movements[0], RefinementConfig(), {})])
    assert [len(one) for one in stated.values()] == [9, 9, 9 - measures.LAG_FRAMES]


def recorded_frame(t: int, sequence: int, joints: np.ndarray) -> RecordedFrame:
    """One true person (K, 3), whom the top-down branch has 0.1 m too far."""
    pixels: Any = project(CAMERA, joints)
    box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
    visible = np.full((1, K), VISIBLE, np.uint8)
    whole: Any = np.ones(1)
    person = People(np.array([7]), box[None], pixels[None], visible, joints[None], whole)
    said = replace(pose_of(joints), joints_cam=joints + np.array([0, 0, 0.1]))
    return RecordedFrame(sequence, t * 80_000_000, np.array([0.0, 1, 0]), person, Persons.of([said]), Persons.empty(),
                         np.zeros(1, np.intp), np.zeros(0, np.intp))  # fmt: skip


def test_videos_are_measured_by_track_and_start_anew() -> None:
    joints = walk(np.arange(8) * 0.08)
    frames = [recorded_frame(t, sequence, joints[t]) for sequence in (0, 1) for t in range(8)]
    people = [list(frame.top_down) for frame in frames]
    for t in range(8, 16):
        people[t] = [replace(people[t][0], track_id=2 if t < 12 else 3)]
    found = measures.tracked(frames, people)
    assert [len(one.times) for one in found.series] == [8, 4, 4]
    assert len(found.stated) == 16
    row = measures.video_row("before", frames, people)
    assert row["mpjpe_abs_mm"] == pytest.approx(100) and row["mpjpe_mm"] == pytest.approx(0, abs=1e-6)
    assert row["people"] == 16 and row["found"] == 100 and row["pck_abs"] == 100
    refined = measures.refined_people(frames, [CAMERA] * 16, people)
    (alone,) = RefinementStage().process(0, CAMERA, people[8])
    np.testing.assert_array_equal(refined[8][0].joints_cam, alone.persons[0].joints_cam)
    people[5] = []
    gone = measures.refined_people(frames, [CAMERA] * 16, people)
    assert gone[5][0].state is TrackingState.COASTING
    assert (
        len(measures.tracked(frames, gone).stated) == 15 and measures.video_row("after", frames, gone)["found"] == 100
    )


def test_the_streamed_window_is_that_of_the_live_stage() -> None:
    one, config = movement(16), RefinementConfig(smoothing_time_constant_s=0)
    solved = solved_window(one, config.window_frames, config)
    published = with_lengths(solved.joints[-1], solved.observed.lengths)
    np.testing.assert_allclose(published, measures.by_stage(one, config).joints[-1], atol=1e-9)
    with pytest.raises(ValueError, match="16 frames; a window has 20"):
        solved_window(one, 20, config)


def test_poses_are_judged_at_the_distances_of_the_terms_if_that_is_better() -> None:
    solved = solved_window(movement(6), 6, RefinementConfig())
    terms = terms_of(solved.observed, solved.joints, SolverConfig())
    farther = terms.prior * 1.1
    root = farther[:, H36M17.root]
    moved = farther - (root - terms.prior[:, H36M17.root])[:, None]
    assert cost(terms, moved) < cost(terms, farther)
    assert least_cost(terms, farther) == pytest.approx(cost(terms, moved))
    assert least_cost(terms, solved.joints) <= cost(terms, solved.joints)


def test_costs_of_both_solvers() -> None:
    row = cost_row([movement(12), movement(12, seed=5)], 6, RefinementConfig(), (Stage(steps=50),))
    assert row["window"] == 6 and row["windows"] == 2 and row["ours_ms"] > 0
    assert row["times_cheaper"] == pytest.approx(row["reference_ms"] / row["ours_ms"])
    assert row["reference_ms_a_frame"] == pytest.approx(row["reference_ms"] / 6)
    assert 0 < row["objective_ratio"] < 1 and row["better_in"] == 1, "of so few steps of the reference"

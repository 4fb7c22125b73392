"""Scores of a branch's people: what known estimates earn, against slow and obvious versions."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import project
from dualpose_ros.datasets.labels import OUTSIDE, People
from dualpose_ros.lab.evaluation.people import match_people, people_figures, root_average_precision, score_frame
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17, K
from support.standing import CAMERA, at, truth_of


def estimate_of(joints_cam: np.ndarray, score: float = 0.9) -> Pose3D:
    pixels = project(CAMERA, joints_cam)
    box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
    ones = np.ones(K)
    return Pose3D(-1, TrackingState.CONFIRMED, Source.BOTTOM_UP, score, box, joints_cam, ones, 0.1 * ones, pixels)


def everybody(frames: list[Any]) -> list[np.ndarray]:
    return [frame.counted for frame in frames]


def test_exact_poses_score_full_marks() -> None:
    joints = at((-1, 4), (0.5, 5), (2, 9))
    frame = score_frame(truth_of(joints), [estimate_of(j) for j in joints[::-1]])
    assert frame.match.tolist() == [2, 1, 0]
    figures = people_figures([frame], everybody([frame]))
    assert figures["people"] == 3
    for name in ("recall", "within_0.5_m", "pck150_rel", "pck150_abs"):
        assert figures[name] == 100
    assert figures["root_depth_pct"] == pytest.approx(0, abs=1e-4)
    assert root_average_precision([frame]) == pytest.approx(1.0)


def test_a_wrong_depth_costs_what_it_should_and_the_missed_count_as_wrong() -> None:
    joints = at((-1, 4), (0.5, 5), (2, 8), (-2.5, 9))
    estimates = [estimate_of(1.02 * joints[0]), estimate_of(1.06 * joints[1]), estimate_of(0.9 * joints[2])]
    frame = score_frame(truth_of(joints), estimates)
    assert frame.found.tolist() == [True, True, True, False]
    assert frame.near.tolist() == [True, True, False, False]
    assert frame.depth_error[:3] == pytest.approx([0.02, 0.06, 0.1], rel=1e-4) and np.isnan(frame.depth_error[3])
    figures = people_figures([frame], everybody([frame]))
    assert figures["recall"] == 75 and figures["within_0.5_m"] == 50
    assert figures["pck150_rel"] == 75
    # Of the four, the first alone lies within 150 mm, with all joints.
    assert figures["pck150_abs"] == 25
    assert figures["root_depth_pct"] == pytest.approx(6, rel=1e-4)
    # At 250 mm: 80 mm off is right; 300 and 800 mm off and a missed one are not.
    assert root_average_precision([frame]) == pytest.approx(26 / 101)


def test_pck_against_loops() -> None:
    rng = np.random.default_rng(0)
    joints = at((-1, 4), (1.5, 6))
    noisy = joints + rng.normal(0, 0.07, joints.shape)
    frame = score_frame(truth_of(joints), [estimate_of(j) for j in noisy])
    for person in range(2):
        near = [np.linalg.norm(noisy[person, k] - joints[person, k]) <= 0.15 for k in range(K)]
        moved = [
            np.linalg.norm(noisy[person, k] - noisy[person, 0] - joints[person, k] + joints[person, 0]) <= 0.15
            for k in range(1, K)
        ]
        assert frame.pck_abs[person] == pytest.approx(sum(near) / K)
        assert frame.pck_rel[person] == pytest.approx(sum(moved) / (K - 1))
        assert 0 < frame.pck_rel[person] < 1


def test_auc_against_loops() -> None:
    rng = np.random.default_rng(6)
    joints = at((-1, 4), (1.5, 6), (0.2, 5))
    noisy = joints + rng.normal(0, 0.03, joints.shape)
    # The second is missed, the third at a wrong depth alone.
    frame = score_frame(truth_of(joints), [estimate_of(noisy[0]), estimate_of(joints[2] + [0, 0, 0.2])])
    moved = [np.linalg.norm(noisy[0, k] - noisy[0, 0] - joints[0, k] + joints[0, 0]) for k in range(1, K)]
    shares = [sum(error <= 0.005 * n for error in moved) / (K - 1) for n in range(1, 31)]
    assert frame.auc_rel == pytest.approx([sum(shares) / 30, 0, 1]) and 0.2 < frame.auc_rel[0] < 0.8


def slow_similarity(keypoints: np.ndarray, people: People, person: int) -> float:
    x0, y0, x1, y1 = (float(v) for v in people.boxes_px[person])
    area, values = 0.53 * (x1 - x0) * (y1 - y0), []
    for k in range(K):
        if people.visibility[person, k] != OUTSIDE:
            d2 = sum((float(keypoints[k, c]) - float(people.joints_px[person, k, c])) ** 2 for c in range(2))
            values.append(np.exp(-d2 / (2 * area * (2 * H36M17.oks_sigmas[k]) ** 2)))
    return sum(values) / len(values)


def test_matching_is_the_best_of_all_assignments() -> None:
    rng = np.random.default_rng(1)
    pairs = 0
    for _ in range(20):
        joints = at(*((float(rng.uniform(-1.5, 1.5)), float(rng.uniform(4, 7))) for _ in range(3)))
        people = truth_of(joints)
        keypoints = np.stack([p + rng.normal(0, 9, 2) for p in people.joints_px[rng.permutation(3)]])
        alike = np.array([[slow_similarity(k, people, n) for n in range(3)] for k in keypoints])
        alike[alike < 0.5] = 0

        def total(match: Any, alike: np.ndarray = alike) -> float:
            return sum(alike[i, n] for i, n in enumerate(match) if n >= 0)

        got = match_people(people, keypoints)
        assert total(got) == pytest.approx(max(total(p) for p in itertools.permutations(range(3))))
        assert all(alike[i, n] >= 0.5 for i, n in enumerate(got) if n >= 0)
        assert len(set(got[got >= 0])) == (got >= 0).sum()
        pairs += int((got >= 0).sum())
    assert 10 < pairs < 60


def test_who_is_hardly_in_view_is_not_asked_for_and_finding_them_is_no_error() -> None:
    joints = at((-1, 4), (1, 5))
    hidden = replace(truth_of(joints), visible_fraction=np.array([1.0, 0.1], np.float32))
    frame = score_frame(hidden, [estimate_of(joints[0], 0.5), estimate_of(1.2 * joints[1], 0.9)])
    assert frame.counted.tolist() == [True, False]
    assert people_figures([frame], everybody([frame]))["people"] == 1
    assert root_average_precision([frame]) == pytest.approx(1.0)
    phantom = score_frame(hidden, [estimate_of(joints[0], 0.5), estimate_of(at((-2.5, 5))[0], 0.9)])
    assert root_average_precision([phantom]) == pytest.approx(0.5)
    # Too few joints within the image: whoever has but the head in view.
    low = score_frame(truth_of(at((0, 4)) + np.array([0, 2.5, 0])), [])
    assert low.counted.tolist() == [False]


def slow_root_ap(frames: list[tuple[People, list[Pose3D]]], low: float, high: float) -> float:
    """By going through all estimates of all frames in the order of their scores."""
    rows, people = [], 0
    for truth, persons in frames:
        tall = [float(np.ptp(j[:, 1])) for j in truth.joints_px]
        wanted = [n for n in range(len(truth)) if low <= tall[n] < high]
        people += len(wanted)
        others = [n for n in range(len(truth)) if n not in wanted]
        owner: Any = match_people(truth, np.stack([p.keypoints_px for p in persons])) if persons else []
        left = []
        for i in sorted(range(len(persons)), key=lambda i: -persons[i].score):
            off = {n: np.linalg.norm(persons[i].joints_cam[0] - truth.joints_cam[n, 0]) for n in wanted}
            best = min(off, key=off.__getitem__, default=-1)
            if best >= 0 and off[best] <= 0.25:
                wanted.remove(best)
                rows.append((persons[i].score, True))
            else:
                left.append(i)
        for i in left:
            off = {n: np.linalg.norm(persons[i].joints_cam[0] - truth.joints_cam[n, 0]) for n in others}
            best = min(off, key=off.__getitem__, default=-1)
            if best >= 0 and off[best] <= 0.25:
                others.remove(best)
                continue
            own = float(np.ptp(persons[i].keypoints_px[:, 1]))
            if owner[i] >= 0 and not low <= tall[owner[i]] < high:
                continue
            if owner[i] < 0 and not low <= own < high:
                continue
            rows.append((persons[i].score, False))
    rows.sort(key=lambda row: -row[0])
    curve, hits = [], 0
    for rank, (_, right) in enumerate(rows, 1):
        hits += right
        curve.append((hits / people, hits / rank))
    highest = [max([p for r, p in curve if r >= level / 100], default=0.0) for level in range(101)]
    return sum(highest) / 101


@pytest.mark.parametrize(("low", "high"), [(0, np.inf), (0, 120), (120, np.inf)])
def test_root_average_precision_by_height_against_a_slow_version(low: float, high: float) -> None:
    rng = np.random.default_rng(5)
    frames, scored = [], []
    for _ in range(30):
        count = int(rng.integers(1, 4))
        joints = at(*((float(rng.uniform(-1.5, 1.5)), float(rng.uniform(3, 12))) for _ in range(count)))
        people = truth_of(joints)
        persons = [estimate_of(j * rng.normal(1, 0.04), float(rng.random())) for j in joints if rng.random() < 0.8]
        if rng.random() < 0.4:
            persons.append(estimate_of(at((float(rng.uniform(-2, 2)), float(rng.uniform(3, 12))))[0], rng.random()))
        frames.append((people, persons))
        scored.append(score_frame(people, persons))
    expected = slow_root_ap(frames, low, high)
    assert root_average_precision(scored, low, high) == pytest.approx(expected)
    assert 0.1 < expected < 0.95


def test_nobody_to_measure_is_none_and_an_empty_frame_does_no_harm() -> None:
    empty = score_frame(truth_of(np.zeros((0, K, 3))), [])
    assert people_figures([empty], everybody([empty]))["pck150_abs"] is None
    assert np.isnan(root_average_precision([empty]))
    missed = score_frame(truth_of(at((0, 4))), [])
    figures = people_figures([missed, empty], everybody([missed, empty]))
    assert figures["recall"] == 0 and figures["root_depth_pct"] is None
    assert root_average_precision([missed, empty]) == 0

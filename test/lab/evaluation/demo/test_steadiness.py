"""Steadiness over time against polynomials and a slow reference."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame
from dualpose_ros.lab.evaluation.demo.steadiness import measure_steadiness
from dualpose_ros.metrics.steadiness import FEWEST_FRAMES, LONGEST_TRIPLE_S
from dualpose_ros.skeleton import H36M17

RATE = 20.0


def moving(frames: int, acceleration: float = 0.8) -> ClipTruth:
    """Two people at different depths who speed up to the right; the second one has bones of other lengths."""
    time = np.arange(frames) / RATE
    body = np.random.default_rng(3).normal(0, 0.25, (2, 17, 3)) + np.array([[[-1.0, 0, 4]], [[-1.0, 0, 7]]])
    body[:, 0] = (-1.0, 0, 4), (-1.0, 0, 7)
    joints = np.tile(body, (frames, 1, 1, 1))
    joints[..., 0] += (0.5 * acceleration * time**2)[:, None, None]
    return ClipTruth(
        stamps_s=time,
        ids=np.arange(2),
        joints_cam=joints,
        joints_px=np.zeros((frames, 2, 17, 2)),
        boxes_px=np.zeros((frames, 2, 4)),
        visibility=np.full((frames, 2, 17), 2, np.uint8),
        visible_fraction=np.ones((frames, 2)),
        present=np.ones((frames, 2), bool),
        camera=camera_from_hfov(640, 480, 1.1),
        fps=RATE,
    )


def estimates(truth: ClipTruth, indices: list[int], noise: float = 0.0, seed: int = 0) -> list[EstimatedFrame]:
    rng = np.random.default_rng(seed)
    made = []
    for t in indices:
        speed = np.tile([0.8 * truth.stamps_s[t] + 0.1, 0, 0], (2, 1))
        made.append(EstimatedFrame(t, np.array([5, 8]), truth.joints_cam[t] + rng.normal(0, noise, (2, 17, 3)), speed))
    return made


def test_the_truth_is_steady_at_any_frames() -> None:
    truth = moving(30)
    figures = measure_steadiness(truth, estimates(truth, [0, 2, 3, 7, 9, 10, 14, 15, 17]))
    assert figures.accel_error == pytest.approx(0, abs=1e-9)
    assert figures.bone_deviation_mm == pytest.approx(0, abs=1e-9)
    assert figures.root_velocity_error == pytest.approx(0.1)


def test_a_constant_error_is_steady_too() -> None:
    truth = moving(12)
    shifted = [replace(f, joints_cam=f.joints_cam + np.array([0, 0, 0.2])) for f in estimates(truth, list(range(12)))]
    figures = measure_steadiness(truth, shifted)
    assert figures.accel_error == pytest.approx(0, abs=1e-9) and figures.bone_deviation_mm == pytest.approx(0, abs=1e-9)


def test_noise_matches_a_slow_reference() -> None:
    truth = moving(40)
    indices = [*range(0, 12), *range(14, 30, 2), 39]
    frames = estimates(truth, indices, noise=0.02)
    # Another track for the second person from some frame on.
    frames[15:] = [replace(f, track_ids=np.array([5, 11])) for f in frames[15:]]
    accelerations: list[Any] = []
    groups: dict[Any, list[Any]] = {}
    for person in range(2):
        for n in range(1, len(frames) - 1):
            three = frames[n - 1 : n + 2]
            if len({int(f.track_ids[person]) for f in three}) > 1:
                continue
            t0, t1, t2 = (truth.stamps_s[f.index] for f in three)
            if t2 - t0 > LONGEST_TRIPLE_S:
                continue
            for k in range(17):
                e0, e1, e2 = (f.joints_cam[person, k] - truth.joints_cam[f.index, person, k] for f in three)
                a = 2 * ((e2 - e1) / (t2 - t1) - (e1 - e0) / (t1 - t0)) / (t2 - t0)
                accelerations.append(np.sqrt((a**2).sum()))
        for f in frames:
            groups.setdefault((person, int(f.track_ids[person])), []).append(f.joints_cam[person])
    squares = []
    for poses in groups.values():
        if len(poses) < FEWEST_FRAMES:
            continue
        for a, b in H36M17.bones:
            lengths = [np.linalg.norm(pose[a] - pose[b]) for pose in poses]
            squares += [(length - np.mean(lengths)) ** 2 for length in lengths]
    figures = measure_steadiness(truth, frames)
    assert len(groups) == 3 and accelerations
    assert figures.accel_error == pytest.approx(np.mean(accelerations))
    assert figures.bone_deviation_mm == pytest.approx(1000 * np.sqrt(np.mean(squares)))


def test_people_who_are_hidden_or_not_found_do_not_count() -> None:
    truth = moving(20)
    truth.visible_fraction[:, 1] = 0.1
    frames = estimates(truth, list(range(20)))
    for frame in frames:
        frame.joints_cam[1] += np.random.default_rng(frame.index).normal(0, 0.05, (17, 3))
    figures = measure_steadiness(truth, frames)
    assert figures.accel_error == pytest.approx(0, abs=1e-9)
    far = [replace(f, joints_cam=f.joints_cam + np.array([0, 0, 2.0])) for f in frames]
    nothing = measure_steadiness(truth, far)
    assert (nothing.accel_error, nothing.bone_deviation_mm, nothing.root_velocity_error) == (None, None, None)


def test_without_velocities_there_is_no_error_of_them() -> None:
    truth = moving(12)
    frames = [replace(f, root_velocity=None) for f in estimates(truth, list(range(12)))]
    assert measure_steadiness(truth, frames).root_velocity_error is None
    assert measure_steadiness(truth, []).accel_error is None

"""Windows against slow loops and geometry; the live lifter against engines whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.pose import Pose2D
from dualpose_ros.top_down import lifting_window as lw
from dualpose_ros.top_down.lifting import Lifter

CAMERA = camera_from_hfov(640, 480, np.radians(70))


def person(seed: int = 0, depth: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, [0.3, 0.5, 0.25], (17, 3)) + np.array([0.4, 0.1, depth])


def pose_of(joints_cam: np.ndarray, camera: Camera = CAMERA) -> Pose2D:
    return Pose2D(project(camera, joints_cam), np.full(17, 0.9))


class Answer:
    """An engine that returns given arrays for every person, and remembers its input."""

    def __init__(self, **values: np.ndarray) -> None:
        self.values, self.window = values, np.zeros(0)
        self.inputs: dict[str, Any] = {}
        self.outputs = tuple(values)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.window = inputs["window"]
        return {name: np.stack([v] * len(self.window)).astype(np.float32) for name, v in self.values.items()}


def lifter(joints: np.ndarray | None = None, log_depth_extent: float = 0.0) -> tuple[Lifter, Answer]:
    pose = Answer(joints=np.zeros((17, 3)) if joints is None else joints, log_stddev=np.full(17, np.log(0.05)))
    root = Answer(log_depth_extent=np.array([log_depth_extent]), log_stddev=np.array([np.log(0.1)]))
    return Lifter(pose, root), pose


def slow_resample(times: np.ndarray, rays: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    point, confidence = np.zeros((lw.WINDOW_FRAMES, 17, 2)), np.zeros((lw.WINDOW_FRAMES, 17))
    for k in range(17):
        seen = [m for m in range(len(times)) if np.isfinite(times[m]) and scores[m, k] > 0.02]
        for f, t in enumerate(lw.GRID_S):
            before = [m for m in seen if times[m] <= t + 1e-6]
            after = [m for m in seen if times[m] > t + 1e-6]
            if before and after:
                a, b = before[-1], after[0]
                u = (t - times[a]) / (times[b] - times[a])
                u = min(max(u, 0.0), 1.0)
            elif before or after:
                a = b = before[-1] if before else after[0]
                u = 0.0
            else:
                continue
            fade = max(0.0, 1 - min(abs(t - times[a]), abs(t - times[b])) / lw.FADE_S)
            confidence[f, k] = (scores[a, k] * (1 - u) + scores[b, k] * u) * fade
            if confidence[f, k] > 0:
                point[f, k] = rays[a, k] * (1 - u) + rays[b, k] * u
    return point, confidence


def test_resample_against_loops() -> None:
    rng = np.random.default_rng(0)
    people, count = 6, 20
    times = -np.cumsum(rng.uniform(0.02, 0.1, (people, count)), axis=1)[:, ::-1]
    times[:, -1] = 0
    times[2, :15] = -np.inf
    rays = rng.normal(size=(people, count, 17, 2))
    scores = rng.uniform(0.1, 1, (people, count, 17)) * (rng.random((people, count, 17)) < 0.6)
    scores[3] = 0
    point, confidence = lw.resample(times, rays, scores)
    for n in range(people):
        slow_point, slow_confidence = slow_resample(times[n], rays[n], scores[n])
        np.testing.assert_allclose(confidence[n], slow_confidence, atol=1e-9)
        np.testing.assert_allclose(point[n], slow_point, atol=1e-9)
    assert confidence[3].max() == 0


def test_look_at_is_the_shortest_rotation() -> None:
    rays = np.random.default_rng(1).normal(0, 0.7, (50, 2))
    turned = lw.look_at(rays)
    direction = np.concatenate([rays, np.ones((50, 1))], axis=1)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    np.testing.assert_allclose(turned[:, :, 2], direction, atol=1e-12)
    np.testing.assert_allclose(turned @ np.swapaxes(turned, 1, 2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    angle = Rotation.from_matrix(turned).magnitude()
    np.testing.assert_allclose(angle, np.arccos(direction[:, 2]), atol=1e-7)


def window_of(joints_cam: np.ndarray, confidence: np.ndarray | None = None) -> lw.Window:
    rays = np.repeat((joints_cam[..., :2] / joints_cam[..., 2:])[:, None], lw.WINDOW_FRAMES, axis=1)
    score = np.ones(rays.shape[:3]) if confidence is None else np.broadcast_to(confidence, rays.shape[:3])
    return lw.normalise(rays, score)


def test_a_person_twice_as_large_twice_as_far_looks_the_same() -> None:
    near, far = window_of(person()[None]), window_of(2 * person()[None])
    np.testing.assert_allclose(near.features, far.features, atol=1e-6)
    np.testing.assert_allclose(near.extent, far.extent)


def test_features_but_the_scale_do_not_change_when_a_flat_person_walks_away() -> None:
    flat = person(2, depth=0.0)
    flat[:, :2] -= flat[:, :2].mean(axis=0)
    flat[:, 2] = 0
    near, far = (window_of((flat + np.array([0, 0, depth]))[None]) for depth in (3.0, 9.0))
    joints = slice(0, 51)
    np.testing.assert_allclose(near.features[..., joints], far.features[..., joints], atol=1e-6)
    assert near.extent[0] / far.extent[0] == pytest.approx(3.0)
    assert near.features[0, 0, 52] - far.features[0, 0, 52] == pytest.approx(np.log(3.0), abs=1e-5)


def test_turning_the_camera_changes_the_direction_alone() -> None:
    joints = person(3)
    turn = Rotation.from_euler("y", 0.4).as_matrix()
    first, second = window_of(joints[None]), window_of((joints @ turn.T)[None])
    # The middle of the 2D joints is no point of the body, so that it moves a little with perspective.
    np.testing.assert_allclose(first.features[..., :51], second.features[..., :51], atol=0.12)
    assert abs(first.features[0, 0, 53] - second.features[0, 0, 53]) > 0.3


def test_missing_joints_are_zero_whatever_their_place() -> None:
    rays = np.random.default_rng(0).normal(0, 0.2, (2, lw.WINDOW_FRAMES, 17, 2))
    rays[1] = rays[0]
    rays[1, :, 5] = 77.0
    confidence = np.ones((2, lw.WINDOW_FRAMES, 17))
    confidence[:, :, 5] = 0
    window = lw.normalise(rays, confidence)
    np.testing.assert_array_equal(window.features[0], window.features[1])
    np.testing.assert_array_equal(window.features[0, :, 15:18], 0)


def test_place_root_finds_the_root_of_exact_joints() -> None:
    joints = person(4)[None]
    joints = np.concatenate([joints, person(5)[None]])
    window = window_of(joints)
    virtual = np.einsum("nab,nka->nkb", window.to_camera, joints)
    root = virtual[:, 0]
    found = lw.place_root(window, virtual - root[:, None], np.full((2, 17), 0.05), root[:, 2])
    np.testing.assert_allclose(found, joints[:, 0], atol=1e-9)


def test_lifted_people_are_where_and_as_the_networks_say() -> None:
    truth = person(6)
    window = window_of(truth[None])
    virtual = np.einsum("ab,ka->kb", window.to_camera[0], truth)
    live, _ = lifter(virtual - virtual[0], float(np.log(virtual[0, 2] * window.extent[0])))
    pose = live.update(10**9, CAMERA, [(7, pose_of(truth))])[7]
    np.testing.assert_allclose(pose.joints_cam, truth, atol=1e-5)
    np.testing.assert_allclose(pose.joints_rel, truth - truth[0], atol=1e-5)
    assert pose.root_depth == pytest.approx(truth[0, 2], abs=1e-5)
    assert 0.03 * truth[0, 2] < pose.root_depth_stddev < 0.1 * truth[0, 2]  # the pose's own fit agrees
    np.testing.assert_allclose(pose.joint_stddev, 0.05, rtol=1e-5)


def test_distortion_and_resolution_do_not_change_the_input() -> None:
    truth = person(8)
    windows = []
    bent = Camera(640, 480, 450.0, 450.0, 320.0, 240.0, (-0.2, 0.05, 0.001, -0.001, 0.0))
    for camera in (CAMERA, CAMERA.resized(1280, 960), bent):
        live, engine = lifter()
        live.update(0, camera, [(1, pose_of(truth, camera))])
        windows.append(engine.window)
    np.testing.assert_allclose(windows[1], windows[0], atol=1e-6)
    np.testing.assert_allclose(windows[2], windows[0], atol=1e-5)


@pytest.mark.parametrize("fps", [10.0, 15.0, 24.0, 30.0, 60.0])
def test_the_window_does_not_depend_on_the_frame_rate(fps: float) -> None:
    def at(t: float) -> np.ndarray:
        return person(9) + np.array([0.5 * t, 0.05 * np.sin(2 * t), 0.2 * t])

    live, engine = lifter()
    for i in range(int(fps * 1.5) + 1):
        t = i / fps
        live.update(round(t * 1e9), CAMERA, [(1, pose_of(at(t)))])
    end = int(fps * 1.5) / fps
    exact = np.stack([at(end + s) for s in lw.GRID_S])[None]
    expected = lw.normalise(exact[..., :2] / exact[..., 2:], np.full(exact.shape[:3], 0.9))
    xy = [i for i in range(51) if i % 3 < 2]
    np.testing.assert_allclose(engine.window[..., xy], expected.features[..., xy], atol=0.02)
    assert engine.window[0, :, 2:51:3].min() > 0.9 * 0.74


def test_a_new_track_has_an_empty_past_and_a_gap_fades() -> None:
    live, engine = lifter()
    live.update(0, CAMERA, [(1, pose_of(person()))])
    confidence = engine.window[0, :, 2:51:3]
    assert confidence[-1].min() == pytest.approx(0.9)
    assert confidence[: -1 - int(lw.FADE_S * 30)].max() == 0
    live.update(500_000_000, CAMERA, [(1, pose_of(person()))])
    confidence = engine.window[0, :, 2]
    assert confidence[-1] == pytest.approx(0.9)
    assert confidence[-1 - 7] == 0
    assert confidence[-1 - 15] == pytest.approx(0.9)


def test_tracks_do_not_mix_and_are_forgotten() -> None:
    live, engine = lifter()
    both = [(1, pose_of(person(0))), (2, pose_of(person(1)))]
    assert set(live.update(0, CAMERA, both)) == {1, 2}
    together = engine.window.copy()
    alone, other = lifter()
    alone.update(0, CAMERA, both[1:])
    np.testing.assert_array_equal(together[1], other.window[0])
    live.update(5_000_000_000, CAMERA, both[1:])
    assert set(live._tracks) == {2}
    np.testing.assert_allclose(engine.window[0], other.window[0], atol=1e-6)


def test_time_that_runs_back_starts_anew() -> None:
    live, engine = lifter()
    live.update(10**9, CAMERA, [(1, pose_of(person(0)))])
    live.update(10**9 - 10**8, CAMERA, [(1, pose_of(person(1)))])
    fresh, other = lifter()
    fresh.update(0, CAMERA, [(1, pose_of(person(1)))])
    np.testing.assert_array_equal(engine.window, other.window)


def test_joints_not_found_may_hold_anything() -> None:
    joints = project(CAMERA, person())
    scores = np.full(17, 0.9)
    scores[3:6] = 0
    joints[3:6] = np.nan
    live, engine = lifter()
    result = live.update(0, CAMERA, [(1, Pose2D(joints, scores))])
    assert np.all(np.isfinite(engine.window))
    assert np.all(np.isfinite(result[1].joints_cam))
    assert live.update(33_000_000, CAMERA, [(2, Pose2D(np.full((17, 2), np.nan), np.zeros(17)))]) == {}
    assert live.update(66_000_000, CAMERA, []) == {}


def test_bad_calls_are_refused_with_a_reason() -> None:
    live, _ = lifter()
    with pytest.raises(ValueError, match="17 joints"):
        live.update(0, CAMERA, [(1, Pose2D(np.zeros((16, 2)), np.ones(16)))])
    with pytest.raises(ValueError, match="given twice"):
        live.update(1, CAMERA, [(2, pose_of(person())), (2, pose_of(person()))])

"""Recorded errors put on the movement that they come from give what was said of it, and cameras see what they film."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import Camera, project
from dualpose_ros.datasets.labels import VISIBLE, People
from dualpose_ros.datasets.motion import Clip
from dualpose_ros.lab.evaluation.fusion.measures import RecordedFrame
from dualpose_ros.lab.evaluation.refinement import branch_errors
from dualpose_ros.people import Persons, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17

K = 17
NOBODY = np.zeros(0, dtype=np.intp)


def clip() -> Clip:
    rng = np.random.default_rng(0)
    body = rng.normal(0, 0.3, (17, 3)) + np.array([0, 1, 0])
    walk = np.linspace(0, 3, 600)[:, None, None] * np.array([1.0, 0, 0.3])
    return Clip("walk", (body + walk).astype(np.float32), 60.0)


def seen(count: int, frames: int = 60) -> list[branch_errors.SeenClip]:
    return branch_errors.film_clips([clip()], np.random.default_rng(1), count, frames)


def people_of(camera: Camera, joints: np.ndarray) -> People:
    pixels: Any = project(camera, joints)
    box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
    seen = np.full((1, K), VISIBLE, np.uint8)
    return People(np.array([3], np.int32), box[None].astype(np.float32), pixels[None], seen, joints[None],
                  np.ones(1, np.float32))  # fmt: skip


def said_of(joints: np.ndarray, camera: Camera, rng: np.random.Generator, track_id: int = 5) -> Pose3D:
    """A pose with errors of all kinds."""
    pixels = project(camera, joints) + rng.normal(0, 2, (K, 2))
    said = (joints - joints[0]) * rng.normal(1, 0.03) + rng.normal(0, 0.02, (K, 3)) + joints[0] * rng.normal(1, 0.05)
    deep = 0.06 * np.linalg.norm(said[0])
    stddev = np.hypot(rng.uniform(0.02, 0.1, K) * (np.arange(K) > 0), deep)
    return Pose3D(track_id, TrackingState.CONFIRMED, Source.FUSED, 0.9, np.zeros(4), said, rng.uniform(0, 1, K), stddev,
                  pixels)  # fmt: skip


def record(one: branch_errors.SeenClip, poses: list[Pose3D | None]) -> branch_errors.RecordedErrors:
    nobody = (Persons.empty(), Persons.empty())
    frames = [RecordedFrame(0, t, np.zeros(3), people_of(one.camera, joints), *nobody, NOBODY, NOBODY)
              for t, joints in enumerate(one.joints_cam)]  # fmt: skip
    return branch_errors.recorded_errors(frames, lambda frame: [p] if (p := poses[frame.stamp_ns]) is not None else [])


def test_the_clip_that_was_recorded_gets_what_was_said_of_it() -> None:
    rng = np.random.default_rng(2)
    one = seen(1, 12)[0]
    poses: list[Pose3D | None] = [said_of(joints, one.camera, rng) for joints in one.joints_cam]
    poses[4] = poses[5] = None
    errors = record(one, poses)
    (track,) = errors.tracks
    np.testing.assert_array_equal(track.present, np.array([p is not None for p in poses]))
    again = branch_errors.corrupt(one, errors, rng)
    for t, pose in enumerate(poses):
        back = again.pose(t, track_id=9)
        if pose is None:
            assert back is None
            continue
        assert back is not None and back.track_id == 9
        for name in ("joints_cam", "joint_scores", "joint_stddev", "keypoints_px"):
            np.testing.assert_allclose(getattr(back, name), getattr(pose, name), atol=1e-9, err_msg=name)
    held = again.joints_cam[5] - one.joints_cam[5]
    np.testing.assert_allclose(np.linalg.norm(held, axis=-1),
                               np.linalg.norm(again.joints_cam[3] - one.joints_cam[3], axis=-1), rtol=0.15)  # fmt: skip


def test_longer_clips_get_the_errors_back_and_forth() -> None:
    rng = np.random.default_rng(3)
    one, longer = seen(1, 9)[0], seen(1, 30)[0]
    errors = record(one, [said_of(joints, one.camera, rng) for joints in one.joints_cam])
    scores = branch_errors.corrupt(longer, errors, rng).joint_scores
    turns = [*range(9), *range(7, -1, -1), *range(1, 9), *range(7, 2, -1)]
    np.testing.assert_array_equal(scores, errors.tracks[0].errors.scores[turns])


def test_an_error_keeps_its_place_about_the_view() -> None:
    """Recorded on one side of the view and played on the other: too far stays too far, too large stays too large."""
    one = seen(1, 10)[0]
    mirrored = replace(one, joints_cam=one.joints_cam * [-1.0, 1.0, 1.0])

    def said(joints: np.ndarray) -> Pose3D:
        pose = said_of(joints, one.camera, np.random.default_rng(0))
        return replace(pose, joints_cam=joints[0] * 1.1 + (joints - joints[0]) * 1.2)

    errors = record(one, [said(joints) for joints in one.joints_cam])
    played = branch_errors.corrupt(mirrored, errors, np.random.default_rng(0)).joints_cam
    np.testing.assert_allclose(played, np.array([said(joints).joints_cam for joints in mirrored.joints_cam]), atol=1e-9)
    axes = branch_errors.view_axes(one.joints_cam[:, 0])
    np.testing.assert_allclose(axes @ np.swapaxes(axes, 1, 2), np.broadcast_to(np.eye(3), axes.shape), atol=1e-12)
    assert (np.linalg.det(axes) > 0).all() and (axes[:, 0, 0] > 0).all() and (axes[:, 1, 1] > 0).all()


def test_short_tracks_and_people_without_one_are_left_out() -> None:
    rng = np.random.default_rng(4)
    one = seen(1, branch_errors.FEWEST_FRAMES)[0]
    poses: list[Pose3D | None] = [said_of(joints, one.camera, rng) for joints in one.joints_cam]
    assert len(record(one, poses).tracks) == 1
    assert not record(one, [*poses[:-1], None]).tracks
    assert not record(one, [p and replace(p, track_id=-1) for p in poses]).tracks
    away = [p and replace(p, keypoints_px=p.keypoints_px + 4000) for p in poses]
    assert not record(one, away).tracks
    with pytest.raises(ValueError, match="no errors"):
        branch_errors.corrupt(one, branch_errors.RecordedErrors(()), rng)


def test_cameras_keep_people_before_them_and_turn_smoothly() -> None:
    for one in seen(10):
        assert one.joints_cam[..., 2].min() > 0.8
        step = one.times[1] - one.times[0]
        assert 1 / 25 - 1e-9 <= step <= 1 / 12 + 1e-9
        # Rigid: distances are those of the world. Steady: no jump between frames that a turning camera can't make.
        bones = np.linalg.norm(one.joints_cam[:, 1:] - one.joints_cam[:, :1], axis=-1)
        np.testing.assert_allclose(bones, np.broadcast_to(bones[0], bones.shape), atol=1e-4)
        acceleration = np.linalg.norm(np.diff(one.joints_cam[:, H36M17.root], 2, axis=0), axis=-1) / step**2
        assert acceleration.max() < 25
    with pytest.raises(ValueError, match="no clip"):
        branch_errors.film_clips([clip()], np.random.default_rng(0), 1, 5000)

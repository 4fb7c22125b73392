"""The stage frame by frame: what it improves, what it must survive, coasting and identities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.people import Persons, Pose3D, TrackingState
from dualpose_ros.refinement.bones import USUAL_SIZE_M, BoneConfig, BoneMemory, with_lengths
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.distance import LASTING_SHARE, smooth_distances
from dualpose_ros.refinement.least_squares.noise import ErrorModel
from dualpose_ros.refinement.least_squares.solver import SolverConfig, refine
from dualpose_ros.refinement.least_squares.terms import HAS_BONE, bone_vectors
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.refinement.track import FIRST_BONES_S
from dualpose_ros.refinement.window import (
    at_distances,
    empty_window,
    frame_of,
    frames_of,
    observations,
    on_rays,
    split_stddev,
    stacked,
    with_frame,
)
from support import windows

K = windows.K
STEP_NS = 40_000_000


def noisy_walk(seed: int, frames: int) -> tuple[np.ndarray, list[Pose3D]]:
    """True joints (T, K, 3) of a walk, and poses of it with errors of depth and joints, the 2D joints right."""
    rng = np.random.default_rng(seed)
    truth = windows.walk(np.arange(frames) * 0.04)
    poses = []
    for joints in truth:
        deeper = joints + rng.normal(0, 0.1) * joints[0] / np.linalg.norm(joints[0])
        said = deeper + rng.normal(0, 0.03, joints.shape) * (np.arange(K)[:, None] > 0)
        poses.append(replace(windows.pose_of(joints), joints_cam=said))
    return truth, poses


def run(poses: list[Pose3D], config: RefinementConfig | None = None) -> list[Pose3D]:
    stage = RefinementStage(config)
    frames = [f for i, pose in enumerate(poses) for f in stage.process(i * STEP_NS, windows.CAMERA, [pose])]
    frames += stage.flush()
    assert [frame.stamp_ns for frame in frames] == [i * STEP_NS for i in range(len(poses))]
    return [frame.persons[0] for frame in frames]


def process(stage: RefinementStage, number: int, persons: list[Pose3D]) -> tuple[Pose3D, ...]:
    """The people of a frame, without a lag."""
    (frame,) = stage.process(number * STEP_NS, windows.CAMERA, persons)
    assert (frame.stamp_ns, frame.camera) == (number * STEP_NS, windows.CAMERA)
    return frame.persons


def off(poses: list[Pose3D], truth: np.ndarray) -> np.ndarray:
    return np.array([pose.joints_cam for pose in poses]) - truth


def test_poses_become_truer_steadier_and_keep_their_bones() -> None:
    fresh = SolverConfig(relative=ErrorModel(0.1, 0.5))  # as those of noisy_walk are
    before, after, late, accelerations, bones, velocities = ([] for _ in range(6))
    for seed in range(4):
        truth, poses = noisy_walk(seed, 40)
        refined = run(poses, RefinementConfig(solver=fresh))
        lagging = run(poses, RefinementConfig(solver=fresh, lag_frames=3))
        errors = [off(some, truth)[10:] for some in (poses, refined)]
        before.append(np.linalg.norm(errors[0], axis=-1).mean())
        after.append(np.linalg.norm(errors[1], axis=-1).mean())
        late.append(np.linalg.norm(off(lagging, truth)[10:-3], axis=-1).mean())
        accelerations.append([np.linalg.norm(np.diff(e, 2, axis=0), axis=-1).mean() for e in errors])
        bones.append([bone_vectors(truth[10:] + e)[1].std(axis=0).mean() for e in errors])
        velocities.append(np.mean([pose.root_velocity for pose in refined[15:]], axis=0))
    assert np.mean(after) < 0.7 * np.mean(before)
    assert np.mean(late) < np.mean(after)
    for steadier in (np.mean(accelerations, axis=0), np.mean(bones, axis=0)):
        assert steadier[1] < 0.4 * steadier[0]
    np.testing.assert_allclose(np.mean(velocities, axis=0), [0.4, 0.0, -0.6], atol=0.15)


def lengths_of(pose: np.ndarray) -> np.ndarray:
    return bone_vectors(pose[None])[1][0]


def test_streaming_ends_where_the_batch_does_on_a_static_problem() -> None:
    rng = np.random.default_rng(1)
    joints = windows.usual_body(USUAL_SIZE_M) + windows.person()[0]
    known = BoneConfig(proportions_prior_s=1e6, size_prior_s=1e6)  # lengths that don't change as frames come
    config = RefinementConfig(window_frames=12, gauss_newton_steps=2, smoothing_time_constant_s=0, bones=known)
    poses = [replace(windows.pose_of(joints), joints_cam=joints + rng.normal(0, 0.01, joints.shape)) for _ in range(12)]
    streamed = run(poses, config)[-1]
    window, bones = empty_window(), BoneMemory(config.bones)
    for i, pose in enumerate(poses):
        frame = frame_of(i * 0.04, windows.CAMERA, pose)
        window = with_frame(window, frame, 12)
        bones.add(frame.prior, 0.04 if i else FIRST_BONES_S)
    together = stacked([window])
    metres = np.exp(together.said_distances)
    distances, spread = smooth_distances(together.said_distances, together.depths[..., 0] / metres, together.times)
    observed = observations(at_distances(together, distances), bones.logarithms[None])
    batch = refine(observed, observed.prior, config.solver, 30)
    published = with_lengths(batch.joints[0, -1], bones.logarithms)
    assert np.abs(streamed.joints_cam - published).max() < 2e-3
    solved = batch.spread(11)
    assert solved is not None
    depth = float(spread[0, -1]) * metres[0, -1]
    expected = np.hypot(config.solver.stddev_scale * solved * (np.arange(len(solved)) > 0), depth)
    np.testing.assert_allclose(streamed.joint_stddev, expected, rtol=0.02)


def broken(name: str, pose: Pose3D) -> Pose3D:
    scores, joints, stddev, pixels = (np.array(a) for a in (pose.joint_scores, pose.joints_cam, pose.joint_stddev,
                                                            pose.keypoints_px))  # fmt: skip
    if name == "no joint seen":
        scores[:] = 0
    elif name == "one joint seen":
        scores[np.arange(K) != 5] = 0
    elif name == "behind the camera":
        joints[..., 2] -= 6
    elif name == "limb behind the camera":
        joints[13] = [0.2, 0.1, -0.3]
    elif name == "nan":
        joints[3], pixels[7], stddev[9], scores[2] = np.nan, np.nan, np.nan, np.nan
    elif name == "all nan":
        joints[:], pixels[:], stddev[:] = np.nan, np.nan, np.nan
    elif name == "at one point":
        joints[:] = joints[0]
    elif name == "sure":
        stddev[:] = 0
    return replace(pose, joint_scores=scores, joints_cam=joints, joint_stddev=stddev, keypoints_px=pixels)


FAULTS = ("no joint seen", "one joint seen", "behind the camera", "limb behind the camera", "nan", "all nan",
          "at one point", "sure", "identical")  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_everything_stays_finite(fault: str) -> None:
    _, poses = noisy_walk(2, 30)
    poses = [broken(fault, pose) for pose in poses] if fault != "identical" else [poses[0]] * 30
    for pose in run(poses, RefinementConfig(window_frames=8)):
        assert np.isfinite(pose.joints_cam).all() and np.isfinite(pose.root_velocity).all()
        assert np.isfinite(pose.joint_stddev).all() and (pose.joint_stddev > 0).all()


def test_faults_of_a_while_are_forgotten() -> None:
    truth, poses = noisy_walk(3, 40)
    for fault in FAULTS[:-1]:
        faulty = [broken(fault, p) if 5 <= i < 12 else p for i, p in enumerate(poses)]
        error = off(run(faulty, RefinementConfig(window_frames=8)), truth)[25:]
        assert np.linalg.norm(error, axis=-1).mean() < 0.15, fault


def test_hidden_joints_are_less_sure() -> None:
    _, poses = noisy_walk(4, 20)
    wrist = 13
    hidden = []
    for pose in poses:
        scores, stddev = np.array(pose.joint_scores), np.array(pose.joint_stddev)
        scores[wrist], stddev[wrist] = 0, 0.5
        hidden.append(replace(pose, joint_scores=scores, joint_stddev=stddev))
    seen, unseen = run(poses)[-1].joint_stddev, run(hidden)[-1].joint_stddev
    assert unseen[wrist] > 1.5 * seen[wrist]
    np.testing.assert_allclose(np.delete(unseen, wrist), np.delete(seen, wrist), rtol=0.25)


@pytest.mark.parametrize("score", [0.0, 0.3])
def test_a_guess_that_is_repeated_gets_no_surer(score: float) -> None:
    _, poses = noisy_walk(4, 20)
    ankle, said = 3, 0.3
    guessed = []
    for pose in poses:
        scores, stddev = np.array(pose.joint_scores), np.array(pose.joint_stddev)
        scores[ankle], stddev[ankle] = score, np.hypot(said, stddev[0])
        guessed.append(replace(pose, joint_scores=scores, joint_stddev=stddev))
    published = run(guessed)[-1]
    assert published.joint_scores[ankle] == score
    assert published.joint_stddev[ankle] >= SolverConfig().stddev_scale * said
    assert published.joint_stddev[ankle] > 2 * published.joint_stddev[ankle + 3]


def test_no_number_of_frames_shows_how_far_away_somebody_of_unknown_size_is() -> None:
    """Errors of distances last: who is taken to be too large is so in every frame."""
    pose = windows.pose_of(windows.person()[0] + windows.usual_body(USUAL_SIZE_M), depth=0.3)
    surest = np.sqrt(LASTING_SHARE) * pose.joint_stddev[0]
    assert min(refined.joint_stddev[0] for refined in run([pose] * 20)) >= 0.99 * surest


def test_a_deviation_comes_apart_into_that_of_the_distance_and_the_joint_s_own() -> None:
    """How far away somebody is says nothing of where the joints are about the root."""
    joints = windows.person()[0] + windows.usual_body(USUAL_SIZE_M)
    near, far = (run([windows.pose_of(joints, depth=depth)] * 8)[-1] for depth in (0.1, 0.6))
    (own, depth), (own_far, depth_far) = (split_stddev(np.asarray(pose.joint_stddev)) for pose in (near, far))
    assert depth_far > 5 * depth and depth == near.joint_stddev[0]
    np.testing.assert_allclose(own_far, own, rtol=0.05)


def test_two_frames_of_the_same_time() -> None:
    stage = RefinementStage()
    _, poses = noisy_walk(5, 12)
    for i, pose in enumerate(poses):
        for _ in range(2):
            (refined,) = process(stage, i, [pose])
            assert np.isfinite(refined.joints_cam).all() and np.isfinite(refined.joint_stddev).all()


def test_coasting_goes_on_grows_unsure_and_ends() -> None:
    truth, poses = noisy_walk(6, 40)
    stage = RefinementStage(RefinementConfig(max_coast_s=0.3))
    for i in range(20):
        (last,) = process(stage, i, [poses[i]])
    spread, scores, gone = last.joint_stddev, last.joint_scores, []
    for i in range(20, 27):
        (pose,) = process(stage, i, [])
        gone.append(pose)
        assert pose.state == TrackingState.COASTING and pose.track_id == 1
        assert (pose.joint_stddev > spread).all() and (pose.joint_scores < scores).all()
        spread, scores = pose.joint_stddev, pose.joint_scores
    drift = np.linalg.norm(off(gone, truth[20:27])[:, 0] - (last.joints_cam - truth[19])[0], axis=-1)
    assert drift.max() < np.linalg.norm(truth[26, 0] - truth[19, 0])  # better than to stand still
    assert np.diff([pose.score for pose in gone]).max() < 0
    assert process(stage, 28, []) == ()
    (back,) = process(stage, 29, [poses[29]])
    assert back.state == TrackingState.CONFIRMED


def test_tentative_tracks_do_not_coast_and_a_gap_is_bridged() -> None:
    truth, poses = noisy_walk(7, 30)
    stage = RefinementStage()
    tentative = replace(poses[0], state=TrackingState.TENTATIVE)
    process(stage, 0, [tentative])
    assert process(stage, 1, []) == ()
    for i in [*range(2, 12), *range(19, 30)]:
        (pose,) = process(stage, i, [poses[i]])
    assert np.linalg.norm(pose.joints_cam - truth[29], axis=-1).mean() < 0.3  # depths are off by 0.1 m, one sigma


def test_identities_are_kept_and_order_does_not_matter() -> None:
    _, one = noisy_walk(8, 12)
    _, two = noisy_walk(9, 12)
    two = [replace(p, track_id=7, joints_cam=p.joints_cam + np.array([1.0, 0.0, 1.0])) for p in two]
    stage = RefinementStage()
    for i in range(12):
        both = [one[i], two[i]] if i % 2 else [two[i], one[i]]
        found = process(stage, i, both)
        assert [p.track_id for p in found] == [p.track_id for p in both]
    alone = run(one)[-1]
    np.testing.assert_allclose(next(p for p in found if p.track_id == 1).joints_cam, alone.joints_cam, atol=1e-12)


def test_people_without_a_track_disabled_and_repeated_ones_pass() -> None:
    _, poses = noisy_walk(10, 3)
    stranger = replace(poses[0], track_id=-1)
    stage = RefinementStage()
    found = process(stage, 0, [stranger, poses[1], poses[2]])
    assert found[0] is stranger and found[2] is poses[2] and found[1] is not poses[1]
    assert process(RefinementStage(RefinementConfig(enabled=False)), 0, poses) == tuple(poses)


def test_people_given_as_arrays_are_those_given_one_by_one() -> None:
    _, poses = noisy_walk(12, 8)
    one, other = RefinementStage(), RefinementStage()
    for number, pose in enumerate(poses):
        (given,) = one.process(number * STEP_NS, windows.CAMERA, Persons.of([pose]))
        np.testing.assert_allclose(given.persons[0].joints_cam, process(other, number, [pose])[0].joints_cam)
    assert np.abs(given.persons[0].joints_cam - pose.joints_cam).max() > 1e-3


def test_time_that_goes_backwards_starts_anew() -> None:
    _, poses = noisy_walk(11, 12)
    stage = RefinementStage()
    first = [process(stage, i, [p])[0] for i, p in enumerate(poses)]
    again = [process(stage, i, [p])[0] for i, p in enumerate(poses)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.joints_cam, b.joints_cam)


def test_people_of_one_frame_are_read_as_each_alone() -> None:
    _, poses = noisy_walk(15, 4)
    faulty = [poses[0], broken("one joint seen", poses[1]), broken("nan", poses[2]), broken("all nan", poses[3])]
    for pose, frame in zip(faulty, frames_of(0.1, windows.CAMERA, faulty), strict=True):
        alone = frame_of(0.1, windows.CAMERA, pose)
        np.testing.assert_array_equal(frame.said, alone.said)
        assert (frame.depth_stddev, frame.pixel) == (alone.depth_stddev, alone.pixel)


def test_who_is_seen_in_the_same_frames_shares_their_timeline() -> None:
    first, second = empty_window(), empty_window()
    _, poses = noisy_walk(16, 12)
    for number, pose in enumerate(poses):
        frame = frame_of(0.04 * number, windows.CAMERA, pose)
        first = with_frame(first, frame, 6)
        second = with_frame(second, frame, 6) if number > 2 else second
    assert len(first) == len(second) == 6
    assert first.timeline is second.timeline


def test_poses_move_onto_their_2d_joints() -> None:
    joints = windows.person()
    rays = joints[:, :2] / joints[:, 2:]
    moved = on_rays(joints + np.array([0.2, -0.1, 0.0]), rays, np.ones(K))
    np.testing.assert_allclose(moved, joints, atol=1e-12)
    few = np.arange(K) < 3
    np.testing.assert_array_equal(on_rays(joints + 0.2, rays, few.astype(float)), joints + 0.2)


def test_a_track_that_comes_back_has_its_bones_and_not_its_past() -> None:
    _, poses = noisy_walk(13, 40)
    stage = RefinementStage(RefinementConfig(max_coast_s=0.2))
    for i, pose in enumerate(poses):
        (last,) = process(stage, i, [pose])
    gone = [process(stage, 40 + i, []) for i in range(25)]
    assert [len(some) for some in gone] == [1] * 5 + [0] * 20
    root = poses[0].joints_cam[0]
    taller = replace(poses[0], joints_cam=root + 1.8 * (poses[0].joints_cam - root))
    (back,) = process(stage, 65, [taller])
    (new,) = process(RefinementStage(), 0, [taller])
    before, after, anew = (np.log(lengths_of(pose.joints_cam)[HAS_BONE]) for pose in (last, back, new))
    np.testing.assert_allclose(after, before, atol=5e-3)
    assert np.abs(anew - before).mean() > 0.05
    assert np.linalg.norm(back.joints_cam[0] - root) < 0.1
    assert not back.root_velocity.any()


def test_published_bones_are_of_one_length_but_for_creep() -> None:
    _, poses = noisy_walk(14, 60)
    lengths = np.log([lengths_of(pose.joints_cam)[HAS_BONE] for pose in run(poses)])
    settled = lengths[round(0.3 / 0.04) + 2 :]
    assert np.abs(np.diff(settled, axis=0)).max() <= 0.007 * 0.04 + 1e-9

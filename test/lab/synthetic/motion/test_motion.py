"""Every kind of motion is a possible body moving continuously; walkers neither slide nor miss their way."""

import numpy as np
import numpy.typing as npt
import pytest

from dualpose_ros.lab.synthetic.motion import kinematics as kin
from dualpose_ros.lab.synthetic.motion import motion as mo
from dualpose_ros.lab.synthetic.motion.gait import heading
from dualpose_ros.lab.synthetic.motion.script import Action
from dualpose_ros.skeleton import H36M17
from support.limbs import flexion

REST_BONES = np.array([np.linalg.norm(kin.REST_JOINTS_M[c] - kin.REST_JOINTS_M[p]) for p, c in H36M17.bones])
SUDDEN = {
    "strike": 900.0, "run": 650.0, "walk": 450.0, "walk_busy": 400.0, "kick": 400.0, "board": 400.0, "stretch": 400.0,
}  # fmt: skip
"""Bounds on joint acceleration in m/s^2 where ordinary motion's 300 is too little."""


def walk_path(rng: np.random.Generator, way: npt.ArrayLike, fps: float, speed: float) -> mo.Motion:
    """Walking from the first of the points through the others."""
    points = np.array(way, dtype=np.float64)
    walk = mo.Walk(points[1:].tolist(), speed)
    return mo.perform(rng, fps, points[0].tolist(), heading(points[1] - points[0]), [walk])


def bones(joints: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(joints[:, c] - joints[:, p], axis=1) for p, c in H36M17.bones], axis=1)


def sagittal_knee(joints: np.ndarray, side: int) -> np.ndarray:
    """How far the knee is ahead of the straight line from hip to ankle, where the thigh hangs down."""
    hip, knee, ankle = (joints[:, table[side]] for table in (kin.HIPS, kin.KNEES, kin.ANKLES))
    left = joints[:, kin.HIPS[0]] - joints[:, kin.HIPS[1]]
    ahead = np.cross(left, [0.0, 1.0, 0.0])
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    return np.sum((knee - 0.5 * (hip + ankle)) * ahead, axis=1)


@pytest.mark.parametrize("kind", mo.KINDS)
def test_every_kind_is_a_possible_continuous_body(kind: str) -> None:
    for seed in (0, 1, 2):
        motion = mo.generate(kind, np.random.default_rng(seed), 3.0, 60.0)
        joints = motion.joints_m
        assert joints.shape == (180, 17, 3)
        assert np.all(np.isfinite(joints))
        np.testing.assert_allclose(bones(joints), np.broadcast_to(REST_BONES, (180, 16)), atol=1e-9)
        acceleration = np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1) * 60.0**2
        assert acceleration.max() < SUDDEN.get(kind, 300.0)
        for side in (0, 1):
            knee = flexion(joints, kin.HIPS[side], kin.KNEES[side], kin.ANKLES[side])
            elbow = flexion(joints, kin.SHOULDERS[side], kin.ELBOWS[side], kin.WRISTS[side])
            assert np.degrees(max(knee.max(), elbow.max())) < 152
        back = flexion(joints, kin.PELVIS, kin.SPINE, kin.THORAX)
        neck = flexion(joints, kin.THORAX, kin.NECK, kin.HEAD_TOP)
        assert np.degrees(back.max()) < 75
        assert np.degrees(neck.max()) < 75
        assert joints[..., 1].min() > 0.02
        assert motion.head_forward is not None
        np.testing.assert_allclose(np.linalg.norm(motion.head_forward, axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("kind", ["stand", "walk", "turn", "run", "wave", "sit_down"])
def test_knees_bend_forward(kind: str) -> None:
    for seed in range(4):
        joints = mo.generate(kind, np.random.default_rng(seed), 3.0, 30.0).joints_m
        for side in (0, 1):
            hip, ankle = joints[:, kin.HIPS[side]], joints[:, kin.ANKLES[side]]
            below = hip[:, 1] - ankle[:, 1] > 0.7
            if np.any(below):
                assert sagittal_knee(joints[below], side).min() > -0.02


def test_the_seed_decides_everything() -> None:
    for kind in ("walk", "sit_eating", "unusual", "strike"):
        first, again, other = (mo.generate(kind, np.random.default_rng(s), 2.0, 30.0) for s in (3, 3, 4))
        np.testing.assert_array_equal(first.joints_m, again.joints_m)
        assert np.abs(first.joints_m - other.joints_m).max() > 0.05


def test_frame_rate_changes_sampling_not_the_motion() -> None:
    slow = mo.generate("wave", np.random.default_rng(5), 2.0, 30.0).joints_m
    fast = mo.generate("wave", np.random.default_rng(5), 2.0, 60.0).joints_m
    assert np.abs(fast[::2] - slow).max() < 0.04


def planted_runs(joints: np.ndarray, fps: float) -> list[np.ndarray]:
    """Horizontal paths of each ankle while it stays within 4 mm of its standing height for 0.15 s or more."""
    runs = []
    for ankle in kin.ANKLES:
        down = np.abs(joints[:, ankle, 1] - kin.ANKLE_HEIGHT_M) < 0.004
        edges = np.flatnonzero(np.diff(np.concatenate([[0], down.astype(int), [0]])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start >= 0.15 * fps:
                runs.append(joints[start:stop, ankle][:, [0, 2]])
    return runs


@pytest.mark.parametrize("speed", [0.7, 1.2, 1.7])
def test_feet_do_not_slide_in_stance(speed: float) -> None:
    for seed in range(3):
        way = [[0, 0], [0, 3], [2, 5], [2, 8]]
        motion = walk_path(np.random.default_rng(seed), way, 60.0, speed)
        runs = planted_runs(motion.joints_m, 60.0)
        assert sum(len(run) for run in runs) > 0.7 * len(motion.joints_m)
        for run in runs:
            assert np.linalg.norm(run - np.median(run, axis=0), axis=1).max() < 0.03


def test_a_foot_is_on_the_floor_at_every_moment_of_a_walk() -> None:
    joints = walk_path(np.random.default_rng(0), [[0, 0], [0, 6]], 60.0, 1.3).joints_m
    lowest = joints[:, list(kin.ANKLES), 1].min(axis=1)
    assert lowest.max() < kin.ANKLE_HEIGHT_M + 0.08


def test_arms_swing_against_the_legs() -> None:
    joints = walk_path(np.random.default_rng(1), [[0, 0], [0, 8]], 60.0, 1.4).joints_m[120:-120]
    legs = joints[:, kin.ANKLES[0], 2] - joints[:, kin.ANKLES[1], 2]
    arms = joints[:, kin.WRISTS[0], 2] - joints[:, kin.WRISTS[1], 2]
    assert np.corrcoef(legs, arms)[0, 1] < -0.7


def test_walkers_pass_their_waypoints_at_the_asked_speed() -> None:
    way = np.array([[1.0, 2.0], [1.0, 6.0], [5.0, 6.0]])
    joints = walk_path(np.random.default_rng(2), way, 30.0, 1.2).joints_m
    path = joints[:, kin.PELVIS][:, [0, 2]]
    np.testing.assert_allclose(path[0], way[0], atol=0.1)
    np.testing.assert_allclose(path[-1], way[-1], atol=0.1)
    assert np.linalg.norm(path - way[1], axis=1).min() < 0.45
    speed = np.linalg.norm(path[60] - path[30])
    assert speed == pytest.approx(1.2, abs=0.15)


def test_people_walk_where_they_face() -> None:
    joints = walk_path(np.random.default_rng(3), [[0, 0], [4, 4]], 30.0, 1.2).joints_m
    middle = joints[60]
    left = middle[kin.HIPS[0]] - middle[kin.HIPS[1]]
    facing = np.cross(left, [0, 1, 0])
    moved = joints[75, kin.PELVIS] - joints[45, kin.PELVIS]
    cosine = np.dot(facing, moved) / np.linalg.norm(facing) / np.linalg.norm(moved)
    assert cosine > 0.9


def test_a_script_sits_down_waits_and_rises() -> None:
    actions: list[Action] = [mo.Walk([[0, 2]]), mo.Turn(np.pi), mo.Sit(3.0, 0.45), mo.Stand(1.0, "wave", hand="right")]
    joints = mo.perform(np.random.default_rng(4), 30.0, (0, 0), 0.0, actions).joints_m
    pelvis = joints[:, kin.PELVIS, 1]
    assert pelvis.min() == pytest.approx(0.54, abs=0.03)
    assert pelvis[0] > 0.88
    assert pelvis[-1] > 0.88
    seated = joints[pelvis < 0.56]
    knees = [flexion(seated, kin.HIPS[s], kin.KNEES[s], kin.ANKLES[s]) for s in (0, 1)]
    assert np.degrees(np.min(knees)) > 60
    late = joints[-15:]
    assert late[:, kin.WRISTS[1], 1].max() > late[:, kin.SHOULDERS[1], 1].mean()


def test_random_poses_vary_and_stand_on_the_floor() -> None:
    rng = np.random.default_rng(0)
    poses = [mo.random_pose(rng) for _ in range(100)]
    joints = np.concatenate([pose.joints_m for pose in poses])
    assert joints.shape == (100, 17, 3)
    np.testing.assert_allclose(joints[:, kin.PELVIS][:, [0, 2]], 0, atol=1e-9)
    assert joints[..., 1].min() > 0.02
    assert joints[:, kin.HEAD_TOP, 1].std() > 0.2
    yaw = np.arctan2(*(joints[:, kin.HIPS[0]] - joints[:, kin.HIPS[1]])[:, [0, 2]].T)
    assert np.abs(np.exp(1j * yaw).mean()) < 0.3


def test_place_is_a_rigid_motion() -> None:
    motion = mo.generate("wave", np.random.default_rng(1), 1.0, 30.0)
    placed = mo.place(motion, (2.0, -1.0), np.pi / 2)
    np.testing.assert_allclose(bones(placed.joints_m), bones(motion.joints_m), atol=1e-12)
    x, y, z = np.moveaxis(motion.joints_m, -1, 0)
    np.testing.assert_allclose(placed.joints_m, np.stack([z + 2, y, -x - 1], axis=-1), atol=1e-12)


def test_clips_keep_limb_directions_on_the_reference_body() -> None:
    source = walk_path(np.random.default_rng(0), [[0, 0], [0, 3]], 30.0, 1.2).joints_m
    stretched = source * 1.3
    motion = mo.from_clip(stretched, 30.0)
    np.testing.assert_allclose(bones(motion.joints_m), np.broadcast_to(REST_BONES, (len(source), 16)), atol=1e-9)
    for parent, child in ((kin.HIPS[0], kin.KNEES[0]), (kin.KNEES[1], kin.ANKLES[1]), (kin.ELBOWS[0], kin.WRISTS[0])):
        before, after = (j[:, child] - j[:, parent] for j in (source, motion.joints_m))
        np.testing.assert_allclose(np.cross(before, after), 0, atol=1e-9)
    path = motion.joints_m[:, kin.PELVIS] - motion.joints_m[0, kin.PELVIS]
    np.testing.assert_allclose(path, source[:, kin.PELVIS] - source[0, kin.PELVIS], atol=1e-6)
    assert motion.joints_m[:, list(kin.ANKLES), 1].min() == pytest.approx(kin.ANKLE_HEIGHT_M)


def test_bad_requests_are_refused_with_a_reason() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no motion of kind 'fly'"):
        mo.generate("fly", rng, 1.0, 30.0)
    with pytest.raises(ValueError, match="not positive"):
        mo.generate("walk", rng, 0.0, 30.0)
    with pytest.raises(ValueError, match="frames/s"):
        mo.generate("walk", rng, 1.0, 0.0)
    with pytest.raises(ValueError, match="no gesture 'juggle'"):
        mo.perform(rng, 30.0, (0, 0), 0.0, [mo.Stand(1.0, "juggle")])
    with pytest.raises(ValueError, match="meeting"):
        mo.meeting(rng, 1.0, 30.0, "duel")
    with pytest.raises(ValueError, match="shape"):
        mo.from_clip(np.zeros((5, 16, 3)), 30.0)
    with pytest.raises(ValueError, match="finite"):
        mo.from_clip(np.full((5, 17, 3), np.nan), 30.0)

"""People who meet do what the meeting's name says, touch where it asks for it, and never run into each other."""

import numpy as np
import pytest

from dualpose_ros.lab.synthetic.body.body import BodyModel, shape_body
from dualpose_ros.lab.synthetic.body.rig import pose_rig
from dualpose_ros.lab.synthetic.motion import kinematics as kin
from dualpose_ros.lab.synthetic.motion import meetings as me
from dualpose_ros.lab.synthetic.motion.contact import body_size, clearance, penetration
from dualpose_ros.skeleton import H36M17

REST_BONES = np.array([np.linalg.norm(kin.REST_JOINTS_M[c] - kin.REST_JOINTS_M[p]) for p, c in H36M17.bones])
SEEDS = range(12)
WRISTS = list(kin.WRISTS)


def draw(seed: int, kind: str, duration_s: float = 4.0, fps: float = 15.0) -> tuple[np.ndarray, np.ndarray]:
    """Two bodies (T, 17, 3): of the reference size for even seeds, each of its own size for odd ones."""
    rng = np.random.default_rng(seed)
    sizes = (1.0, 1.0) if seed % 2 == 0 else tuple(rng.uniform(0.85, 1.1, 2))
    pair = me.meeting(rng, duration_s, fps, kind, sizes)
    first, second = (me.sized(motion.joints_m, size) for motion, size in zip(pair, sizes, strict=True))
    return first, second


def forward(joints: np.ndarray) -> np.ndarray:
    """Unit floor directions (T, 2) that the hips face."""
    left = joints[:, kin.HIPS[0]] - joints[:, kin.HIPS[1]]
    ahead = np.cross(left, [0.0, 1.0, 0.0])[:, [0, 2]]
    return ahead / np.linalg.norm(ahead, axis=1, keepdims=True)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """From the pelvis of a to that of b on the floor: (T, 2)."""
    return (b[:, kin.PELVIS] - a[:, kin.PELVIS])[:, [0, 2]]


def wrist_gaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances (T, 2, 2) of the wrists of a from those of b."""
    return np.linalg.norm(a[:, WRISTS][:, :, None] - b[:, WRISTS][:, None], axis=-1)


@pytest.mark.parametrize("kind", me.MEETINGS)
def test_bodies_move_smoothly_and_do_not_run_into_each_other(kind: str) -> None:
    for seed in range(25):
        a, b = draw(seed, kind, 3.0, 30.0)
        assert penetration(a, b).max() <= me.OVERLAP_M + 1e-6
        for joints in (a, b):
            bones = np.stack([np.linalg.norm(joints[:, c] - joints[:, p], axis=1) for p, c in H36M17.bones], axis=1)
            np.testing.assert_allclose(bones, body_size(joints)[:, None] * REST_BONES, rtol=1e-6)
            assert joints[..., 1].min() > 0.02
            assert (np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1) * 30.0**2).max() < 450


@pytest.mark.parametrize("kind", ["talk", "show", "handshake", "hand_over", "hug"])
def test_people_who_face_each_other_do(kind: str) -> None:
    for seed in SEEDS:
        a, b = draw(seed, kind)
        way = between(a, b)
        far = np.linalg.norm(way, axis=1)
        assert 0.2 < far.min() < far.max() < 1.7
        for joints, sign in ((a, 1), (b, -1)):
            assert (np.sum(forward(joints) * sign * way, axis=1) / far).min() > 0.5


def test_right_hands_meet_in_a_handshake_and_part() -> None:
    for seed in SEEDS:
        gaps = wrist_gaps(*draw(seed, "handshake", 5.0))[:, kin.RIGHT, kin.RIGHT]
        assert 0.08 < gaps.min() < 0.16
        assert gaps[-1] > 0.4


def test_hands_meet_where_something_is_handed_over() -> None:
    used = set()
    for seed in range(24):
        gaps = wrist_gaps(*draw(seed, "hand_over"))
        moment, giver, taker = np.unravel_index(np.argmin(gaps), gaps.shape)
        assert 0.06 < gaps.min() < 0.2
        assert 8 < moment < 52
        assert gaps[:, giver, taker].max() > 0.35
        used.add((int(giver), int(taker)))
    assert len(used) == 4


def test_a_hug_is_chest_to_chest_with_hands_behind_the_other() -> None:
    for seed in SEEDS:
        a, b = draw(seed, "hug")
        assert np.linalg.norm(a[:, kin.THORAX] - b[:, kin.THORAX], axis=1).max() < 0.6
        assert clearance(a, b).max() < 0.03
        for joints, other in ((a, b), (b, a)):
            behind = np.sum((joints[:, WRISTS] - other[:, [kin.SPINE]])[..., [0, 2]] * forward(other)[:, None], axis=-1)
            assert np.median(behind) < 0


@pytest.mark.parametrize("kind", ["side_by_side", "walk_together"])
def test_people_beside_each_other_look_the_same_way(kind: str) -> None:
    for seed in SEEDS:
        a, b = draw(seed, kind)
        way = between(a, b)
        far = np.linalg.norm(way, axis=1)
        assert np.median(far) < 1.5
        assert np.median(np.sum(forward(a) * forward(b), axis=1)) > 0.3
        assert np.median(np.abs(np.sum(forward(a) * way, axis=1) / far)) < 0.9


def test_people_pass_each_other() -> None:
    for seed in SEEDS:
        a, b = draw(seed, "pass_by")
        ahead = np.sum(forward(a) * between(a, b), axis=1)
        assert ahead[0] > 1
        assert ahead[-1] < -1
        assert 0.3 < np.linalg.norm(between(a, b), axis=1).min() < 1.2


def test_a_follower_stays_behind() -> None:
    for seed in range(24):
        a, b = draw(seed, "follow")
        way = -between(a, b)
        far = np.linalg.norm(way, axis=1)
        assert 0.5 < far.min() < far.max() < 1.2
        assert (np.sum(forward(b) * way, axis=1) / far).min() > 0.7
        assert np.linalg.norm(a[-1, kin.PELVIS] - a[0, kin.PELVIS]) > 1.5


def test_hands_meet_on_shaped_bodies(model: BodyModel) -> None:
    rng = np.random.default_rng(0)
    for seed in range(8):
        rigs = [shape_body(model, rng, adult=True).rig for _ in range(2)]
        sizes = (float(body_size(rigs[0].joints)), float(body_size(rigs[1].joints)))
        for kind in ("handshake", "hand_over"):
            pair = me.meeting(np.random.default_rng(seed), 5.0, 15.0, kind, sizes)
            a, b = (pose_rig(rig, m.joints_m, m.head_forward).joints for rig, m in zip(rigs, pair, strict=True))
            assert wrist_gaps(a, b).min() < 0.25
            assert penetration(a, b).max() <= me.OVERLAP_M + 1e-6


def test_sizes_keep_the_place_on_the_floor() -> None:
    joints = draw(0, "follow")[0]
    small = me.sized(joints, 0.9)
    np.testing.assert_allclose(small[:, kin.PELVIS][:, [0, 2]], joints[:, kin.PELVIS][:, [0, 2]], atol=1e-12)
    np.testing.assert_allclose(small[..., 1], 0.9 * joints[..., 1], atol=1e-12)
    np.testing.assert_allclose(body_size(small), 0.9, atol=1e-9)


def test_groups_are_near_each_other_of_many_sizes_and_apart() -> None:
    groups = me.draw_groups(np.random.default_rng(0), 300, 3)
    assert groups.shape == (300, 3, 17, 3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert penetration(groups[:, first], groups[:, second]).max() <= me.OVERLAP_M + 1e-6
    sizes = body_size(groups)
    assert 0.85 - 1e-9 <= sizes.min() < 0.88
    assert 1.07 < sizes.max() <= 1.1 + 1e-9
    np.testing.assert_allclose(groups[:, :2, kin.PELVIS].mean(axis=1)[:, [0, 2]], 0, atol=1e-9)
    assert groups[..., 1].min() > 0.02
    nearest = np.linalg.norm(groups[:, :2, kin.PELVIS] - groups[:, 2:, kin.PELVIS], axis=-1).min(axis=1)
    assert nearest.max() < 4.5
    way = groups[:, 1, kin.PELVIS] - groups[:, 0, kin.PELVIS]
    assert abs(np.exp(1j * np.arctan2(way[:, 0], way[:, 2])).mean()) < 0.2
    assert len(np.unique(groups[:, 0, kin.HEAD_TOP, 1])) == 300


def test_groups_show_people_while_they_are_near() -> None:
    groups = me.draw_groups(np.random.default_rng(0), 64, 2, ("pass_by",))
    assert np.linalg.norm(groups[:, 0, kin.PELVIS] - groups[:, 1, kin.PELVIS], axis=-1).max() < 2.5


def test_many_bystanders_look_at_the_two() -> None:
    groups = me.draw_groups(np.random.default_rng(0), 300, 3)
    to_them = -groups[:, 2, kin.PELVIS][:, [0, 2]]
    cosine = np.sum(forward(groups[:, 2]) * to_them, axis=1) / np.linalg.norm(to_them, axis=1)
    assert 0.5 < np.mean(cosine > 0.6) < 0.85


def test_the_seed_decides_the_groups() -> None:
    first, again, other = (me.draw_groups(np.random.default_rng(seed), 20, 2, ("hug", "follow")) for seed in (1, 1, 2))
    assert first.shape == (20, 2, 17, 3)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05


def test_bad_requests_are_refused_with_a_reason() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no meeting of kind 'duel'"):
        me.meeting(rng, 1.0, 30.0, "duel")
    with pytest.raises(ValueError, match="sizes"):
        me.meeting(rng, 1.0, 30.0, "hug", (1.0, 3.0))
    with pytest.raises(ValueError, match="not positive"):
        me.meeting(rng, -1.0, 30.0, "hug")
    with pytest.raises(ValueError, match="2 or 3"):
        me.draw_groups(rng, 5, 4)
    with pytest.raises(ValueError, match="drawn"):
        me.draw_groups(rng, 0)
    with pytest.raises(ValueError, match="no meeting"):
        me.draw_groups(rng, 5, 2, ("duel",))

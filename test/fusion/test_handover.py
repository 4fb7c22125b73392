"""Poses don't jump when the branches that see somebody change."""

import numpy as np
import pytest

from dualpose_ros.fusion.handover import FusedPose, HandOver
from support import fusion_people as people

FRAME_NS = 100_000_000
SECONDS = 0.5
SPEED = np.array([1.0, 0, 0.3])


class Walker:
    """Somebody who walks and swings a hand, with a top-down branch that puts them too near and a bottom-up one that
    puts them too far away and a hand too low; both together are right."""

    def __init__(self, seed: int | None = None) -> None:
        self.handover = HandOver(SECONDS, forget_s=1.0)
        self.frame = 0
        self.rng = None if seed is None else np.random.default_rng(seed)

    def truth(self, frame: int) -> np.ndarray:
        time = 0.1 * frame
        joints = people.body(-1, 4) + SPEED * time
        joints[16, 0] += 0.3 * np.sin(6 * time)
        return np.asarray(joints)

    def step(self, top_down: bool, bottom_up: bool, moved: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Published joints and deviations of the next frame."""
        self.frame += 1
        truth = self.truth(self.frame) + (0 if moved is None else moved)
        if self.rng is not None:
            truth = truth + self.rng.normal(0, 0.01, truth.shape)
        near, far = truth - np.array([0, 0, 0.25]), truth + np.array([0, 0, 0.3])
        far[16, 1] += 0.2
        integrated = truth if top_down and bottom_up else near if top_down else far
        pose = FusedPose(integrated, np.full(17, 0.1), near if top_down else None, far if bottom_up else None, SPEED)
        stamp_ns = self.frame * FRAME_NS
        self.handover.begin(stamp_ns)
        return self.handover.publish(stamp_ns, 1, pose)


KINDS = {"both": (True, True), "top-down": (True, False), "bottom-up": (False, True)}


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_a_hand_over_moves_no_joint_by_more_than_is_stated(before: str, after: str) -> None:
    walker = Walker()
    for _ in range(3):
        last, _ = walker.step(*KINDS[before])
    for k in range(40):
        swing = walker.truth(walker.frame + 1) - walker.truth(walker.frame)
        joints, stddev = walker.step(*KINDS[after])
        jump = np.linalg.norm(joints - last - swing, axis=1)
        assert (jump <= stddev).all(), f"frame {k}: {jump.max()} m, stated {stddev.min()} m"
        last = joints
    assert stddev == pytest.approx(0.1, abs=1e-3), "what was stated at the change has worn off"


def test_without_it_there_would_be_a_jump() -> None:
    """The test above can fail: the branches differ by far more than is stated."""
    walker = Walker()
    walker.handover = HandOver(1e-6)
    last, _ = walker.step(True, False)
    joints, _ = walker.step(False, True)
    assert np.linalg.norm(joints - last - 0.1 * SPEED, axis=1).min() > 0.5


def test_the_difference_wears_off_exponentially() -> None:
    walker = Walker()
    walker.step(True, True)
    offsets = [walker.step(True, False)[0][0, 2] - walker.truth(walker.frame)[0, 2] + 0.25 for _ in range(20)]
    np.testing.assert_allclose(offsets[:-1], 0.25 * np.exp(-0.1 * np.arange(1, 20) / SECONDS), atol=1e-9)


def test_the_deviation_contains_what_is_left() -> None:
    walker = Walker()
    walker.step(True, True)
    _, at_once = walker.step(True, False)
    _, later = walker.step(True, False)
    np.testing.assert_allclose(at_once, np.hypot(0.1, 0.25))
    np.testing.assert_allclose(later, np.hypot(0.1, 0.25 * np.exp(-0.1 / SECONDS)))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_changed_without_a_change_of_branches(kind: str) -> None:
    walker = Walker(seed=3)
    for _ in range(30):
        walker.step(*KINDS[kind])
    expected = Walker(seed=3)
    expected.handover = HandOver(1e-9)
    for _ in range(30):
        joints, stddev = expected.step(*KINDS[kind])
    np.testing.assert_array_equal(stddev, 0.1)
    again = Walker(seed=3)
    for _ in range(30):
        published, _ = again.step(*KINDS[kind])
    np.testing.assert_array_equal(published, joints)


def test_a_branch_that_skips_every_other_frame_does_not_shake_the_pose() -> None:
    walker = Walker()
    depth, hand = [], []
    for k in range(60):
        joints, _ = walker.step(True, k % 2 == 0)
        depth.append(joints[0, 2] - walker.truth(walker.frame)[0, 2])
        hand.append(joints[16, 0] - walker.truth(walker.frame)[16, 0])
    settled = np.array(depth[20:])
    assert np.abs(np.diff(settled)).max() < 0.03, "25 cm without it"
    assert settled.min() > -0.25 and settled.max() < 0.01, "between the two"
    np.testing.assert_allclose(hand, 0, atol=1e-9, err_msg="the hand's own movement goes through at once")


def test_real_jumps_are_not_dragged() -> None:
    walker = Walker()
    walker.step(True, False)
    joints, stddev = walker.step(False, True, moved=np.array([3.0, 0, 0]))
    assert joints[0, 0] == pytest.approx(walker.truth(walker.frame)[0, 0] + 3)
    np.testing.assert_array_equal(stddev, 0.1)


def test_a_joint_that_jumps_takes_only_the_root_along() -> None:
    handover = HandOver(SECONDS)
    before, now = people.body(0, 4), people.body(0, 4.2)
    now[13, 1] -= 1.0
    for stamp_ns, joints, bottom_up in ((FRAME_NS, before, None), (2 * FRAME_NS, now, now)):
        handover.begin(stamp_ns)
        pose = FusedPose(joints, np.full(17, 0.1), None if bottom_up is not None else joints, bottom_up, np.zeros(3))
        published, _ = handover.publish(stamp_ns, 1, pose)
    kept = 0.2 * np.exp(-0.1 / SECONDS)
    np.testing.assert_allclose(published, now - (0, 0, kept), atol=1e-9)


def test_people_are_kept_apart_and_forgotten() -> None:
    handover = HandOver(SECONDS, forget_s=1.0)
    far, near = people.body(0, 4.3), people.body(0, 4)
    above = FusedPose(near, np.full(17, 0.1), near, None, np.zeros(3))
    below = FusedPose(far, np.full(17, 0.1), None, far, np.zeros(3))
    handover.begin(0)
    handover.publish(0, 1, above)
    handover.begin(FRAME_NS)
    np.testing.assert_array_equal(handover.publish(FRAME_NS, 2, below)[0], far)
    handover.begin(12 * FRAME_NS)
    np.testing.assert_array_equal(handover.publish(12 * FRAME_NS, 1, below)[0], far)
    handover.begin(11 * FRAME_NS)
    np.testing.assert_array_equal(handover.publish(11 * FRAME_NS, 1, above)[0], near)


def test_times_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="positive"):
        HandOver(0.0)

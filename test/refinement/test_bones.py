"""What is learnt of bone lengths, from known bodies, and poses that are given them."""

from __future__ import annotations

import numpy as np
import pytest

from dualpose_ros.refinement.bones import PROPORTIONS, UNUSUAL, USUAL_SIZE_M, BoneConfig, BoneMemory, with_lengths
from dualpose_ros.refinement.least_squares.terms import HAS_BONE, bone_vectors
from dualpose_ros.skeleton import H36M17
from support import windows

AT_ONCE = BoneConfig(max_change_per_s=1e3)
"""Lengths follow what is learnt."""


def sizes(memory: BoneMemory) -> np.ndarray:
    """Each bone's length over its usual proportion: the person's size by it."""
    return np.exp(memory.logarithms - np.log(PROPORTIONS))[HAS_BONE]


def test_the_usual_body_is_that_of_anthropometry() -> None:
    """Segments over a stature of 1.71 m in Winter, "Biomechanics and Motor Control of Human Movement" (4th ed., figure
    4.1), hips to shoulders and shoulders to crown in de Leva, J. Biomech. 29, 1996 (table 4)."""
    length = dict(zip(H36M17.joint_names, USUAL_SIZE_M * PROPORTIONS / 1.71, strict=True))
    assert length["left_knee"] == pytest.approx(0.245, abs=0.015)
    assert length["left_ankle"] == pytest.approx(0.246, abs=0.015)
    assert length["left_elbow"] == pytest.approx(0.160, abs=0.015)
    assert length["left_wrist"] == pytest.approx(0.146, abs=0.015)
    # The thorax lies 5 cm below the shoulders' middle.
    assert length["spine"] + length["thorax"] + 0.05 / 1.71 == pytest.approx(0.29, abs=0.02)
    assert length["neck"] + length["head_top"] - 0.05 / 1.71 == pytest.approx(0.19, abs=0.02)


def test_size_is_the_mean_of_what_was_seen_and_of_what_is_usual() -> None:
    memory, config = BoneMemory(AT_ONCE), AT_ONCE
    np.testing.assert_allclose(sizes(memory), USUAL_SIZE_M)
    for i in range(300):
        memory.add(windows.usual_body(0.25), 0.04)
        usual = config.size_prior_s * np.exp(-0.04 * (i + 1) / config.memory_time_constant_s)
        seen = sum(0.04 * np.exp(-0.04 * n / config.memory_time_constant_s) for n in range(i + 1))
        expected = (seen * np.log(0.25) + usual * np.log(USUAL_SIZE_M)) / (seen + usual)
        np.testing.assert_allclose(np.log(sizes(memory)), expected, atol=1e-9)


def test_proportions_are_the_mean_of_what_was_seen_and_of_usual_ones() -> None:
    other = windows.usual_body(USUAL_SIZE_M)
    other[13] += 0.1 * (other[13] - other[12])  # a forearm that is 10 % longer
    memory, config = BoneMemory(AT_ONCE), AT_ONCE
    for i in range(300):
        memory.add(other, 0.04)
        over = memory.logarithms[[13, 16]] - np.log(USUAL_SIZE_M * PROPORTIONS[13])
        assert over[0] == pytest.approx(over[1])  # both sides of a body are alike
        # Half of what was seen, on both sides, is the 10 %; little of it is believed at first.
        seen, said = (
            (1 - np.exp(-0.04 * (i + 1) / config.memory_time_constant_s)) * config.memory_time_constant_s,
            np.log(1.1) / 2,
        )
        share = seen / (seen + config.proportions_prior_s / (1 + (said / UNUSUAL) ** 2))
        assert over[0] == pytest.approx(share * said, rel=0.02)


def test_lengths_settle_and_then_creep_to_what_is_learnt() -> None:
    memory, learnt = BoneMemory(BoneConfig()), BoneMemory(AT_ONCE)
    config, before = memory.config, sizes(memory)
    for i in range(1500):
        body = windows.usual_body(0.2 if i < 10 else 0.25)
        memory.add(body, 0.04)
        learnt.add(body, 0.04)
        if i * 0.04 < config.settle_s:
            np.testing.assert_allclose(sizes(memory), sizes(learnt))
        else:
            assert np.log(sizes(memory) / before).max() <= config.max_change_per_s * 0.04 + 1e-12
        before = sizes(memory)
        if i == 100:
            assert (sizes(memory) < 0.95 * sizes(learnt)).all()
    np.testing.assert_allclose(sizes(memory), sizes(learnt), rtol=1e-3)


def test_a_bad_first_pose_does_not_set_the_size_and_strange_bones_are_left_out() -> None:
    usual = windows.usual_body(0.25)
    memory = BoneMemory(AT_ONCE)
    memory.add(1.5 * usual, 0.04)
    for _ in range(60):
        memory.add(usual, 0.04)
    np.testing.assert_allclose(sizes(memory), 0.25, rtol=0.025)
    before, collapsed = memory.logarithms, usual.copy()
    collapsed[13] = collapsed[12]
    memory.add(collapsed, 0.04)
    np.testing.assert_allclose(memory.logarithms, before, atol=2e-3)
    before = memory.logarithms
    memory.add(np.zeros_like(usual), 0.04)
    np.testing.assert_array_equal(memory.logarithms, before)


def test_poses_get_their_lengths_and_keep_their_directions() -> None:
    joints = windows.walk(np.array([0.3]))[0]
    lengths = np.where(HAS_BONE, np.log(np.linspace(0.1, 0.5, len(joints))), 0.0)
    found = with_lengths(joints, lengths)
    before, after = bone_vectors(joints[None]), bone_vectors(found[None])
    np.testing.assert_allclose(after[0], before[0], atol=1e-12)
    np.testing.assert_allclose(after[1][0, HAS_BONE], np.exp(lengths)[HAS_BONE])
    np.testing.assert_array_equal(found[0], joints[0])
    same = np.log(np.where(HAS_BONE, before[1][0], 1.0))
    np.testing.assert_allclose(with_lengths(joints, same), joints, atol=1e-12)
    assert np.isfinite(with_lengths(np.zeros_like(joints), lengths)).all()

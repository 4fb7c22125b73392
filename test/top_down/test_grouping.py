from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.grouping import (
    TARGET_TAG,
    GroupingConfig,
    assign,
    group_by_tags,
    people_from_labels,
    target_utility,
)

K = H36M17.num_joints


def total_cost(cost: np.ndarray, columns: tuple[int, ...], limit: float) -> float:
    pairs = [(r, c) for r, c in enumerate(columns) if c >= 0]
    alone = cost.shape[0] + cost.shape[1] - 2 * len(pairs)
    return sum(cost[r, c] for r, c in pairs) + limit / 2 * alone


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (3, 3), (4, 2)])
def test_assignment_is_the_best_of_all(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape)
    for _ in range(30):
        cost = rng.random(shape)
        cost[rng.random(shape) < 0.2] = np.inf
        limit = float(rng.uniform(0.2, 1.2))
        every = [
            columns
            for columns in itertools.product(range(-1, shape[1]), repeat=shape[0])
            if len({c for c in columns if c >= 0}) == sum(c >= 0 for c in columns)
        ]
        best = min(total_cost(cost, columns, limit) for columns in every)
        found = assign(cost, limit)
        assert total_cost(cost, tuple(int(c) for c in found), limit) == pytest.approx(best)


def test_without_limit_assignment_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost = rng.random((6, 6))
        rows, columns = linear_sum_assignment(cost)
        found = assign(cost, 100.0)
        assert cost[rows, found].sum() == pytest.approx(cost[rows, columns].sum())


def test_empty_costs() -> None:
    assert assign(np.zeros((0, 3)), 1.0).shape == (0,)
    assert assign(np.zeros((2, 0)), 1.0).tolist() == [-1, -1]


@pytest.mark.parametrize("people", [1, 2, 5])
def test_people_with_tags_apart_are_told_apart(people: int) -> None:
    rng = np.random.default_rng(people)
    person = np.repeat(np.arange(people), K)
    joint = np.tile(np.arange(K), people)
    seen = rng.random(people * K) < 0.8
    person, joint = person[seen], joint[seen]
    order = rng.permutation(len(joint))
    person, joint = person[order], joint[order]
    tag = 2.5 * person + rng.normal(0, 0.15, len(person))
    labels, found = group_by_tags(joint, tag, rng.uniform(0.3, 1, len(person)), GroupingConfig())
    assert found == people and (labels >= 0).all()
    for label in range(found):
        assert len(set(person[labels == label])) == 1


def test_each_joint_is_used_once_a_person() -> None:
    rng = np.random.default_rng(3)
    joint, tag, score = rng.integers(0, K, 80), rng.normal(0, 2, 80), rng.random(80)
    labels, people = group_by_tags(joint, tag, score, GroupingConfig())
    for label in range(people):
        own = joint[labels == label]
        assert len(own) == len(set(own.tolist())) >= 1


def test_joints_far_in_tag_are_not_taken_and_weak_ones_start_nobody() -> None:
    neck, thorax = H36M17.index("neck"), H36M17.index("thorax")
    joint = np.array([neck, thorax, thorax])
    labels, people = group_by_tags(joint, np.array([0.0, 5.0, 0.3]), np.array([0.9, 0.1, 0.2]), GroupingConfig())
    assert people == 1 and labels.tolist() == [0, -1, 0]


def test_of_two_candidates_the_better_score_wins_at_equal_tags() -> None:
    neck, thorax = H36M17.index("neck"), H36M17.index("thorax")
    labels, _ = group_by_tags(
        np.array([neck, thorax, thorax]), np.array([0.0, 0.1, 0.1]), np.array([0.9, 0.2, 0.8]), GroupingConfig()
    )
    assert labels[2] == 0 and labels[1] == -1


def test_small_people_are_dropped() -> None:
    labels, joint = np.array([0, 0, 0, 1]), np.array([0, 1, 2, 5])
    xy = np.arange(8.0).reshape(4, 2)
    joints, scores, tags = people_from_labels(labels, 2, joint, xy, np.full(4, 0.5), np.array([1.0, 2, 3, 9]), 3)
    assert joints.shape == (1, K, 2) and (scores > 0).sum() == 3
    assert np.allclose(joints[0, :3], xy[:3]) and tags[0] == pytest.approx(2.0)


def test_the_person_in_the_box_explains_it_best() -> None:
    rng = np.random.default_rng(0)
    shape = rng.uniform(0, 1, (K, 2)) * (60, 160)
    box = np.array([98.0, 48, 158, 208])
    joints = np.stack([shape + np.array(at) for at in ((98, 48), (30, 60))] + [shape * 0.3 + np.array((110, 100))])
    scores = np.full((3, K), 0.8)
    tags = np.zeros(3)
    utility = target_utility(joints, scores, tags, box)
    assert np.argmax(utility) == 0 and (utility >= 0).all() and (utility <= 4).all()
    # Of two in the same place, the one with the trained tag is the patch's own.
    twins = target_utility(joints[[0, 0]], scores[:2], np.array([TARGET_TAG - 3, TARGET_TAG]), box)
    assert twins[1] > twins[0]
    assert target_utility(joints[:0], scores[:0], tags[:0], box).shape == (0,)

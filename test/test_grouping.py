import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from dualpose_ros.grouping import (
    GroupingConfig,
    ReadableMaps,
    ReadingConfig,
    assign,
    cells_to_pixels,
    group_by_tags,
    people_from_labels,
    read_by_tag,
)
from dualpose_ros.skeleton import H36M17, K
from support import people_maps as maps


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


def scipy_total(cost: np.ndarray, limit: float) -> float:
    """Least total of (cost - limit) over any partial matching: leaving a row alone is a column of zeros."""
    gain = np.minimum(cost - limit, 0)
    square = np.zeros((sum(cost.shape),) * 2)
    square[: cost.shape[0], : cost.shape[1]] = gain
    rows, columns = linear_sum_assignment(square)
    return float(square[rows, columns].sum())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10**6), st.floats(0.1, 2.0))
def test_assignment_is_as_cheap_as_scipys(rows: int, columns: int, seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(-0.5, 2, (rows, columns))
    cost[rng.random((rows, columns)) < 0.2] = np.inf
    partner = assign(cost, limit)
    matched = np.flatnonzero(partner >= 0)
    taken = partner[matched]
    assert partner.shape == (rows,) and len(set(taken)) == len(taken)
    assert np.all(cost[matched, taken] <= limit)
    assert (cost[matched, taken] - limit).sum() == pytest.approx(scipy_total(cost, limit), abs=1e-9)


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


def test_a_person_is_read_by_the_tag_where_grouping_took_anothers_joint() -> None:
    own, other = maps.figure(110.0, 28.0, 200.0), maps.figure(190.0, 45.0, 180.0)
    heat, tags = maps.ideal_maps([own, other], [2.0, 0.2])
    heat[13][tags[13] > 1] *= 0.4  # the own wrist is seen worse than the other person's
    grouped, scores = own.copy(), np.full(17, 0.9)
    grouped[13] = other[13]
    config = ReadingConfig()
    (joints,), (found,) = read_by_tag(
        ReadableMaps.of(heat, tags, config), [0], np.array([2.0]), grouped[None], scores[None], config
    )
    assert np.abs(joints - own).max() < 1.5
    assert found[13] == pytest.approx(0.4, abs=0.05) and found[:13].min() > 0.85
    (nothing,), (kept,) = read_by_tag(
        ReadableMaps.of(0 * heat, tags, config), [0], np.array([2.0]), grouped[None], scores[None], config
    )
    np.testing.assert_array_equal(nothing, grouped)
    np.testing.assert_array_equal(kept, scores)


def test_reading_within_a_window_sees_what_is_inside_alone() -> None:
    own = maps.figure(110.0, 28.0, 200.0)
    heat, tags = maps.ideal_maps([own], [2.0])
    nowhere = np.full((K, 2), -1.0)
    window = np.array([[12, 0, 40, 40]])
    readable, config = ReadableMaps.of(heat, tags, ReadingConfig()), ReadingConfig()
    (joints,), (found,) = read_by_tag(readable, [0], np.array([2.0]), nowhere[None], np.zeros((1, K)), config, window)
    cells = (own - 1.5) / 4
    inside = ((cells >= (12, 0)) & (cells < (39, 39))).all(axis=1)
    far = ((cells < (4, -8)) | (cells >= (48, 48))).any(axis=1)
    assert inside.sum() >= 9 and far.sum() >= 2
    assert np.abs(joints[inside] - own[inside]).max() < 0.05
    assert (joints[far] == nowhere[far]).all() and (found[far] == 0).all()


def test_people_of_several_maps_are_read_as_each_alone_by_a_plain_search() -> None:
    rng, config = np.random.default_rng(5), ReadingConfig(min_score=0.3)
    heat = rng.random((2 * K, 9, 11)).astype(np.float32) ** 4
    heat[3] = 0.0
    tags = rng.normal(0, 1, heat.shape).astype(np.float32)
    first, means = [0, K, K], np.array([0.3, -0.5, 1.5])
    joints, scores = rng.uniform(0, 30, (3, K, 2)), rng.random((3, K))
    found_px, found = read_by_tag(ReadableMaps.of(heat, tags, config), first, means, joints, scores, config)
    for n, (at, mean) in enumerate(zip(first, means, strict=True)):
        off = np.minimum(np.abs(tags[at : at + K] - np.float32(mean)), 4 * config.tag_stddev)
        value = heat[at : at + K] * np.exp(-(off**2) / (2 * config.tag_stddev**2)).astype(np.float32)
        for k in range(K):
            row, column = np.unravel_index(value[k].argmax(), value[k].shape)
            said = heat[at + k, row, column]
            if said >= config.min_score and value[k, row, column] > 0.2 * said:
                assert found[n, k] == said
                assert np.abs(found_px[n, k] - (4 * np.array([column, row]) + 1.5)).max() <= 2
            else:
                assert found[n, k] == scores[n, k] and (found_px[n, k] == joints[n, k]).all()


def test_cell_centres_in_pixels() -> None:
    assert cells_to_pixels(np.array([[0.0, 0.0], [3.0, 10.5]])).tolist() == [[1.5, 1.5], [13.5, 43.5]]


def test_joints_that_cannot_be_one_persons_are_kept_apart_whatever_their_tags() -> None:
    """Two people with the same tag, told apart by where they are; one wrong pair does not part a person."""
    person = np.repeat([0, 1], K)
    joint = np.tile(np.arange(K), 2)
    place = 10.0 * person + np.random.default_rng(0).uniform(0, 1, 2 * K)
    apart = np.abs(place[:, None] - place) / 5
    apart[3, 8] = apart[8, 3] = 2.0
    labels, found = group_by_tags(joint, np.zeros(2 * K), np.full(2 * K, 0.9), GroupingConfig(), apart)
    assert found == 2
    assert len(set(labels[:K])) == len(set(labels[K:])) == 1 and labels[0] != labels[K]
    together, _ = group_by_tags(joint[:K], np.zeros(K), np.full(K, 0.9), GroupingConfig())
    everybody, _ = group_by_tags(joint[:K], np.zeros(K), np.full(K, 0.9), GroupingConfig(), np.full((K, K), 0.5))
    assert (together == everybody).all()


def test_of_two_people_in_reach_the_nearer_one_gets_the_joint() -> None:
    """Where tags say nothing; with apart_weight 0 the first one does, wherever it is."""
    neck, head = H36M17.index("neck"), H36M17.index("head_top")
    joint, place = np.array([neck, neck, head]), np.array([0.0, 1.0, 0.9])
    apart = np.abs(place[:, None] - place)
    tags, scores = np.array([0.0, 2.0, 1.0]), np.full(3, 0.9)
    labels, _ = group_by_tags(joint, tags, scores, GroupingConfig(), apart)
    assert labels[2] == labels[1] != labels[0]
    labels, _ = group_by_tags(joint, tags, scores, GroupingConfig(), 1 - apart)
    assert labels[2] == labels[0]

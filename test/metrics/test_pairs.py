"""Precision and recall of pairs: counted by hand, and against a slow count on random frames."""

import itertools
import json

import numpy as np
import pytest

from dualpose_ros.metrics.pairs import FramePairs, nearest_pairs, pair_row


def frame(pairs: list[tuple[int, int]], top_down: list[int], bottom_up: list[int]) -> FramePairs:
    one, other = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return FramePairs(one, other, np.array(top_down, dtype=np.intp), np.array(bottom_up, dtype=np.intp))


def test_counted_by_hand() -> None:
    # Person 0 is paired rightly, 1 with 2; 3 was found by one branch only; two ghosts are paired with each other.
    row = pair_row("all", [frame([(0, 0), (1, 1), (3, 3)], [0, 1, 3, -1], [0, 2, 1, -1])])
    assert row["pairs"] == 3 and row["found_by_both"] == 2 and row["frames"] == 1 and row["people"] == "all"
    assert row["precision"] == pytest.approx(100 / 3)
    assert row["precision_of_known"] == 50 and row["recall"] == 50
    assert row["confused"] == 1 and row["of_nobody"] == 1
    json.dumps(row)


def test_two_ghosts_are_no_right_pair_and_no_person_to_be_found() -> None:
    row = pair_row(1, [frame([(0, 0)], [-1], [-1])])
    assert row["precision"] == 0 and row["precision_of_known"] is None and row["recall"] is None


def test_somebody_found_twice_is_one_person() -> None:
    row = pair_row(1, [frame([(0, 0), (1, 1)], [4, 4], [4, 4])])
    assert row["precision"] == 100 and row["recall"] == 100 and row["found_by_both"] == 1


def test_nothing_to_measure() -> None:
    for frames in ([], [frame([], [], [])], [frame([], [0, 1], [])]):
        row = pair_row(2, frames)
        assert row["precision"] is None and row["recall"] is None and row["pairs"] == 0


def test_same_number_in_other_frames_is_somebody_else() -> None:
    row = pair_row(1, [frame([(0, 0)], [0], [0]), frame([], [0], [0])])
    assert row["recall"] == 50 and row["found_by_both"] == 2


def test_agrees_with_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    frames, pairs, right, shared, paired = [], 0, 0, 0, 0
    for _ in range(50):
        top_down, bottom_up = (rng.permutation(np.append(np.arange(6), [-1, -1]))[: rng.integers(0, 8)] for _ in "ab")
        count = min(len(top_down), len(bottom_up), int(rng.integers(0, 8)))
        made = list(zip(rng.permutation(len(top_down))[:count], rng.permutation(len(bottom_up))[:count], strict=True))
        frames.append(frame(made, top_down.tolist(), bottom_up.tolist()))
        for t, b in made:
            pairs += 1
            right += top_down[t] == bottom_up[b] != -1
        for person in range(6):
            if person in top_down and person in bottom_up:
                shared += 1
                paired += any(top_down[t] == bottom_up[b] == person for t, b in made)
    row = pair_row("all", frames)
    assert row["precision"] == pytest.approx(100 * right / pairs)
    assert row["recall"] == pytest.approx(100 * paired / shared)
    assert row["pairs"] == pairs and row["found_by_both"] == shared
    assert right + row["confused"] + row["of_nobody"] == pairs


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="paired with"):
        pair_row(1, [FramePairs(np.array([0]), np.array([0, 1]), np.array([0]), np.array([0, 1]))])


@pytest.mark.parametrize("seed", range(6))
def test_nearest_pairs_are_the_most_and_then_the_nearest(seed: int) -> None:
    distance = np.random.default_rng(seed).uniform(0, 1, (3, 4))
    distance[0, 1] = np.nan
    found = nearest_pairs(distance, 0.4)
    every = [
        pairs
        for columns in itertools.permutations(range(4), 3)
        for pairs in [[(row, column) for row, column in enumerate(columns) if distance[row, column] <= 0.4]]
    ]
    best = min(every, key=lambda pairs: (-len(pairs), sum(distance[pair] for pair in pairs)))
    assert sorted(found) == sorted(best)


def test_of_nobody_there_are_no_pairs() -> None:
    assert nearest_pairs(np.zeros((0, 3)), 1.0) == [] and nearest_pairs(np.full((2, 2), 2.0), 1.0) == []

"""Exact-stamp joins out of a ring."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpose_ros.nodes.joining.join import StampJoin

SECOND = 1_000_000_000


@pytest.mark.parametrize("order", list(itertools.permutations(("a", "b", "c"))))
def test_any_order_of_arrival(order: tuple[str, ...]) -> None:
    join = StampJoin(("a", "b", "c"), 4)
    results = [join.add(name, 5, name.upper()) for name in order]
    assert results == [None, None, {"a": "A", "b": "B", "c": "C"}]


def test_stamps_must_match_exactly() -> None:
    join = StampJoin(("a", "b"), 4)
    assert join.add("a", 100, "x") is None
    assert join.add("b", 101, "y") is None
    assert join.add("b", 100, "z") == {"a": "x", "b": "z"}


def test_a_set_comes_out_once() -> None:
    join = StampJoin(("a", "b"), 4)
    join.add("a", 1, "x")
    assert join.add("b", 1, "y")
    assert join.add("b", 1, "again") is None
    assert join.add("a", 1, "again") is None


def test_older_sets_are_late_once_a_newer_one_is_out() -> None:
    join = StampJoin(("a", "b"), 4)
    join.add("a", 1, "old")
    join.add("a", 2, "new")
    assert join.add("b", 2, "new")
    assert join.add("b", 1, "old") is None
    assert join.late == 1
    assert join.waiting("a") == 0


def test_ring_forgets_the_oldest() -> None:
    join = StampJoin(("a", "b"), 3)
    for stamp in range(10):
        join.add("a", stamp, stamp)
    assert join.waiting("a") == 3
    assert join.add("b", 6, "") is None
    assert join.add("b", 7, "") == {"a": 7, "b": ""}


def test_time_set_back_starts_anew() -> None:
    join = StampJoin(("a", "b"), 4)
    for stamp in (10 * SECOND, 11 * SECOND):
        join.add("a", stamp, "x")
        assert join.add("b", stamp, "y")
    assert join.add("a", 0, "x") is None
    assert join.add("b", 0, "y") == {"a": "x", "b": "y"}
    assert join.late == 0


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="capacity"):
        StampJoin(("a",), 0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 12)), max_size=60))
def test_against_a_plain_reference(events: list[tuple[str, int]]) -> None:
    """With room for everything, a set comes out when both inputs of a stamp are there and none newer was."""
    join = StampJoin(("a", "b"), 1000)
    seen: dict[int, set[str]] = {}
    last = -1
    for name, stamp in events:
        result = join.add(name, stamp, (name, stamp))
        if join._rings.restarts:
            return
        expected = None
        if stamp > last:
            seen.setdefault(stamp, set()).add(name)
            if len(seen[stamp]) == 2:
                last, expected = stamp, {"a": ("a", stamp), "b": ("b", stamp)}
        assert result == expected

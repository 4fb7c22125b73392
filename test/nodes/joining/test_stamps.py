"""Rings of items by stamp: nearest, last, late, and time that jumps back and stays back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpose_ros.nodes.joining.join import StampJoin
from dualpose_ros.nodes.joining.stamps import RESET_NS, StampClock, StampRing, StampRings, StampStream

SECOND = 1_000_000_000


def ring(*stamps: int, capacity: int = 10) -> StampRing[str]:
    made: StampRing[str] = StampRing(capacity)
    for stamp in stamps:
        made.add(stamp, f"at {stamp}")
    return made


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 50), st.integers(0, 20))
def test_nearest_is_as_near_as_any_and_the_later_of_two(stamps: list[int], of_ns: int, tolerance_ns: int) -> None:
    found = ring(*stamps).nearest_ns(of_ns, tolerance_ns)
    near = sorted((abs(stamp - of_ns), -stamp) for stamp in stamps if abs(stamp - of_ns) <= tolerance_ns)
    assert found == (-near[0][1] if near else None)


def test_what_came_last_is_the_last_whatever_its_stamp() -> None:
    made = ring(5, 9, 7)
    assert made.last() == "at 7"
    made.add(5, "again")
    assert made.last() == made.get(5) == "again"
    made.add(5, "a third time", first_counts=True)
    assert made.get(5) == "again" and ring().last() is None


def test_what_came_first_is_forgotten_first() -> None:
    made = ring(5, 9, 7, capacity=2)
    assert list(made.stamps()) == [9, 7]
    made.drop_until(7)
    assert list(made.stamps()) == [9]


def test_a_clock_says_once_that_time_was_set_back() -> None:
    clock = StampClock()
    stamps = [10 * SECOND, 10 * SECOND - RESET_NS, 11 * SECOND, 11 * SECOND - RESET_NS - 1, 9 * SECOND, 10 * SECOND]
    assert [clock.was_set_back(stamp) for stamp in stamps] == [False, False, False, True, False, False]


def test_a_lone_stray_is_late_and_nothing_is_forgotten() -> None:
    rings: StampRings[str] = StampRings(("a", "b"), 10)
    rings.add("a", 10 * SECOND, "waits")
    for number in range(3):
        assert not rings.add("b", 1 + number, "a stamp of another time")
        assert rings.add("a", 10 * SECOND + number, "goes on")
    assert rings["a"].get(10 * SECOND) is not None and len(rings["b"]) == 0
    assert rings.late == {"a": 0, "b": 3}


def test_time_that_stays_back_loses_nothing_that_came_since() -> None:
    rings: StampRings[str] = StampRings(("a", "b"), 10)
    rings.add("a", 10 * SECOND, "before")
    rings.hand_out(10 * SECOND)
    assert not rings.add("a", SECOND, "first since")
    assert rings.add("b", SECOND, "second since")
    assert (rings["a"].get(SECOND), rings["b"].get(SECOND)) == ("first since", "second since")
    assert rings.late == {"a": 0, "b": 0} and rings.newest_ns("a") == SECOND
    assert rings.add("a", 4 * SECOND, "goes on") and rings.add("a", 4 * SECOND - RESET_NS, "delayed")


def test_a_join_within_a_tolerance_takes_the_nearest_and_each_once() -> None:
    join = StampJoin(("image", "info"), 10, tolerance_ns=4)
    assert join.add("info", 97, "far") is None
    assert join.add("info", 103, "near") is None
    assert join.add("image", 101, "picture") == {"image": "picture", "info": "near"}
    assert join.add("image", 202, "next") is None
    assert join.add("info", 207, "too far") is None
    assert join.add("info", 198, "just within") == {"image": "next", "info": "just within"}
    assert join.late == 0 and join.waiting("info") == 1


def test_a_ring_holds_something() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        StampRing(0)


def test_one_sender_goes_back_only_where_it_stays_back() -> None:
    stream = StampStream()
    assert not any(stream.stays_back(stamp) for stamp in (10, 20, 30, 0, 15, 40, 15, 15, 15, 12, 11, 41))
    assert [stream.stays_back(stamp) for stamp in (1, 2, 3, 4)] == [False, False, True, False]


def test_what_has_no_stamp_is_never_late() -> None:
    rings: StampRings[str] = StampRings(("a", "b"), 10)
    rings.add("a", 10 * SECOND, "stamped")
    rings.hand_out(10 * SECOND)
    for number in range(3):
        assert rings.add("a", 0, f"{number}") and rings["a"].get(0) == f"{number}"
        rings.hand_out(0)
        assert rings["a"].get(0) is None
    assert rings.late == {"a": 0, "b": 0}

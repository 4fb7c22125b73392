"""Which frame the fusion node publishes next, over orders of arrival, silence and death of either branch."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpose_ros.nodes.joining.fused import BOTTOM_UP, BRANCHES, LONGEST_WAIT_S, TOP_DOWN, FusedFrame, FusedFrames
from dualpose_ros.nodes.joining.stamps import UNSET_NS

SECOND = 1_000_000_000
MAX_WAIT = 0.2


def frames(give_up: int = 2) -> FusedFrames:
    return FusedFrames(MAX_WAIT, give_up)


@pytest.mark.parametrize("order", list(itertools.permutations(BRANCHES)))
def test_a_frame_comes_out_when_both_have_spoken(order: tuple[str, ...]) -> None:
    made = frames()
    made.add(order[0], 7, order[0], 0.0)
    assert made.take(0.1) is None
    made.add(order[1], 7, order[1], 0.15)
    assert made.take(0.15) == FusedFrame(7, TOP_DOWN, BOTTOM_UP)
    assert made.take(9.0) is None


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_late_branch_is_done_without_and_its_poses_are_dropped(branch: str) -> None:
    made = frames()
    other = next(name for name in BRANCHES if name != branch)
    made.add(other, 7, "said", 0.1)
    assert made.take(0.29) is None
    frame = made.take(0.31)
    assert frame is not None and (getattr(frame, other), getattr(frame, branch)) == ("said", None)
    made.add(branch, 7, "late", 0.4)
    assert made.take(5.0) is None and made.late == {other: 0, branch: 1}


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_that_has_spoken_of_a_newer_frame_is_not_waited_for(branch: str) -> None:
    made = frames()
    other = next(name for name in BRANCHES if name != branch)
    for stamp in (7, 8):
        made.add(other, stamp, stamp, 0.1)
    assert made.take(0.1) is None
    made.add(branch, 8, "newer", 0.11)
    taken = [made.take(0.11), made.take(0.11), made.take(0.11)]
    assert [frame and (frame.stamp_ns, getattr(frame, branch)) for frame in taken] == [(7, None), (8, "newer"), None]
    made.add(other, 9, 9, 0.12)
    assert made.take(0.13) is None, "now it may still come"


def test_the_bottom_up_branch_has_waited_for_the_other_already() -> None:
    made = frames()
    made.announce(7, 0.1)
    made.announce(7, 0.3)
    made.add(BOTTOM_UP, 7, "said", 0.32)
    assert made.take(0.32) == FusedFrame(7, None, "said")
    made.announce(8, 0.4)
    made.add(TOP_DOWN, 8, "said", 0.55)
    assert made.take(0.74) is None, "of the bottom-up branch this is not so"
    assert made.take(0.76) == FusedFrame(8, "said", None)


def waits(made: FusedFrames, alive: str, start: float, count: int, period: float = 0.1) -> list[float]:
    """How long each of some frames of one branch waits."""
    result = []
    for k in range(count):
        came = start + k * period
        made.add(alive, int(came * SECOND), "said", came)
        step = next(n for n in range(100) if made.take(came + n / 100) is not None)
        result.append(step / 100)
    return result


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("give_up", [1, 2, 3])
def test_a_dead_branch_costs_time_at_first_only(branch: str, give_up: int) -> None:
    made = frames(give_up)
    other = next(name for name in BRANCHES if name != branch)
    for k in range(10):
        for name in BRANCHES:
            made.add(name, k * SECOND // 10, name, k / 10)
        assert made.take(k / 10) is not None
    waited = waits(made, other, 1.0, 12, period=0.3)
    assert waited == pytest.approx([0.2] * give_up + [0.0] * (12 - give_up), abs=0.011)
    for number, came in enumerate((5.0, 5.1)):
        made.add(branch, 4 * SECOND + number, "back, but late", came)
        made.add(other, int(came * SECOND) + 1, "said", came)
        assert (made.take(came) is None) is (number == 1), "it is waited for again once it has spoken twice"


def test_frames_that_wait_at_once_do_not_wait_one_after_the_other() -> None:
    made = frames()
    for stamp, came in ((7, 0.0), (8, 0.05), (9, 0.1)):
        made.add(TOP_DOWN, stamp, "said", came)
    out = [(tick, frame.stamp_ns) for tick in range(100) if (frame := made.take(tick / 100)) is not None]
    assert out == [(20, 7), (25, 8), (26, 9)]


def test_a_branch_that_speaks_now_and_then_is_not_taken_for_dead() -> None:
    made, missed = frames(), 0
    for k in range(1, 30):
        made.add(TOP_DOWN, k, "said", 0.3 * k)
        missed += made.take(0.3 * k + 0.29) is not None
        if k % 2 == 0:
            made.add(BOTTOM_UP, k, "now and then", 0.3 * k + 0.1)
            assert made.take(0.3 * k + 0.1) is None
    assert missed == 29 and made.late[BOTTOM_UP] == 14
    made.add(TOP_DOWN, 30, "said", 9.0)
    assert made.take(9.1) is None


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_slow_branch_is_waited_for_as_long_as_it_is_known_to_take(branch: str) -> None:
    """Twice as slow as the longest wait: its first frame goes without it, all others have both."""
    made, other = frames(), next(name for name in BRANCHES if name != branch)
    halves = 0
    for k in range(1, 13):
        came = 1.0 * k
        made.announce(k, came)
        made.add(other, k, other, came)
        early = made.take(came + 0.39)
        made.add(branch, k, branch, came + 0.4)
        frame = early or made.take(came + 0.4)
        assert frame is not None and frame.stamp_ns == k
        halves += getattr(frame, branch) is None
    assert halves == 1
    for k in range(13, 60):
        for name in BRANCHES:
            made.add(name, k, name, 1.0 * k)
        assert made.take(1.0 * k) is not None
    assert made.patience_s(branch) == MAX_WAIT, "and no longer once it is fast again"


def test_a_branch_that_was_away_is_not_taken_for_slow() -> None:
    made = frames()
    for k in range(4):
        made.add(TOP_DOWN, k, "said", 5.0 * k)
        assert made.take(5.0 * k + 0.3) is not None
    made.add(BOTTOM_UP, 1, "late by ten seconds", 15.0)
    assert made.patience_s(BOTTOM_UP) == MAX_WAIT


def test_time_set_back_starts_anew() -> None:
    made = frames()
    for name in BRANCHES:
        made.add(name, 50 * SECOND, name, 0.0)
    assert made.take(0.0) is not None
    for name in BRANCHES:
        made.add(name, 10 * SECOND, name, 0.1)
    frame = made.take(0.1)
    assert frame is not None and frame.stamp_ns == 10 * SECOND


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_camera_that_sets_stamps_no_more_has_both_branches(branch: str) -> None:
    made = frames()
    for stamp in (7 * SECOND, UNSET_NS, UNSET_NS):
        for name in (branch, next(name for name in BRANCHES if name != branch)):
            assert made.take(0.1) is None, "the other branch is waited for"
            made.add(name, stamp, name, 0.1)
        assert made.take(0.1) == FusedFrame(stamp, TOP_DOWN, BOTTOM_UP)


def test_what_is_kept_is_bounded() -> None:
    made = frames()
    for stamp in range(1, 1000):
        made.announce(stamp, 0.0)
        made.add(TOP_DOWN, stamp, stamp, 0.0)
    assert made.waiting() <= 120


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(BRANCHES), st.integers(1, 12), st.floats(0, 0.3)), max_size=80))
def test_frames_come_out_once_in_order_and_in_time(events: list[tuple[str, int, float]]) -> None:
    made, now, last = frames(), 0.0, 0
    first: dict[int, float] = {}
    for branch, stamp, passed in [*events, (TOP_DOWN, 13, 1.5)]:
        now += passed
        made.add(branch, stamp, (branch, stamp), now)
        if made._said.restarts:
            return
        if stamp > last:
            first.setdefault(stamp, now)
        while (frame := made.take(now)) is not None:
            assert frame.stamp_ns > last
            last = frame.stamp_ns
            said = [item for item in (frame.top_down, frame.bottom_up) if item is not None]
            assert said and all(item[1] == last for item in said)
        waiting = [since for stamp, since in first.items() if stamp > last]
        assert all(now - since < LONGEST_WAIT_S for since in waiting)

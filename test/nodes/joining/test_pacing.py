"""How many frames are in work at once, and which image is next."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpose_ros.nodes.joining.pacing import AnsweredFrames, Pacer

SECOND = 1_000_000_000


def start(pacer: Pacer, stamp: int, now: float) -> bool:
    """Offer an image and start on it if there is room."""
    pacer.offer(stamp, stamp)
    taken = pacer.take(now)
    if taken is not None:
        pacer.started(taken, now)
    return taken is not None


def awake(limit: int = 2, timeout: float = 0.5) -> Pacer:
    """A pacer of a graph that has put out frame 0."""
    pacer = Pacer(limit, timeout)
    assert start(pacer, 0, 0.0)
    pacer.came_out(0, 0.0)
    return pacer


def test_there_is_room_for_so_many() -> None:
    pacer = awake()
    assert [start(pacer, stamp, 0.1) for stamp in (1, 2, 3)] == [True, True, False]
    pacer.came_out(1, 0.2)
    assert pacer.take(0.2) == 3, "the image that waits is worked on when there is room, not when the next one comes"
    assert pacer.take(0.2) is None


def test_the_newest_image_waits() -> None:
    pacer = awake(limit=1)
    start(pacer, 1, 0.1)
    for stamp in (2, 3, 4):
        pacer.offer(stamp, stamp)
        assert pacer.take(0.1) is None
    pacer.came_out(1, 0.2)
    assert pacer.take(0.2) == 4 and pacer.take(0.2) is None


def test_what_the_graph_has_skipped_is_no_longer_in_work() -> None:
    pacer = awake()
    start(pacer, 1, 0.1)
    start(pacer, 2, 0.1)
    pacer.came_out(2, 0.2)
    assert start(pacer, 3, 0.2) and start(pacer, 4, 0.2) and not start(pacer, 5, 0.2)


def test_a_dead_graph_stops_nothing() -> None:
    pacer = awake(timeout=0.5)
    started = [stamp for stamp in range(1, 40) if start(pacer, stamp, 0.05 * stamp)]
    assert started[:2] == [1, 2] and started[2] == 11, "the first one times out at 0.55 s"
    assert started[2:] == list(range(11, 40)), "and from then on nothing is waited for"
    pacer.came_out(39, 2.0)
    assert [start(pacer, stamp, 2.0) for stamp in (40, 41, 42)] == [True, True, False]


def test_a_graph_that_is_slow_but_alive_is_waited_for() -> None:
    """Each frame takes 0.9 s, and one comes out every 0.3 s, or so it goes with three in work."""
    in_work: dict[int, float] = {}
    pacer, ends = awake(limit=3, timeout=0.5), []
    for tick in range(1, 300):
        now = tick / 20
        for stamp in [stamp for stamp, end in in_work.items() if end <= now]:
            pacer.came_out(stamp, now)
            ends.append(stamp)
            del in_work[stamp]
        if start(pacer, tick, now):
            in_work[tick] = max(now + 0.9, max(in_work.values(), default=0) + 0.3)
        assert len(in_work) <= 3 or tick < 150
    assert pacer.timed_out <= 3, "at first, when nothing comes out for 0.9 s"
    assert len(ends) > 40


@pytest.mark.parametrize("limit", [1, 2])
def test_a_graph_that_has_not_said_anything_yet_is_given_few_frames_and_not_waited_for_long(limit: int) -> None:
    pacer = Pacer(limit, 0.5)
    started = [stamp for stamp in range(400) if start(pacer, stamp, stamp / 100)]
    assert started[:6] == [0, 10, 20, 40, 80, 160], "each waits twice as long after the first as the one before"
    assert started[6:] == list(range(300, 400))


def test_a_graph_that_answers_for_the_first_time_is_waited_for_at_once() -> None:
    pacer = Pacer(1, 0.5)
    assert [stamp for stamp in range(26) if start(pacer, stamp, stamp / 100)] == [0, 10, 20]
    pacer.came_out(0, 0.26)
    assert not start(pacer, 27, 0.27), "two are on their way"
    pacer.came_out(20, 0.3)
    assert start(pacer, 31, 0.31) and not start(pacer, 32, 0.32)


def test_without_a_limit_there_is_always_room() -> None:
    pacer = awake(limit=0)
    assert all(start(pacer, stamp, 0.01 * stamp) for stamp in range(1, 50))


def test_a_frame_that_was_taken_but_not_started_takes_no_room() -> None:
    pacer = awake(limit=1)
    pacer.offer(1, "broken")
    assert pacer.take(0.1) == "broken"
    assert start(pacer, 2, 0.1)


def test_time_set_back_starts_anew() -> None:
    pacer = awake(limit=1)
    start(pacer, 100 * SECOND, 0.1)
    assert not start(pacer, 5 * SECOND, 0.2), "it may be a single image that was delayed"
    assert start(pacer, 6 * SECOND, 0.2)


def test_a_bag_shorter_than_any_delay_in_a_loop_goes_on() -> None:
    pacer = awake(limit=0)
    passes = [[start(pacer, number * SECOND // 10, 0.0) for number in range(1, 16)] for _ in range(3)]
    assert all(passes[0]) and all(sum(one) >= 12 for one in passes)


def test_an_image_that_others_overtook_and_a_second_copy_are_dropped() -> None:
    pacer = awake(limit=0)
    assert [start(pacer, stamp, 0.0) for stamp in (5, 6, 6, 4, 7)] == [True, True, False, False, True]
    assert pacer.late == 2


def test_images_without_stamps_are_all_taken() -> None:
    pacer = awake(limit=0)
    assert all(start(pacer, 0, 0.0) for _ in range(5))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.floats(0, 0.2)), max_size=80))
def test_never_more_than_the_limit_and_never_stuck(limit: int, events: list[tuple[bool, float]]) -> None:
    pacer, now, last_out = awake(limit), 0.0, 0.0
    in_work: dict[int, float] = {}
    for stamp, (comes_out, passed) in enumerate(events, start=1):
        now += passed
        if comes_out and in_work:
            done = min(in_work)
            pacer.came_out(done, now)
            last_out = now
            del in_work[done]
        if in_work and now - max(last_out, min(in_work.values())) >= 0.5:
            assert start(pacer, stamp, now)
            return
        room = len(in_work) < limit
        assert start(pacer, stamp, now) is room
        if room:
            in_work[stamp] = now


@pytest.mark.parametrize("limit", [1, 2])
def test_a_pipeline_of_two_steps_is_kept_full(limit: int) -> None:
    """Images every 10 ms; the graph takes 50 ms for each of two steps: 2 frames in work do as many as there can be."""
    pacer, now, ends = awake(limit), 0.0, []
    done: list[tuple[float, int]] = []
    free = [0.0, 0.0]
    for tick in range(1, 1001):
        now = tick / 1000
        for end, stamp in [item for item in done if item[0] <= now]:
            pacer.came_out(stamp, now)
            ends.append(end)
        done = [item for item in done if item[0] > now]
        if tick % 10 == 0:
            pacer.offer(tick, tick)
        image = pacer.take(now)
        if image is not None:
            pacer.started(image, now)
            free[0] = max(now, free[0]) + 0.05
            free[1] = max(free[0], free[1]) + 0.05
            done.append((free[1], image))
    assert len(ends) == pytest.approx({1: 9, 2: 18}[limit], abs=1)


def test_frames_are_sent_as_they_are_answered_and_again_where_they_are_not() -> None:
    frames = AnsweredFrames(limit=2, timeout=10.0, tries=2)
    frames.sent(1, "one", 0.0)
    assert frames.has_room(3)
    frames.sent(2, "two", 1.0)
    assert not frames.has_room(3)
    frames.answered(99)
    assert not frames.has_room(3), "that was another's"
    frames.answered(1)
    assert frames.has_room(3) and len(frames) == 1 and frames.lost == 0
    assert frames.to_send_again(10.9) == [] and frames.to_send_again(11.0) == [(2, "two")]
    assert frames.to_send_again(20.9) == []
    frames.sent(3, "three", 20.0)
    assert frames.to_send_again(21.0) == [] and frames.lost == 1 and len(frames) == 1
    frames.sent(4, "four", 21.0)
    frames.answered(4)
    assert frames.lost == 2 and len(frames) == 0


def test_frames_that_are_seconds_apart_are_worked_on_one_by_one() -> None:
    """Of a film of a picture every five seconds, most were lost."""
    frames = AnsweredFrames(limit=3, timeout=10.0)
    frames.sent(SECOND, "one", 0.0)
    assert frames.has_room(SECOND * 3 // 2) and not frames.has_room(6 * SECOND)
    frames.answered(SECOND)
    assert frames.has_room(6 * SECOND)


def test_all_frames_are_sent_again_where_a_node_is_back() -> None:
    frames = AnsweredFrames(limit=3, timeout=10.0, tries=1)
    assert frames.longest_wait_s(9.0) == 0 and frames.all_again(9.0) == []
    frames.sent(1, "one", 0.0)
    frames.sent(2, "two", 4.0)
    assert frames.longest_wait_s(5.0) == 5.0
    assert frames.all_again(5.0) == [(1, "one"), (2, "two")]
    assert frames.longest_wait_s(6.0) == 1.0 and frames.to_send_again(14.0) == [] and frames.lost == 0

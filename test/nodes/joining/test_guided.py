"""Which frame the bottom-up node takes next, over every order of arrival."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpose_ros.nodes.joining.guided import DETECTIONS, HEATMAPS, IMAGE, GuidedFrame, GuidedFrames

SECOND = 1_000_000_000
ALL = (IMAGE, DETECTIONS, HEATMAPS)


def frames(capacity: int = 10, max_wait: float = 0.2, patience: float = 1.0, max_rate: float = 5.0) -> GuidedFrames:
    return GuidedFrames(capacity, max_wait, patience, max_rate, now=0.0)


def feed(made: GuidedFrames, stamp: int, now: float, *names: str) -> None:
    for name in names:
        made.add(name, stamp, f"{name} {stamp}", now)


@pytest.mark.parametrize("order", list(itertools.permutations(ALL)))
def test_a_frame_is_ready_when_all_is_there(order: tuple[str, ...]) -> None:
    made, taken = frames(), []
    for name in order:
        made.add(name, 7, name.upper(), 0.0)
        taken.append(made.take(0.0, overdue=False))
    ready = [frame for frame in taken if frame is not None]
    assert ready == [GuidedFrame(7, "IMAGE", "HEATMAPS", True)]
    # Heatmaps are of a frame that the detector has chosen, so its detections need not come.
    assert taken.index(ready[0]) == max(order.index(name) for name in (IMAGE, HEATMAPS))


def test_late_heatmaps_are_done_without() -> None:
    made = frames()
    feed(made, 1, 0.0, IMAGE)
    feed(made, 1, 0.1, DETECTIONS)
    assert made.take(0.29) is None
    assert made.take(0.31, overdue=False) is None
    frame = made.take(0.31)
    assert frame is not None and frame.heatmaps is None and frame.asked
    feed(made, 1, 0.4, HEATMAPS)
    assert made.take(0.9) is None and made.late_heatmaps == 1


def test_frames_that_the_top_down_branch_skips_are_not_worked_on_while_it_is_alive() -> None:
    """Detections 20 times a second, heatmaps of every third frame, 0.3 s late; then they stop."""
    made, taken = frames(capacity=100), []
    for tick in range(1, 400):
        now = tick / 100
        if tick % 5 == 0:
            feed(made, tick, now, IMAGE, DETECTIONS)
        if tick % 15 == 0 and 30 < tick < 300:
            feed(made, tick - 30, now, HEATMAPS)
        frame = made.take(now)
        if frame is not None:
            taken.append((tick, frame))
    alive = [frame for tick, frame in taken if 50 < tick < 300]
    assert len(alive) >= 15 and all(frame.heatmaps is not None for frame in alive)
    stopped = [tick for tick, frame in taken if frame.heatmaps is None and tick > 300]
    assert stopped[0] == pytest.approx(285 + 20, abs=1) and len(stopped) >= 15


def test_heatmaps_that_fail_to_come_are_not_waited_for_for_ever() -> None:
    made, waited = frames(), []
    for number in range(1, 9):
        now = 0.5 * number
        feed(made, number, now, IMAGE, DETECTIONS)
        waited.append(next(n / 100 for n in range(100) if made.take(now + n / 100) is not None))
    assert waited == pytest.approx([0.2] * 3 + [0.0] * 5, abs=0.011)
    feed(made, 8, 4.3, HEATMAPS)
    feed(made, 9, 4.5, IMAGE, DETECTIONS)
    assert made.take(4.65) is None, "they are late, but they come: worth waiting for"
    assert made.take(4.71) is not None


def test_repeated_detections_do_not_prolong_the_wait() -> None:
    made = frames()
    feed(made, 1, 0.0, IMAGE, DETECTIONS)
    feed(made, 1, 0.15, DETECTIONS)
    assert made.take(0.21) is not None


def test_the_newest_ready_frame_wins_and_older_ones_are_gone() -> None:
    made = frames()
    for stamp in (1, 2, 3):
        feed(made, stamp, 0.01 * stamp, IMAGE, DETECTIONS)
    feed(made, 1, 0.05, HEATMAPS)
    feed(made, 2, 0.05, HEATMAPS)
    taken = made.take(0.06)
    assert taken is not None and (taken.stamp_ns, taken.heatmaps) == (2, "heatmaps 2")
    assert made.take(0.06) is None, "frame 1 is past, frame 3 waits for its heatmaps"
    feed(made, 3, 0.1, HEATMAPS)
    third = made.take(0.1, overdue=False)
    assert third is not None and third.stamp_ns == 3


def test_without_a_detector_the_newest_image_is_taken_at_a_bounded_rate() -> None:
    made, taken = frames(), []
    for tick in range(300):
        now = tick / 100
        if tick % 3 == 0:
            feed(made, tick * SECOND // 100, now, IMAGE)
        frame = made.take(now)
        if frame is not None:
            taken.append((now, frame))
    assert taken[0][0] == pytest.approx(1.0, abs=0.05)
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(taken)]
    assert min(gaps) >= 0.2 - 1e-9 and len(taken) == 10
    for now, frame in taken:
        assert not frame.asked and frame.heatmaps is None
        assert now - frame.stamp_ns / SECOND < 0.03


def test_the_first_image_gives_the_detector_its_time() -> None:
    made = frames()
    feed(made, 1, 30.0, IMAGE)
    assert made.take(30.5) is None
    assert made.take(31.0) is not None


def test_detections_end_the_time_alone() -> None:
    made = frames()
    feed(made, 1, 0.0, IMAGE)
    assert made.take(1.5) is not None
    feed(made, 2, 1.6, IMAGE, DETECTIONS)
    assert made.take(1.75) is None, "it waits for heatmaps again"
    feed(made, 2, 1.76, HEATMAPS)
    frame = made.take(1.76)
    assert frame is not None and frame.heatmaps == "heatmaps 2"


def test_a_slow_detector_is_not_a_dead_one() -> None:
    made = frames(capacity=200)
    for tick in range(1, 200):
        stamp = tick * SECOND // 10
        feed(made, stamp, tick / 10, IMAGE)
        if tick % 20 == 0:
            feed(made, stamp, tick / 10, DETECTIONS)
            feed(made, stamp, tick / 10 + 0.05, HEATMAPS)
        frame = made.take(tick / 10 + 0.06)
        if tick >= 40:
            assert frame is None or frame.asked
            assert (frame is not None) == (tick % 20 == 0)
    dead = [made.take(20 + tick / 10) for tick in range(120)]
    assert any(frame is not None and not frame.asked for frame in dead)


def test_time_set_back_starts_anew() -> None:
    made = frames()
    feed(made, 50 * SECOND, 0.0, *ALL)
    assert made.take(0.0) is not None
    feed(made, 10 * SECOND, 0.1, *ALL)
    frame = made.take(0.1)
    assert frame is not None and frame.stamp_ns == 10 * SECOND


def test_the_ring_is_bounded() -> None:
    made = frames(capacity=3)
    for stamp in range(1, 50):
        feed(made, stamp, 0.0, IMAGE)
    feed(made, 40, 0.0, DETECTIONS, HEATMAPS)
    assert made.take(0.5) is None
    feed(made, 48, 0.5, DETECTIONS, HEATMAPS)
    assert made.take(0.5) is not None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL), st.integers(1, 12), st.floats(0, 0.3)), max_size=80))
def test_frames_come_out_once_in_order_and_belong_together(events: list[tuple[str, int, float]]) -> None:
    made, now, last, restarts = frames(), 0.0, 0, 0
    for name, stamp, passed in events:
        now += passed
        feed(made, stamp, now, name)
        if made._rings.restarts > restarts:
            last, restarts = 0, made._rings.restarts
        frame = made.take(now)
        if frame is None:
            continue
        assert frame.stamp_ns > last
        last = frame.stamp_ns
        assert frame.image == f"image {last}"
        assert frame.heatmaps in (None, f"heatmaps {last}")


def test_a_short_bag_in_a_loop_goes_on() -> None:
    made, passes = frames(), []
    for _ in range(4):
        passes.append(0)
        for number in range(1, 16):
            feed(made, number * SECOND // 10, 0.0, *ALL)
            passes[-1] += made.take(0.0) is not None
    assert passes[0] == 15 and all(10 <= count <= 15 for count in passes)


def test_frames_without_stamps_are_served_as_they_arrive() -> None:
    made = frames()
    for number in range(5):
        for name in ALL:
            made.add(name, 0, f"{name} {number}", 0.0)
        frame = made.take(0.0)
        assert frame is not None and (frame.image, frame.heatmaps) == (f"image {number}", f"heatmaps {number}")


def test_with_every_frame_nothing_is_skipped_or_done_without() -> None:
    made = GuidedFrames(10, 0.2, 1.0, 5.0, now=0.0, every=True)
    for stamp in (1, 2, 3):
        feed(made, stamp, 0.0, IMAGE, DETECTIONS)
    assert made.take(100.0) is None
    feed(made, 1, 100.0, HEATMAPS)
    feed(made, 2, 100.0, HEATMAPS)
    taken = [made.take(100.0, overdue=False) for _ in range(3)]
    assert [frame and frame.stamp_ns for frame in taken] == [1, 2, None]

"""The usual time between frames."""

import pytest

from dualpose_ros.pace import FramePeriod


def periods(*times_s: float) -> list[float]:
    pace = FramePeriod()
    return [pace.see(int(time * 1e9)) for time in times_s]


def test_the_shorter_of_the_last_two_intervals_counts() -> None:
    assert periods(5.0, 6.0, 7.5, 8.0) == pytest.approx([0.0, 1.0, 1.0, 0.5])


def test_a_gap_is_no_period() -> None:
    assert periods(1.0, 1.1, 41.0, 41.1) == pytest.approx([0.0, 0.1, 0.1, 0.1])
    assert periods(1.0, 41.0) == [0.0, 0.0], "nor is one right at the start"


def test_time_that_goes_back_starts_anew() -> None:
    assert periods(9.0, 10.0, 1.0, 3.0) == pytest.approx([0.0, 1.0, 0.0, 2.0])

"""A film's cuts as the time that stages are told."""

from dualpose_ros.nodes.joining.cuts import CutTimes


def test_time_goes_back_once_at_a_cut_and_on_from_there() -> None:
    cuts = CutTimes()
    times = [cuts.stage_ns(stamp, stamp) for stamp in (10, 20)]
    cuts.add(30)
    times.append(cuts.stage_ns(25, 25))
    assert times == [10, 20, 25], "frames of the old shot that are still on their way are part of it"
    first = cuts.stage_ns(30, 30)
    cuts.add(30)  # sent again, as frames are where a node has died
    assert first < 10 and cuts.stage_ns(40, 40) == first + 10


def test_a_cut_that_is_told_late_or_whose_frame_is_left_out_counts_with_the_next_frame() -> None:
    cuts = CutTimes()
    cuts.stage_ns(10, 10)
    cuts.add(10)
    late = cuts.stage_ns(20, 20)
    cuts.add(30)
    assert late < 10 and cuts.stage_ns(35, 35) < late and cuts.passed == 2


def test_a_film_that_starts_again_sets_time_back_further() -> None:
    cuts = CutTimes()
    cuts.add(50)
    times = [cuts.stage_ns(stamp, stamp) for stamp in (40, 50, 60, 0, 10)]
    assert times[1] < times[0] and times[3] < times[2] and times[4] > times[3]

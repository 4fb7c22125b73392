from dualpose_ros.nodes.joining.numbers import FrameNumbers

MS = 1_000_000


def test_frames_of_a_camera_that_says_nothing_are_counted_as_they_come() -> None:
    numbers = FrameNumbers()
    for stamp in (10, 20, 20, 30):
        numbers.come(stamp * MS)
    assert [numbers.of(stamp * MS) for stamp in (10, 20, 30, 40)] == [(0, ""), (1, ""), (2, ""), (None, "")]
    assert numbers.stamps_ns == [10 * MS, 20 * MS, 30 * MS]


def test_a_number_that_is_said_counts_and_may_come_before_the_frame_or_after_it() -> None:
    numbers = FrameNumbers()
    for stamp, said in ((10, "2 a b.png"), (20, "4  c.png"), (30, "5 7")):
        numbers.said(stamp * MS, said)
        numbers.come(stamp * MS)
    numbers.come(40 * MS)
    assert [numbers.of(stamp * MS) for stamp in (10, 20, 30)] == [(2, "a b.png"), (4, " c.png"), (5, "7")]
    assert numbers.of(40 * MS) == (None, ""), "its place would be another"
    numbers.said(40 * MS, "9")
    assert numbers.of(40 * MS) == (9, "")


def test_what_comes_of_a_frame_before_its_number_waits_for_that() -> None:
    numbers, done = FrameNumbers(are_said=True), list[tuple[int | None, str]]()
    for stamp in (10, 10, 20, 30):
        numbers.when_said(stamp, lambda stamp=stamp: done.append(numbers.of(stamp)))  # type: ignore[misc]
    numbers.said(20, "1 b.png")
    numbers.said(10, "0 a.png")
    assert done == [(1, "b.png"), (0, "a.png"), (0, "a.png")]
    numbers.when_said(20, lambda: done.append(numbers.of(20)))
    numbers.wait_no_longer()
    assert done[3:] == [(1, "b.png"), (None, "")]


def test_nothing_waits_where_no_number_is_said_nor_for_ever() -> None:
    done: list[int] = []
    FrameNumbers().when_said(10, lambda: done.append(10))
    numbers = FrameNumbers(are_said=True)
    for stamp in range(100):
        numbers.when_said(stamp, lambda stamp=stamp: done.append(stamp))  # type: ignore[misc]
    assert done == [10, *range(50)]


def test_frames_of_long_ago_are_forgotten() -> None:
    numbers = FrameNumbers()
    for stamp in range(5, 2005):
        numbers.said(stamp, str(stamp + 2))
        numbers.come(stamp)
    assert numbers.of(5) == (None, "") and numbers.of(2004) == (2006, "")

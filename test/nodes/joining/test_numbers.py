from dualpose_ros.nodes.joining.numbers import FrameNumbers

MS = 1_000_000


def test_frames_are_counted_as_they_come() -> None:
    numbers = FrameNumbers()
    for stamp in (10, 20, 20, 30):
        numbers.come(stamp * MS)
    assert [numbers.of(stamp * MS) for stamp in (10, 20, 30)] == [0, 1, 2]
    assert numbers.of(40 * MS) is None and numbers.stamps_ns == [10 * MS, 20 * MS, 30 * MS]


def test_those_that_could_not_be_had_count_whether_it_is_said_before_the_frame_or_after() -> None:
    numbers = FrameNumbers()
    numbers.come(10 * MS)
    numbers.said(20 * MS, "3")
    numbers.come(20 * MS)
    numbers.come(30 * MS)
    numbers.come(40 * MS)
    assert [numbers.of(stamp * MS) for stamp in (10, 20, 30, 40)] == [0, 3, 4, 5]
    numbers.said(30 * MS, "9")
    assert [numbers.of(stamp * MS) for stamp in (10, 20, 30, 40)] == [0, 3, 9, 10]


def test_the_first_frame_may_be_missing() -> None:
    numbers = FrameNumbers()
    numbers.said(10 * MS, "2")
    numbers.come(10 * MS)
    assert numbers.of(10 * MS) == 2 and numbers.file_of(10 * MS) == ""


def test_a_picture_is_named_with_its_number() -> None:
    numbers = FrameNumbers()
    for stamp, said in ((10, "0 a b.png"), (20, "2  c.png"), (30, "3 7")):
        numbers.said(stamp * MS, said)
        numbers.come(stamp * MS)
    assert [numbers.of(stamp * MS) for stamp in (10, 20, 30)] == [0, 2, 3]
    assert [numbers.file_of(stamp * MS) for stamp in (10, 20, 30, 40)] == ["a b.png", " c.png", "7", ""]


def test_frames_of_long_ago_are_forgotten_but_not_what_was_left_out() -> None:
    numbers = FrameNumbers()
    numbers.said(5, "7")
    for stamp in range(5, 2005):
        numbers.come(stamp)
    assert numbers.of(5) is None and numbers.of(2004) == 2006

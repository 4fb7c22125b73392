"""Which input a node says is missing, and in what words."""

import pytest

from dualpose_ros.nodes.inputs.watch import InputWatch, WatchedInput, dropped_packets


def watch() -> InputWatch:
    made = InputWatch(100.0)
    made.expect("/camera_info", "sensor_msgs/msg/CameraInfo", "best effort, depth 10", 100.0, once=True)
    made.expect("/image_raw", "sensor_msgs/msg/Image", "best effort, depth 1", 100.0)
    return made


def missing(made: InputWatch, now_s: float) -> WatchedInput:
    found = made.missing(now_s)
    assert found is not None
    return found


def test_nothing_is_missing_until_it_should_have_come() -> None:
    made = watch()
    assert made.missing(101.9) is None and missing(made, 102.1).topic == "/image_raw", "without a camera, images first"
    made.came("/image_raw", 102.2)
    assert missing(made, 102.3).topic == "/camera_info"
    made.came("/camera_info", 102.4)
    made.came("/image_raw", 109.0)
    assert made.missing(109.5) is None, "one camera_info serves for ever"
    assert missing(made, 111.1).topic == "/image_raw"
    made.forget("/image_raw")
    assert made.missing(200.0) is None
    made.came("/image_raw", 201.0)


def test_a_line_names_topic_type_quality_age_and_what_to_look_at() -> None:
    made = watch()
    made.came("/image_raw", 101.5)
    text = made.describe(missing(made, 103.0), 0, 103.0)
    for part in ("/camera_info", "sensor_msgs/msg/CameraInfo", "best effort", "in 3 s", "nobody publishes it"):
        assert part in text
    assert "publishers: 2; check that their type and QoS" in made.describe(missing(made, 102.4), 2, 102.4)
    made.came("/camera_info", 103.0)
    gone = made.describe(missing(made, 111.5), 1, 111.5)
    assert "/image_raw" in gone and "the last one came 10 s ago" in gone


def test_images_that_are_lost_on_their_way_are_told_from_a_camera_that_is_away() -> None:
    """Camera_info is small and comes; of large images the buffers' size decides."""
    watch = InputWatch(0.0)
    watch.expect("/image_raw", "sensor_msgs/msg/Image", "best effort, depth 1", 0.0)
    watch.expect("/camera_info", "sensor_msgs/msg/CameraInfo", "best effort, depth 10", 0.0, once=True)
    for step in range(90):
        watch.came("/camera_info", step / 30)
    missing = watch.missing(3.0)
    assert missing is not None and missing.topic == "/image_raw"
    text = watch.describe(missing, 1, 3.0)
    assert all(word in text for word in ("net.core.rmem_max", "CYCLONEDDS_URI", "image_reliability"))
    assert watch.losses(3.0) == ""
    for step in range(90, 240):
        watch.came("/camera_info", step / 30)
        if step % 75 == 0:
            watch.came("/image_raw", step / 30)
    assert watch.losses(7.9) and watch.rates_hz["/camera_info"] == pytest.approx(30, abs=0.5)
    assert watch.losses(8.0).startswith("2 of /image_raw came with 240 camera_info in 8 s: large images are lost")
    for step in range(240, 400):
        for topic in ("/camera_info", "/image_raw"):
            watch.came(topic, step / 30)
    assert watch.losses(13.4) == ""
    quiet = watch.missing(30.0)
    assert quiet is not None and "its camera_info comes" not in watch.describe(quiet, 1, 30.0)


def test_a_camera_that_has_just_begun_loses_nothing() -> None:
    """The first camera_info comes a little before the first image."""
    made = watch()
    made.came("/camera_info", 110.0)
    made.came("/camera_info", 110.1)
    assert "its camera_info comes" not in made.describe(missing(made, 110.2), 1, 110.2)
    for step in range(25):
        made.came("/camera_info", 110.1 + step / 10)
    assert "its camera_info comes" in made.describe(missing(made, 112.5), 1, 112.5)
    made.came("/camera_info", 120.0)
    assert "its camera_info comes" not in made.describe(missing(made, 120.1), 1, 120.1), "begun again"


@pytest.mark.parametrize("qos", ["best effort, depth 1", "reliable, depth 1"])
def test_images_of_which_some_are_lost_are_told_by_the_kernels_count(qos: str) -> None:
    """The detection node takes no camera_info to compare with, and a third of the images is no silence."""
    dropped = [1000]
    watch = InputWatch(0.0, lambda: dropped[0])
    watch.expect("/image_raw", "sensor_msgs/msg/Image", qos, 0.0)
    watch.came("/image_raw", 5.0)
    assert watch.losses(5.0) == "", "those from before are not of these images"
    dropped[0] += 500
    is_told = watch.losses(10.0).startswith("receive buffers had no room for 500 packets in 5 s: large images are lost")
    missing = watch.missing(10.0)
    assert missing is not None
    assert is_told == ("packets are dropped" in watch.describe(missing, 1, 10.0)) == qos.startswith("best")
    assert watch.losses(15.0) == ""


def test_the_kernels_count_is_there_or_nothing() -> None:
    assert dropped_packets() >= 0


def test_a_node_that_was_not_served_does_not_miss_what_it_could_not_take() -> None:
    """The nodes of one process are served when the last of them is made."""
    watch = InputWatch(100.0)
    watch.expect("/image_raw", "sensor_msgs/msg/Image", "best effort", 100.0)
    watch.looked(104.0)
    assert watch.missing(104.0) is None
    watch.looked(105.0)
    watch.looked(106.5)
    assert watch.missing(106.5) is not None, "served all the time, and nothing came"


def test_an_input_that_is_taken_anew_is_neither_missing_nor_lost_at_once() -> None:
    made = watch()
    for step in range(200):
        made.came("/camera_info", 100 + step / 30)
    made.forget("/image_raw")
    made.expect("/image_raw", "sensor_msgs/msg/Image", "best effort, depth 1", 106.0)
    assert made.missing(107.9) is None and missing(made, 108.1).topic == "/image_raw"
    text = made.describe(missing(made, 120.0), 1, 120.0)
    assert "check that they still send" in text, "passed on, they did come: it is neither their type nor QoS"
    for step in range(200):
        for topic in ("/camera_info", "/image_raw"):
            made.came(topic, 106 + step / 30)
    assert made.losses(111.5) == ""

"""Time, the clock, quality of service, logging and timers of our rclpy, without DDS."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from dualpose_ros.standalone.rclpy import logging, qos
from dualpose_ros.standalone.rclpy.clock import ROSClock
from dualpose_ros.standalone.rclpy.exceptions import InvalidHandle, InvalidTopicNameException, NameValidationException
from dualpose_ros.standalone.rclpy.logging import LoggingSeverity, RcutilsLogger
from dualpose_ros.standalone.rclpy.node import Node
from dualpose_ros.standalone.rclpy.publisher import Publisher
from dualpose_ros.standalone.rclpy.time import Time
from dualpose_ros.standalone.rclpy.timer import Timer


def test_time_to_and_from_message() -> None:
    moment = Time(seconds=12, nanoseconds=345)
    message: Any = moment.to_msg()
    assert (message.sec, message.nanosec) == (12, 345)
    assert Time.from_msg(message).nanoseconds == moment.nanoseconds == 12_000_000_345
    with pytest.raises(ValueError, match="negative"):
        Time(nanoseconds=-1)


def test_clock() -> None:
    assert abs(ROSClock().now().nanoseconds - time.time_ns()) < 1e9


def test_qos() -> None:
    assert qos.as_profile(7) == qos.QoSProfile(depth=7)
    assert qos.as_profile(7) != qos.QoSProfile(depth=8)
    assert qos.dds_policies(qos.as_profile(7)) == {
        "depth": 7,
        "keep_all": False,
        "reliable": True,
        "transient_local": False,
    }
    assert qos.dds_policies(qos.qos_profile_sensor_data)["reliable"] is False and qos.qos_profile_sensor_data.depth == 5
    latched = qos.QoSProfile(
        history=qos.HistoryPolicy.KEEP_ALL,
        durability=qos.DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=qos.ReliabilityPolicy.BEST_EFFORT,
    )
    assert qos.dds_policies(latched) == {"depth": 10, "keep_all": True, "reliable": False, "transient_local": True}
    for bad in ({}, {"history": qos.HistoryPolicy.KEEP_LAST}, {"reliability": qos.ReliabilityPolicy.RELIABLE}):
        with pytest.raises(qos.InvalidQoSProfileException):
            qos.QoSProfile(**bad)
    with pytest.raises(AssertionError, match="deadline"):
        qos.QoSProfile(depth=1, deadline=3)
    with pytest.raises(ValueError, match="depth"):
        qos.as_profile(-1)
    with pytest.raises(TypeError):
        qos.as_profile("reliable")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def levels() -> Iterator[Any]:
    saved = dict(logging._levels)
    yield
    logging._levels.clear()
    logging._levels.update(saved)


def test_log_format_and_levels(capsys: pytest.CaptureFixture[str]) -> None:
    logger = RcutilsLogger("robot.cam")
    assert logger.info("hello") and not logger.debug("quiet")
    logging.set_logger_level("robot", LoggingSeverity.DEBUG)
    assert logger.debug("now")
    RcutilsLogger("robot.cam.lens").warning("mind")
    err = capsys.readouterr().err
    assert "quiet" not in err
    assert [line.split("] ")[0] + line.split("] ")[2] for line in err.splitlines()] == [
        "[INFO[robot.cam]: hello",
        "[DEBUG[robot.cam]: now",
        "[WARN[robot.cam.lens]: mind",
    ]


def test_throttle_by_place(capsys: Any, monkeypatch: Any) -> None:
    now = [100.0]
    monkeypatch.setattr(logging.time, "monotonic", lambda: now[0])
    logger = RcutilsLogger("n")
    for step in range(5):
        now[0] = 100.0 + step * 0.5
        logger.info(f"throttled {step}", throttle_duration_sec=1.0)
        logger.info(f"other place {step}", throttle_duration_sec=2.0)
    said = [line.split("]: ")[1] for line in capsys.readouterr().err.splitlines()]
    assert [text for text in said if text.startswith("throttled")] == ["throttled 0", "throttled 2", "throttled 4"]
    assert [text for text in said if text.startswith("other")] == ["other place 0", "other place 4"]
    with pytest.raises(TypeError, match="throttle"):
        logger.info("x", throttle=1.0)  # type: ignore[call-arg]
    for changing, what in (
        (lambda step: (logger.info, logger.error)[step]("x"), "severity"),
        (lambda step: logger.info("x", throttle_duration_sec=1.0 + step), "filter parameters"),
    ):
        changing(0)
        with pytest.raises(ValueError, match=what):
            changing(1)


def test_timer_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    called = []
    timer = Timer(lambda: called.append(now[0]), 100)
    for now[0] in range(0, 1000, 10):
        # Nothing runs between 250 and 480.
        if not 250 < now[0] < 480 and timer.is_ready():
            timer.call()
    assert called == [100, 200, 480, 500, 600, 700, 800, 900]
    assert timer.time_until_next_call() == 10
    timer.cancel()
    now[0] = 5000
    assert not timer.is_ready() and timer.time_until_next_call() is None
    timer.reset()
    assert not timer.is_ready() and timer.time_until_next_call() == 100


def test_errors_are_those_of_rclpy() -> None:
    """A negative period is an RCLError there, which is a RuntimeError; a bad name has no ValueError among its bases."""
    with pytest.raises(RuntimeError, match="failed to create timer"):
        Node.create_timer(None, -1.0, lambda: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="could not convert"):
        Node.create_timer(None, "often", lambda: None)  # type: ignore[arg-type]
    timer = Timer(lambda: None, 100)
    with pytest.raises(RuntimeError, match="failed to exchange timer period"):
        timer.timer_period_ns = -1
    timer.cancel()
    with pytest.raises(RuntimeError, match="failed to call timer"):
        timer.call()
    timer.destroy()
    for use in (timer.is_ready, timer.reset, timer.cancel, timer.call, timer.time_until_next_call):
        with pytest.raises(InvalidHandle):
            use()
    error = InvalidTopicNameException("a-b", "must not contain '-'", 1)
    assert str(error) == "Invalid topic name: must not contain '-':\n  'a-b'\n    ^"
    assert isinstance(error, NameValidationException) and not isinstance(error, ValueError)


def test_a_reader_that_comes_while_readers_are_counted() -> None:
    class Writer:
        """Two readers, the second found between Cyclone's two questions at first."""

        asked = 0

        def get_matched_subscriptions(self) -> list[int]:
            self.asked += 1
            room = [7, 8][: self.asked]
            return [room[number] for number in range(2)]

    publisher = Publisher(Writer(), Any, "/a", qos.QoSProfile(depth=1))  # type: ignore[arg-type]
    assert publisher.get_subscription_count() == 2
    publisher.destroy()
    with pytest.raises(InvalidHandle):
        publisher.get_subscription_count()

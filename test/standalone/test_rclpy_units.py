"""Time, durations, clocks, quality of service, logging and timers of our rclpy, without DDS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from dualpose_ros.standalone.rclpy import logging
from dualpose_ros.standalone.rclpy.clock import Clock, ClockType, ROSClock
from dualpose_ros.standalone.rclpy.duration import Duration
from dualpose_ros.standalone.rclpy.logging import LoggingSeverity, RcutilsLogger
from dualpose_ros.standalone.rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    InvalidQoSProfileException,
    QoSProfile,
    ReliabilityPolicy,
    as_profile,
    dds_policies,
    qos_profile_sensor_data,
)
from dualpose_ros.standalone.rclpy.time import Time
from dualpose_ros.standalone.rclpy.timer import Timer


def test_time_to_and_from_message() -> None:
    moment = Time(seconds=12, nanoseconds=345, clock_type=ClockType.ROS_TIME)
    message = moment.to_msg()
    assert (message.sec, message.nanosec) == (12, 345)
    assert Time.from_msg(message) == moment
    assert moment.seconds_nanoseconds() == (12, 345) and moment.nanoseconds == 12_000_000_345


def test_time_arithmetic() -> None:
    early, late = Time(nanoseconds=5), Time(seconds=1)
    assert late - early == Duration(nanoseconds=999_999_995)
    assert (early - late).nanoseconds == -999_999_995
    assert early + Duration(seconds=0.5) == Time(nanoseconds=500_000_005)
    assert late - Duration(nanoseconds=1) == Time(nanoseconds=999_999_999)
    assert early < late and late >= early and early <= early and late > early
    with pytest.raises(TypeError):
        _ = early < Time(nanoseconds=9, clock_type=ClockType.ROS_TIME)
    with pytest.raises(ValueError, match="negative"):
        Time(nanoseconds=-1)


def test_duration_message_of_negative_span() -> None:
    message = Duration(nanoseconds=-1).to_msg()
    assert (message.sec, message.nanosec) == (-1, 999_999_999)
    assert Duration.from_msg(message) == Duration(nanoseconds=-1)
    assert Duration(seconds=1.5).nanoseconds == 1_500_000_000
    assert Duration(seconds=1) < Duration(seconds=2) and Duration(seconds=2) >= Duration(seconds=2)


def test_clocks() -> None:
    assert abs(ROSClock().now().nanoseconds - time.time_ns()) < 1e9
    assert ROSClock().now().clock_type == ClockType.ROS_TIME
    assert abs(Clock(clock_type=ClockType.STEADY_TIME).now().nanoseconds - time.monotonic_ns()) < 1e9


def test_qos() -> None:
    assert as_profile(7) == QoSProfile(depth=7)
    assert as_profile(7) != QoSProfile(depth=8)
    assert dds_policies(as_profile(7)) == {"depth": 7, "keep_all": False, "reliable": True, "transient_local": False}
    assert dds_policies(qos_profile_sensor_data)["reliable"] is False and qos_profile_sensor_data.depth == 5
    latched = QoSProfile(
        history=HistoryPolicy.KEEP_ALL,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=ReliabilityPolicy.BEST_EFFORT,
    )
    assert dds_policies(latched) == {"depth": 10, "keep_all": True, "reliable": False, "transient_local": True}
    for bad in ({}, {"history": HistoryPolicy.KEEP_LAST}, {"reliability": ReliabilityPolicy.RELIABLE}):
        with pytest.raises(InvalidQoSProfileException):
            QoSProfile(**bad)
    with pytest.raises(AssertionError, match="deadline"):
        QoSProfile(depth=1, deadline=3)
    with pytest.raises(ValueError, match="depth"):
        as_profile(-1)
    with pytest.raises(TypeError):
        as_profile("reliable")


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
    logger.get_child("lens").warning("mind")
    err = capsys.readouterr().err
    assert "quiet" not in err
    assert [line.split("] ")[0] + line.split("] ")[2] for line in err.splitlines()] == [
        "[INFO[robot.cam]: hello",
        "[DEBUG[robot.cam]: now",
        "[WARN[robot.cam.lens]: mind",
    ]


def test_throttle_once_and_skip_first_by_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(logging.time, "monotonic", lambda: now[0])
    logger = RcutilsLogger("n")
    for step in range(5):
        now[0] = 100.0 + step * 0.5
        logger.info(f"throttled {step}", throttle_duration_sec=1.0)
        logger.info(f"other place {step}", throttle_duration_sec=2.0)
        logger.info(f"once {step}", once=True)
        logger.info(f"skipped {step}", skip_first=True)
    said = [line.split("]: ")[1] for line in capsys.readouterr().err.splitlines()]
    assert [text for text in said if text.startswith("throttled")] == ["throttled 0", "throttled 2", "throttled 4"]
    assert [text for text in said if text.startswith("other")] == ["other place 0", "other place 4"]
    assert [text for text in said if text.startswith("once")] == ["once 0"]
    assert [text for text in said if text.startswith("skipped")] == [f"skipped {step}" for step in range(1, 5)]
    with pytest.raises(TypeError, match="throttle"):
        logger.info("x", throttle=1.0)


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
    assert timer.time_until_next_call() == 10 and timer.time_since_last_call() == 90
    timer.cancel()
    now[0] = 5000
    assert timer.is_canceled() and not timer.is_ready() and timer.time_until_next_call() is None
    timer.reset()
    assert not timer.is_ready() and timer.time_until_next_call() == 100

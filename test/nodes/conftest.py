"""A node in the test's own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """rclpy in this process, with a command line; everything is destroyed after the test."""
    pytest.importorskip("cyclonedds")
    from dualpose_ros import standalone

    standalone.install()
    import rclpy

    made: list[Any] = []
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

    def start(make: Any, *words: str) -> Any:
        rclpy.init(args=["test", "--ros-args", *words], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        made.append(make())
        return made[-1]

    yield start
    for node in made:
        node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def stand_in(started: Any) -> None:
    """Skips where a ROS 2 is sourced: for tests that look into what stands for rclpy without it."""
    from dualpose_ros import standalone

    if not standalone.is_installed():
        pytest.skip("a ROS 2 is sourced, and this looks into what stands for it")

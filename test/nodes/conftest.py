"""A node in the test's own process, and scenarios that run in processes of their own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.child_environment import free_domain, scenario

AT_ONCE = 2
"""Scenarios that run beside each other: they wait for most of their time."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """rclpy in this process, with a command line; everything is destroyed after the test."""
    pytest.importorskip("cyclonedds")
    from dualpose_ros import standalone

    standalone.install()
    import rclpy

    made: list[Any] = []
    monkeypatch.setenv("ROS_DOMAIN_ID", free_domain())

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


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The scenarios of a module's tests that were asked for, by the tests' names: started in order, some at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = {}
        for item in request.session.items:
            mark = item.get_closest_marker("live")
            if mark is not None and item.path == request.path:
                words = (*mark.args, tmp_path_factory.mktemp("live"))
                started[item.name] = pool.submit(scenario, *words, **mark.kwargs)
        yield started
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def result(running: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    """What the scenario printed that the test's mark `live` names: a script, its words, perhaps its time limit."""
    return running[request.node.name].result()

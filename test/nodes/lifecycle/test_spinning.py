"""Serving a node: with ROS 2 by an executor that keeps its wait set, else by rclpy's own."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("cyclonedds")

from dualpose_ros import standalone
from dualpose_ros.nodes.base import NodeConfig, PipelineNode
from dualpose_ros.nodes.lifecycle import spinning

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # isort: skip
from std_msgs.msg import String  # isort: skip


class Listener(PipelineNode):
    """Has the services, timers and event handlers of every node."""

    def __init__(self) -> None:
        super().__init__("listener", NodeConfig)


@pytest.fixture
def served(started: Any) -> Iterator[Any]:
    """A node and what serves it."""
    node = started(Listener)
    executor = spinning.executor_of(node)
    yield node, executor
    executor.shutdown()


def spin_until(executor: Any, done: Callable[[], bool], timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "nothing came"
        executor.spin_once(timeout_sec=0.1)


@pytest.mark.usefixtures("stand_in")
def test_what_does_not_fit_this_rclpy_is_not_used(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's rclpy has no wait sets, as one of a later ROS 2 may have none."""
    node = started(Listener)
    monkeypatch.setattr(standalone, "is_installed", lambda: False)
    executor = spinning.executor_of(node)
    assert type(executor) is SingleThreadedExecutor
    called: list[int] = []
    node.create_timer(0.01, lambda: called.append(1))
    spin_until(executor, lambda: len(called) > 2)


def test_messages_timers_and_guard_conditions_are_served(served: Any) -> None:
    node, executor = served
    heard: list[str] = []
    ticks: list[int] = []
    woken: list[int] = []
    publisher = node.create_publisher(String, "said", 10)
    # Made once it is served, and from a callback.
    timer = node.create_timer(0.01, lambda: ticks.append(1))
    guard = node.create_guard_condition(lambda: woken.append(1))
    spin_until(executor, lambda: len(ticks) > 1)
    subscription = node.create_subscription(String, "said", lambda message: heard.append(message.data), 10)

    def say() -> None:
        publisher.publish(String(data="hello"))
        threading.Thread(target=guard.trigger).start()

    node.create_timer(0.05, say)
    spin_until(executor, lambda: bool(heard and woken))
    assert heard[0] == "hello"
    node.destroy_subscription(subscription)
    node.destroy_timer(timer)
    before = len(heard), len(ticks)
    spin_until(executor, lambda: len(woken) > 5)
    assert (len(heard), len(ticks)) == before


def test_what_a_callback_destroys_is_not_called(served: Any) -> None:
    node, executor = served
    called: list[str] = []
    timers: dict[str, Any] = {}

    def call(name: str, other: str) -> None:
        called.append(name)
        if other in timers:
            node.destroy_timer(timers.pop(other))

    for name, other in (("one", "two"), ("two", "one")):
        timers[name] = node.create_timer(0.05, lambda name=name, other=other: call(name, other))
    time.sleep(0.1)  # both are due
    spin_until(executor, lambda: len(called) > 3)
    assert len(set(called)) == 1


def test_an_error_of_a_callback_is_raised(served: Any) -> None:
    node, executor = served

    def fail() -> None:
        raise ZeroDivisionError

    node.create_timer(0.01, fail)
    with pytest.raises(ZeroDivisionError):
        spin_until(executor, lambda: False)


def test_signals_are_noted_alone_before_what_they_would_wake_has_ended(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, executor = served
    order: list[str] = []
    monkeypatch.setattr(spinning, "executor_of", lambda node: executor)
    monkeypatch.setattr("rclpy.signals.uninstall_signal_handlers", lambda: order.append("signals"))
    monkeypatch.setattr(executor, "shutdown", lambda *args: order.append("executor"))
    node.create_timer(0.01, executor.context.shutdown)
    with contextlib.suppress(ExternalShutdownException):
        spinning.spin(node)
    assert order == ["signals", "executor"]


HANGS = """
import sys
from types import SimpleNamespace
from dualpose_ros import standalone
standalone.install()
from dualpose_ros.nodes.lifecycle import spinning
from dualpose_ros.standalone import stopping
spinning._LONGEST_END_S = 0.3
standalone.is_installed = lambda: False
stopping._told.set()
over = SimpleNamespace(context=SimpleNamespace(ok=lambda: False), shutdown=lambda: None)
spinning.executor_of = lambda node: over
spinning.spin(None)
def hang_at_its_end():
    import time
    time.sleep(30)
hang_at_its_end()
"""


def test_a_node_that_hangs_as_it_ends_says_where() -> None:
    process = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=25, check=False)
    assert process.returncode == 1
    assert "hang_at_its_end" in process.stderr


@pytest.fixture
def lean(served: Any) -> Any:
    """Skips where no ROS 2 is sourced."""
    if standalone.is_installed():
        pytest.skip("no ROS 2 is sourced: nodes have no services, and rclpy's executor is ours")
    assert isinstance(served[1], spinning.LeanExecutor)
    return served


def test_the_wait_set_is_kept(lean: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node, executor = lean
    made: list[int] = []
    wait_set = spinning._WaitSet

    def make(*args: Any) -> Any:
        made.append(1)
        return wait_set(*args)

    monkeypatch.setattr(spinning, "_WaitSet", make)
    ticks: list[int] = []
    node.create_timer(0.005, lambda: ticks.append(1))
    spin_until(executor, lambda: len(ticks) > 50)
    assert len(made) == 1


def test_it_takes_less_than_rclpy_s(lean: Any) -> None:
    node, executor = lean
    executor.remove_node(node)
    spent: dict[Any, float] = {}
    ticks: list[int] = []
    for make in (SingleThreadedExecutor, spinning.LeanExecutor):
        one = make()
        one.add_node(node)
        ticks.clear()
        timer = node.create_timer(0.002, lambda: ticks.append(1))
        one.spin_once()
        since = time.thread_time()
        spin_until(one, lambda: len(ticks) > 200)
        spent[make] = time.thread_time() - since
        node.destroy_timer(timer)
        one.shutdown()
    assert spent[spinning.LeanExecutor] < 0.7 * spent[SingleThreadedExecutor]


def test_services_are_served_beside_messages_that_never_end(lean: Any) -> None:
    from rcl_interfaces.srv import GetParameters

    node, executor = lean
    node.create_timer(1e-6, lambda: time.sleep(0.001))
    client = node.create_client(GetParameters, "listener/get_parameters")
    request = GetParameters.Request(names=["diagnostics_period_s"])
    spin_until(executor, client.service_is_ready)
    answer = client.call_async(request)
    spin_until(executor, answer.done)
    assert answer.result().values[0].double_value == 1.0

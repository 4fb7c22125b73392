"""Nodes of one process: what they hand each other, what goes outside, and that one fails without the others."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import dualpose_ros.nodes  # noqa: F401  puts rclpy, or what stands for it, in place
from dualpose_ros.nodes.composed.bus import Bus
from support.child_environment import make_environment, scenario

from rclpy.qos import DurabilityPolicy, QoSProfile  # isort: skip
from rclpy.serialization import serialize_message  # isort: skip
from std_msgs.msg import Header  # isort: skip


class Guard:
    """Counts what its node's executor is asked for, and serves it when told to."""

    def __init__(self, callback: Any) -> None:
        self.callback, self.asked = callback, False

    def trigger(self) -> None:
        self.asked = True

    def serve(self) -> int:
        served = 0
        while self.asked:
            self.asked = False
            self.callback()
            served += 1
        return served


class FakeNode:
    """What the bus asks of a node."""

    def __init__(self) -> None:
        self.guards: list[Guard] = []
        self.outside: list[Any] = []

    def create_guard_condition(self, callback: Any) -> Guard:
        self.guards.append(Guard(callback))
        return self.guards[-1]

    def destroy_guard_condition(self, guard: Guard) -> None:
        self.guards.remove(guard)

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any, raw: bool = False) -> Any:
        self.outside.append(SimpleNamespace(topic=topic, callback=callback, qos=qos, raw=raw))
        return self.outside[-1]

    def destroy_subscription(self, subscription: Any) -> None:
        self.outside.remove(subscription)


class FakePublisher:
    def __init__(self, listeners: int) -> None:
        self.listeners, self.sent = listeners, list[Any]()

    def publish(self, message: Any) -> None:
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return self.listeners


def test_a_message_is_handed_over_as_it_is_and_sent_only_where_somebody_listens() -> None:
    bus, node, intake, got = Bus(), FakeNode(), FakeNode(), list[Any]()
    bus.subscribe(node, object, "/x", got.append, 5)
    outer = FakePublisher(0)
    publisher = bus.publisher("/x", outer)
    bus.open(intake)
    message = object()
    publisher.publish(message)
    assert node.guards[0].serve() == 1 and got[0] is message
    assert outer.sent == [] and publisher.get_subscription_count() == 1
    assert intake.outside == [], "what a node of the process publishes does not come from outside as well"
    outer.listeners = 2
    publisher.publish(message)
    assert outer.sent == [message] and publisher.get_subscription_count() == 3


def test_who_wants_bytes_gets_bytes_and_who_wants_messages_messages() -> None:
    bus, node, intake, got, read = Bus(), FakeNode(), FakeNode(), list[Any](), list[Any]()
    bus.subscribe(node, Header, "/x", got.append, 5, raw=True)
    bus.open(intake)
    assert intake.outside[0].raw, "what comes from elsewhere is not decoded for those who want bytes"
    bus.subscribe(node, Header, "/x", read.append, 5)
    message = Header(frame_id="eye")
    for sent in (message, serialize_message(message)):
        intake.outside[0].callback(sent)
        assert [guard.serve() for guard in node.guards] == [1, 1]
    assert got == [serialize_message(message)] * 2 and read == [message] * 2


def test_topics_of_the_whole_robot_come_from_elsewhere_though_a_node_here_publishes_them() -> None:
    """humans_node sends /tf and needs the robot's own."""
    bus, node, intake, got = Bus(), FakeNode(), FakeNode(), list[Any]()
    outer = FakePublisher(1)
    publisher = bus.publisher("/tf", outer)
    bus.subscribe(node, object, "/tf", got.append, 5)
    bus.open(intake)
    publisher.publish("ours")
    assert outer.sent == ["ours"] and [one.topic for one in intake.outside] == ["/tf"]
    intake.outside[0].callback("the robot's")
    node.guards[0].serve()
    assert got == ["the robot's"]


def test_of_more_than_the_depth_the_newest_stay() -> None:
    bus, node, got = Bus(), FakeNode(), list[int]()
    bus.subscribe(node, object, "/x", got.append, QoSProfile(depth=2))
    publisher = bus.publisher("/x", FakePublisher(0))
    for number in range(5):
        publisher.publish(number)
    node.guards[0].serve()
    assert got == [3, 4]


def test_one_subscription_outside_serves_all_nodes_until_the_last_has_left() -> None:
    bus, nodes, intake = Bus(), (FakeNode(), FakeNode()), FakeNode()
    got: list[tuple[int, Any]] = []
    first = bus.subscribe(nodes[0], object, "/image", lambda m: got.append((0, m)), QoSProfile(depth=1))
    bus.open(intake)
    second = bus.subscribe(nodes[1], object, "/image", lambda m: got.append((1, m)), QoSProfile(depth=4))
    assert [one.topic for one in intake.outside] == ["/image"]
    intake.outside[0].callback("a")
    for node in nodes:
        node.guards[0].serve()
    assert got == [(0, "a"), (1, "a")]
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    third = bus.subscribe(nodes[0], object, "/image", lambda m: None, latched)
    assert len(intake.outside) == 2, "what was sent before is asked for by a subscription of its own"
    assert all(bus.forget(one) for one in (first, second, third)) and not bus.forget(first)
    assert intake.outside == [] and nodes[0].guards == []


@pytest.mark.timeout(60)
def test_a_composed_graph_passes_frames_on_survives_errors_and_stops() -> None:
    pytest.importorskip("cyclonedds")
    result = scenario("composed", timeout_s=50)
    assert result["nodes"] == ["humans_node", "refinement_node", "visualization_node"]
    assert result["frames"] == ["body_p3"], "frames of people are heard by the whole robot"
    assert result["poses"] == [1, 2, 4], "the third frame is an error of one node"
    assert result["markers"] >= 3
    assert result["threads"] >= 4 and result["exit"] == 0


@pytest.mark.timeout(60)
def test_a_composed_graph_names_what_it_cannot_start() -> None:
    pytest.importorskip("cyclonedds")
    command = [sys.executable, "-m", "dualpose_ros.standalone.run_node", "dualpose_ros.nodes.composed.graph"]
    for words, complaint in (
        (["fusion_node", "nose_node"], "no node 'nose_node'"),
        (["refinement_node", "--ros-args", "-p", "refinement_node:window_frame:=3"], "window_frame"),
    ):
        done = subprocess.run([*command, *words], env=make_environment(), capture_output=True, text=True, timeout=50)
        assert done.returncode == 2 and complaint in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_guard_condition_wakes_its_executor_from_another_thread() -> None:
    pytest.importorskip("cyclonedds")
    code = (
        "import threading, time, dualpose_ros.nodes, rclpy\n"
        "from rclpy.node import Node\n"
        "rclpy.init(args=[])\n"
        "node, called = Node('guarded'), []\n"
        "guard = node.create_guard_condition(lambda: called.append(time.monotonic()))\n"
        "started = time.monotonic()\n"
        "threading.Timer(0.02, guard.trigger).start()\n"
        "rclpy.spin_once(node, timeout_sec=5)\n"
        "waited = time.monotonic() - started\n"
        "rclpy.spin_once(node, timeout_sec=0)\n"
        "print(len(called), waited < 4)\n"
        "node.destroy_node()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=make_environment(), capture_output=True, text=True, timeout=50
    )
    assert done.stdout.split() == ["1", "True"], done.stderr

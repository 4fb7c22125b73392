"""Managed nodes: what each state has, why a transition failed, settings that change while a node runs."""

import ast
import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("cyclonedds")

from dualpose_ros import nodes, standalone
from dualpose_ros.nodes import fusion_node, visualization_node
from dualpose_ros.nodes.base import RELIABLE, NodeConfig, PipelineNode, StartupError
from dualpose_ros.nodes.composed.bus import Bus
from dualpose_ros.nodes.lifecycle.managed import refusing
from dualpose_ros.runs.parameter_lists import NODES
from dualpose_ros.settings import SettingError, all_settings, own_settings, setting

from rclpy.clock import ClockType  # isort: skip
from rclpy.lifecycle import TransitionCallbackReturn  # isort: skip
from rclpy.node import Node  # isort: skip
from rclpy.parameter import Parameter  # isort: skip
from std_msgs.msg import String  # isort: skip

ROOT = Path(nodes.__file__).parents[1]
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Talker(PipelineNode):
    """Publishes and listens, and fails where it is told to."""

    broken = ""

    def __init__(self) -> None:
        self.released = 0
        super().__init__("talker", NodeConfig)

    def configure(self) -> None:
        self.publisher = self.create_publisher(String, "said", RELIABLE)
        if self.broken == "configure":
            raise OSError("weights/none.onnx is missing")

    def activate(self) -> None:
        self.create_subscription(String, "heard", lambda message: None, RELIABLE)
        self.create_timer(1.0, lambda: None)
        if self.broken == "activate":
            raise ValueError("no such camera")

    def release(self) -> None:
        self.released += 1


def counts(node: Any) -> tuple[int, int]:
    """Publishers and subscriptions beside those of every state."""
    return len(node.publishers_) - 2, len(node.subscriptions_)


@pytest.mark.usefixtures("stand_in")
def test_timers_go_on_where_a_simulated_clock_stands(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ROS time, rclpy's default, a paused bag would keep what waits for a branch that is late."""
    clocks: list[Any] = []
    make = Node.create_timer

    def create_timer(*args: Any, clock: Any = None) -> Any:
        clocks.append(getattr(clock, "clock_type", None))
        return make(*args)

    monkeypatch.setattr(Node, "create_timer", create_timer)
    started(Talker)
    assert clocks == [ClockType.STEADY_TIME] * 3


@pytest.mark.usefixtures("stand_in")
def test_each_state_has_what_it_needs(started: Any) -> None:
    node = started(Talker)
    assert (node.state, counts(node)) == ("active", (1, 1)), "it brings itself up"
    assert node.trigger_deactivate() == SUCCESS
    assert (node.state, counts(node), node.released) == ("inactive", (1, 0), 0)
    assert node.trigger_activate() == SUCCESS and counts(node) == (1, 1)
    node.create_timer(1.0, lambda: None)
    assert node.trigger_deactivate() == SUCCESS and len(node.timers_) == 2, "the diagnostics' and the memory's"
    assert node.trigger_cleanup() == SUCCESS
    assert (node.state, counts(node), node.released) == ("unconfigured", (0, 0), 1)
    with pytest.raises(RuntimeError, match="transition"):
        node.trigger_activate()
    assert node.trigger_configure() == SUCCESS and node.trigger_shutdown() == SUCCESS
    assert (node.state, counts(node), node.released) == ("finalized", (0, 0), 2)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("broken", "state"), [("configure", "unconfigured"), ("activate", "inactive")])
def test_a_failed_transition_says_why_and_leaves_nothing(
    started: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str, state: str
) -> None:
    node = started(Talker)
    assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
    monkeypatch.setattr(node, "broken", broken)
    steps = [node.trigger_configure(), *([node.trigger_activate()] if broken == "activate" else [])]
    assert steps[-1] == FAILURE and node.state == state
    assert counts(node) == (int(broken == "activate"), 0)
    why = node.diagnostics.health().message
    for text in (why, capsys.readouterr().err):
        assert f"{state} -> " in text and ("none.onnx" in text or "no such camera" in text)
    monkeypatch.setattr(node, "broken", "")
    again = node.trigger_configure() if broken == "configure" else node.trigger_activate()
    assert again == SUCCESS


def test_a_start_of_its_own_that_fails_raises_the_error(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the process ends with exit code 2 and one line."""
    monkeypatch.setattr(Talker, "broken", "configure")
    with pytest.raises(OSError, match=r"none\.onnx"):
        started(Talker)


@pytest.mark.usefixtures("stand_in")
def test_nobody_could_activate_it_without_ros(started: Any) -> None:
    with pytest.raises(StartupError, match="autostart"):
        started(Talker, "-p", "autostart:=false")


@pytest.mark.usefixtures("stand_in")
def test_qos_overrides_hold_and_what_is_none_or_unused_is_told(
    started: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the names of rclpy's QoSOverridingOptions; the profile that other topics share stays as it is."""
    file = tmp_path / "qos.yaml"
    topics = "/said: {publisher: {depth: 9}}, /other: {subscription: {depth: 2}}"
    file.write_text(f"talker:\n  ros__parameters: {{qos_overrides: {{{topics}}}}}\n")
    heard = "qos_overrides./heard.subscription.reliability"
    node = started(Talker, "--params-file", str(file), "-p", f"{heard}:=best_effort")
    assert node.publisher.qos_profile.depth == 9 and RELIABLE.depth == 5
    (subscription,) = node.subscriptions_
    assert (subscription.qos_profile.reliability.name, subscription.qos_profile.depth) == ("BEST_EFFORT", 5)
    assert node.get_parameter("qos_overrides./said.publisher.history").value == "keep_last"
    (result,) = node.set_parameters([Parameter(heard, value="reliable")])
    assert not result.successful and "read-only" in result.reason
    assert "/other.subscription.depth is given, but the node has no such topic" in capsys.readouterr().err
    assert node.trigger_deactivate() == SUCCESS and node.trigger_activate() == SUCCESS
    assert node.subscriptions_[0].qos_profile.reliability.name == "BEST_EFFORT"


@pytest.mark.parametrize(
    ("policy", "words"),
    [("reliability:=reliabel", "best_effort, reliable"), ("depth:=0", "at least 1"), ("depth:=many", "at least 1")],
)
def test_a_qos_override_that_is_no_policy_is_refused(started: Any, policy: str, words: str) -> None:
    with pytest.raises(
        SettingError, match=rf"qos_overrides\./said\.publisher\.{policy.partition(':')[0]} is .*{words}"
    ):
        started(Talker, "-p", f"qos_overrides./said.publisher.{policy}")


@pytest.mark.usefixtures("stand_in")
def test_live_settings_change_while_a_node_runs(started: Any) -> None:
    node = started(fusion_node.FusionNode)

    def change(**values: Any) -> list[tuple[bool, str]]:
        results = node.set_parameters([Parameter(name.replace("__", "."), value=v) for name, v in values.items()])
        return [(result.successful, result.reason) for result in results]

    assert change(min_score=0.4) == [(True, "")]
    assert node._stage.config.min_score == 0.4
    assert change(matching__min_similarity=1) == [(True, "")], "a whole number passes for a float"
    assert node._stage.config.matching.min_similarity == 1.0
    ((done, reason),) = change(min_score=1.4)
    assert not done and "0.0..1.0" in reason.replace("0 to 1", "0.0..1.0")
    ((done, reason),) = change(min_score="much")
    assert not done and "number" in reason
    ((done, reason),) = change(weights="other")
    assert not done and "read-only" in reason
    assert node._stage.config.min_score == 0.4 and node.config.max_wait_s == 0.2


def test_a_marker_style_changes_while_it_is_shown(started: Any) -> None:
    node = started(visualization_node.VisualizationNode)
    (result,) = node.set_parameters([Parameter("markers.bone_width_m", value=0.2)])
    assert result.successful and node._skeletons.style.bone_width_m == 0.2


READERS = {
    "detection_node": ("nodes/detection_node.py", "detection/stage.py", "detection/tracker.py"),
    "top_down_node": ("nodes/top_down_node.py", "top_down/stage.py"),
    "bottom_up_node": ("nodes/bottom_up_node.py", "bottom_up/stage.py"),
    "fusion_node": ("nodes/fusion_node.py", "fusion/stage.py"),
    "refinement_node": ("nodes/refinement_node.py", "refinement/stage.py"),
    "visualization_node": ("nodes/visualization_node.py",),
    "camera_node": ("nodes/camera_node.py",),
    "humans_node": ("nodes/humans/humans_node.py",),
    "view_node": ("nodes/watching/view_node.py",),
}


@pytest.mark.parametrize("node", NODES)
def test_what_is_live_is_read_with_every_frame(node: str) -> None:
    """Not only where things are made: some function other than a constructor reads `config.NAME`."""
    read: set[str] = set()
    for name in READERS[node]:
        for function in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and function.name not in ("__init__", "configure", "activate"):
                found = [item for item in ast.walk(function) if isinstance(item, ast.Attribute)]
                read |= {item.attr for item in found if ast.unparse(item.value).endswith(("config", "_refinement"))}
                read |= {item.attr for item in found if ast.unparse(item.value).endswith("config.floor")}
    for group in NODES[node]:
        live_groups = {item.name for item in own_settings(group) if item.said.live}
        for item in all_settings(group):
            if item.said.live:
                first, _, last = item.name.partition(".")
                assert (first if first in live_groups else last) in read, f"{item.name} of {node}"


RCLPY_HAS = (
    "_apply_descriptor", "_apply_descriptors", "_callbacks", "_clients", "_clock", "_context",
    "_default_callback_group", "_descriptors", "_guards", "_logger", "_managed_entities", "_parameter_overrides",
    "_parameters", "_publishers", "_rate_group", "_services", "_state_machine", "_subscriptions", "_time_source",
    "_timers", "_wake_executor",
)  # fmt: skip
"""Names that rclpy's own nodes give to what they hold, as far as ours might want one of them."""


def test_no_node_of_ours_takes_a_name_that_rclpy_s_has() -> None:
    classes = [
        one for path in (ROOT / "nodes").rglob("*.py") for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(one, ast.ClassDef) and one.name.endswith("Node")
    ]  # fmt: skip
    assert len(classes) >= len(NODES)
    inner = [node for one in classes for node in ast.walk(one)]
    names = {node.name for node in inner if isinstance(node, ast.FunctionDef)}
    names |= {node.attr for node in inner if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    assert not names & set(RCLPY_HAS)


def test_a_group_makes_its_settings_live() -> None:
    live = {item.name for item in all_settings(NODES["bottom_up_node"][1]) if item.said.live}
    assert "decode.grouping.seed_score" in live and "weights" not in live
    assert setting(1, "x", live=True).metadata["setting"].live  # type: ignore[attr-defined]


@pytest.mark.usefixtures("stand_in")
def test_a_node_that_stops_leaves_its_process_bus(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus()
    monkeypatch.setattr(PipelineNode, "bus", bus)
    node = started(Talker)
    heard = bus._subscriptions["/heard"]
    assert len(heard) == 1 and not node.subscriptions_
    assert node.trigger_deactivate() == SUCCESS and heard == []
    assert node.trigger_activate() == SUCCESS and len(heard) == 1
    bus.forget(heard[0])


def test_a_transition_that_the_state_has_not_is_refused() -> None:
    """rclpy raises where one is asked for by number, which would end the node."""
    told: list[str] = []

    def raises(request: Any, response: Any) -> Any:
        raise RuntimeError("failed to trigger transition: No transition matching 1 found\nfor current state active")

    request = SimpleNamespace(transition=SimpleNamespace(id=1))
    response = SimpleNamespace(success=True)
    assert refusing(raises, told.append)(request, response) is response and not response.success
    assert "transition 1 is refused" in told[0] and "\n" not in told[0]
    assert refusing(lambda request, response: "done", told.append)(request, response) == "done"


def test_publishers_are_counted_by_the_name_that_is_given(started: Any) -> None:
    """As rclpy counts them: a node that means its own, maybe remapped, name has to resolve it first."""
    node = started(Talker, "-r", "said:=told")
    end = time.monotonic() + 5
    while node.count_publishers("told") != 1:  # rclpy hears of its own by and by
        assert time.monotonic() < end
    assert node.count_publishers("said") == 0
    assert node.count_publishers(node.resolve_topic_name("said")) == 1
    with pytest.raises(ValueError):
        node.count_publishers("a b")


def test_what_a_callback_cannot_do_once_a_signal_has_ended_its_context_is_no_error(started: Any, capfd: Any) -> None:
    """A stage that reports for itself, in the middle of a frame, too."""
    node = started(Talker)
    node.report("before")
    node.context.try_shutdown()
    node.report("after")
    node.guarded("image", lambda: node.publisher.publish(String()))()
    said = capfd.readouterr().err
    assert "before" in said and "after" not in said and "image" not in said


def test_what_a_stage_says_is_in_its_node_s_log(started: Any, capfd: pytest.CaptureFixture[str]) -> None:
    started(Talker)
    # Twice: rclpy refuses a severity that changes at one place.
    for level in (logging.WARNING, logging.ERROR) * 2:
        logging.getLogger("dualpose_ros.detection.tracker").log(level, "stamp went back by %.1f s", 9.7)
    said = capfd.readouterr().err
    assert "Logging error" not in said
    # A real rclpy's console is its own, beside pytest's.
    if standalone.is_installed():
        lines = [line for line in said.splitlines() if "[talker]: stamp went back by 9.7 s" in line]
        assert [line.split("]")[0] for line in lines] == ["[WARN", "[ERROR"] * 2

"""Nodes of the launch files that die, run with stand-ins for ROS 2's launch: what is started again, and with what."""

from types import SimpleNamespace

import pytest

from dualpose_ros.standalone.process import BAD_INPUT, RestartPolicy
from support.launch_files import NODES, Recorded, actions_of, arguments_of, describe, handlers_of


@pytest.mark.parametrize(("code", "starts"), [(0, 1), (BAD_INPUT, 1), (1, 1 + RestartPolicy().limit), (-11, 6)])
def test_launch_starts_a_node_again_but_not_for_ever(launch_stub: None, code: int, starts: int) -> None:
    description = describe("pipeline.launch.py")
    actions = actions_of(description, arguments_of(description))
    supervisors = handlers_of(actions, "OnProcessExit")
    assert [handler.options["target_action"].options["executable"] for handler in supervisors] == list(NODES)
    handler: Recorded | None = supervisors[1]
    started, pauses, said = [], [], []
    while handler is not None:
        started.append(handler.options["target_action"])
        running = SimpleNamespace(is_shutdown=False)
        follows = handler.options["on_exit"](SimpleNamespace(returncode=code), running)
        said += [action.options["msg"] for action in follows if action.kind == "LogInfo"]
        timers = [action for action in follows if action.kind == "TimerAction"]
        pauses += [timer.options["period"] for timer in timers]
        again = [action for timer in timers for action in actions_of(Recorded("", (timer.options["actions"],), {}), {})]
        (handler,) = handlers_of(again, "OnProcessExit") if again else (None,)
    assert len(started) == starts == len({id(node) for node in started})
    assert all(node.options == started[0].options for node in started)
    assert pauses == [RestartPolicy().pause(deaths) for deaths in range(1, starts)]
    assert len(said) == (0 if code == 0 else starts) and all("top_down_node" in text for text in said)


def test_what_an_including_launch_file_has_set_holds_for_a_node_that_is_started_again(launch_stub: None) -> None:
    """SetParameter and SetRemap: once died, a node was back with the computer's clock beside those of the bag's."""
    description = describe("pipeline.launch.py")
    actions = actions_of(description, arguments_of(description))
    at_start = SimpleNamespace(launch_configurations={"global_params": [("use_sim_time", True)]})
    for action in actions:
        if action.kind == "OpaqueFunction":
            assert action.options["function"](at_start) is None
    (handler, *_) = handlers_of(actions, "OnProcessExit")
    follows = handler.options["on_exit"](SimpleNamespace(returncode=-9), SimpleNamespace(is_shutdown=False))
    (again,) = next(action.options["actions"] for action in follows if action.kind == "TimerAction")
    first, recall, *_, node, last = again.options["function"](None)
    assert (first.kind, node.kind, last.kind) == ("PushLaunchConfigurations", "Node", "PopLaunchConfigurations")
    later = SimpleNamespace(launch_configurations={"ros_namespace": "/other"})
    recall.options["function"](later)
    assert later.launch_configurations["global_params"] == [("use_sim_time", True)]


def test_launch_starts_nothing_again_where_that_is_asked_for(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    actions = actions_of(description, arguments_of(description) | {"respawn": "false"})
    running = SimpleNamespace(is_shutdown=False)
    for handler in handlers_of(actions, "OnProcessExit"):
        assert [action.kind for action in handler.options["on_exit"](SimpleNamespace(returncode=1), running)] == [
            "LogInfo"
        ]


def test_launch_starts_nothing_again_when_it_ends(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    handler = handlers_of(actions_of(description, arguments_of(description)), "OnProcessExit")[0]
    ending = SimpleNamespace(is_shutdown=True)
    assert handler.options["on_exit"](SimpleNamespace(returncode=-2), ending) == []

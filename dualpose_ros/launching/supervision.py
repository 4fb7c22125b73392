"""Nodes that are started again when they die, but not for ever."""

import time
from collections.abc import Callable
from typing import Any

from launch.actions import (
    LogInfo,
    OpaqueFunction,
    PopLaunchConfigurations,
    PushLaunchConfigurations,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.launch_context import LaunchContext
from launch_ros.actions import Node

from dualpose_ros.standalone.process import RestartPolicy


def supervised(make: Callable[[], Node], name: str, policy: RestartPolicy, deaths: int = 0) -> list[Any]:
    """A node that is started again when it dies, as `policy` says; `deaths` is how often it died in a row.

    launch's own respawn would start one with a bad parameter again and again, and ROS 2 Humble's has no limit.
    """
    node, started = make(), time.monotonic()
    # SetParameter, SetRemap and the like of a launch file that includes ours are gone by the time that it dies.
    scope: dict[str, Any] = {}
    remember = OpaqueFunction(function=lambda context: scope.update(context.launch_configurations))
    recall = OpaqueFunction(function=lambda context: context.launch_configurations.update(scope))

    def on_exit(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown or event.returncode == 0:
            return []
        died, pause_s = policy.after_death(event.returncode, time.monotonic() - started, deaths)
        ended = f"{name} ended with exit code {event.returncode}"
        if pause_s is None:
            return [LogInfo(msg=f"{ended} and is not started again; its last lines say why")]
        again = OpaqueFunction(
            function=lambda context: [
                PushLaunchConfigurations(),
                recall,
                *supervised(make, name, policy, died),
                PopLaunchConfigurations(),
            ]
        )
        return [LogInfo(msg=f"{ended}; started again in {pause_s:g} s"), TimerAction(period=pause_s, actions=[again])]

    return [remember, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit)), node]

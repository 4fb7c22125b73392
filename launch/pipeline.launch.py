"""The graph on a camera that is already running: its images in, humans/poses3d out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, RegisterEventHandler, TimerAction
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from dualpose_ros.standalone.process import RestartPolicy

PACKAGE = "dualpose_ros"

NODES = (
    "detection_node", "top_down_node", "bottom_up_node", "fusion_node", "refinement_node", "visualization_node"
)  # fmt: skip
SHOWN = ("markers", "overlay")

RESTART = RestartPolicy()


def in_namespace(parameters: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The content of a parameter file with its node names put under a namespace; wildcards stay.

    rclpy matches `/**` and full node names only, so a file that names nodes would otherwise
    be ignored by nodes in a namespace.
    """
    prefix = "/".join(("", *(part for part in namespace.split("/") if part)))
    return {key if "*" in key else f"{prefix}/{key.lstrip('/')}": value for key, value in parameters.items()}


def parameter_file(path: str, namespace: str) -> tuple[str, list[Any]]:
    """A parameter file whose node names are in the namespace, and the actions that clean up after it.

    RuntimeError where `path` is unusable.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RuntimeError(f"params_file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RuntimeError(f"params_file {path} holds no node names")
    if not namespace.strip("/"):
        return path, []
    with tempfile.NamedTemporaryFile("w", prefix="dualpose_", suffix=".yaml", delete=False) as stream:
        yaml.safe_dump(in_namespace(content, namespace), stream)
    written = Path(stream.name)

    def delete(event: Any, context: LaunchContext) -> None:
        written.unlink(missing_ok=True)

    return stream.name, [RegisterEventHandler(OnShutdown(on_shutdown=delete))]


def supervised(make: Callable[[], Node], name: str, deaths: int = 0) -> list[Any]:
    """A node that is started again when it dies, as RESTART says; `deaths` is how often it died in a row.

    launch's own respawn would start one with a bad parameter again and again, and ROS 2 Humble's has no limit.
    """
    node, started = make(), time.monotonic()

    def on_exit(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown or event.returncode == 0:
            return []
        died, pause_s = RESTART.after_death(event.returncode, time.monotonic() - started, deaths)
        ended = f"{name} ended with exit code {event.returncode}"
        if pause_s is None:
            return [LogInfo(msg=f"{ended} and is not started again; its last lines say why")]
        again = OpaqueFunction(function=lambda context: supervised(make, name, died))
        return [LogInfo(msg=f"{ended}; started again in {pause_s:g} s"), TimerAction(period=pause_s, actions=[again])]

    return [RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit)), node]


def make_nodes(context: LaunchContext) -> list[Any]:
    """The nodes, once the arguments are known."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    parameters, actions = parameter_file(argument("params_file"), argument("namespace"))
    inputs = {"image_raw": argument("image_topic"), "camera_info": argument("camera_info_topic")}
    use_sim_time = argument("use_sim_time").lower() in ("true", "1")

    def make(name: str) -> Node:
        return Node(
            package=PACKAGE,
            executable=name,
            name=name,
            namespace=argument("namespace"),
            parameters=[parameters, {"use_sim_time": use_sim_time}],
            remappings=list(inputs.items()),
            arguments=["--ros-args", "--log-level", argument("log_level")],
            output="screen",
        )

    for name in NODES:
        actions += supervised(lambda name=name: make(name), name)
    layout = Path(get_package_share_directory(PACKAGE)) / "config" / "rviz" / "pipeline.rviz"
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        namespace=argument("namespace"),
        arguments=["-d", str(layout), "-f", argument("fixed_frame")],
        parameters=[{"use_sim_time": use_sim_time}],
        remappings=[(f"/humans/{name}", f"humans/{name}") for name in SHOWN],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return [*actions, rviz]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    default_parameters = str(Path(get_package_share_directory(PACKAGE)) / "config" / "pipeline.yaml")
    arguments = {
        "params_file": (default_parameters, "parameters of every node"),
        "namespace": ("", "namespace of the nodes and of their topics"),
        "image_topic": ("image_raw", "sensor_msgs/Image of the camera"),
        "camera_info_topic": ("camera_info", "sensor_msgs/CameraInfo of the camera"),
        "use_sim_time": ("false", "take the time from /clock"),
        "rviz": ("false", "start RViz"),
        "fixed_frame": ("camera_link", "frame in which RViz shows the people"),
        "log_level": ("info", "debug, info, warn, error or fatal"),
    }
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])

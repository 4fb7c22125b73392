"""The graph on a camera that is already running: its images in, /humans/poses3d out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "dualpose_ros"

NODES = (
    "detection_node", "top_down_node", "bottom_up_node", "fusion_node", "refinement_node", "visualization_node"
)  # fmt: skip


def in_namespace(parameters: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The content of a parameter file with its node names put under a namespace; wildcards stay.

    rclpy matches `/**` and full node names only, so a file that names nodes would otherwise
    be ignored by nodes in a namespace.
    """
    prefix = "/".join(("", *(part for part in namespace.split("/") if part)))
    return {key if "*" in key else f"{prefix}/{key.lstrip('/')}": value for key, value in parameters.items()}


def parameter_file(path: str, namespace: str) -> str:
    """A parameter file whose node names are in the namespace; RuntimeError where `path` is unusable."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RuntimeError(f"params_file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RuntimeError(f"params_file {path} holds no node names")
    with tempfile.NamedTemporaryFile("w", prefix="dualpose_", suffix=".yaml", delete=False) as stream:
        yaml.safe_dump(in_namespace(content, namespace), stream)
    return stream.name


def make_nodes(context: LaunchContext) -> list[Node]:
    """The nodes, once the arguments are known."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    parameters = parameter_file(argument("params_file"), argument("namespace"))
    inputs = {"image_raw": argument("image_topic"), "camera_info": argument("camera_info_topic")}
    use_sim_time = argument("use_sim_time").lower() in ("true", "1")
    nodes = [
        Node(
            package=PACKAGE,
            executable=name,
            name=name,
            namespace=argument("namespace"),
            parameters=[parameters, {"use_sim_time": use_sim_time}],
            remappings=list(inputs.items()),
            arguments=["--ros-args", "--log-level", argument("log_level")],
            output="screen",
            respawn=True,
            respawn_delay=2.0,
        )
        for name in NODES
    ]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(Path(get_package_share_directory(PACKAGE)) / "config" / "rviz" / "pipeline.rviz")],
        parameters=[{"use_sim_time": use_sim_time}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return [*nodes, rviz]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    default_parameters = str(Path(get_package_share_directory(PACKAGE)) / "config" / "pipeline.yaml")
    arguments = {
        "params_file": (default_parameters, "parameters of every node"),
        "namespace": ("", "namespace of the nodes and of their relative topics"),
        "image_topic": ("image_raw", "sensor_msgs/Image of the camera"),
        "camera_info_topic": ("camera_info", "sensor_msgs/CameraInfo of the camera"),
        "use_sim_time": ("false", "take the time from /clock"),
        "rviz": ("false", "start RViz"),
        "log_level": ("info", "debug, info, warn, error or fatal"),
    }
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])

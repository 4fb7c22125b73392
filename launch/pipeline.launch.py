"""The graph on a camera that is already running: its images in, humans/poses3d out."""

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction

from dualpose_ros.launching.arguments import Argument, declare, read
from dualpose_ros.launching.graph import common_arguments, graph_of, pipeline, rviz


def generate_launch_description() -> LaunchDescription:
    """Arguments, nodes, and RViz where it is asked for."""
    arguments = (
        *common_arguments(rviz=False),
        Argument("image_topic", "image_raw", "sensor_msgs/Image of the camera"),
        Argument("camera_info_topic", "camera_info", "sensor_msgs/CameraInfo of the camera"),
        Argument("fixed_frame", "camera_link", "frame in which RViz shows the people"),
    )

    def start(context: LaunchContext) -> list[Any]:
        values = read(arguments, context, __file__)
        graph = graph_of(values)
        actions = pipeline(graph, values, values["image_topic"], values["camera_info_topic"])
        return actions + (rviz(graph, values["rviz_config"], values["fixed_frame"]) if values["rviz"] else [])

    return LaunchDescription([*declare(arguments), OpaqueFunction(function=start)])

"""A graph for each of several cameras that are already running, each in the namespace of its camera."""

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction

from dualpose_ros.launching.arguments import Argument, declare, read
from dualpose_ros.launching.graph import ID_BLOCK, cameras_of, common_arguments, graph_of, pipeline

_OF_ONE = ("rviz", "view")
"""Beginnings of the names of arguments that show one camera's people."""


def generate_launch_description() -> LaunchDescription:
    """Arguments, and the nodes of every camera, whose people have ids of their own."""
    arguments = (
        Argument("cameras", "", "names of the cameras with commas between, which are their namespaces: front,rear"),
        Argument("image_topic", "image_raw", "sensor_msgs/Image below each camera's namespace"),
        Argument("camera_info_topic", "camera_info", "sensor_msgs/CameraInfo below each camera's namespace"),
        *(argument for argument in common_arguments(rviz=False) if not argument.name.startswith(_OF_ONE)),
    )

    def start(context: LaunchContext) -> list[Any]:
        values = read(arguments, context, __file__)
        topics = (values["image_topic"], values["camera_info_topic"])
        actions: list[Any] = []
        for index, name in enumerate(cameras_of(values)):
            graph = graph_of({**values, "namespace": f"{values['namespace']}/{name}"})
            actions += pipeline(graph, values, *topics, index * ID_BLOCK)
        return actions

    return LaunchDescription([*declare(arguments), OpaqueFunction(function=start)])

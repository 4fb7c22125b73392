"""The graph on the demo's clip, on a video or on a camera of one's own, with RViz."""

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction

from dualpose_ros.launching.arguments import Argument, declare, read
from dualpose_ros.launching.graph import camera, camera_frames, common_arguments, demo_camera, graph_of, pipeline, rviz
from dualpose_ros.sources.names import kind_of


def generate_launch_description() -> LaunchDescription:
    """Arguments, camera, pipeline and RViz."""
    arguments = (
        *common_arguments(rviz=True),
        Argument("source", "", "video file, directory of images, or camera (index or /dev/videoN); empty: the demo"),
        Argument("calibration", "", "calibration YAML of the source; this or hfov_deg is needed"),
        Argument("hfov_deg", 0.0, "horizontal field of view in degrees, where there is no calibration"),
        Argument("loop", True, "start again at the end of the video"),
        Argument("fixed_frame", "", "frame in which RViz shows the people; empty: the camera's body frame"),
    )

    def start(context: LaunchContext) -> list[Any]:
        values = read(arguments, context, __file__)
        graph = graph_of(values)
        parameters, ground = demo_camera(graph, values)
        is_film = kind_of(parameters["source"]) == "file"
        actions = [*camera(graph, parameters), *pipeline(graph, values, is_film=is_film, ground=ground)]
        fixed_frame = values["fixed_frame"] or camera_frames(graph.namespace)[0]
        return actions + (rviz(graph, values["rviz_config"], fixed_frame) if values["rviz"] else [])

    return LaunchDescription([*declare(arguments), OpaqueFunction(function=start)])

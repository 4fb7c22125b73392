"""The graph on a recorded video instead of a camera, with RViz."""

from __future__ import annotations

import math
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "dualpose_ros"


def make_camera(context: LaunchContext) -> list[Node]:
    """The camera node, once the arguments are known, and where the camera is on the robot."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    # Quoted: a device such as 0 must stay a text.
    values = {name: f"'{argument(name)}'" for name in ("source", "calibration")}
    values |= {name: argument(name) for name in ("hfov_deg", "loop")}
    values["start_when_subscribed"] = "3"
    overrides = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    camera = Node(
        package=PACKAGE,
        executable="camera_node",
        name="camera_node",
        arguments=["--ros-args", *overrides],
        output="screen",
    )
    # The optical frame (z forward) in a body frame (x forward): RViz then shows people upright.
    optical = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        arguments=["--frame-id", "camera_link", "--child-frame-id", "camera_optical_frame",
                   "--roll", str(-math.pi / 2), "--pitch", "0", "--yaw", str(-math.pi / 2)],
    )  # fmt: skip
    return [camera, optical]


def generate_launch_description() -> LaunchDescription:
    """Arguments, camera and pipeline."""
    share = Path(get_package_share_directory(PACKAGE))
    clip = share / "demo" / "clip.mp4"
    calibration = share / "demo" / "camera.yaml"
    arguments = {
        "source": (str(clip), "video file, directory of images, or device"),
        "calibration": (str(calibration), "calibration YAML; empty where hfov_deg is given"),
        "hfov_deg": ("0.0", "horizontal field of view in degrees, where there is no calibration"),
        "loop": ("true", "start again at the end of the video"),
        "rviz": ("true", "start RViz"),
    }
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in arguments.items()
    ]
    pipeline = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "pipeline.launch.py")),
        launch_arguments={"rviz": LaunchConfiguration("rviz")}.items(),
    )
    return LaunchDescription([*declared, OpaqueFunction(function=make_camera), pipeline])

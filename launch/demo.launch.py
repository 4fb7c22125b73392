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


def camera_frames(namespace: str) -> tuple[str, str]:
    """The camera's body and optical frame: TF is one tree for all namespaces, so their names hold it."""
    prefix = f"{namespace}/".lstrip("/")
    return f"{prefix}camera_link", f"{prefix}camera_optical_frame"


def make_camera(context: LaunchContext) -> list[Node]:
    """The camera node, once the arguments are known, and where the camera is on the robot."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    namespace = argument("namespace").strip("/")
    body, optical_frame = camera_frames(namespace)
    # Quoted: a device such as 0 must stay a text.
    values = {name: f"'{argument(name)}'" for name in ("source", "calibration")}
    values |= {name: argument(name) for name in ("hfov_deg", "loop")}
    values |= {"wait_for_subscribers": "3", "frame_id": optical_frame}
    overrides = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    camera = Node(
        package=PACKAGE,
        executable="camera_node",
        name="camera_node",
        namespace=namespace,
        arguments=["--ros-args", *overrides],
        output="screen",
    )
    # The optical frame (z forward) in a body frame (x forward): RViz then shows people upright.
    optical = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        namespace=namespace,
        arguments=["--frame-id", body, "--child-frame-id", optical_frame,
                   "--roll", str(-math.pi / 2), "--pitch", "0", "--yaw", str(-math.pi / 2)],
    )  # fmt: skip
    return [camera, optical]


def make_pipeline(context: LaunchContext) -> list[IncludeLaunchDescription]:
    """The rest of the graph, in the camera's namespace."""
    namespace = LaunchConfiguration("namespace").perform(context).strip("/")
    path = Path(get_package_share_directory(PACKAGE)) / "launch" / "pipeline.launch.py"
    given = {
        "rviz": LaunchConfiguration("rviz"),
        "namespace": namespace,
        "fixed_frame": camera_frames(namespace)[0],
    }
    return [IncludeLaunchDescription(PythonLaunchDescriptionSource(str(path)), launch_arguments=given.items())]


def generate_launch_description() -> LaunchDescription:
    """Arguments, camera and pipeline."""
    share = Path(get_package_share_directory(PACKAGE))
    clip = share / "demo" / "clip.mp4"
    calibration = share / "demo" / "camera.yaml"
    arguments = {
        "source": (str(clip), "video file, directory of images, or device"),
        "calibration": (str(calibration), "calibration YAML; empty where hfov_deg is given"),
        "hfov_deg": ("0.0", "horizontal field of view in degrees, where there is no calibration"),
        "namespace": ("", "namespace of the nodes, of their topics and of the camera's frames"),
        "loop": ("true", "start again at the end of the video"),
        "rviz": ("true", "start RViz"),
    }
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_camera), OpaqueFunction(function=make_pipeline)])

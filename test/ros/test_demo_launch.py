"""The demo under a real ROS 2: people come out, in a namespace too, and every node ends with exit code 0."""

import time
import unittest
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_testing", reason="no ROS 2 is sourced: its launch_testing is needed")
rclpy = pytest.importorskip("rclpy", reason="no ROS 2 is sourced")

from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description import LaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from launch_testing import post_shutdown_test  # noqa: E402
from launch_testing.actions import ReadyToTest  # noqa: E402
from launch_testing.asserts import assertExitCodes  # noqa: E402

LAUNCH = Path(__file__).resolve().parents[2] / "launch" / "demo.launch.py"
LIMIT_S = 60.0


@pytest.mark.launch_test
def generate_test_description() -> Any:
    """The demo in a namespace, without RViz, and a parameter that is none of its business."""
    arguments = {"namespace": "robot1", "rviz": "false", "use_sim_time": "no", "log_level": "warn"}
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(LAUNCH)), launch_arguments=list(arguments.items())
    )
    return LaunchDescription([include, ReadyToTest()])


class TestPeople(unittest.TestCase):
    """While it runs."""

    def test_people_come_in_the_namespace(self) -> None:
        """Somebody is published, in the frame of the namespace's camera."""
        from dualpose_ros.msg import MultiPersonPose3D

        rclpy.init()
        node = rclpy.create_node("listener")
        came: list[Any] = []
        node.create_subscription(MultiPersonPose3D, "/robot1/humans/poses3d", came.append, 5)
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and not any(message.persons for message in came):
            rclpy.spin_once(node, timeout_sec=0.5)
        node.destroy_node()
        rclpy.shutdown()
        assert any(message.persons for message in came), f"{len(came)} messages, nobody in them, in {LIMIT_S:.0f} s"
        assert came[-1].header.frame_id == "robot1/camera_optical_frame"


@post_shutdown_test()
class TestEnd(unittest.TestCase):
    """After SIGINT."""

    def test_every_node_ends_cleanly(self, proc_info: Any, proc_output: Any) -> None:
        """Exit code 0, and no traceback."""
        assertExitCodes(proc_info)
        said = "".join(line.text.decode(errors="replace") for line in proc_output)
        assert "Traceback" not in said, said

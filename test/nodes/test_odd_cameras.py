"""Cameras that are odd are told of, and work all the same."""

from typing import Any

from dualpose_ros.camera import Camera
from dualpose_ros.nodes.convert import camera_to_info
from dualpose_ros.nodes.refinement_node import RefinementNode

from std_msgs.msg import Header  # isort: skip


def test_an_odd_calibration_is_named_once(started: Any) -> None:
    node = started(RefinementNode)
    info = camera_to_info(Camera(640, 360, 500.0, 500.0, 180.0, 320.0), Header(frame_id="eye"))
    for stamp_ns in (1, 2, 3):
        node._on_info(stamp_ns, info)
    assert node.diagnostics.log.total_errors == 1
    assert "cx and cy swapped" in node.diagnostics.health().values["last_error"]
    assert node._cameras.find(3, "eye").cy == 320.0

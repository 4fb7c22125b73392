"""Cameras that are odd are told of, and work all the same."""

from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("images", "distortion", "rectified", "told"),
    [("/cam/image_rect_color", -0.3, False, True), ("/cam/image_rect", 0.0, False, False),
     ("/cam/image_rect", -0.3, True, False), ("/image_rect/image_raw", -0.3, False, False)],
)  # fmt: skip
def test_rectified_images_that_would_be_undistorted_again_are_told_of(
    started: Any, images: str, distortion: float, rectified: bool, told: bool
) -> None:
    words = ("-r", f"image_raw:={images}", "-p", f"rectified:={str(rectified).lower()}")
    node = started(RefinementNode, *words)
    camera = Camera(640, 480, 500.0, 500.0, 319.5, 239.5, (distortion, 0.0, 0.0, 0.0, 0.0))
    node._on_info(1, camera_to_info(camera, Header(frame_id="eye")))
    assert ("seems rectified" in node.diagnostics.health().values["last_error"]) == told

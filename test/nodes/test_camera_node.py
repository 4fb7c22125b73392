"""The camera that the camera node says of its images."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.nodes.camera_node import CameraNode


@pytest.mark.parametrize(("first", "across_px"), [((80, 60), 80), ((60, 80), 60)])
def test_portraits_among_landscapes_are_of_the_same_camera_turned(
    first: tuple[int, int], across_px: int, started: Any, tmp_path: Path
) -> None:
    """Of one who turned the telephone some people were a third too far away."""
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((first[1], first[0], 3), np.uint8))
    node = started(CameraNode, "-p", f"source:={tmp_path}", "-p", "hfov_deg:=90.0")
    for width, height in (first, first[::-1]):
        camera = node._camera_for(np.zeros((height, width, 3), np.uint8))
        assert (camera.width, camera.height) == (width, height)
        assert (camera.fx, camera.fy) == pytest.approx((across_px / 2, across_px / 2))
        assert (camera.cx, camera.cy) == ((width - 1) / 2, (height - 1) / 2)
    # Square ones are neither, and larger ones scale.
    assert node._camera_for(np.zeros((50, 50, 3), np.uint8)).fx == pytest.approx(25)
    assert node._camera_for(np.zeros((3 * first[0], 3 * first[1], 3), np.uint8)).fx == pytest.approx(1.5 * across_px)

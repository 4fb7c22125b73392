"""What the recorder takes in."""

from pathlib import Path
from typing import Any

import cv2
import pytest

from dualpose_ros.nodes.recorder import RecorderNode, spinning
from dualpose_ros.recording.recording import Recording


@pytest.mark.parametrize("keeps", [False, True])
def test_images_are_taken_for_an_overlay_alone(started: Any, tmp_path: Path, keeps: bool) -> None:
    with Recording(tmp_path, keep_frames=keeps) as recording:
        node = started(lambda: RecorderNode(recording))
        taken = {one.topic_name for one in getattr(node, "subscriptions_", None) or node.subscriptions}
        assert ("/image_raw" in taken) is keeps and "/humans/poses3d" in taken


def test_a_recorder_s_images_are_worked_on_by_one_thread(started: Any, tmp_path: Path) -> None:
    cv2.setNumThreads(3)
    with Recording(tmp_path) as recording, spinning(lambda: RecorderNode(recording)):
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == 3, "whoever draws the overlay afterwards has them again"

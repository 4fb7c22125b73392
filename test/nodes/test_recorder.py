"""What the recorder takes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.nodes.recorder import RecorderNode
from dualpose_ros.recording.recording import Recording


@pytest.mark.parametrize("keeps", [False, True])
def test_images_are_taken_for_an_overlay_alone(started: Any, tmp_path: Path, keeps: bool) -> None:
    with Recording(tmp_path, keep_frames=keeps) as recording:
        node = started(lambda: RecorderNode(recording))
        taken = {one.topic_name for one in getattr(node, "subscriptions_", None) or node.subscriptions}
        assert ("/image_raw" in taken) is keeps and "/humans/poses3d" in taken

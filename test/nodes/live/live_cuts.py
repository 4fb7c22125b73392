"""A film that cuts while somebody stands where another does next, through the nodes that remember; see live_nodes.py.

`python live_cuts.py SCENARIO`.
"""

import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
from live_nodes import CAMERA, Rig, header, person, picture

from dualpose_ros.camera import Camera
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.nodes import detection_node, fusion_node, refinement_node, top_down_node
from dualpose_ros.nodes.convert import camera_to_info, poses_from_message, stamp_to_ns
from dualpose_ros.nodes.image_codec import encode_image
from dualpose_ros.people import Persons, Track, TrackingState
from dualpose_ros.top_down.stage import TopDownResult

from sensor_msgs.msg import CameraInfo, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip

SHOTS = (6, 6)
"""Frames of each: in the second shot somebody of another track stands where the first one did, then nobody does."""
EMPTY_AFTER = 9


class Detection:
    """Tracks one person, who is another one in the second shot."""

    def __init__(self, config: Any, detector: Any, watches_cuts: bool) -> None:
        self.is_cut, self.watches_cuts, self.frames = False, watches_cuts, 0

    def process(self, image: Any, stamp_ns: int) -> list[Track]:
        self.is_cut = self.watches_cuts and self.frames == SHOTS[0]
        shot, there = self.frames >= SHOTS[0], self.frames < EMPTY_AFTER
        self.frames += 1
        box = np.array([5.0, 6.0, 25.0, 40.0])
        return [Track(1 + shot, TrackingState.CONFIRMED, box, 0.9)] if there else []


def graph() -> dict[str, Any]:
    """The people of each frame at the end, and the time that the top-down stage was told; with and without cuts."""
    told: list[int] = []

    class TopDown:
        def __init__(self, config: Any) -> None:
            pass

        def warm_up(self) -> bool:
            return False

        def process(self, image: Any, stamp_ns: int, camera: Camera, tracks: Any, when_seen: Any) -> TopDownResult:
            told.append(stamp_ns)
            maps = Heatmaps(("a",), np.full((1, 2, 3), 7, np.uint8), np.eye(2, 3), 0.5)
            # The same pose, whoever it is.
            return TopDownResult(Persons.of(replace(person(5), track_id=t.track_id) for t in tracks), maps)

    detection_node.DetectionStage = Detection  # type: ignore[misc, assignment]
    top_down_node.TopDownStage = TopDown  # type: ignore[misc, assignment]
    output, cuts = "/humans/poses3d", "dualpose/cuts"
    given = ("image_reliability:=reliable", f"cuts:={sys.argv[2]}")
    words = [word for value in given for word in ("-p", f"detection_node:{value}")]
    words += ["-p", "top_down_node:image_reliability:=reliable", "-p", "fusion_node:method:=linear"]
    words += ["-p", "fusion_node:max_wait_s:=0.02"]
    rig = Rig(detection_node.DetectionNode, {"image_raw": Image, "camera_info": CameraInfo},
              {output: MultiPersonPose3D, cuts: Header}, "--ros-args", *words)  # fmt: skip
    for make in (top_down_node.TopDownNode, fusion_node.FusionNode, refinement_node.RefinementNode):
        rig.executor.add_node(make())
    rig.publish("camera_info", camera_to_info(CAMERA, header(0)))
    rig.spin(seconds=1.0)
    for number in range(sum(SHOTS)):
        rig.publish("camera_info", camera_to_info(CAMERA, header(10 * number)))
        rig.publish("image_raw", encode_image(picture(number), header(10 * number)))
        rig.spin(lambda n=number: len(rig.received[output]) > n, 4)
    people = [(stamp_to_ns(m.header.stamp), [p.track_id for p in poses_from_message(m)]) for m in rig.received[output]]
    stamps = [stamp_to_ns(message.stamp) for message in rig.received[cuts]]
    numbered = [(stamp // 100_000_000 - 1_000, ids) for stamp, ids in people]
    return {"people": numbered, "told": told, "cuts": [stamp // 100_000_000 - 1_000 for stamp in stamps]}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))

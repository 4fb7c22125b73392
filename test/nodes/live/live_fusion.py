"""Scenarios of test_live_nodes.py for the end of the graph and for who listens to it; see live_nodes.py.

`python live_fusion.py SCENARIO`.
"""

import json
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from live_nodes import Rig, header, person, picture

from dualpose_ros.nodes import detection_node, fusion_node
from dualpose_ros.nodes.convert import poses_from_message, poses_to_message, stamp_to_ns, tracks_to_message
from dualpose_ros.nodes.image_codec import encode_image
from dualpose_ros.people import Source, Track
from dualpose_ros.skeleton import H36M17

from sensor_msgs.msg import Image  # isort: skip
from vision_msgs.msg import Detection2DArray  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip


def paced_detection() -> dict[str, Any]:
    """Images every 20 ms for a detector whose graph puts a frame out only when told to, and then not at all."""

    class Stage:
        def __init__(self, config: Any, detector: Any, watches_cuts: bool) -> None:
            pass

        def process(self, image: Any, stamp_ns: int) -> list[Track]:
            return []

    detection_node.DetectionStage = Stage  # type: ignore[misc, assignment]
    output = "/humans/poses3d"
    rig = Rig(detection_node.DetectionNode, {"image_raw": Image, output: MultiPersonPose3D},
              {"dualpose/detections": Detection2DArray}, "--ros-args", "-p", "image_reliability:=reliable", "-p",
              "in_flight_timeout_s:=1.5")  # fmt: skip

    def started() -> list[int]:
        return [stamp_to_ns(m.header.stamp) // 10_000_000 - 10_000 for m in rig.received["dualpose/detections"]]

    def images(first: int, count: int) -> None:
        for number in range(first, first + count):
            rig.publish("image_raw", encode_image(picture(number), header(number)))
            rig.spin(seconds=0.02)

    images(0, 1)
    rig.spin(lambda: started() == [0], 3)
    rig.publish(output, poses_to_message([], header(0)))
    rig.spin(seconds=0.2)
    images(1, 20)
    full = started()
    rig.publish(output, poses_to_message([], header(1)))
    rig.spin(lambda: len(started()) > len(full), 3)
    refilled = started()
    images(30, 3)
    waited = started()
    since = time.monotonic()
    rig.spin(lambda: len(started()) > len(waited), 4)
    timed_out, seconds = started(), time.monotonic() - since
    images(40, 5)
    return {"full": full, "refilled": refilled, "waited": waited, "timed_out": timed_out, "seconds": seconds,
            "free": started()}  # fmt: skip


def fusion() -> dict[str, Any]:
    """Both branches, either of them alone, messages that are nonsense, and a branch that dies and returns."""
    takes = {"dualpose/top_down/poses3d": MultiPersonPose3D, "dualpose/bottom_up/poses3d": MultiPersonPose3D,
             "dualpose/detections": Detection2DArray}  # fmt: skip
    fused = "dualpose/fused/poses3d"
    rig = Rig(fusion_node.FusionNode, takes, {fused: MultiPersonPose3D}, "--ros-args", "-p", "method:=linear",
              "-p", "max_wait_s:=0.3")  # fmt: skip
    body = np.random.default_rng(2).normal(0, 0.3, (H36M17.num_joints, 3)) + np.array([0, 0, 4])
    arrived: dict[int, float] = {}

    def send(number: int, *branches: str, spoilt: Callable[[Any], None] | None = None) -> None:
        rig.publish("dualpose/detections", tracks_to_message([], header(number)))
        for branch in branches:
            track, source = (3, Source.TOP_DOWN) if branch == "top_down" else (-1, Source.BOTTOM_UP)
            said = replace(person(track), joints_cam=body, source=source)
            message = poses_to_message([said], header(number), (64, 48))
            if spoilt is not None:
                spoilt(message)
            rig.publish(f"dualpose/{branch}/poses3d", message)

    def published() -> list[int]:
        numbers = [stamp_to_ns(m.header.stamp) // 10_000_000 - 10_000 for m in rig.received[fused]]
        for number in numbers:
            arrived.setdefault(number, time.monotonic())
        return numbers

    def wait_for(number: int, seconds: float = 3.0) -> float:
        """Seconds until a frame has come out."""
        since = time.monotonic()
        rig.spin(lambda: number in published(), seconds)
        return time.monotonic() - since

    def not_a_number(message: Any) -> None:
        message.persons[0].joints[4].y = float("nan")

    def too_short(message: Any) -> None:
        message.persons[0].joint_scores = array("f", [1.0])

    both = ("top_down", "bottom_up")
    send(1, *both)
    waits = {"both": wait_for(1)}
    send(2, "top_down")
    waits["top_down"] = wait_for(2)
    send(2, "bottom_up")
    send(3, "bottom_up")
    waits["bottom_up"] = wait_for(3)
    errors = []
    for number, spoilt in ((4, not_a_number), (5, too_short)):
        send(number, "bottom_up", spoilt=spoilt)
        rig.spin(lambda n=number: rig.node.diagnostics.log.total_errors >= n - 3, 3)
        errors.append(rig.node.diagnostics.health().values["last_error"])
    nonsense = [number for number in published() if number in (4, 5)]
    # The bottom-up branch dies: frames of the other one, ten a second.
    start = time.monotonic()
    for k in range(25):
        send(10 + k, *(both if k < 5 or k >= 22 else both[:1]))
        rig.spin(lambda k=k: published() is not None and time.monotonic() >= start + 0.1 * (k + 1))
    wait_for(34)
    rig.spin(seconds=1.2)
    values = {v.key: v.value for m in rig.received["/diagnostics"][-1:] for s in m.status for v in s.values}
    persons = {number: poses_from_message(m)[0] for number, m in zip(published(), rig.received[fused], strict=True)}
    return {
        "waits": waits,
        "errors": errors,
        "nonsense": nonsense,
        "published": published(),
        "arrived": [arrived[number] for number in range(10, 35)],
        "sources": [persons[number].source.name for number in published()],
        "ids": sorted({p.track_id for p in persons.values()}),
        "values": values,
        "frame_id": rig.received[fused][0].header.frame_id,
        "box": persons[1].box_px.tolist(),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))

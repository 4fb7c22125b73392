"""Nodes side by side in namespaces, and the recorder on messages that make no sense; see live_nodes.py."""

import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from live_nodes import CAMERA, Rig, header, person
from mcap.reader import make_reader
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_info, threadpool_limits

from dualpose_ros.nodes import camera_node, refinement_node, visualization_node
from dualpose_ros.nodes.base import NUMBERS, RELIABLE, run_node
from dualpose_ros.nodes.convert import camera_to_info, poses_to_message, stamp_to_ns
from dualpose_ros.nodes.joining.numbers import FRAME_NUMBER
from dualpose_ros.nodes.joining.pacing import RECORDED
from dualpose_ros.nodes.recorder import RecorderNode
from dualpose_ros.recording.overlay import write_overlay
from dualpose_ros.recording.recording import Recording
from dualpose_ros.standalone import arguments as command_line

import rclpy  # isort: skip
from rclpy.node import Node  # isort: skip
from rclpy.serialization import deserialize_message, serialize_message  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # isort: skip
from sensor_msgs.msg import CameraInfo, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip
from visualization_msgs.msg import Marker, MarkerArray  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip


def namespaces() -> dict[str, Any]:
    """Two visualization nodes and the refinement node between them, each in a namespace of its own."""
    gives = {f"/{name}/humans/markers": MarkerArray for name in ("left", "right")}
    rig = Rig(visualization_node.VisualizationNode, {"/left/humans/poses3d": MultiPersonPose3D}, gives,
              "--ros-args", "-r", "__ns:=/left")  # fmt: skip
    # What a second process would be told by its own command line.
    rclpy.utilities.get_default_context().arguments = command_line.parse(["--ros-args", "-r", "__ns:=/right"])
    others = [visualization_node.VisualizationNode(), refinement_node.RefinementNode()]
    for node in others:
        rig.executor.add_node(node)
    refined = "/right/dualpose/fused/poses3d"
    rig.publishers[refined] = rig.driver.create_publisher(MultiPersonPose3D, refined, RELIABLE)
    rig.spin(seconds=1.0)
    rig.publish("/left/humans/poses3d", poses_to_message([person(1)], header(1), (64, 48)))
    rig.publish(refined, poses_to_message([person(2)], header(1), (64, 48)))
    rig.spin(lambda: all(rig.received[topic] for topic in gives))
    return {
        topic: sorted({(m.ns, m.id) for message in rig.received[topic] for m in message.markers}) for topic in gives
    }


def threads_of_blas() -> list[int]:
    """Of each that was not built for one alone, as OpenCV's own may be."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return [pool["num_threads"] for pool in pools if pool.get("threading_layer") != "disabled"]


def blas_threads() -> dict[str, Any]:
    """Threads of each BLAS that can have several before a node starts, and while it runs."""
    threadpool_limits(2, user_api="blas")
    found: dict[str, Any] = {"before": threads_of_blas()}

    class Probe(Node):
        def __init__(self) -> None:
            super().__init__("probe")
            self.create_timer(0.01, self.look)

        def look(self) -> None:
            found["spinning"] = threads_of_blas()
            raise KeyboardInterrupt

    assert run_node(Probe, []) == 0
    return found


def upright(transform: Any) -> tuple[str, str, list[list[float]]]:
    """Frames of a transform, and where the optical frame's forward and up are in the parent."""
    turn = Rotation.from_quat([getattr(transform.transform.rotation, name) for name in "xyzw"])
    axes = turn.apply([[0, 0, 1], [0, -1, 0]]).round(9)
    return transform.header.frame_id, transform.child_frame_id, axes.tolist()


def recorder() -> dict[str, Any]:
    """Every kind of message that makes no sense, a frame answered before, then a good one, into a recording."""
    takes = {"humans/poses3d": MultiPersonPose3D, "dualpose/fused/poses3d": MultiPersonPose3D, "image_raw": Image,
             "camera_info": CameraInfo, "humans/markers": MarkerArray}  # fmt: skip
    folder = Path(sys.argv[2])
    with Recording(folder) as recording:
        rig = Rig(lambda: RecorderNode(recording, every_frame=True), takes, {RECORDED: Header})
        status = rig.driver.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        numbers = rig.driver.create_publisher(Header, FRAME_NUMBER, NUMBERS)
        before = header(1)
        before.stamp.sec = -5
        bad_score = poses_to_message([dataclasses.replace(person(1), score=np.nan)], header(1))
        bad_joints = poses_to_message([dataclasses.replace(person(2), joints_cam=np.full((17, 3), np.inf))], header(2))
        few = poses_to_message([person(3)], header(3))
        few.persons[0].joints = few.persons[0].joints[:5]
        for topic in ("humans/poses3d", "dualpose/fused/poses3d"):
            for message in (bad_score, bad_joints, few, poses_to_message([person(4)], before)):
                rig.publish(topic, message)
        rig.publish("image_raw", Image(header=header(1), width=3, height=3, encoding="rgb8", step=2))
        rig.publish("camera_info", CameraInfo(header=before, width=3, height=3, k=[float("nan")] * 9))
        for markers in ([Marker(header=before)], [Marker(header=header(5)), Marker(header=header(6))], []):
            rig.publish("humans/markers", MarkerArray(markers=markers))
        for name in ("elsewhere/camera_node", "camera_node"):
            values = [KeyValue(key="state", value=name)]
            status.publish(DiagnosticArray(status=[DiagnosticStatus(name=f"{name}: pipeline", values=values)]))
        for tick, seen in ((7, CAMERA), (8, CAMERA), (9, CAMERA.resized(320, 240))):
            rig.publish("camera_info", camera_to_info(seen, header(tick)))
        rig.publish("humans/poses3d", poses_to_message([person(8)], header(1)))
        last = poses_to_message([person(9)], header(9))
        rig.publish("humans/poses3d", last)
        for number, of in enumerate((before, header(1), header(2), header(9))):
            numbers.publish(Header(stamp=of.stamp, frame_id=f"{number} {number}.png"))
        came = rig.spin(lambda: recording.latest is not None and recording.latest.persons[0].track_id == 9)
        rig.spin(lambda: "camera_node" in rig.node.statuses and len(rig.node.info_stamps_ns) == 4)
        rig.spin(lambda: len(rig.received[RECORDED]) == 6)
    with (folder / "poses.mcap").open("rb") as stream:
        messages = [(channel.topic, m) for _, channel, m in make_reader(stream).iter_messages(log_time_order=False)]
    counts = Counter(topic for topic, _ in messages)
    lines = [json.loads(line) for line in recording.pose_lines.read_text().splitlines()]
    fused = [json.loads(line) for line in recording.stage_lines("fused").read_text().splitlines()]
    with recording.frames:
        drawn = write_overlay(folder / "overlay.mp4", recording.pose_lines, recording.frames, CAMERA)
    return {
        "came": came,
        "ids": [line["persons"][0]["track_id"] for line in lines],
        "scores": [line["persons"][0]["score"] for line in lines],
        "stamps": [line["stamp_ns"] for line in lines],
        "files": [(line["frame"], line["file"]) for line in sorted(lines, key=lambda line: line["frame"])],
        "fused": [line["persons"][0]["track_id"] for line in fused],
        "state": rig.node.status("camera_node", "state"),
        "drawn": drawn,
        "recorded": [stamp_to_ns(message.stamp) for message in rig.received[RECORDED]],
        "counts": counts,
        "info_stamps": rig.node.info_stamps_ns,
        "width": rig.node.camera.width if rig.node.camera else 0,
        "stamp_of_5": stamp_to_ns(header(5).stamp),
        "frames": [
            upright(transform)
            for topic, m in messages
            if topic == "/tf_static"
            for transform in deserialize_message(m.data, TFMessage).transforms
        ],
        "times": [m.publish_time for topic, m in messages if topic == "/humans/markers"],
        "as_it_came": any(m.data.startswith(serialize_message(last)) for _, m in messages),
    }


def film() -> dict[str, Any]:
    """A folder of six pictures, every frame: how many were sent while nothing, then the first, is recorded."""
    args = ("-p", f"source:={sys.argv[2]}", "-p", "hfov_deg:=60.0", "-p", "every_frame:=true")
    ends = {topic: MultiPersonPose3D for topic in ("dualpose/fused/poses3d", "humans/poses3d")}
    rig = Rig(camera_node.CameraNode, {}, {"camera_info": CameraInfo}, "--ros-args", *args,
              "-p", "wait_for_recorder:=true")  # fmt: skip
    poses = {topic: rig.driver.create_publisher(kind, topic, RELIABLE) for topic, kind in ends.items()}
    recorded = rig.driver.create_publisher(Header, RECORDED, RELIABLE)
    sent = rig.received["camera_info"]
    rig.spin(lambda: len(sent) >= 3 and recorded.get_subscription_count() > 0)
    for info in list(sent):
        poses["humans/poses3d"].publish(poses_to_message([], info.header, (64, 48)))
    rig.spin(seconds=0.6)
    counts = [len(sent)]
    recorded.publish(sent[0].header)
    rig.spin(lambda: len(sent) > counts[0])
    rig.spin(seconds=0.3)
    return {"sent": [*counts, len(sent)]}


def numbers() -> dict[str, Any]:
    """A folder some of whose pictures can't be had: stamps of what is sent, and which numbers are said."""
    args = ("-p", f"source:={sys.argv[2]}", "-p", "hfov_deg:=60.0", "-p", "every_frame:=true", "-p", "fps:=10.0")
    gives = {"camera_info": CameraInfo, FRAME_NUMBER: Header}
    rig = Rig(camera_node.CameraNode, {}, gives, "--ros-args", *args)
    poses = rig.driver.create_publisher(MultiPersonPose3D, "humans/poses3d", RELIABLE)
    rig.driver.create_publisher(MultiPersonPose3D, "dualpose/fused/poses3d", RELIABLE)
    sent = rig.received["camera_info"]
    answered: list[Any] = []
    while rig.spin(lambda: len(sent) > len(answered), seconds=3.0):
        answered.append(sent[len(answered)])
        poses.publish(poses_to_message([], answered[-1].header, (64, 48)))
    said = {message.frame_id: stamp_to_ns(message.stamp) for message in rig.received[FRAME_NUMBER]}
    return {"sent": [stamp_to_ns(info.header.stamp) for info in sent], "said": said}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))

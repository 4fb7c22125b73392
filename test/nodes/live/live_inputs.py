"""The top-down node with a camera whose messages do not fit; see live_nodes.py."""

import json
import sys
from array import array
from typing import Any

import cv2
import numpy as np
from live_nodes import CAMERA, Rig, header, person, picture

from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.nodes import top_down_node
from dualpose_ros.nodes.base import LATCHED, RELIABLE
from dualpose_ros.nodes.convert import camera_to_info, stamp_to_ns, tracks_to_message
from dualpose_ros.nodes.image_codec import encode_image
from dualpose_ros.people import Persons, Track, TrackingState
from dualpose_ros.top_down.stage import TopDownResult

import rclpy  # isort: skip
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip
from vision_msgs.msg import Detection2DArray  # isort: skip

from dualpose_ros.msg import Heatmaps as HeatmapsMessage  # isort: skip
from dualpose_ros.msg import MultiPersonPose3D  # isort: skip

POSES = "dualpose/top_down/poses3d"


class Stage:
    """Answers every frame with a person, and remembers when it was."""

    times: list[int] = []  # noqa: RUF012

    def __init__(self, config: Any) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def process(self, image: Any, stamp_ns: int, camera: Any, tracks: list[Track], when_seen: Any) -> TopDownResult:
        self.times.append(stamp_ns)
        maps = Heatmaps(("a",), np.zeros((1, 2, 3), np.uint8), np.eye(2, 3), 0.5)
        when_seen(maps)
        return TopDownResult(Persons.of(person(t.track_id) for t in tracks), maps)


def rig(images: str = "image_raw", kind: type[Any] = Image, *arguments: str) -> Rig:
    top_down_node.TopDownStage = Stage  # type: ignore[misc, assignment]
    takes = {images: kind, "dualpose/detections": Detection2DArray}
    reliable = ("--ros-args", "-p", "image_reliability:=reliable", *arguments)
    return Rig(top_down_node.TopDownNode, takes, {POSES: MultiPersonPose3D}, *reliable)


def send(made: Rig, of: Header, topic: str = "image_raw", image: Any = None) -> None:
    made.publish(topic, image or encode_image(picture(1), of))
    track = Track(4, TrackingState.CONFIRMED, np.array([5.0, 6.0, 25.0, 40.0]), 0.8)
    made.publish("dualpose/detections", tracks_to_message([track], of))


def statuses(made: Rig) -> list[str]:
    return [status.message for message in made.received["/diagnostics"] for status in message.status]


def off_by_a_millisecond() -> dict[str, Any]:
    """A CameraInfo every tenth image, none of them stamped like it."""
    made = rig()
    infos = made.driver.create_publisher(CameraInfo, "camera_info", RELIABLE)
    made.spin(lambda: infos.get_subscription_count() > 0)
    for number in range(30):
        if number % 10 == 0:
            late = header(number)
            late.stamp.nanosec += 1_000_000
            infos.publish(camera_to_info(CAMERA, late))
            made.spin(seconds=0.1)
        send(made, header(number))
        made.spin(lambda n=number: len(made.received[POSES]) > n, 2)
    return {"poses": len(made.received[POSES])}


def latched() -> dict[str, Any]:
    """A CameraInfo that was sent once, before there was a node; then the words where there is none at all."""
    rclpy.init(args=["probe"])
    early = rclpy.node.Node("early", use_global_arguments=False)
    infos = early.create_publisher(CameraInfo, "camera_info", LATCHED)
    infos.publish(camera_to_info(CAMERA, header(0)))
    rclpy.init = lambda args: None
    made = rig()
    made.spin(seconds=1.5)
    for number in range(5):
        send(made, header(number))
        made.spin(lambda n=number: len(made.received[POSES]) > n, 2)
    return {"poses": len(made.received[POSES])}


def sent_again() -> dict[str, Any]:
    """With every frame, one that was answered: heatmaps and poses come anew, without more work."""
    made = rig("image_raw", Image, "-p", "every_frame:=true")
    heatmaps: list[Any] = []
    made.driver.create_subscription(HeatmapsMessage, "dualpose/top_down/heatmaps", heatmaps.append, RELIABLE)
    infos = made.driver.create_publisher(CameraInfo, "camera_info", RELIABLE)
    made.spin(lambda: infos.get_subscription_count() > 0)
    infos.publish(camera_to_info(CAMERA, header(0)))
    made.spin(seconds=0.5)
    for times in (1, 2):
        send(made, header(1))
        made.spin(lambda n=times: len(made.received[POSES]) >= n and len(heatmaps) >= n)
    return {"poses": len(made.received[POSES]), "heatmaps": len(heatmaps), "worked": len(Stage.times)}


def missing() -> dict[str, Any]:
    """Images, and no CameraInfo for some seconds."""
    made = rig()
    number = 0
    while number < 35 and not any("camera_info" in text for text in statuses(made)):
        send(made, header(number))
        made.spin(seconds=0.2)
        number += 1
    before = len(made.received[POSES])
    infos = made.driver.create_publisher(CameraInfo, "camera_info", RELIABLE)
    made.spin(lambda: infos.get_subscription_count() > 0)
    infos.publish(camera_to_info(CAMERA, header(0)))
    made.spin(seconds=0.1)
    send(made, header(50))
    made.spin(lambda: bool(made.received[POSES]), 2)
    made.spin(seconds=2.2)
    return {"before": before, "after": len(made.received[POSES]), "texts": sorted(set(statuses(made))),
            "last": made.node.diagnostics.missing}  # fmt: skip


def unset() -> dict[str, Any]:
    """Images that all have the stamp zero, and some that name no frame."""
    made = rig()
    warnings: list[str] = []
    made.node.get_logger().warning = warnings.append
    infos = made.driver.create_publisher(CameraInfo, "camera_info", RELIABLE)
    made.spin(lambda: infos.get_subscription_count() > 0)
    infos.publish(camera_to_info(CAMERA, Header()))
    made.spin(seconds=0.1)
    for number in range(6):
        send(made, Header(frame_id="eye"))
        made.spin(lambda n=number: len(made.received[POSES]) > n, 2)
    return {
        "poses": len(made.received[POSES]),
        "stamps": sorted({stamp_to_ns(m.header.stamp) for m in made.received[POSES]}),
        "rising": bool((np.diff(Stage.times) > 0).all()),
        "warnings": [[made.node.time_of(Header()), sum("frame" in text for text in warnings)][1] for _ in range(2)],
    }


def passed_on() -> dict[str, Any]:
    """Images of the camera alone, then such as the detection node passes on, then the camera's alone again."""
    made = rig()
    worked = made.driver.create_publisher(Image, "dualpose/image", RELIABLE)
    infos = made.driver.create_publisher(CameraInfo, "camera_info", RELIABLE)
    made.spin(lambda: infos.get_subscription_count() > 0 and worked.get_subscription_count() > 0)
    infos.publish(camera_to_info(CAMERA, header(0)))
    made.spin(seconds=0.1)
    takers, count = [], made.publishers["image_raw"].get_subscription_count
    for number in range(6):
        if 2 <= number < 4:
            worked.publish(encode_image(picture(1), header(number)))
            made.publish("dualpose/detections", tracks_to_message([], header(number)))
        else:
            send(made, header(number))
        made.spin(lambda n=number: len(made.received[POSES]) > n, 3)
        if number in (2, 3):
            made.spin(lambda n=number: count() == (n == 3), 3)
            made.spin(seconds=0.2)
        takers.append(count())
    return {"poses": len(made.received[POSES]), "takers": takers, "texts": sorted(set(statuses(made)))}


def compressed() -> dict[str, Any]:
    """JPEG by image_transport's name of the topic that image_raw is remapped to."""
    topic = "/camera/image/compressed"
    transport = ("-p", "image_transport:=compressed", "-r", "image_raw:=/camera/image")
    made = rig(topic, CompressedImage, *transport)
    infos = made.driver.create_publisher(CameraInfo, "camera_info", RELIABLE)
    made.spin(lambda: infos.get_subscription_count() > 0)
    infos.publish(camera_to_info(CAMERA, header(0)))
    made.spin(seconds=0.1)
    data = array("B", cv2.imencode(".jpg", picture(1))[1].tobytes())
    for number in range(3):
        send(made, header(number), topic, CompressedImage(header=header(number), format="jpeg", data=data))
        made.spin(lambda n=number: len(made.received[POSES]) > n, 2)
    return {"poses": len(made.received[POSES])}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))

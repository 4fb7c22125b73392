"""Runs one node together with a driver that feeds it, in a process of its own, and prints what came out as JSON.

`python live_nodes.py SCENARIO`; used by test_live_nodes.py. The stages are replaced by small
stand-ins, so that only the node is under test.
"""

import json
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from dualpose_ros.bottom_up.stage import BottomUpResult
from dualpose_ros.camera import Camera
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.nodes import bottom_up_node, detection_node, top_down_node, visualization_node
from dualpose_ros.nodes.base import RELIABLE, SENSOR_DATA
from dualpose_ros.nodes.convert import (
    camera_to_info,
    heatmaps_from_message,
    heatmaps_to_message,
    poses_from_message,
    poses_to_message,
    stamp_to_ns,
    tracks_from_message,
    tracks_to_message,
)
from dualpose_ros.nodes.image_codec import decode_image, encode_image
from dualpose_ros.people import Persons, Pose3D, Source, Track, TrackingState
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.stage import TopDownResult

import rclpy  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray  # isort: skip
from rclpy.executors import SingleThreadedExecutor  # isort: skip
from rclpy.node import Node  # isort: skip
from sensor_msgs.msg import CameraInfo, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip
from vision_msgs.msg import Detection2DArray  # isort: skip
from visualization_msgs.msg import MarkerArray  # isort: skip

from dualpose_ros.msg import Heatmaps as HeatmapsMessage  # isort: skip
from dualpose_ros.msg import MultiPersonPose3D  # isort: skip

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)


def header(number: int) -> Header:
    """Stamps 10 ms apart."""
    made = Header(frame_id="eye")
    made.stamp.sec, made.stamp.nanosec = 100 + number // 100, number % 100 * 10_000_000
    return made


def picture(number: int) -> np.ndarray:
    return np.full((48, 64, 3), number % 256, np.uint8)


def person(track_id: int) -> Pose3D:
    k = H36M17.num_joints
    keypoints = np.random.default_rng(abs(track_id)).random((k, 2)) * 40
    return Pose3D(track_id, TrackingState.CONFIRMED, Source.TOP_DOWN, 0.9, np.array([1.0, 2, 30, 40]),
                  np.full((k, 3), 2.0), np.ones(k), np.zeros(k), keypoints)  # fmt: skip


class Rig:
    """The node under test and a driver in one executor."""

    def __init__(self, make: Callable[[], Any], takes: dict[str, Any], gives: dict[str, Any], *args: str) -> None:
        rclpy.init(args=["probe", *args])
        self.node = make()
        self.driver = Node("driver", use_global_arguments=False)
        self.publishers = {topic: self.driver.create_publisher(kind, topic, RELIABLE) for topic, kind in takes.items()}
        self.received: dict[str, list[Any]] = {topic: [] for topic in (*gives, "/diagnostics")}
        for topic, kind in {**gives, "/diagnostics": DiagnosticArray}.items():
            qos = SENSOR_DATA if topic.endswith("humans/overlay") else 50
            self.driver.create_subscription(kind, topic, self.received[topic].append, qos)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.executor.add_node(self.driver)
        matched = [p.get_subscription_count for p in self.publishers.values()]
        self.spin(lambda: all(count() > 0 for count in matched))
        self.spin(seconds=0.3)

    def spin(self, until: Callable[[], bool] = lambda: False, seconds: float = 8.0) -> bool:
        """Serve both nodes until a condition holds; False if it did not within the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if until():
                return True
            self.executor.spin_once(timeout_sec=0.02)
        return until()

    def publish(self, topic: str, message: Any) -> None:
        self.publishers[topic].publish(message)

    def errors(self) -> list[str]:
        """Messages of the diagnostics at level ERROR, in order, without repetitions."""
        found = [s.message for m in self.received["/diagnostics"] for s in m.status if s.level == b"\x02"]
        return list(dict.fromkeys(found))


def top_down() -> dict[str, Any]:
    """Every kind of bad input, then a good frame."""

    class Stage:
        def __init__(self, config: Any) -> None:
            self.calls = 0

        def warm_up(self) -> None:
            pass

        def process(
            self, image: Any, stamp_ns: int, camera: Camera, tracks: list[Track], when_seen: Any
        ) -> TopDownResult:
            self.calls += 1
            if image[0, 0, 0] == 13:
                raise RuntimeError("the network has fallen over")
            maps = Heatmaps(("a",), np.full((1, 2, 3), 7, np.uint8), np.eye(2, 3), 0.5)
            when_seen(maps)
            return TopDownResult(Persons.of(person(t.track_id) for t in tracks), maps)

    top_down_node.TopDownStage = Stage  # type: ignore[misc, assignment]
    takes = {"image_raw": Image, "camera_info": CameraInfo, "dualpose/detections": Detection2DArray}
    gives = {"dualpose/top_down/poses3d": MultiPersonPose3D, "dualpose/top_down/heatmaps": HeatmapsMessage}
    rig = Rig(top_down_node.TopDownNode, takes, gives, "--ros-args", "-p", "image_reliability:=reliable")

    def send(number: int, image: Any = None, info: Any = None, tracks: Any = None) -> None:
        rig.publish("image_raw", image or encode_image(picture(number), header(number)))
        rig.publish("camera_info", info or camera_to_info(CAMERA, header(number)))
        box = np.array([5.0, 6.0, 25.0, 40.0])
        default = tracks_to_message([Track(4, TrackingState.CONFIRMED, box, 0.8)], header(number))
        rig.publish("dualpose/detections", tracks or default)

    def bad_floats(number: int) -> Image:
        image = Image(header=header(number), height=48, width=64, encoding="32FC1", step=256)
        values = np.zeros((48, 64), np.float32)
        values[3, 4] = np.nan
        image.data = array("B", values.tobytes())
        return image

    uncalibrated = CameraInfo(header=header(1), width=64, height=48)
    unknown = encode_image(picture(2), header(2))
    unknown.encoding = "h265"
    other_size = camera_to_info(CAMERA.resized(128, 96), header(4))
    nameless = tracks_to_message([Track(4, TrackingState.CONFIRMED, np.array([1.0, 2, 3, 4]), 0.8)], header(5))
    nameless.detections[0].id = ""
    bad: list[dict[str, Any]] = [
        {"number": 1, "info": uncalibrated}, {"number": 2, "image": unknown}, {"number": 3, "image": bad_floats(3)},
        {"number": 4, "info": other_size}, {"number": 5, "tracks": nameless}, {"number": 13},
    ]  # fmt: skip
    for count, arguments in enumerate(bad, start=1):
        send(**arguments)
        rig.spin(lambda c=count: rig.node.diagnostics.log.total_errors >= c, 3)  # type: ignore[misc]
    published_from_bad = len(rig.received["dualpose/top_down/poses3d"])
    seen_errors = rig.node.diagnostics.health().values["last_error"]
    send(20)
    rig.spin(lambda: bool(rig.received["dualpose/top_down/poses3d"]) and bool(rig.received[
        "dualpose/top_down/heatmaps"]))  # fmt: skip
    (poses,) = rig.received["dualpose/top_down/poses3d"]
    (maps,) = rig.received["dualpose/top_down/heatmaps"]
    return {
        "errors": rig.node.diagnostics.log.total_errors,
        "last_error": seen_errors,
        "diagnostics": rig.errors(),
        "published_from_bad": published_from_bad,
        "stamp": stamp_to_ns(poses.header.stamp),
        "frame_id": poses.header.frame_id,
        "ids": [p.track_id for p in poses_from_message(poses)],
        "heatmap": heatmaps_from_message(maps).data.tolist(),
    }


def bottom_up() -> dict[str, Any]:
    """Frames with heatmaps, without, with bad input, and with nobody who says which frames to work on."""
    seen: list[tuple[int, bool]] = []
    prepared: list[tuple[int, int]] = []

    class Stage:
        def __init__(self, config: Any) -> None:
            pass

        def prepare(self, width: int, height: int) -> None:
            prepared.append((width, height))

        def process(self, image: Any, stamp_ns: int, camera: Camera, heatmaps: Heatmaps | None) -> BottomUpResult:
            if image[0, 0, 0] == 13:
                raise RuntimeError("the network has fallen over")
            seen.append((stamp_ns, heatmaps is not None and int(heatmaps.data[3, 1, 2]) == 9))
            return BottomUpResult(Persons.of([person(-1)]), heatmaps is not None)

    bottom_up_node.BottomUpStage = Stage  # type: ignore[misc, assignment]
    takes = {"image_raw": Image, "camera_info": CameraInfo, "dualpose/detections": Detection2DArray,
             "dualpose/top_down/heatmaps": HeatmapsMessage}  # fmt: skip
    poses = "dualpose/bottom_up/poses3d"
    rig = Rig(bottom_up_node.BottomUpNode, takes, {poses: MultiPersonPose3D}, "--ros-args", "-p",
              "image_reliability:=reliable", "-p", "max_wait_s:=0.3", "-p", "detector_timeout_s:=2")  # fmt: skip

    def send(number: int, heatmaps: bool = True, detections: bool = True, info: Any = None) -> None:
        rig.publish("image_raw", encode_image(picture(number), header(number)))
        rig.publish("camera_info", info or camera_to_info(CAMERA, header(number)))
        if detections:
            rig.publish("dualpose/detections", tracks_to_message([], header(number)))
        if heatmaps:
            rig.publish("dualpose/top_down/heatmaps", heatmaps_to_message(joint_maps, header(number)))

    def published() -> list[int]:
        return [stamp_to_ns(m.header.stamp) // 10_000_000 - 10_000 for m in rig.received[poses]]

    joint_maps = Heatmaps(H36M17.joint_names, np.full((17, 2, 3), 9, np.uint8), np.eye(2, 3), 1 / 255)
    other_maps = Heatmaps(("nose",), np.full((1, 2, 3), 9, np.uint8), np.eye(2, 3), 1 / 255)
    send(1)
    rig.spin(lambda: published() == [1], 3)
    started = time.monotonic()
    send(2, heatmaps=False)
    rig.spin(lambda: published() == [1, 2], 3)
    waited = time.monotonic() - started
    before_bad = published()
    send(3, info=CameraInfo(header=header(3), width=64, height=48))
    rig.spin(lambda: rig.node.diagnostics.log.total_errors >= 1, 3)
    send(13)
    rig.spin(lambda: rig.node.diagnostics.log.total_errors >= 2, 3)
    after_bad = published()
    silent_since = time.monotonic()
    send(14, heatmaps=False)
    rig.publish("dualpose/top_down/heatmaps", heatmaps_to_message(other_maps, header(14)))
    rig.spin(lambda: 14 in published(), 3)
    sent_s = {}
    for number in range(20, 60):
        sent_s[number] = time.monotonic() - silent_since
        send(number, heatmaps=False, detections=False)
        rig.spin(seconds=0.1)
    send(70)
    rig.spin(lambda: 70 in published(), 3)
    # Only now is it sure which of the images before it were taken.
    alone = [number for number in published() if 20 <= number < 70]
    alone_seconds = time.monotonic() - silent_since
    rig.spin(seconds=1.2)
    values = {v.key: v.value for m in rig.received["/diagnostics"][-1:] for s in m.status for v in s.values}
    return {
        "seen": [(stamp // 10_000_000 - 10_000, guided) for stamp, guided in seen],
        "published": published(),
        "prepared": prepared,
        "before_bad": before_bad,
        "after_bad": after_bad,
        "waited": waited,
        "alone": alone,
        "alone_seconds": alone_seconds,
        "first_alone_s": sent_s[min(alone)],
        "diagnostics": rig.errors(),
        "values": values,
        "track_id": rig.received[poses][0].persons[0].track_id,
        "frame_id": rig.received[poses][0].header.frame_id,
    }


def detection() -> dict[str, Any]:
    """A detector slower than its camera, and one that fails now and then."""

    class Stage:
        def __init__(self, config: Any, detector: Any, watches_cuts: bool) -> None:
            self.stamps: list[int] = []

        def process(self, image: Any, stamp_ns: int) -> list[Track]:
            if image[0, 0, 0] == 99:
                raise ValueError("no picture of people")
            time.sleep(0.1)
            self.stamps.append(stamp_ns)
            return [Track(2, TrackingState.TENTATIVE, np.array([1.0, 2.0, 3.0, 4.0]), 0.6)]

    prepared: list[tuple[int, ...]] = []
    detection_node.create_detector = lambda config: lambda image, far=True: prepared.append(image.shape)  # type: ignore
    detection_node.DetectionStage = Stage  # type: ignore[misc, assignment]
    gives = {"dualpose/detections": Detection2DArray, "dualpose/image": Image}
    rig = Rig(detection_node.DetectionNode, {"image_raw": Image, "camera_info": CameraInfo}, gives,
              "--ros-args", "-p", "image_reliability:=reliable")  # fmt: skip
    rig.spin(lambda: bool(rig.node._passed_on._publisher.get_subscription_count()))
    for _ in range(2):
        rig.publish("camera_info", camera_to_info(CAMERA, Header(frame_id="eye")))
    rig.spin(lambda: bool(prepared), 3)
    for number in range(30):
        rig.publish("image_raw", encode_image(picture(number), header(number)))
        time.sleep(0.005)
    rig.spin(lambda: bool(rig.received["dualpose/detections"]), 3)
    rig.spin(seconds=0.5)
    burst = [stamp_to_ns(m.header.stamp) for m in rig.received["dualpose/detections"]]
    passed_on = [stamp_to_ns(m.header.stamp) for m in rig.received["dualpose/image"]]
    rig.publish("image_raw", encode_image(picture(99), header(50)))
    rig.spin(lambda: bool(rig.errors()), 3)
    before = len(rig.received["dualpose/detections"])
    rig.publish("image_raw", encode_image(picture(51), header(51)))
    rig.spin(lambda: len(rig.received["dualpose/detections"]) > before, 3)
    last = rig.received["dualpose/detections"][-1]
    return {
        "burst": burst,
        "prepared": prepared,
        "passed_on": passed_on,
        "newest": stamp_to_ns(header(29).stamp),
        "errors": rig.errors(),
        "after_error": stamp_to_ns(last.header.stamp) - stamp_to_ns(header(51).stamp),
        "tracks": [(t.track_id, t.state.name) for t in tracks_from_message(last)],
    }


def visualization() -> dict[str, Any]:
    """Two people, then one; the overlay with its image."""
    rig = Rig(visualization_node.VisualizationNode, {"image_raw": Image, "/humans/poses3d": MultiPersonPose3D},
              {"/humans/markers": MarkerArray, "/humans/overlay": Image},
              "--ros-args", "-p", "image_reliability:=reliable", "-p", "markers.lifetime_s:=2")  # fmt: skip
    for number, ids in ((1, (3, 4)), (2, (4,))):
        rig.publish("image_raw", encode_image(picture(0), header(number)))
        rig.publish("/humans/poses3d", poses_to_message([person(i) for i in ids], header(number), (64, 48)))
        rig.spin(lambda n=number: len(rig.received["/humans/overlay"]) >= n)  # type: ignore[misc]
    foreign = poses_to_message([person(1)], header(3), (64, 48))
    foreign.skeleton = "smpl24"
    rig.publish("/humans/poses3d", foreign)
    rig.spin(lambda: bool(rig.errors()), 3)
    rig.spin(lambda: len(rig.received["/humans/markers"]) >= 2)
    markers = [sorted({(m.id, m.action) for m in message.markers}) for message in rig.received["/humans/markers"]]
    overlays = rig.received["/humans/overlay"]
    return {
        "markers": markers,
        "lifetime": rig.received["/humans/markers"][0].markers[0].lifetime.sec,
        "overlay_stamps": [stamp_to_ns(m.header.stamp) for m in overlays],
        "drawn": [int(np.any(decode_image(m) != 0, axis=-1).sum()) for m in overlays],
        "errors": rig.errors(),
    }


def camera_listener() -> dict[str, Any]:
    """Collects what a camera_node in another process sends until it says that it has finished."""
    rclpy.init(args=["probe"])
    node = Node("listener")
    images: list[Any] = []
    infos: list[Any] = []
    states: list[dict[str, str]] = []

    def on_diagnostics(message: Any) -> None:
        states.extend({v.key: v.value for v in status.values} for status in message.status)

    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 50)
    node.create_subscription(CameraInfo, "camera_info", infos.append, 50)
    node.create_subscription(Image, "image_raw", images.append, 50)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + 20
    while time.monotonic() < end and not (states and states[-1].get("state") == "finished"):
        executor.spin_once(timeout_sec=0.1)
    # The topics are apart: the last image may come after the word that it was sent.
    soon = time.monotonic() + 2
    while time.monotonic() < soon and len(images) < int(states[-1].get("frames_sent", 0)):
        executor.spin_once(timeout_sec=0.1)
    stamps = [stamp_to_ns(m.header.stamp) for m in images]
    return {
        "grey": [int(decode_image(m)[10, 10, 1]) for m in images],
        "same_stamps": [0, *stamps] == [stamp_to_ns(m.header.stamp) for m in infos],
        "age_s": time.time() - stamps[-1] * 1e-9,
        "intervals_s": (np.diff(stamps) * 1e-9).tolist(),
        "k": list(infos[0].k),
        "size": [infos[0].width, infos[0].height],
        "frame_id": images[0].header.frame_id,
        "sent": states[-1].get("frames_sent"),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
